from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from sweeprl.envs import NativeCopies, RLDataset
from sweeprl.envs._lanes_dataset import Budget, LanesDataset
from sweeprl.envs._native_lanes import NativeLanes
from sweeprl.errors import ConfigError
from tests.envs.environments import ScriptedAgent, seed_of
from tests.envs.lanes import ScriptedLanes, alone, assert_same, of_lanes

LIMIT = 10
"""Steps after which an episode is cut; most end before."""


def native(num):
    env = gym.make_vec("CartPole-v1", num, "vector_entry_point", max_episode_steps=LIMIT)
    return NativeCopies(env, "CartPole-v1", seed_of)


@pytest.fixture
def data():
    built = lanes()
    yield built
    built.envs.close()


def lanes(num_lanes=3, num_envs=2, collect_steps=7, budget=100):
    envs = NativeLanes(native(num_lanes * num_envs), list(range(num_lanes)), num_envs)
    agents = ScriptedLanes(num_envs, collect_steps, num=2)
    return LanesDataset(envs, agents, {}, [Budget(budget, None)] * num_lanes)


def assert_whole(experience, **bounds):
    """Episodes that counted from their first step on."""
    lengths = [length for _, length, _ in experience.episodes]
    assert lengths
    assert max(lengths) <= LIMIT
    assert all(total == length for _, length, total in experience.episodes)  # 1 a step


def test_one_lane_is_what_a_single_agent_experiences():
    data = lanes(num_lanes=1, num_envs=3)
    copies = native(3)
    expected = RLDataset(copies, ScriptedAgent(7, num=2), max_env_steps=100)
    assert_same(of_lanes(data)[0], alone(expected))
    data.envs.close()
    copies.close()


def test_the_budget_is_kept_and_resetting_steps_are_no_experience(data):
    found = of_lanes(data)
    assert data.env_steps.tolist() == [100] * 3
    for experience in found:
        assert len(experience.transitions["weight"]) == 100
        assert_whole(experience)
        ended = experience.transitions["terminated"] + experience.transitions["truncated"]
        assert (ended > 0).sum() == len(experience.episodes)


def test_actions_are_kept_for_the_running_episodes_only(data):
    list(data)
    kept = data.envs._copies._actions
    assert max(len(done) for done in kept) <= LIMIT + 1


def test_steps_before_the_first_fresh_episode_do_not_count():
    data = lanes(num_lanes=2, num_envs=1, collect_steps=3)
    next(data)  # an episode that goes on
    data.begin(0, 9, Budget(60, None))
    weights = [result.transitions["weight"] for result in data]
    mine = np.concatenate(weights)[:, 0]
    first = int(mine.argmax())
    assert 0 < first < LIMIT
    assert mine.sum() == data.env_steps[0] == 60
    data.envs.close()


def test_the_first_episodes_of_a_new_agent_are_whole(data):
    next(data)
    data.begin(1, 9, Budget(80, None))
    found = of_lanes(data)
    assert_whole(found[1])
    by_env = found[1].transitions
    starts = np.abs(by_env["state"]).max(1) <= 0.05  # CartPole begins there
    assert starts[:1].all()
    assert data.env_steps.tolist() == [100, 80, 100]


def test_a_lane_begun_between_two_episodes_does_not_wait():
    data = lanes(num_lanes=1, num_envs=1, collect_steps=1)
    while not (result := next(data)).episodes.lane.size:
        pass
    assert result.transitions["weight"].all()
    data.begin(0, 9, Budget(50, None))
    weights = [float(result.transitions["weight"].sum()) for result in data]
    assert weights[:3] == [0, 1, 1]  # the first only resets
    data.envs.close()


def test_a_lane_begun_before_the_first_chunk_does_not_wait(data):
    data.begin(0, 9, Budget(50, None))
    assert next(data).transitions["weight"][0].all()


def test_kept_lanes_go_on():
    data, others = lanes(), lanes()
    before = of_lanes(data, 2)
    assert [len(one.episodes) for one in before] == [len(o.episodes) for o in of_lanes(others, 2)]
    data.keep([2, 0])
    assert data.envs.num_lanes == 2
    first = next(data).transitions
    expected = next(others).transitions
    columns = [4, 5, 0, 1]
    for key, value in first.items():
        np.testing.assert_array_equal(value[0], expected[key][0][columns], err_msg=key)
    for each in (data, others):
        assert len(of_lanes(each)[0].episodes) > 0
        each.envs.close()


def test_new_episodes_begin_where_a_lane_is_loaded(data):
    of_lanes(data, 2)
    state = data.state_dict(1)
    assert not data.load_state_dict(1, state)
    found = of_lanes(data)
    assert data.env_steps[1] == 100
    assert_whole(found[1])


def test_a_lane_goes_on_as_a_single_agent_with_new_episodes(data):
    of_lanes(data, 2)
    state = data.state_dict(1)
    copies = native(2)
    resumed = RLDataset(copies, ScriptedAgent(7, num=2), max_env_steps=100)
    assert not resumed.load_state_dict(state)
    assert resumed.env_steps == state["counts"][0]
    found = alone(resumed)
    assert resumed.env_steps == 100
    assert_whole(found)
    copies.close()


def test_a_lane_that_has_not_begun_goes_on_exactly(data):
    state = data.state_dict(0)
    assert state["state"] is None
    assert data.load_state_dict(0, state)


def test_it_does_not_judge(data):
    with pytest.raises(ConfigError, match="must not judge: it cannot be seeded singly"):
        data.envs.play_once(data.agents, {})
