from __future__ import annotations

from functools import partial
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest

from sweeprl.config import Continuous, Discrete, EnvSpec
from sweeprl.envs import EvaluationDataset, RLDataset, SingleCopy, VectorCopies
from sweeprl.envs._lanes_dataset import Budget, LanesDataset
from sweeprl.envs._slot_lanes import SlotLanes
from sweeprl.errors import EnvironmentRaised
from tests.envs.environments import Counter, ScriptedAgent
from tests.envs.lanes import (
    Clockwork,
    ScriptedLanes,
    Uneven,
    alone,
    assert_same,
    of_lanes,
    seed_of,
)


def slots(make=Uneven, seeds=(3, 4, 5), num_envs=1, **settings):
    return SlotLanes(make, "Uneven", seeds, num_envs, **{"stage": 0, **settings})


def lanes(make=Uneven, num_envs=1, budget=40):
    envs = slots(make, num_envs=num_envs)
    return LanesDataset(envs, ScriptedLanes(num_envs), {}, [Budget(budget, None)] * envs.num_lanes)


def single(seed, num_envs=1, make=Uneven, budget=40):
    copies = (
        SingleCopy(make(), "Uneven", seed_of(seed))
        if num_envs == 1
        else VectorCopies([make] * num_envs, "Uneven", seed_of(seed))
    )
    return RLDataset(copies, ScriptedAgent(7), max_env_steps=budget)


class Broken(Uneven):
    """Raises in a step or reset of one seed's episodes."""

    where, when = "step", 10
    seed: ClassVar[int] = 4
    calls = 0

    def reset(self, *, seed=None, options=None):
        own = {seed_of(self.seed)(copy, e) for copy in range(3) for e in range(200)}
        self.is_rigged = seed in own
        self._count("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self._count("step")
        return super().step(action)

    def _count(self, what):
        self.calls += what == self.where
        if self.is_rigged and what == self.where and self.calls >= self.when:
            raise ZeroDivisionError(f"broken {what}")


class BrokenReset(Broken):
    where, when = "reset", 3


class BrokenAtOnce(Broken):
    where, when = "reset", 1


def test_it_says_what_the_environments_are():
    envs = slots()
    assert envs.spec == EnvSpec(3, Discrete(5), "Uneven")
    assert (envs.num_lanes, envs.num_envs, envs.faults) == (3, 1, {})


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("make", [Broken, BrokenReset, BrokenAtOnce])
def test_an_environment_that_raises_ends_its_lane_only(make, num_envs):
    data = lanes(make, num_envs)
    found = of_lanes(data)
    assert list(data.envs.faults) == [1]
    fault = data.envs.faults[1]
    assert isinstance(fault, EnvironmentRaised)
    text = f"The environment's {make.where} raised ZeroDivisionError: broken {make.where}"
    assert str(fault) == text
    for lane, seed in ((0, 3), (2, 5)):
        assert_same(found[lane], alone(single(seed, num_envs)))
    assert data.env_steps[1] < 40
    assert data.exhausted.all()


@pytest.mark.parametrize("make", [Broken, BrokenReset, BrokenAtOnce])
def test_a_lane_that_raised_is_given_to_another_agent(make):
    data = lanes(make)
    for _ in range(4):
        next(data)
    assert list(data.envs.faults) == [1]
    data.begin(1, 9, Budget(31, None))
    assert data.envs.faults == {}
    assert_same(of_lanes(data)[1], alone(single(9, budget=31)))


def test_faults_move_with_their_lanes():
    data = lanes(BrokenAtOnce)
    next(data)
    data.keep([2, 1])
    assert list(data.envs.faults) == [1]
    data.keep([0])
    assert data.envs.faults == {}


class Shapeless(Uneven):
    """Observes something else after a while."""

    def step(self, action):
        seen, *rest = super().step(action)
        return (seen[:2] if self.np_random.random() < 0.1 else seen, *rest)


def test_an_observation_of_another_shape_is_a_fault_of_its_lane():
    data = lanes(Shapeless, budget=100)
    list(data)
    assert sorted(data.envs.faults) == [0, 1, 2]
    assert "step raised ValueError" in str(data.envs.faults[0])


def test_a_lane_is_begun_with_environments_of_its_own():
    made = []

    def make():
        made.append(Uneven())
        return made[-1]

    envs = slots(make, num_envs=2)
    assert len(made) == 6
    envs.begin(1, 8)
    assert len(made) == 8
    assert [env.closed for env in made] == [False] * 2 + [True] * 2 + [False] * 4
    envs.keep([1])
    assert [env.closed for env in made] == [True] * 6 + [False] * 2
    envs.close()
    assert all(env.closed for env in made)


class Forgetful(Counter):
    """Draws from a generator that no seed reaches."""

    numbers = iter(range(100_000))

    def _observation(self):
        observation = super()._observation()
        observation[0] = next(self.numbers)
        return observation


def test_where_an_environment_cannot_be_put_back_new_episodes_begin():
    make = partial(Forgetful, length=5)
    original = single(3, make=make)
    next(original)
    data = lanes(make)
    assert not data.load_state_dict(0, original.state_dict())
    ends = [one[:2] for one in of_lanes(data)[0].episodes]
    assert ends[0] == (12, 5)
    assert data.env_steps[0] == 40


def test_an_environment_that_raises_when_it_is_put_back_is_a_fault():
    data = lanes()
    next(data)
    next(data)
    state = data.state_dict(1)
    broken = lanes(partial(Counter, length=99, raises_at=1))
    assert not broken.load_state_dict(1, state)
    assert list(broken.envs.faults) == [1]


@pytest.mark.parametrize("num_envs", [1, 2])
def test_reals_are_put_back_as_they_were(num_envs):
    agent = Clockwork(num_envs, Continuous(1))
    make = partial(gym.make, "Pendulum-v1", disable_env_checker=True)
    envs = SlotLanes(make, "Pendulum-v1", [3, 4], num_envs, stage=0)
    data = agent.watch(LanesDataset(envs, agent, {}, [Budget(150, None)] * 2))
    for _ in range(4):
        next(data)
    state = data.state_dict(1)
    expected = of_lanes(data)[1]
    alone_agent = Clockwork(num_envs, Continuous(1))
    copies = (
        SingleCopy(make(), "Pendulum-v1", seed_of(4))
        if num_envs == 1
        else VectorCopies([make] * num_envs, "Pendulum-v1", seed_of(4))
    )
    resumed = alone_agent.watch(RLDataset(copies, alone_agent, max_env_steps=150))
    assert resumed.load_state_dict(state)
    assert_same(alone(resumed), expected)


def evaluation(seed, num_episodes, make=Uneven):
    copies = SingleCopy(make(), "Uneven", seed_of(seed, stage=1))
    return EvaluationDataset(copies, ScriptedAgent(), num_episodes=num_episodes)


def returns_alone(seed, num_episodes):
    return [result.episodes[0].total for result in evaluation(seed, num_episodes)]


def test_an_evaluation_plays_the_episodes_that_a_single_agent_plays():
    envs = slots(num_envs=4, stage=1, is_judging=True)
    agent, kwargs = ScriptedLanes(), {"greedy": True}
    expected = [returns_alone(seed, 4) for seed in (3, 4, 5)]
    for _ in range(3):  # every pass plays the same
        found = envs.play_once(agent, kwargs)
        assert found.dtype == np.float64
        assert found.tolist() == expected
    assert set(map(str, agent.calls)) == {str((0, True, kwargs))}
    starts = [begins.all() for begins in agent.begins]
    assert sum(starts) == 3
    assert starts[0]
    assert not any(begins.any() and not begins.all() for begins in agent.begins)


def test_lanes_that_come_and_go_between_evaluations():
    envs = slots(num_envs=2, stage=1, is_judging=True)
    envs.play_once(ScriptedLanes(), {})
    envs.begin(1, 9)
    envs.keep([1, 2])
    expected = [returns_alone(seed, 2) for seed in (9, 5)]
    assert envs.play_once(ScriptedLanes(), {}).tolist() == expected


def test_an_environment_that_raises_ends_the_evaluation_of_its_lane_only():
    class BrokenJudge(Broken):
        when = 3

        def reset(self, *, seed=None, options=None):
            seen = super().reset(seed=seed, options=options)
            self.is_rigged = seed in {seed_of(4, stage=1)(0, episode) for episode in range(9)}
            return seen

    envs = slots(BrokenJudge, num_envs=4, stage=1, is_judging=True)
    found = envs.play_once(ScriptedLanes(), {})
    assert list(envs.faults) == [1]
    for lane, seed in ((0, 3), (2, 5)):
        assert found[lane].tolist() == returns_alone(seed, 4)


class Fragile(Counter):
    """Cannot be closed, as one whose connection is gone."""

    def close(self):
        raise ConnectionError("already closed")


def test_an_environment_that_cannot_be_closed_stops_nobody():
    envs = SlotLanes(Fragile, "Fragile", [0, 1], 1, 0)
    envs.begin(0, 5)
    envs.keep([1])
    envs.close()
    assert envs.faults == {}


def test_an_environment_that_cannot_be_built_again_ends_its_own_lane():
    built = []

    def make():
        built.append(1)
        if len(built) > 2:
            raise OSError("no more licences")
        return Counter()

    envs = SlotLanes(make, "Counter", [0, 1], 1, 0)
    envs.begin(0, 5)
    assert list(envs.faults) == [0]
    assert "no more licences" in str(envs.faults[0])


@pytest.mark.parametrize("num_envs", [1, 2])
def test_agents_are_told_where_an_episode_begins(num_envs):
    data = lanes(num_envs=num_envs)
    seen = [result.transitions["state"][:, :, 1] == 0 for result in data]
    assert np.array_equal(np.stack(data.agents.begins), np.concatenate(seen))
    assert 10 < np.sum(data.agents.begins) < np.size(data.agents.begins)
