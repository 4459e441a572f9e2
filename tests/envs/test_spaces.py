from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete
from sweeprl.envs._spaces import ActionAdapter, describe, flatten_observations
from sweeprl.errors import UnsupportedSpaceError


class Observer(gym.Env):
    """Returns samples of an observation space."""

    def __init__(self, observation_space, action_space=None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


BOX = spaces.Box(-1, 1, (2, 3), np.float32)
SPACES = {
    "vector": (spaces.Box(-1, 1, (4,), np.float32), 4),
    "matrix": (BOX, 6),
    "scalar": (spaces.Box(-1, 1, (), np.float32), 1),
    "bytes": (spaces.Box(0, 255, (2, 2, 3), np.uint8), 12),
    "Discrete": (spaces.Discrete(5), 5),
    "Discrete from 3": (spaces.Discrete(5, start=3), 5),
    "MultiDiscrete": (spaces.MultiDiscrete([2, 3]), 5),
    "MultiBinary": (spaces.MultiBinary(4), 4),
    "MultiBinary matrix": (spaces.MultiBinary([2, 2]), 4),
    "Dict": (spaces.Dict({"a": BOX, "b": spaces.Discrete(3)}), 9),
    "Tuple": (spaces.Tuple([BOX, spaces.MultiBinary(2)]), 8),
    "nested": (spaces.Dict({"a": spaces.Tuple([spaces.Discrete(2), spaces.Dict({"c": BOX})])}), 8),
}


@pytest.mark.parametrize("name", SPACES)
def test_observations_become_vectors_as_gymnasium_flattens_them(name):
    space, size = SPACES[name]
    env = flatten_observations(Observer(space))
    assert describe(env, "it").observation_size == size
    observation, _ = env.reset(seed=3)
    space.seed(3)
    expected = np.ravel(spaces.flatten(space, space.sample()))
    np.testing.assert_array_equal(observation, expected)
    assert env.step(0)[0].shape == (size,)


def test_a_vector_is_not_wrapped():
    env = Observer(spaces.Box(-1, 1, (4,)))
    assert flatten_observations(env) is env


@pytest.mark.parametrize(
    "space",
    [
        spaces.Sequence(spaces.Discrete(3)),
        spaces.Graph(spaces.Box(-1, 1, (2,)), None),
        spaces.Dict({"a": spaces.Sequence(BOX)}),
    ],
    ids=lambda space: type(space).__name__,
)
def test_observations_without_a_fixed_length_are_refused(space):
    with pytest.raises(UnsupportedSpaceError, match=r"must have a fixed length, but those of "):
        flatten_observations(Observer(space))


@pytest.mark.parametrize(
    "space, spec",
    [
        (spaces.Discrete(5), Discrete(5)),
        (spaces.Discrete(5, start=-2), Discrete(5)),
        (spaces.MultiDiscrete([2, 3]), MultiDiscrete((2, 3))),
        (spaces.Box(-1, 1, (2,)), Continuous(2)),
        (spaces.Box(-1, 1, (2, 3)), Continuous(6)),
        (spaces.Box(-1, 1, (), np.float64), Continuous(1)),
    ],
    ids=str,
)
def test_action_spaces_are_described(space, spec):
    env = Observer(spaces.Box(-1, 1, (4,)), space)
    assert describe(env, "it") == EnvSpec(4, spec, "it")
    assert ActionAdapter(space, "it").spec == spec


@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiBinary(3),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.Dict({"a": spaces.Discrete(2)}),
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Box(0, 255, (2,), np.uint8),
        spaces.Text(3),
    ],
    ids=str,
)
def test_other_action_spaces_are_refused(space):
    with pytest.raises(
        UnsupportedSpaceError,
        match=r"(?s)action space of Foo-v0 must be Discrete, MultiDiscrete or a Box.*Wrap the env",
    ):
        ActionAdapter(space, "Foo-v0")


def adapted(space, actions):
    result = ActionAdapter(space, "it")(np.asarray(actions))
    assert all(space.contains(action) for action in result)
    assert result.dtype == space.dtype
    return result.tolist()


def test_discrete_actions_start_where_the_space_does():
    assert adapted(spaces.Discrete(3), [0, 2]) == [0, 2]
    assert adapted(spaces.Discrete(3, start=-1), [0, 2]) == [-1, 1]


def test_several_choices_start_where_the_space_does():
    space = spaces.MultiDiscrete([2, 3])
    assert adapted(space, [[0, 2], [1, 0]]) == [[0, 2], [1, 0]]
    space = spaces.MultiDiscrete([2, 3], start=[10, -1])
    assert adapted(space, [[0, 2], [1, 0]]) == [[10, 1], [11, -1]]


def test_reals_are_rescaled_to_the_bounds_of_each_component():
    space = spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))
    actions = np.array([[-1, -1], [0, 0], [1, 1], [0.5, -0.5]], np.float32)
    assert adapted(space, actions) == [[-2, 0], [0, 5], [2, 10], [1, 2.5]]


def test_reals_beyond_one_are_clipped():
    space = spaces.Box(-2, 2, (1,))
    assert adapted(space, np.array([[-9], [9]], np.float32)) == [[-2], [2]]


def test_components_without_bounds_are_passed_as_they_are():
    low = np.array([-np.inf, -1, -np.inf, 5], np.float32)
    high = np.array([np.inf, 1, 5, np.inf], np.float32)
    space = spaces.Box(low, high)
    actions = np.array([[-30, -30, -30, 30], [30, 30, 30, -30]], np.float32)
    assert adapted(space, actions) == [[-30, -1, -30, 30], [30, 1, 5, 5]]


def test_the_shape_is_the_spaces():
    space = spaces.Box(-3, 3, (2, 2))
    assert adapted(space, np.array([[-1, 0, 0.5, 1]], np.float32)) == [[[-3, 0], [1.5, 3]]]


def test_the_kind_of_number_is_the_spaces():
    adapted(spaces.Box(-1, 1, (2,), np.float64), np.zeros((3, 2), np.float32))


def test_a_scalar_action_is_one_number():
    adapt = ActionAdapter(spaces.Box(-3, 3, ()), "it")
    assert adapt(np.array([[-1], [0.5]], np.float32)).tolist() == [-3, 1.5]
