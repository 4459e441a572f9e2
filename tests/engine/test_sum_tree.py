import pytest
import torch

from sweeprl.engine.sum_tree import SumTree

CPU = torch.device("cpu")
SIZES = [1, 5, 64, 65, 5000, 300_000]
"""One level up to four."""


def filled(size, lanes=2, seed=0):
    tree = SumTree(lanes, size, CPU)
    generator = torch.Generator().manual_seed(seed)
    tree.leaves.copy_(torch.rand(lanes, size, generator=generator))
    tree.renew()
    return tree


def expected(tree, shares):
    """The same by one running sum over all numbers, in double precision."""
    sums = tree.leaves.double().cumsum(1)
    return torch.searchsorted(sums, shares.double() * sums[:, -1:], right=True)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_found_is_where_the_running_sum_exceeds_the_share(size):
    tree = filled(size)
    shares = torch.rand(2, 500, generator=torch.Generator().manual_seed(1))
    apart = (tree.find(shares) - expected(tree, shares)).abs()
    assert apart.max() <= 1  # rounding, where a share falls on the border of two numbers
    assert apart.sum() <= 10


def test_worked_numbers():
    tree = SumTree(1, 4, CPU)
    tree.set(torch.tensor([[0, 1, 2, 3]]), torch.tensor([[1.0, 0.0, 2.0, 1.0]]))
    shares = torch.tensor([[0.0, 0.24, 0.25, 0.5, 0.74, 0.75, 0.99]])
    assert tree.find(shares).tolist() == [[0, 0, 2, 2, 2, 3, 3]]


@pytest.mark.parametrize("size", SIZES)
def test_setting_numbers_is_as_writing_them_and_summing_anew(size):
    tree, other = filled(size), filled(size)
    generator = torch.Generator().manual_seed(2)
    places = torch.randint(size, (2, 1000), generator=generator).unique(dim=1)
    values = torch.rand(places.shape, generator=generator)
    values = torch.zeros(2, size).scatter_reduce(1, places, values, "amax").gather(1, places)
    tree.set(places, values)
    other.leaves.scatter_(1, places, values)
    other.renew()
    shares = torch.rand(2, 500, generator=generator)
    assert torch.equal(tree.leaves, other.leaves)
    assert torch.equal(tree.find(shares), other.find(shares))


def test_the_largest_value_of_a_place_stays_whatever_the_order():
    for values in ([2.0, 9.0, 1.0], [9.0, 2.0, 1.0]):
        tree = filled(5, lanes=1)
        tree.set(torch.tensor([[3, 3, 1]]), torch.tensor([values]))
        assert tree.leaves[0, [3, 1]].tolist() == [9.0, 1.0]


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_zero_is_never_found(size):
    tree = filled(size)
    tree.leaves[:, ::2] = 0.0
    tree.leaves[:, -3:] = 0.0
    tree.renew()
    shares = torch.cat([torch.linspace(0, 1, 999), torch.tensor([1 - 2**-24, 2.0])]).repeat(2, 1)
    assert (tree.leaves.gather(1, tree.find(shares)) > 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_where_all_is_zero_the_first_place_is_found(size):
    assert SumTree(1, size, CPU).find(torch.tensor([[0.0, 0.9, 2.0]])).tolist() == [[0, 0, 0]]


def test_lanes_are_apart():
    tree, alone = filled(5000, lanes=3), filled(5000, lanes=3)
    shares = torch.rand(3, 100, generator=torch.Generator().manual_seed(3))
    tree.set(torch.tensor([[0], [7], [0]]), torch.tensor([[0.5], [1e6], [0.5]]))
    tree.reset(0)
    assert tree.leaves[0].sum() == 0
    assert tree.find(shares)[1].eq(7).float().mean() > 0.99
    alone.set(torch.tensor([[0], [0], [0]]), torch.full((3, 1), 0.5))
    tree.keep([2, 1])
    assert torch.equal(tree.find(shares[[2, 1]])[0], alone.find(shares)[2])
