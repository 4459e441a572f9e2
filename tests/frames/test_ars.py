import numpy as np
import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError
from sweeprl.testing import random_transitions

STATE = torch.tensor([[1.0, -2.0, 0.5]])


def ars(action, **settings):
    frame = registry.frames.get("ARS")
    small = {"rollout_num": 3, "used_rollout_num": 2}
    return frame(build(frame.Config, {**small, **settings}), EnvSpec(3, action))


class Fixed(nn.Module):
    """Returns the same numbers in every state."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = nn.Parameter(torch.tensor(numbers))

    def forward(self, state):
        return self.numbers.expand(len(state), -1)


@pytest.mark.parametrize(
    "action, numbers, expected",
    [
        (Discrete(3), [0.1, 0.9, 0.5], [1]),
        (MultiDiscrete((2, 3)), [0.1, 0.9, 0.5, 0.2, 0.1], [[1, 0]]),
        (Continuous(2), [0.25, -0.5], [[0.25, -0.5]]),
    ],
)
def test_the_policy_is_what_the_network_says(action, numbers, expected):
    frame = ars(action, models=[Fixed], model_args=[[numbers]])
    networks = type("Networks", (), frame.networks())
    found = frame.act(networks, STATE, STATE, {}, torch.tensor(0))
    assert found.tolist() == expected


def test_an_actor_has_to_return_a_score_for_each_action():
    frame = ars(MultiDiscrete((2, 3)), models=[Fixed], model_args=[[[0.0] * 4]])
    with pytest.raises(ConfigError, match=r"must take `state` .* return scores .*\(B, 5\)"):
        frame.networks()


def test_a_linear_policy_begins_at_zero():
    (actor,) = ars(Continuous(2)).networks().values()
    assert [tuple(p.shape) for p in actor.parameters()] == [(2, 3)]
    assert actor(state=STATE).tolist() == [[0.0, 0.0]]
    (deep,) = ars(Continuous(2), model_kwargs=[{"hidden": [4], "bias": True}]).networks().values()
    assert [tuple(p.shape) for p in deep.parameters()] == [(4, 3), (4,), (2, 4), (2,)]
    assert deep(state=STATE).tolist() == [[0.0, 0.0]]


def test_the_gradient_is_that_of_the_best_directions():
    frame = ars(Continuous(1))
    noise = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    returns = torch.tensor([[4.0, 0.0], [1.0, 2.0], [-5.0, 3.0]])
    loss, logs = frame.search_loss(None, {"noise": noise, "reward": returns}, {})
    torch.testing.assert_close(loss, -returns.mean())
    torch.testing.assert_close(logs["gradient"], -torch.tensor([-4.0, -8.0]) / 7)
    assert float(logs["return_deviation"]) == pytest.approx(3.5)


@pytest.mark.parametrize("normalize", [True, False])
def test_observations_are_normalised_as_the_setting_says(normalize):
    frame = ars(Continuous(1), normalize_state=normalize)
    learner = Learner([frame], [0])
    with torch.no_grad():
        learner._lanes.stacks[0].flat.fill_(1.0)
    data = random_transitions(frame.spec, 50, 1)
    data["state"] += 5.0
    data["terminated"][:] = data["truncated"][:] = 0.0
    learner.store(data)
    state = data["state"].mean(0)
    expected = 0.0 if normalize else float(state.sum())
    assert learner.act(state, greedy=True).item() == pytest.approx(expected, abs=1e-3)


def test_an_update_comes_once_all_episodes_are_played():
    learner = Learner([ars(Discrete(2))], [0])
    data = random_transitions(EnvSpec(3, Discrete(2)), 1, 1)
    data["terminated"][:] = 1.0
    updates = []
    for seed in range(13):
        data["reward"][:] = np.float32(seed)
        learner.store(data)
        learner.update()
        updates.append(int(learner.updates[0]))
    assert updates == [0] * 5 + [1] * 6 + [2] * 2
