import pytest
import torch

from sweeprl.config import Continuous, Discrete, MultiDiscrete
from sweeprl.engine import FieldLayout, ReplayBuffer
from sweeprl.engine.priorities import Priorities
from sweeprl.engine.replay import as_action


def rows(start, count, lanes=2):
    base = torch.arange(start, start + count, dtype=torch.float32)
    return torch.stack([torch.stack([base + 100 * lane, -base], -1) for lane in range(lanes)])


def contents(buffer, lane):
    return sorted(buffer.state_dict(lane)["rows"][:, 0].tolist())


def test_oldest_transitions_are_dropped_first():
    buffer = ReplayBuffer(2, 5, 2, torch.device("cpu"))
    buffer.store(rows(0, 3))
    assert (buffer.filled(), contents(buffer, 0)) == (3, [0, 1, 2])
    buffer.store(rows(3, 4))
    assert (buffer.filled(), contents(buffer, 0)) == (5, [2, 3, 4, 5, 6])
    assert contents(buffer, 1) == [102, 103, 104, 105, 106]


def test_a_chunk_larger_than_the_buffer_leaves_its_end():
    buffer = ReplayBuffer(1, 4, 2, torch.device("cpu"))
    buffer.store(rows(0, 3, lanes=1))
    buffer.store(rows(10, 11, lanes=1))
    assert contents(buffer, 0) == [17, 18, 19, 20]


def test_sampling_is_uniform_over_what_is_filled_and_keeps_to_the_lane():
    buffer = ReplayBuffer(2, 100, 2, torch.device("cpu"))
    buffer.store(rows(0, 4))
    quantiles = torch.rand(2, 4, 10_000, generator=torch.Generator().manual_seed(0))
    drawn = buffer.rows(buffer.draw(quantiles, torch.full((2, 1), 10_000)))
    assert drawn.shape == (2, 4, 10_000, 2)
    counts = torch.bincount(drawn[0, ..., 0].flatten().long(), minlength=4)
    assert (counts - 10_000).abs().max() < 400
    assert set(drawn[1, ..., 0].flatten().tolist()) == {100, 101, 102, 103}


def test_largest_quantile_stays_inside():
    buffer = ReplayBuffer(1, 3, 2, torch.device("cpu"))
    buffer.store(rows(0, 3, lanes=1))
    places = buffer.draw(torch.tensor([[[1.0 - 2**-24, 1.0]]]), torch.tensor([[2]]))
    assert places.tolist() == [[[2, 2]]]


def test_packing_and_unpacking_give_the_fields_back():
    layout = FieldLayout({"state": 3, "reward": 1, "action": 1})
    fields = {
        "state": torch.randn(2, 5, 3), "reward": torch.randn(2, 5), "action": torch.ones(2, 5, 1)
    }  # fmt: skip
    unpacked = layout.unpack(layout.pack(fields), frozenset({"reward"}))
    for name, value in fields.items():
        torch.testing.assert_close(unpacked[name], value)


def test_actions_become_what_networks_take():
    numbers = torch.tensor([[1.0], [2.0]])
    assert as_action(numbers, Discrete(3)).tolist() == [1, 2]
    assert as_action(torch.ones(4, 2), MultiDiscrete((2, 2))).dtype == torch.int64
    assert as_action(numbers, Continuous(1)) is numbers


def test_only_what_counts_is_stored_lane_by_lane():
    buffer = ReplayBuffer(2, 5, 2, torch.device("cpu"))
    buffer.store(rows(0, 4))
    buffer.store(rows(4, 4), torch.tensor([[0], [3]]))
    assert contents(buffer, 0) == [0, 1, 2, 3]
    assert contents(buffer, 1) == [102, 103, 104, 105, 106]
    buffer.store(rows(20, 8), torch.tensor([[7], [1]]))
    assert contents(buffer, 0) == [22, 23, 24, 25, 26]
    assert contents(buffer, 1) == [103, 104, 105, 106, 120]
    assert [buffer.state_dict(lane)["stored"] for lane in range(2)] == [11, 8]


def test_lanes_are_forgotten_kept_and_restored_singly():
    buffer = ReplayBuffer(3, 5, 2, torch.device("cpu"))
    buffer.store(rows(0, 7, lanes=3))
    saved = buffer.state_dict(1)
    buffer.reset(1)
    assert (buffer.filled(1), contents(buffer, 0)) == (0, [2, 3, 4, 5, 6])
    buffer.keep([2, 1])
    assert contents(buffer, 0) == [202, 203, 204, 205, 206]
    buffer.load_state_dict(saved, 1)
    assert contents(buffer, 1) == [102, 103, 104, 105, 106]
    buffer.store(rows(7, 1))
    assert contents(buffer, 1) == [103, 104, 105, 106, 107]


def prioritized(lanes=2, size=5, **settings):
    values = {"alpha": 1.0, "beta": 0.5, "beta_steps": 100.0, "epsilon": 1e-6} | settings
    own = {f"priority_{key}": torch.full((lanes,), value) for key, value in values.items()}
    device = torch.device("cpu")
    return ReplayBuffer(lanes, size, 2, device, Priorities(lanes, size, device, own))


def weighted(start, count, lanes=2):
    """Rows that all count."""
    numbers = rows(start, count, lanes)
    numbers[..., 1] = 1.0
    return numbers


def drawn_of(buffer, num=1000, lanes=2):
    middles = torch.full((lanes, 1, num), 0.5)
    return buffer.rows(buffer.draw(middles, torch.full((lanes, 1), num)))[:, 0, :, 0]


def test_what_is_new_is_drawn_as_often_as_the_highest_priority():
    buffer = prioritized()
    buffer.store(weighted(0, 2))
    places = buffer.draw(torch.tensor([[[0.5, 0.5]], [[0.5, 0.5]]]), torch.tensor([[2], [2]]))
    assert places.tolist() == [[[0, 1]], [[0, 1]]]
    buffer.priorities.learn(torch.tensor([[3.0, 1.0], [1.0, 1.0]]), None)
    buffer.store(weighted(2, 2))
    drawn = drawn_of(buffer)
    assert torch.bincount(drawn[0].int(), minlength=4).tolist() == [300, 100, 300, 300]
    assert torch.bincount(drawn[1].int() - 100).tolist() == [250, 250, 250, 250]


def test_priorities_go_with_the_transitions_that_are_dropped():
    buffer = prioritized(lanes=1)
    buffer.store(weighted(0, 4, lanes=1))
    buffer.draw(torch.full((1, 1, 4), 0.5), torch.tensor([[4]]))
    buffer.priorities.learn(torch.tensor([[0.5, 0.5, 0.2, 0.3]]), None)
    buffer.store(weighted(4, 3, lanes=1))
    counts = torch.bincount(drawn_of(buffer, 3500, 1)[0].int(), minlength=7).tolist()
    assert counts == [0, 0, 200, 300, 1000, 1000, 1000]


def test_what_has_weight_zero_is_never_drawn_by_priority():
    buffer = prioritized(lanes=1)
    numbers = weighted(0, 4, lanes=1)
    numbers[:, 1:3, 1] = 0.0
    buffer.store(numbers)
    assert set(drawn_of(buffer, lanes=1)[0].tolist()) == {0, 3}


def test_lanes_store_and_forget_their_priorities_singly():
    buffer = prioritized(lanes=3)
    buffer.store(weighted(0, 4, 3))
    buffer.draw(torch.full((3, 1, 4), 0.5), torch.full((3, 1), 4))
    buffer.priorities.learn(torch.tensor([[1.0, 2.0, 3.0, 4.0]]).repeat(3, 1), None)
    buffer.store(weighted(4, 4, 3), torch.tensor([[0], [2], [1]]))
    found = [buffer.state_dict(lane)["priorities"].tolist() for lane in range(3)]
    assert found[0] == pytest.approx([1, 2, 3, 4])
    assert found[1] == pytest.approx([2, 3, 4, 4, 4])
    assert found[2] == pytest.approx([1, 2, 3, 4, 4])
    saved = buffer.state_dict(1)
    buffer.reset(1)
    assert buffer.state_dict(1)["priorities"].tolist() == []
    buffer.store(weighted(8, 1, 3))
    assert buffer.state_dict(1)["priorities"].tolist() == [1]
    buffer.keep([2, 1])
    assert buffer.state_dict(0)["priorities"].tolist() == pytest.approx([2, 3, 4, 4, 4])
    buffer.load_state_dict(saved, 1)
    assert buffer.state_dict(1)["priorities"].tolist() == found[1]
    fresh = prioritized(lanes=1)
    fresh.load_state_dict(saved)
    assert torch.equal(drawn_of(fresh, lanes=1)[0], drawn_of(buffer)[1])


def test_with_less_room_the_latest_transitions_keep_their_priorities():
    buffer, smaller = prioritized(lanes=1), prioritized(lanes=1, size=2)
    buffer.store(weighted(0, 4, 1))
    buffer.draw(torch.full((1, 1, 4), 0.5), torch.tensor([[4]]))
    buffer.priorities.learn(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), None)
    smaller.load_state_dict(buffer.state_dict())
    assert smaller.state_dict()["priorities"].tolist() == pytest.approx([3, 4])
    assert contents(smaller, 0) == [2, 3]


def test_what_follows_is_found_around_the_end_of_the_memory():
    buffer = ReplayBuffer(1, 5, 2, torch.device("cpu"))
    buffer.store(rows(0, 7, lanes=1))  # the oldest is 2, in place 2; the newest 6, in place 1
    found, is_stored = buffer.run(torch.tensor([[[2, 4, 0, 1]]]), 3, stride=1)
    assert found[0, 0, :, :, 0].tolist()[:2] == [[2, 3, 4], [4, 5, 6]]
    expected = [[True, True, True], [True, True, True], [True, True, False], [True, False, False]]
    assert is_stored[0, 0].tolist() == expected
    assert found[0, 0, 2, :2, 0].tolist() == [5, 6]


def test_steps_of_one_environment_lie_as_far_apart_as_there_are_environments():
    buffer = ReplayBuffer(2, 10, 2, torch.device("cpu"))
    buffer.store(rows(0, 6))
    buffer.store(rows(6, 3), torch.tensor([[3], [0]]))
    found, is_stored = buffer.run(torch.tensor([[1, 4], [1, 4]]), 3, stride=3)
    assert found[0, :, :, 0].tolist()[0] == [1, 4, 7]
    assert is_stored.tolist() == [
        [[True, True, True], [True, True, False]],
        [[True, True, False], [True, False, False]],
    ]
