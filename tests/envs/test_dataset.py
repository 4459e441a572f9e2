from __future__ import annotations

from functools import partial

import gymnasium as gym
import numpy as np
import pytest

from sweeprl.envs import (
    Episode,
    EvaluationDataset,
    NativeCopies,
    RLDataset,
    SingleCopy,
    VectorCopies,
)
from tests.envs.environments import Counter, ScriptedAgent, seed_of


def copies_of(num=1, **settings):
    if num == 1:
        return SingleCopy(Counter(**settings), "Counter", seed_of)
    return VectorCopies([partial(Counter, **settings)] * num, "Counter", seed_of)


def dataset(num=1, collect_steps=None, length=3, terminates=True, **budget):
    agent = ScriptedAgent(collect_steps)
    return RLDataset(copies_of(num, length=length, terminates=terminates), agent, **budget)


def num_valid(results) -> list[int]:
    return [int(result.transitions["weight"].sum()) for result in results]


def test_without_a_chunk_length_an_element_is_one_episode():
    data = dataset(max_episodes=4, length=3)
    results = list(data)
    assert [len(result.transitions["reward"]) for result in results] == [3, 3, 3, 3]
    assert [result.episodes for result in results] == [
        [Episode(end=3 * n, length=3, total=0.0 + 1 + 2)] for n in (1, 2, 3, 4)
    ]


def test_transitions_of_an_episode():
    (result,) = list(dataset(max_episodes=1, length=3))
    t = result.transitions
    assert t["state"].shape == t["next_state"].shape == (3, 1, 3)
    assert t["action"].shape == (3, 1, 1)
    for key in ("reward", "terminated", "truncated", "weight"):
        assert t[key].shape == (3, 1), key
    assert {value.dtype for value in t.values()} == {np.dtype(np.float32)}
    assert t["action"].ravel().tolist() == t["reward"].ravel().tolist() == [0, 1, 2]
    assert t["terminated"].ravel().tolist() == [0, 0, 1]
    assert t["truncated"].ravel().tolist() == [0, 0, 0]
    np.testing.assert_array_equal(t["state"][1:], t["next_state"][:-1])
    assert t["state"][:, 0, 1].tolist() == [0, 1, 2]
    assert t["next_state"][:, 0, 1].tolist() == [1, 2, 3]


def test_truncation_keeps_its_last_observation():
    data = dataset(collect_steps=5, terminates=False, length=3, max_env_steps=5)
    t = next(data).transitions
    assert t["truncated"].ravel().tolist() == [0, 0, 1, 0, 0]
    assert not t["terminated"].any()
    assert t["next_state"][:, 0, 1].tolist() == [1, 2, 3, 1, 2]
    assert t["state"][:, 0, 1].tolist() == [0, 1, 2, 0, 1]
    assert t["next_state"][2, 0, 0] == t["state"][2, 0, 0] != t["state"][3, 0, 0]


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("collect_steps", [1, 4, 100])
def test_chunks_have_their_length(num, collect_steps):
    data = dataset(num, collect_steps, max_env_steps=num * 10)
    lengths = [len(result.transitions["reward"]) for result in data]
    assert sum(lengths) == 10
    assert set(lengths[:-1]) <= {collect_steps}
    assert lengths[-1] <= collect_steps


@pytest.mark.parametrize("num", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("collect_steps", [None, 1, 4])
@pytest.mark.parametrize("budget", [1, 10, 25])
def test_the_budget_is_kept_to_the_step(num, collect_steps, budget):
    data = dataset(num, collect_steps, max_env_steps=budget)
    results = list(data)
    assert sum(num_valid(results)) == data.env_steps == budget
    assert data.is_exhausted
    with pytest.raises(StopIteration):
        next(data)


def test_beyond_the_budget_it_is_the_last_copies_that_are_unmarked():
    (result,) = list(dataset(4, 10, length=50, max_env_steps=10))
    assert result.transitions["weight"].tolist() == [[1] * 4, [1] * 4, [1, 1, 0, 0]]


def test_an_episode_that_ends_beyond_the_budget_is_no_episode():
    data = dataset(4, 10, length=3, max_env_steps=10)
    (result,) = list(data)
    assert [episode.length for episode in result.episodes] == [3, 3]
    assert data.num_episodes == 2


def test_a_larger_budget_goes_on_where_the_smaller_ended():
    """All copies that were over started a new episode, also those beyond the budget."""
    data = dataset(4, 10, length=3, max_env_steps=10)
    list(data)
    data.max_env_steps = 34
    results = list(data)
    assert data.env_steps == 34
    assert {episode.length for result in results for episode in result.episodes} == {3}


@pytest.mark.parametrize("num", [1, 3])
def test_the_budget_in_episodes(num):
    data = dataset(num, collect_steps=2, length=3, max_episodes=6, max_env_steps=10_000)
    results = list(data)
    assert sum(len(result.episodes) for result in results) == data.num_episodes == 6
    assert data.env_steps == 18


def test_whichever_budget_is_met_first_ends_it():
    assert list_steps(dataset(length=3, max_episodes=2, max_env_steps=100)) == 6
    assert list_steps(dataset(length=3, max_episodes=20, max_env_steps=7)) == 7


def list_steps(data) -> int:
    list(data)
    return data.env_steps


def test_episodes_know_when_they_ended_how_long_they_were_and_what_they_brought():
    data = dataset(2, collect_steps=4, length=3, max_env_steps=16)
    episodes = [episode for result in data for episode in result.episodes]
    # Copy 0 takes 0, 1, 2 and copy 1 takes 1, 2, 3; both end in every third step.
    assert episodes == [
        Episode(6, 3, 3.0),
        Episode(6, 3, 6.0),
        Episode(12, 3, 3.0),
        Episode(12, 3, 6.0),
    ]


def test_the_agent_is_told_how_far_into_the_chunk_it_is():
    data = dataset(collect_steps=3, max_env_steps=6)
    data.act_kwargs = {"epsilon": 0.5}
    list(data)
    assert [ahead for _, ahead, _ in data.agent.calls] == [0, 1, 2, 0, 1, 2]
    assert all(kwargs == {"epsilon": 0.5} for _, _, kwargs in data.agent.calls)


@pytest.mark.parametrize("num, collect_steps", [(1, None), (1, 2), (2, 2)])
def test_the_agent_is_told_where_an_episode_begins(num, collect_steps):
    data = dataset(num, collect_steps=collect_steps, length=3, max_env_steps=8 * num)
    list(data)
    told = [[False] * num if begins is None else begins.tolist() for begins in data.agent.begins]
    seen = [(states[:, 1] == 0).tolist() for states, _, _ in data.agent.calls]
    assert told == seen
    assert len(told) == 8
    assert sum(map(any, told)) == 3


def test_every_pass_of_an_evaluation_begins_its_episodes():
    data = EvaluationDataset(copies_of(length=3), ScriptedAgent(), num_episodes=2)
    list(data)
    list(data)
    told = [begins is not None and begins.all() for begins in data.agent.begins]
    assert told == [True, False, False] * 4


def test_resetting_steps_of_a_native_vector_are_no_experience():
    env = gym.make_vec("CartPole-v1", 3, "vector_entry_point", max_episode_steps=10)
    copies = NativeCopies(env, "CartPole-v1", seed_of)
    data = RLDataset(copies, ScriptedAgent(32, num=2), max_env_steps=200)
    results = list(data)
    copies.close()
    assert sum(num_valid(results)) == data.env_steps == 200
    rows = sum(result.transitions["weight"].size for result in results)
    episodes = [episode for result in results for episode in result.episodes]
    assert rows > 200  # some only reset
    assert max(episode.length for episode in episodes) <= 10
    assert all(episode.total == episode.length for episode in episodes)  # CartPole pays 1 a step
    for result in results:
        t = result.transitions
        ended = np.maximum(t["terminated"], t["truncated"]) * t["weight"]
        assert ended.sum() == len(result.episodes)


def experience(results):
    return [
        (result.episodes, {key: value.tolist() for key, value in result.transitions.items()})
        for result in results
    ]


@pytest.mark.parametrize("num", [1, 3])
@pytest.mark.parametrize("chunks", [0, 1, 4])
def test_resumed_it_goes_on_as_if_never_interrupted(num, chunks):
    def fresh():
        make = partial(gym.make, "CartPole-v1", max_episode_steps=15)
        copies = (
            SingleCopy(make(), "CartPole-v1", seed_of)
            if num == 1
            else VectorCopies([make] * num, "CartPole-v1", seed_of)
        )
        return RLDataset(copies, ScriptedAgent(7, num=2), max_env_steps=num * 60)

    original = fresh()
    for _ in range(chunks):
        next(original)
    saved = original.state_dict()
    resumed = fresh()
    assert resumed.load_state_dict(saved)
    assert resumed.state_dict() == saved
    assert experience(resumed) == experience(original)
    assert resumed.state_dict() == original.state_dict()


def test_where_the_environment_cannot_be_put_back_a_new_episode_begins():
    class Forgetful(Counter):
        """Draws from a generator that no seed reaches."""

        numbers = iter(range(10_000))

        def _observation(self):
            observation = super()._observation()
            observation[0] = next(self.numbers)
            return observation

    def fresh():
        copies = SingleCopy(Forgetful(length=5), "Forgetful", seed_of)
        return RLDataset(copies, ScriptedAgent(3), max_env_steps=20)

    original = fresh()
    next(original)
    resumed = fresh()
    assert not resumed.load_state_dict(original.state_dict())
    results = list(resumed)
    assert resumed.env_steps == 20
    assert results[0].transitions["state"][0, 0, 1] == 0
    assert {episode.length for result in results for episode in result.episodes} == {5}


def evaluation(episodes=3, act_kwargs=None, length=4):
    agent = ScriptedAgent()
    return EvaluationDataset(copies_of(length=length), agent, act_kwargs, episodes)


def test_an_evaluation_is_a_number_of_episodes():
    data = evaluation(3)
    results = list(data)
    assert len(data) == len(results) == 3
    assert all([episode.length for episode in result.episodes] == [4] for result in results)


def test_every_pass_of_an_evaluation_plays_the_same_seeds():
    data = evaluation(3)
    passes = []
    for _ in range(3):
        passes.append([result.transitions["state"][0, 0, 0] for result in data])
    assert passes[0] == passes[1] == passes[2]
    assert len(set(passes[0])) == 3


def test_a_broken_off_pass_does_not_move_the_next():
    data = evaluation(3)
    whole = [transitions for _, transitions in experience(data)]
    next(iter(data))
    assert [transitions for _, transitions in experience(data)] == whole


def test_an_evaluation_is_greedy_unless_told_otherwise():
    data = evaluation(1)
    list(data)
    assert all(kwargs == {"greedy": True} for _, _, kwargs in data.agent.calls)
    data = evaluation(1, {"greedy": False})
    list(data)
    assert all(kwargs == {"greedy": False} for _, _, kwargs in data.agent.calls)


def test_no_episode_begins_that_nobody_plays():
    """A reset costs time, and a film of it shows nothing."""
    data = dataset(length=3, max_episodes=2)
    list(data)
    assert data.copies.state_dict()["episodes"] == [1]
    data = evaluation(3)
    for _ in range(2):
        list(data)
        assert data.copies.state_dict()["episodes"] == [2]


def test_interrupted_between_two_episodes():
    original = dataset(2, collect_steps=3, length=3, max_env_steps=24)
    next(original)
    resumed = dataset(2, collect_steps=3, length=3, max_env_steps=24)
    assert resumed.load_state_dict(original.state_dict())
    assert experience(resumed) == experience(original)
