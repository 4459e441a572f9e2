import torch
from torch import tensor

from sweeprl.engine import ActingMemory


def memory(num_lanes=3):
    found = ActingMemory(num_lanes, 2, 1, torch.device("cpu"))
    found.numbers.copy_(torch.arange(1.0, 2 * num_lanes + 1).view(num_lanes, 2, 1))
    return found


def test_it_is_zero_where_an_episode_begins():
    one = memory(2)
    assert one.since(None).flatten().tolist() == [1, 2, 3, 4]
    begins = tensor([[True, False], [False, True]])
    assert one.since(begins).flatten().tolist() == [0, 2, 3, 0]
    assert one.numbers.flatten().tolist() == [1, 2, 3, 4]


def test_lanes_come_and_go():
    one = memory()
    one.reset(0)
    assert one.numbers.flatten().tolist() == [0, 0, 3, 4, 5, 6]
    one.keep([2, 1])
    assert one.numbers.flatten().tolist() == [5, 6, 3, 4]
    assert one.since(None).shape == (2, 2, 1)


def test_a_lane_goes_on_in_another():
    one, other = memory(), memory(1)
    other.load_state_dict(one.state_dict(2))
    assert other.numbers.flatten().tolist() == [5, 6]
    saved = one.state_dict(1)
    one.reset(1)
    assert saved.flatten().tolist() == [3, 4]
