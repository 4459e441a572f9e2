from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from sweeprl.envs import RLDataset, SingleCopy, VectorCopies
from sweeprl.envs._lanes import LaneChunk
from sweeprl.envs._lanes_dataset import Budget, LanesDataset
from sweeprl.envs._slot_lanes import SlotLanes
from tests.envs.environments import Counter, ScriptedAgent
from tests.envs.lanes import (
    ScriptedLanes,
    Uneven,
    alone,
    assert_same,
    joined,
    of_lanes,
    seed_of,
)

BUDGETS = {
    "steps": [Budget(50, None), Budget(50, None), Budget(50, None)],
    "episodes": [Budget(None, 9), Budget(None, 9), Budget(None, 9)],
    "both": [Budget(47, 9), Budget(48, 100), Budget(1000, 1)],
    "of all kinds": [Budget(1, None), Budget(None, 20), Budget(23, 4)],
}


def lanes(num_envs, budgets, collect_steps=7, make=Uneven, seeds=(3, 4, 5)):
    envs = SlotLanes(make, "Uneven", seeds[: len(budgets)], num_envs, stage=0)
    return LanesDataset(envs, ScriptedLanes(num_envs, collect_steps), {}, budgets)


def single(seed, num_envs, budget, collect_steps=7, make=Uneven):
    copies = (
        SingleCopy(make(), "Uneven", seed_of(seed))
        if num_envs == 1
        else VectorCopies([make] * num_envs, "Uneven", seed_of(seed))
    )
    return RLDataset(copies, ScriptedAgent(collect_steps), None, *budget)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("collect_steps", [1, 7, 64])
@pytest.mark.parametrize("kind", BUDGETS)
def test_a_lane_experiences_what_a_single_agent_does(num_envs, collect_steps, kind):
    budgets = BUDGETS[kind]
    data = lanes(num_envs, budgets, collect_steps)
    found = of_lanes(data)
    for lane, budget in enumerate(budgets):
        expected = single(3 + lane, num_envs, budget, collect_steps)
        assert_same(found[lane], alone(expected))
        assert data.env_steps[lane] == expected.env_steps == len(found[lane].transitions["weight"])
        assert data.num_episodes[lane] == expected.num_episodes == len(found[lane].episodes)
    assert data.exhausted.all()
    with pytest.raises(StopIteration):
        next(data)


@pytest.mark.parametrize("num_envs", [1, 2, 3, 4])
@pytest.mark.parametrize("budget", [1, 10, 25])
def test_the_budget_is_kept_to_the_step(num_envs, budget):
    data = lanes(num_envs, [Budget(budget, None), Budget(13, None)])
    weights = [result.transitions["weight"] for result in data]
    sums = np.concatenate(weights).reshape(-1, 2, num_envs).sum((0, 2))
    assert sums.tolist() == data.env_steps.tolist() == [budget, 13]


def test_chunks_end_where_the_last_budget_does():
    data = lanes(2, [Budget(9, None), Budget(21, None)], collect_steps=7)
    lengths = [len(result.transitions["reward"]) for result in data]
    assert lengths == [7, 4]  # 14 and 8 steps of the second lane


def test_transitions_have_a_column_for_every_environment():
    (result,) = lanes(2, BUDGETS["steps"], collect_steps=64)
    t = result.transitions
    assert t["state"].shape == t["next_state"].shape == (25, 6, 3)
    assert t["action"].shape == (25, 6, 1)
    for key in ("reward", "terminated", "truncated", "weight"):
        assert t[key].shape == (25, 6), key
    assert {value.dtype for value in t.values()} == {np.dtype(np.float32)}


def test_agents_are_asked_as_a_single_one_is():
    data = lanes(1, [Budget(4, None)] * 2, collect_steps=3)
    data.act_kwargs = {"epsilon": 0.5}
    list(data)
    kwargs = {"epsilon": 0.5}
    assert data.agents.calls == [(ahead, False, kwargs) for ahead in (0, 1, 2, 0)]


@pytest.mark.parametrize("num_envs", [1, 3])
def test_a_lane_given_to_another_agent_begins_fresh(num_envs):
    data = lanes(num_envs, [Budget(60, None)] * 2, collect_steps=7)
    before = of_lanes(data, 2)
    data.begin(0, 11, Budget(31, 6))
    assert (data.env_steps[0], data.num_episodes[0]) == (0, 0)
    after = of_lanes(data)
    assert_same(after[0], alone(single(11, num_envs, Budget(31, 6))))
    assert_same(joined(before[1], after[1]), alone(single(4, num_envs, Budget(60, None))))


def test_a_stopped_lane_counts_no_more():
    data = lanes(1, [Budget(60, None)] * 2, collect_steps=7)
    next(data)
    data.stop(0)
    assert data.exhausted.tolist() == [True, False]
    after = of_lanes(data)
    assert data.env_steps.tolist() == [7, 60]
    assert after[0].episodes == []


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("kept", [[2, 0], (1,), range(3)], ids=str)
def test_kept_lanes_go_on(num_envs, kept):
    budgets = [Budget(60, None), Budget(50, 12), Budget(None, 17)]
    data = lanes(num_envs, budgets)
    before = of_lanes(data, 2)
    data.keep(kept)
    after = of_lanes(data)
    assert len(after) == len(kept)
    for place, lane in enumerate(kept):
        expected = single(3 + lane, num_envs, budgets[lane])
        assert_same(joined(before[lane], after[place]), alone(expected))


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("chunks", [0, 1, 4])
def test_a_lane_goes_on_as_a_single_agent(num_envs, chunks):
    budget = Budget(90, None)
    data = lanes(num_envs, [budget] * 2)
    if chunks:
        of_lanes(data, chunks)
    state = data.state_dict(1)
    expected = of_lanes(data)[1]
    resumed = single(4, num_envs, budget)
    assert resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert_same(alone(resumed), expected)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("chunks", [0, 1, 4])
def test_a_single_agent_goes_on_as_a_lane(num_envs, chunks):
    budget = Budget(90, None)
    original = single(4, num_envs, budget)
    if chunks:
        alone(original, chunks)
    state = original.state_dict()
    data = lanes(num_envs, [budget] * 2)
    before = of_lanes(data, 2)
    assert data.load_state_dict(1, state)
    assert data.state_dict(1) == state
    after = of_lanes(data)
    assert_same(after[1], alone(original))
    assert_same(joined(before[0], after[0]), alone(single(3, num_envs, budget)))


def test_a_lane_interrupted_between_two_episodes_goes_on():
    make = partial(Counter, length=3)
    data = lanes(1, [Budget(24, None)], collect_steps=3, make=make)
    next(data)
    state = data.state_dict(0)
    assert state["over"] == [True]
    resumed = single(3, 1, Budget(24, None), make=make)
    assert resumed.load_state_dict(state)
    assert_same(alone(resumed), of_lanes(data)[0])


def test_a_lane_that_was_played_beyond_its_budget_goes_on_with_new_episodes():
    """What nobody counted is no part of an episode."""
    make = partial(Counter, length=5)
    data = lanes(1, [Budget(7, None), Budget(14, None)], collect_steps=14, make=make)
    list(data)
    state = data.state_dict(0)
    resumed = single(3, 1, Budget(17, None), make=make)
    assert resumed.load_state_dict(state)
    assert [one[:2] for one in alone(resumed).episodes] == [(12, 5), (17, 5)]
    data = lanes(1, [Budget(17, None)], make=make)
    assert data.load_state_dict(0, state)
    assert [one[:2] for one in of_lanes(data)[0].episodes] == [(12, 5), (17, 5)]


def test_a_lane_that_ended_with_its_chunk_goes_on_exactly():
    make = partial(Counter, length=5)
    data = lanes(1, [Budget(7, None)] * 2, collect_steps=14, make=make)
    list(data)
    resumed = single(3, 1, Budget(15, None), make=make)
    assert resumed.load_state_dict(data.state_dict(0))
    assert [one[:2] for one in alone(resumed).episodes] == [(10, 5), (15, 5)]


class Rigged:
    """Environments that play a table of rewards in episodes of two steps."""

    num_lanes, num_envs = 2, 1

    def __init__(self, rewards):
        self.rewards, self.faults = np.array(rewards, np.float32), {}

    def collect(self, agents, num_steps, act_kwargs):
        reward, self.rewards = np.split(self.rewards, [num_steps])
        over = np.zeros(reward.shape, bool)
        over[1::2] = True
        wide, no = reward[:, :, None], np.zeros_like(over)
        return LaneChunk(wide, wide, reward, wide, over, no, reward, over, np.ones_like(over))


def test_an_infinite_reward_stays_in_its_lane():
    envs = Rigged([[1, 1], [1, np.inf], [1, -np.inf], [1, 1], [1, 1], [1, 1]])
    data = LanesDataset(envs, ScriptedLanes(collect_steps=4), {}, [Budget(6, None)] * 2)
    assert [total for *_, total in of_lanes(data)[0].episodes] == [2, 2, 2]


def test_the_totals_of_many_chunks_are_exact():
    rewards = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
    data = LanesDataset(
        Rigged(rewards), ScriptedLanes(collect_steps=64), {}, [Budget(1000, None)] * 2
    )
    expected = rewards.astype(np.float64).reshape(500, 2, 2).sum(1)
    for lane, experience in enumerate(of_lanes(data)):
        totals = [total for *_, total in experience.episodes]
        np.testing.assert_allclose(totals, expected[:, lane], rtol=0, atol=1e-13)
