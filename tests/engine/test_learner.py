import numpy as np
import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.config import Discrete, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError, Diverged
from sweeprl.testing import random_transitions

SPEC = EnvSpec(4, Discrete(2))


def dqn(**settings):
    frame = registry.frames.get("DQN")
    small = dict(batch_size=8, replay_size=200, warmup_steps=0)
    return frame(build(frame.Config, {**small, **settings}), SPEC)


def chunk(steps, num=1, seed=0):
    return random_transitions(SPEC, steps, num, seed)


def test_updates_follow_the_steps_exactly():
    learner = Learner([dqn(updates_per_step=0.3, warmup_steps=10)], [0])
    for steps in (7, 7, 7, 7):
        learner.store(chunk(steps))
        learner.update()
    assert learner.env_steps == 28
    assert learner.updates == int((28 - 10) * 0.3)


def test_polyak_average_moves_the_target_by_its_rate():
    learner = Learner([dqn(update_rate=0.25)], [0])
    before = learner.weights()["networks"]
    learner.store(chunk(1))
    learner.update()
    after = learner.weights()["networks"]
    for name, old in before["qnet_target"].items():
        expected = 0.75 * old + 0.25 * after["qnet"][name]
        torch.testing.assert_close(after["qnet_target"][name], expected)


def test_full_copy_comes_every_update_steps():
    learner = Learner([dqn(update_rate=None, update_steps=3)], [0])
    equal = []
    for seed in range(6):
        learner.store(chunk(1, seed=seed))
        learner.update()
        networks = learner.weights()["networks"]
        equal.append(
            all(torch.equal(v, networks["qnet_target"][k]) for k, v in networks["qnet"].items())
        )
    assert equal == [False, False, True, False, False, True]


def test_rows_of_weight_zero_teach_nothing():
    one, other = (Learner([dqn(batch_size=4)], [0]) for _ in range(2))
    first, second = chunk(40), chunk(40)
    for data in (first, second):
        data["weight"][::2] = 0.0
    second["reward"][::2] = 1e6
    for learner, data in ((one, first), (other, second)):
        learner.store(data)
        learner.update()
    for name, value in one.weights()["networks"]["qnet"].items():
        assert torch.equal(value, other.weights()["networks"]["qnet"][name])


def test_epsilon_falls_from_one_to_its_end():
    frame = dqn(epsilon_decay=0.5, epsilon_end=0.1, warmup_steps=2)
    hp = {name: torch.tensor(value) for name, value in frame.hyperparameters().items()}
    found = [float(frame.epsilon(hp, torch.tensor(float(step)))) for step in range(6)]
    assert found == pytest.approx([1, 1, 0.25, 0.125, 0.1, 0.1])
    frame = dqn(exploration_steps=10, epsilon_end=0.2)
    hp = {name: torch.tensor(value) for name, value in frame.hyperparameters().items()}
    found = [float(frame.epsilon(hp, torch.tensor(float(step)))) for step in (0, 5, 10, 99)]
    assert found == pytest.approx([1, 0.6, 0.2, 0.2])


def test_random_actions_of_the_warm_up_are_uniform():
    learner = Learner([dqn(warmup_steps=10**6)], [0])
    actions = learner.act(np.zeros((20_000, 4), np.float32))
    assert abs(actions.mean() - 0.5) < 0.02


def test_diverged_round_leaves_the_learner_as_it_was():
    learner = Learner([dqn(learning_rate=1e38)], [0])
    before = learner.weights()["networks"]
    learner.store(chunk(30))
    with pytest.raises(Diverged, match="must be finite.*Lower the learning rate"):
        learner.update()
    after = learner.weights()["networks"]
    for role, named in before.items():
        for name, value in named.items():
            assert torch.equal(value, after[role][name])


@pytest.mark.parametrize("key", ["reward", "state", "next_state"])
def test_what_is_not_finite_is_not_stored(key):
    learner = Learner([dqn()], [0])
    data = chunk(5)
    data[key].reshape(-1)[3] = np.nan
    with pytest.raises(Diverged, match="must be finite, but one is nan"):
        learner.store(data)
    assert learner.env_steps == 0


def test_lanes_that_differ_in_structure_are_refused():
    with pytest.raises(ConfigError, match="share 'mode'"):
        Learner([dqn(), dqn(mode="vanilla")], [0, 1])


class WithBuffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))

    def forward(self, state):
        return self.layers(state)


def test_networks_with_running_statistics_are_refused():
    with pytest.raises(ConfigError, match="must not keep buffers, but WithBuffers does"):
        Learner([dqn(models=[WithBuffers, WithBuffers])], [0])


def test_weights_of_another_network_are_refused():
    other = Learner([dqn(model_kwargs=[dict(hidden=[8]), dict(hidden=[8])])], [0])
    with pytest.raises(ConfigError, match="Has the model changed"):
        Learner([dqn()], [0]).load_weights(other.weights())
