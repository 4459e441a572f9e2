from __future__ import annotations

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from sweeprl.config import Continuous, Discrete, EnvSpec
from sweeprl.envs import NativeCopies, SingleCopy, VectorCopies
from sweeprl.envs._copies import episode_seed
from sweeprl.errors import ConfigError, EnvironmentRaised, UnsupportedSpaceError
from tests.envs.environments import Counter, seed_of


@pytest.fixture
def opened():
    copies = []
    yield lambda one: copies.append(one) or one
    for one in copies:
        one.close()


def secret(copy, episode):
    """The first number of every observation of an episode of Counter."""
    env = Counter()
    return env.reset(seed=seed_of(copy, episode))[0][0]


def build(kind, num=3, **settings):
    makers = [partial(Counter, **settings) for _ in range(num)]
    if kind == "single":
        return SingleCopy(makers[0](), "Counter", seed_of)
    return VectorCopies(makers, "Counter", seed_of, in_processes=kind == "async")


def cartpole(kind, num=3):
    make = partial(gym.make, "CartPole-v1", max_episode_steps=20)
    if kind == "single":
        return SingleCopy(make(), "CartPole-v1", seed_of)
    return VectorCopies([make] * num, "CartPole-v1", seed_of, in_processes=kind == "async")


def native(num=4, limit=15):
    env = gym.make_vec("CartPole-v1", num, "vector_entry_point", max_episode_steps=limit)
    return NativeCopies(env, "CartPole-v1", seed_of)


def play(copies, actions):
    """Everything that happens while `actions` `(T, N)` are taken; ended episodes are restarted."""
    state = copies.reset()
    history = [(state,)]
    for action in actions:
        step = copies.step(action)
        over = step.terminated | step.truncated
        state = copies.restart(over) if over.any() else step.state
        history.append((*[part for part in step if part is not None], state))
    return history


def assert_equal_histories(one, other):
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind, num", [("single", 1), ("sync", 3), ("async", 2)])
def test_what_a_step_returns(kind, num, opened):
    copies = opened(build(kind, num))
    assert copies.num == num
    assert copies.spec == EnvSpec(3, Discrete(5), "Counter")
    state = copies.reset()
    assert (state.shape, state.dtype) == ((num, 3), np.float32)
    step = copies.step(np.arange(num))
    assert step.state.shape == (num, 3)
    assert step.reward.tolist() == list(range(num))
    assert step.reward.dtype == np.float32
    assert step.valid.all()
    for flags in (step.terminated, step.truncated):
        assert (flags.shape, flags.dtype) == ((num,), bool)
        assert not flags.any()


@pytest.mark.parametrize("kind, num", [("single", 1), ("sync", 3), ("async", 2)])
@pytest.mark.parametrize("terminates", [True, False])
def test_the_true_last_observation_is_seen(kind, num, terminates, opened):
    """At the end of an episode `state` is its last observation, not the first of the next."""
    copies = opened(build(kind, num, length=2, terminates=terminates))
    first = copies.reset()
    copies.step(np.ones(num, int))
    step = copies.step(np.full(num, 3))
    assert step.terminated.tolist() == [terminates] * num
    assert step.truncated.tolist() == [not terminates] * num
    np.testing.assert_array_equal(step.state[:, 0], first[:, 0])
    np.testing.assert_array_equal(step.state[:, 1:], [[2, 3]] * num)
    following = copies.restart(step.terminated | step.truncated)
    np.testing.assert_array_equal(following[:, 1:], [[0, -1]] * num)
    assert (following[:, 0] != first[:, 0]).all()


def test_a_restart_leaves_the_other_copies_where_they_are(opened):
    copies = opened(build("sync", 3, length=10))
    copies.reset()
    copies.step(np.array([1, 2, 3]))
    state = copies.restart(np.array([False, True, False]))
    expected = [[secret(0, 0), 1, 1], [secret(1, 1), 0, -1], [secret(2, 0), 1, 3]]
    np.testing.assert_array_equal(state, expected)
    step = copies.step(np.array([4, 4, 4]))
    assert step.state[:, 1].tolist() == [2, 1, 2]


@pytest.mark.parametrize("kind, num", [("single", 1), ("sync", 3), ("async", 2)])
def test_every_episode_has_its_own_seed(kind, num, opened):
    copies = opened(build(kind, num))
    for episode in range(4):
        expected = [secret(copy, episode) for copy in range(num)]
        assert copies.reset()[:, 0].tolist() == expected
    copies.rewind()
    assert copies.reset()[:, 0].tolist() == [secret(copy, 0) for copy in range(num)]


def test_seeds_differ_in_everything_they_depend_on():
    numbers = range(4)
    seeds = [
        episode_seed(a, b, c, d) for a in numbers for b in numbers for c in numbers for d in numbers
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert episode_seed(0, 0, 0, 0) == episode_seed(0, 0, 0, 0)


def test_sync_async_and_single_streams_are_the_same(opened):
    num = 2
    actions = np.random.default_rng(0).integers(0, 2, (60, num))
    sync = play(opened(cartpole("sync", num)), actions)
    assert_equal_histories(sync, play(opened(cartpole("async", num)), actions))
    for copy in range(num):
        env = gym.make("CartPole-v1", max_episode_steps=20)
        alone = SingleCopy(env, "CartPole-v1", lambda _, episode, copy=copy: seed_of(copy, episode))
        history = play(opened(alone), actions[:, copy : copy + 1])
        assert_equal_histories([[x[copy : copy + 1] for x in row] for row in sync], history)
    ends = np.array([row[2] | row[3] for row in sync[1:]])
    assert (ends.sum(0) >= 2).all()


def test_results_are_not_overwritten_by_the_next_step(opened):
    copies = opened(build("sync", 2, length=2))
    first = copies.reset()
    kept = first.copy()
    step = copies.step(np.array([1, 1]))
    taken = [np.copy(part) for part in step]
    over = copies.step(np.array([2, 2]))
    copies.restart(over.terminated)
    np.testing.assert_array_equal(first, kept)
    for part, before in zip(step, taken, strict=True):
        np.testing.assert_array_equal(part, before)
    assert over.terminated.all()


def test_native_marks_the_steps_that_only_reset(opened):
    copies = opened(native())
    state = copies.reset()
    was_over = np.zeros(4, bool)
    resets = ends = 0
    for _ in range(60):
        step = copies.step(np.ones(4, int))
        np.testing.assert_array_equal(step.valid, ~was_over)
        fresh = step.state[was_over]
        assert (np.abs(fresh) <= 0.05).all()  # CartPole starts within 0.05 of zero
        assert (step.reward[was_over] == 0).all()
        over = step.terminated | step.truncated
        assert not (over & was_over).any()
        if over.any():
            state = copies.restart(over)
            np.testing.assert_array_equal(state, step.state)  # nothing restarted here
        resets, ends, was_over = resets + was_over.sum(), ends + over.sum(), over
    assert ends >= resets > 0


def test_native_is_seeded(opened):
    actions = np.random.default_rng(0).integers(0, 2, (30, 4))
    assert_equal_histories(play(opened(native()), actions), play(opened(native()), actions))


def test_native_with_another_autoreset_is_refused(opened):
    env = gym.make_vec(
        "CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
    )
    with pytest.raises(
        ConfigError, match='must have autoreset mode NEXT_STEP.*Set vectorization to "sync"'
    ):
        NativeCopies(env, "CartPole-v1", seed_of)
    env.close()


@pytest.mark.parametrize("kind, num", [("single", 1), ("sync", 3)])
@pytest.mark.parametrize("played", [0, 1, 7, 31])
def test_a_running_episode_is_played_again(kind, num, played, opened):
    actions = np.random.default_rng(1).integers(0, 2, (played + 40, num))
    original = opened(cartpole(kind, num))
    state = play(original, actions[:played])[-1][-1]
    saved = original.state_dict()

    copy = opened(cartpole(kind, num))
    np.testing.assert_array_equal(copy.load_state_dict(saved), state)
    assert copy.state_dict() == saved
    for action in actions[played:]:
        one, other = original.step(action), copy.step(action)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
        over = one.terminated | one.truncated
        if over.any():
            np.testing.assert_array_equal(original.restart(over), copy.restart(over))
    assert copy.state_dict() == original.state_dict()


@pytest.mark.parametrize("kind, num", [("single", 1), ("sync", 2)])
def test_continuous_actions_are_played_again_to_the_bit(kind, num, opened):
    def make():
        if kind == "single":
            return SingleCopy(gym.make("Pendulum-v1"), "Pendulum-v1", seed_of)
        return VectorCopies([partial(gym.make, "Pendulum-v1")] * num, "Pendulum-v1", seed_of)

    original, copy = opened(make()), opened(make())
    assert original.spec.action == Continuous(1)
    actions = np.random.default_rng(0).uniform(-1, 1, (30, num, 1)).astype(np.float32)
    state = play(original, actions)[-1][-1]
    np.testing.assert_array_equal(copy.load_state_dict(original.state_dict()), state)


def test_a_state_is_made_of_plain_values(opened):
    """So that a checkpoint loads with weights_only=True."""
    copies = opened(cartpole("sync", 2))
    play(copies, np.ones((3, 2), int))
    state = copies.state_dict()
    assert state == {"episodes": [0, 0], "actions": [[1, 1, 1], [1, 1, 1]]}
    assert type(state["actions"][0][0]) is int


def test_used_copies_can_be_put_back(opened):
    copies = opened(build("single", length=50))
    copies.reset()
    copies.step(np.array([2]))
    saved = copies.state_dict()
    for _ in range(5):
        copies.step(np.array([3]))
    assert copies.load_state_dict(saved)[0, 1] == 1
    assert copies.state_dict() == saved


@pytest.mark.parametrize("make", [partial(cartpole, "async", 2), native], ids=["async", "native"])
def test_copies_that_cannot_be_stepped_singly_say_so(make, opened):
    original, copy = opened(make()), opened(make())
    play(original, np.ones((3, original.num), int))
    assert copy.load_state_dict(original.state_dict()) is None
    assert copy.reset().shape == (copy.num, 4)


@pytest.mark.parametrize("kind, num", [("single", 1), ("sync", 2)])
@pytest.mark.parametrize("raises_at, what", [(0, "reset"), (2, "step")])
def test_an_environment_that_raises_is_the_reason(kind, num, raises_at, what, opened):
    copies = opened(build(kind, num, raises_at=raises_at))
    with pytest.raises(
        EnvironmentRaised, match=f"environment's {what} raised ZeroDivisionError: broken {what}"
    ) as error:
        play(copies, np.ones((3, num), int))
    assert isinstance(error.value.__cause__, ZeroDivisionError)


def test_an_unsupported_action_space_is_refused():
    with pytest.raises(UnsupportedSpaceError, match="The action space of Foo must be"):
        SingleCopy(Counter(space=spaces.MultiBinary(3)), "Foo", seed_of)


def test_closing_closes_the_environments():
    env = Counter()
    SingleCopy(env, "Counter", seed_of).close()
    assert env.closed
