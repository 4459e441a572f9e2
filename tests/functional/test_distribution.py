import math

import torch
from torch import tensor

from sweeprl.functional import (
    atoms,
    categorical_cross_entropy,
    categorical_projection,
    select_action_distribution,
)

Z = tensor([-1.0, 0.0, 1.0, 2.0])
P = tensor([[0.1, 0.2, 0.3, 0.4]])


def projection(p, r, discount):
    return categorical_projection(p, Z, tensor([r]), tensor([discount]))


def test_atoms_are_evenly_spaced():
    torch.testing.assert_close(
        atoms(tensor(-10.0), tensor(10.0), 51)[:3], tensor([-10, -9.6, -9.2])
    )


def test_the_distribution_of_the_action_taken_is_picked():
    p = torch.arange(12.0).view(2, 3, 2)
    picked = select_action_distribution(p, tensor([2, 0]))
    assert picked.tolist() == [[4, 5], [6, 7]]


def test_a_projection_worked_by_hand():
    # 0.3 + 0.5 z is -0.2, 0.3, 0.8, 1.3; each gives what it is short of its upper neighbour to the
    # lower one: -0.2 gives .2 to -1 and .8 to 0; 0.3 gives .7 to 0 and .3 to 1;
    # 0.8 gives .2 to 0 and .8 to 1; 1.3 gives .7 to 1 and .3 to 2.
    expected = [
        0.1 * 0.2,
        0.1 * 0.8 + 0.2 * 0.7 + 0.3 * 0.2,
        0.2 * 0.3 + 0.3 * 0.8 + 0.4 * 0.7,
        0.4 * 0.3,
    ]
    torch.testing.assert_close(projection(P, 0.3, 0.5), tensor([expected]))


def test_what_stays_on_the_atoms_stays_as_it_is():
    torch.testing.assert_close(projection(P, 0.0, 1.0), P)
    torch.testing.assert_close(projection(P, 1.0, 1.0), tensor([[0.0, 0.1, 0.2, 0.7]]))


def test_where_the_environment_terminated_all_lies_at_the_reward():
    torch.testing.assert_close(projection(P, 0.25, 0.0), tensor([[0.0, 0.75, 0.25, 0.0]]))


def test_what_falls_outside_goes_to_the_ends():
    torch.testing.assert_close(projection(P, 100.0, 1.0), tensor([[0.0, 0.0, 0.0, 1.0]]))
    torch.testing.assert_close(projection(P, -100.0, 1.0), tensor([[1.0, 0.0, 0.0, 0.0]]))


def test_inside_the_range_the_mean_is_kept():
    generator = torch.Generator().manual_seed(0)
    z = torch.linspace(-10, 10, 51)
    p = torch.rand(64, 51, generator=generator).softmax(-1)
    r, discount = torch.rand(64, generator=generator) - 0.5, torch.full((64,), 0.9)
    projected = categorical_projection(p, z, r, discount)
    torch.testing.assert_close(projected.sum(-1), torch.ones(64))
    torch.testing.assert_close(projected @ z, r + discount * (p @ z), atol=1e-5, rtol=1e-5)


def test_cross_entropy_worked_by_hand():
    found = categorical_cross_entropy(tensor([[0.5, 0.5, 0.0]]), tensor([[0.25, 0.75, 0.0]]))
    expected = -0.5 * math.log(0.25) - 0.5 * math.log(0.75)
    torch.testing.assert_close(found, tensor([expected]))


def test_the_gradient_of_the_cross_entropy_through_a_softmax_is_the_difference():
    logits = tensor([[2.0, 0.0, -60.0]], requires_grad=True)
    target = tensor([[0.2, 0.3, 0.5]])
    categorical_cross_entropy(target, logits.softmax(-1)).sum().backward()
    torch.testing.assert_close(logits.grad, logits.detach().softmax(-1) - target)


def test_projections_equal_themselves_under_vmap():
    generator = torch.Generator().manual_seed(1)
    p = torch.rand(3, 8, 4, generator=generator).softmax(-1)
    z = torch.stack([Z, 2 * Z, Z - 1])
    r, discount = torch.rand(2, 3, 8, generator=generator)
    lanes = torch.func.vmap(categorical_projection)(p, z, r, discount)
    torch.testing.assert_close(lanes[1], categorical_projection(p[1], z[1], r[1], discount[1]))
