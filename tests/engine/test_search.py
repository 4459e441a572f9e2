"""Who plays what: 2 directions, so 4 episodes between two updates."""

import numpy as np
import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.config import Discrete, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.engine.search import Search

SPEC = EnvSpec(2, Discrete(2))


def search_of(num_envs=1, seeds=(0,), num=2, size=3, std=0.1):
    settings = {"noise_std_dev": torch.full((len(seeds),), std)}
    return Search(list(seeds), num_envs, num, size, settings, torch.device("cpu"))


def play(search, reward, over, weight=None):
    """Stores one step of one lane."""
    columns = [torch.tensor([[row]], dtype=torch.float32) for row in (reward, over)]
    counts = torch.ones_like(columns[0]) if weight is None else torch.tensor([[weight]])
    search.store(*columns, counts)


def returns_of(search):
    return search.batch()["reward"][0].flatten().tolist()


def test_an_environment_plays_each_direction_forwards_and_backwards():
    search, offsets = search_of(), []
    for episode in range(4):
        offsets.append(search.offsets[0, 0].clone())
        assert not search.is_complete[0]
        play(search, [1.0], [0.0])
        play(search, [float(episode)], [1.0])
    assert search.is_complete[0]
    noise = search.batch()["noise"][0]
    for place, sign in enumerate((1, -1, 1, -1)):
        torch.testing.assert_close(offsets[place], 0.1 * sign * noise[place // 2])
    assert returns_of(search) == [1.0, 2.0, 3.0, 4.0]
    assert not torch.allclose(noise[0], noise[1])


def test_who_finds_no_episode_left_plays_the_policy_itself():
    search = search_of(num_envs=3)
    play(search, [1.0, 2.0, 3.0], [0.0, 1.0, 1.0])  # the second takes the fourth, the last one
    assert search.offsets[0, 2].abs().sum() == 0
    play(search, [1.0, 5.0, 9.0], [0.0, 0.0, 1.0])  # what it plays counts for nothing
    play(search, [1.0, 5.0, 9.0], [1.0, 1.0, 0.0])
    assert search.is_complete[0]
    assert returns_of(search) == [3.0, 2.0, 3.0, 10.0]
    search.go_on([0])
    assert returns_of(search) == [0.0] * 4
    assert search.offsets[0, 2].abs().sum() == 0  # its episode has not ended
    assert (search.offsets[0, :2].abs().sum(1) > 0).all()
    play(search, [0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    assert search.offsets[0, 2].abs().sum() > 0


def test_steps_of_weight_zero_leave_no_trace():
    search = search_of()
    before = search.state_dict(0)
    play(search, [7.0], [1.0], weight=[0.0])
    assert search.state_dict(0) == before


def test_every_round_and_every_seed_has_directions_of_its_own():
    search = search_of(seeds=(0, 1))
    first = search.batch()["noise"]
    search.go_on([0])
    second = search.batch()["noise"]
    assert not torch.allclose(first[0], first[1])
    assert not torch.allclose(first[0], second[0])
    torch.testing.assert_close(first[1], second[1])
    torch.testing.assert_close(search_of(seeds=(1,)).batch()["noise"][0], first[1])


def test_directions_are_standard_normal():
    noise = search_of(num=100, size=500).batch()["noise"]
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_a_lane_goes_on_where_its_state_was_taken():
    search, other = search_of(num_envs=2, seeds=(0, 1)), search_of(num_envs=2, seeds=(5,))
    search.store(*(torch.rand(2, 7, 2).round() for _ in range(2)), torch.ones(2, 7, 2))
    other.load_state_dict(search.state_dict(1), 0)
    torch.testing.assert_close(other.offsets[0], search.offsets[1])
    search.keep([1])
    assert other.state_dict(0) == search.state_dict(0)


def test_an_episode_that_was_lost_is_played_again():
    search = search_of()
    play(search, [3.0], [0.0])
    search.begin_episodes(0)
    play(search, [4.0], [1.0])
    assert returns_of(search)[0] == 4.0


class Slope(nn.Module):
    """Prefers action 1 where w * x is positive; w begins at 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, state):
        score = self.weight * state[:, 0]
        return torch.stack([-score, score], -1)


def test_each_environment_acts_with_its_own_parameters_and_the_search_climbs():
    """Action 1 is rewarded where x is positive: a positive w does it, a negative one never."""
    frame = registry.frames.get("ARS")
    settings = dict(models=[Slope], rollout_num=2, used_rollout_num=2, normalize_state=False)
    config = build(frame.Config, {**settings, "optimizer": "SGD", "learning_rate": 0.1})
    learner = Learner([frame(config, SPEC)], [0], num_envs=4)
    states = np.ones((4, 2), np.float32)
    offsets = learner.action_noise(4)[0, :, 0].clone()
    actions = learner.act(states)
    assert actions.tolist() == (offsets > 0).long().tolist()
    assert 0 < actions.sum() < 4
    assert learner.act(states, greedy=True).tolist() == [0] * 4
    chunk = dict(
        state=states[None], action=actions[None, :, None].astype(np.float32),
        reward=actions[None].astype(np.float32), next_state=states[None],
        terminated=np.ones((1, 4), np.float32), truncated=np.zeros((1, 4), np.float32),
        weight=np.ones((1, 4), np.float32),
    )  # fmt: skip
    learner.store(chunk)
    logs = learner.update()
    assert float(logs["search_loss"][0]) == -0.5
    # both directions gain 1 to the side of their sign, and the deviation of returns is 1/2
    gain = (offsets[[0, 2]].abs() / 0.02).mean() / 0.5
    weight = learner.weights(0)["networks"]["actor"]["weight"]
    torch.testing.assert_close(weight[0], 0.1 * gain.reshape(1), rtol=1e-4, atol=1e-6)
    assert learner.act(states, greedy=True).tolist() == [1] * 4


@pytest.mark.parametrize("activation", ["Tanh", "ReLU"])
def test_environments_of_lanes_act_as_they_would_alone(activation):
    """Networks of two layers with biases, three environments in each of two lanes."""
    frame = registry.frames.get("ARS")
    network = {"hidden": [8], "bias": True, "activation": activation}
    settings = dict(model_kwargs=[network], noise_std_dev=1.0, normalize_state=False)
    frames = [frame(build(frame.Config, settings), SPEC) for _ in range(2)]
    together = Learner(frames, [0, 1], num_envs=3)
    states = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    found = together.act(states)
    alone = [Learner([frames[lane]], [lane], num_envs=3) for lane in range(2)]
    expected = [one.act(states[3 * lane : 3 * lane + 3]) for lane, one in enumerate(alone)]
    assert found.tolist() == np.concatenate(expected).tolist()
    assert len(set(found.tolist())) == 2
