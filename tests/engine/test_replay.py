import torch

from sweeprl.config import Continuous, Discrete, MultiDiscrete
from sweeprl.engine import FieldLayout, ReplayBuffer
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
    quantiles = torch.rand(2, 40_000, generator=torch.Generator().manual_seed(0))
    drawn = buffer.sample(quantiles)
    assert drawn.shape == (2, 40_000, 2)
    counts = torch.bincount(drawn[0, :, 0].long(), minlength=4)
    assert (counts - 10_000).abs().max() < 400
    assert set(drawn[1, :, 0].tolist()) == {100, 101, 102, 103}


def test_largest_quantile_stays_inside():
    buffer = ReplayBuffer(1, 3, 2, torch.device("cpu"))
    buffer.store(rows(0, 3, lanes=1))
    assert buffer.sample(torch.tensor([[1.0 - 2**-24, 1.0]]))[0, :, 0].tolist() == [2, 2]


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
