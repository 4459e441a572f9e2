import numpy as np
import pytest

from sweeprl.envs import Episode, EpisodeTable, LanesResult
from sweeprl.executors.ledger import LaneLedger
from sweeprl.launcher import step_weighted_return


def result(*rows):
    """A chunk in which episodes ended: lane, end, length, total."""
    lane, end, length, total = (np.array(column) for column in zip(*rows, strict=True))
    return LanesResult({}, EpisodeTable(lane, end, length, total.astype(float)))


def nothing():
    table = EpisodeTable(*[np.zeros(0, np.int64)] * 3, np.zeros(0))
    return LanesResult({}, table)


def random_chunks(num_lanes, num_envs, seed):
    """Chunks of 50 steps in which environments end episodes at random, in order for each lane."""
    rng = np.random.default_rng(seed)
    began = np.zeros((num_lanes, num_envs), int)
    for chunk in range(12):
        rows = []
        for step in range(chunk * 50 + 1, chunk * 50 + 51):
            for lane, env in zip(*np.nonzero(rng.random(began.shape) < 0.04), strict=True):
                rows.append((lane, step * num_envs, step - began[lane, env], rng.normal()))
                began[lane, env] = step
        order = rng.permutation(num_lanes)  # of the lanes; within each, that of time
        yield result(*sorted(rows, key=lambda row: order[row[0]])) if rows else nothing()


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("share", [0.1, 1.0, 0.001])
def test_scores_are_those_of_a_single_trial(num_envs, share):
    num_lanes = 5
    ledger = LaneLedger(num_lanes, num_envs)
    seen = [[] for _ in range(num_lanes)]
    for chunk in random_chunks(num_lanes, num_envs, seed=num_envs):
        ledger.add(chunk, {}, np.zeros(num_lanes, bool))
        table = chunk.episodes
        for lane, *episode in zip(table.lane, table.end, table.length, table.total, strict=True):
            seen[lane].append(Episode(*episode))
    for lane in range(num_lanes):
        assert ledger.episodes(lane) == seen[lane]
        assert ledger.num_episodes[lane] == len(seen[lane])
        for env_steps in (1, 100, 333, 600 * num_envs):
            earlier = [episode for episode in seen[lane] if episode.end <= env_steps]
            expected = step_weighted_return(earlier, env_steps, share, num_envs)
            assert ledger.score(lane, env_steps, share) == pytest.approx(expected)


def test_a_row_holds_the_means_since_the_row_before():
    ledger = LaneLedger(2, 1)
    losses = {"q_loss": np.array([2.0, 5.0])}
    ledger.add(result((0, 4, 4, 1.0), (0, 9, 5, 3.0), (1, 7, 7, 8.0)), {}, np.zeros(2, bool))
    ledger.add(nothing(), losses, np.array([True, False]))
    ledger.add(nothing(), {"q_loss": np.array([4.0, 0.0])}, np.array([True, False]))
    ledger.close_row(0, 20)
    ledger.close_row(0, 30)
    ledger.close_row(1, 30)
    curve = {"train/return": 2.0, "train/length": 4.5, "learn/q_loss": 3.0, "train/episodes": 2.0}
    assert ledger.rows[0] == [(20, curve), (30, {"train/episodes": 2.0})]
    assert "learn/q_loss" not in ledger.rows[1][0][1]


def test_a_lane_given_to_another_agent_remembers_nothing_but_what_it_brings():
    ledger = LaneLedger(2, 1)
    ledger.add(result((0, 5, 5, 1.0), (1, 5, 5, 2.0)), {}, np.zeros(2, bool))
    ledger.begin(0)
    assert ledger.episodes(0) == []
    assert ledger.pending(0) == {}
    assert ledger.score(0, 10, 0.1) is None
    assert ledger.episodes(1) == [Episode(5, 5, 2.0)]
    earlier = [Episode(n, 1, float(n)) for n in range(1, 101)]
    ledger.begin(0, earlier, [(50, {"a": 1.0})], {"train/return": [3.0, 5.0]})
    assert ledger.episodes(0) == earlier
    ledger.close_row(0, 100)
    assert ledger.rows[0] == [
        (50, {"a": 1.0}),
        (100, {"train/return": 4.0, "train/episodes": 100.0}),
    ]
    assert ledger.pending(1) == {"train/return": [2.0], "train/length": [5.0]}


def test_lanes_that_are_kept_take_all_they_have_with_them():
    ledger = LaneLedger(3, 1)
    ledger.add(
        result((0, 5, 5, 1.0), (1, 5, 5, 2.0), (2, 5, 5, 3.0)),
        {"q_loss": np.array([1.0, 2.0, 3.0])},
        np.ones(3, bool),
    )
    ledger.close_row(2, 10)
    ledger.keep([2, 1])
    assert [ledger.episodes(lane)[0].total for lane in range(2)] == [3.0, 2.0]
    assert [len(rows) for rows in ledger.rows] == [1, 0]
    assert ledger.pending(0) == {}
    assert ledger.pending(1)["learn/q_loss"] == [2.0]
