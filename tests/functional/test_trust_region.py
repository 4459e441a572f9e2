import pytest
import torch
from torch import tensor

from sweeprl.functional import (
    backtracked,
    categorical_kl,
    conjugate_gradient,
    fisher_vector_product,
    gaussian_kl,
    hessian_vector_product,
)

ZERO = tensor(0.0)
STATES = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
WEIGHT = tensor([1.0, 1.0, 0.0, 2.0, 1.0, 1.0, 0.0])
PARAMETERS = torch.randn(9, generator=torch.Generator().manual_seed(1))


def log_probs(parameters):
    """A policy over three actions that is not linear in its parameters."""
    return torch.tanh(STATES @ parameters.view(3, 3)).log_softmax(-1)


def mean_and_log_std(parameters):
    mean = torch.tanh(STATES @ parameters[:6].view(3, 2))
    return torch.cat([mean, parameters[6:8].expand_as(mean)], -1)


POLICIES = {
    "categorical": (log_probs, categorical_kl, lambda d: d.exp()),
    "gaussian": (
        mean_and_log_std,
        gaussian_kl,
        lambda d: torch.cat([(-2 * d[:, 2:]).exp(), torch.full_like(d[:, 2:], 2.0)], -1),
    ),
}


def test_conjugate_gradient_worked_by_hand():
    matrix, target = tensor([[4.0, 1.0], [1.0, 3.0]]), tensor([1.0, 2.0])
    # r = b = p, r.r = 5, A p = (6, 7), p.A p = 20: the first step is 1/4 of b
    first = conjugate_gradient(matrix.mv, target, 1, ZERO, ZERO)
    torch.testing.assert_close(first, tensor([0.25, 0.5]))
    second = conjugate_gradient(matrix.mv, target, 2, ZERO, ZERO)
    torch.testing.assert_close(second, tensor([1 / 11, 7 / 11]))


def test_a_solution_stays_where_its_residual_is_below_the_threshold():
    matrix, target = tensor([[4.0, 1.0], [1.0, 3.0]]), tensor([1.0, 2.0])
    found = conjugate_gradient(matrix.mv, target, 2, tensor(4.0), ZERO)
    torch.testing.assert_close(found, tensor([0.25, 0.5]))  # its residual is (-1/2, 1/4)
    found = conjugate_gradient(matrix.mv, torch.zeros(2), 5, ZERO, tensor(1e-8))
    torch.testing.assert_close(found, torch.zeros(2))


@pytest.mark.parametrize("policy", POLICIES)
def test_fisher_vector_product_is_that_of_the_divergences_hessian(policy):
    describe, divergence, metric = POLICIES[policy]
    old = describe(PARAMETERS)

    def mean_divergence(parameters):
        return (divergence(old, describe(parameters)) * WEIGHT).sum() / WEIGHT.sum()

    hessian = torch.autograd.functional.hessian(mean_divergence, PARAMETERS)
    assert hessian.abs().max() > 0.01
    for vector in torch.randn(3, 9, generator=torch.Generator().manual_seed(2)):
        fisher = fisher_vector_product(describe, metric(old), PARAMETERS, vector, WEIGHT)
        torch.testing.assert_close(fisher, hessian @ vector, atol=1e-5, rtol=1e-4)
        direct = hessian_vector_product(mean_divergence, PARAMETERS, vector)
        torch.testing.assert_close(direct, hessian @ vector, atol=1e-5, rtol=1e-4)


def test_fisher_information_of_a_gaussian_worked_by_hand():
    # of one state, with the parameters themselves as mean and log-deviation: 1 / sigma^2 and 2
    parameters, metric = tensor([0.3, 0.5]), tensor([[torch.e**-1, 2.0]])
    found = fisher_vector_product(
        lambda p: p.unsqueeze(0), metric, parameters, tensor([1.0, 1.0]), torch.ones(1)
    )
    torch.testing.assert_close(found, tensor([torch.e**-1, 2.0]))


@pytest.mark.parametrize("longest, share", [(0.9, 1.0), (1.0, 0.5), (3.0, 0.25), (8.0, 0.0)])
def test_the_longest_step_that_passes_is_taken(longest, share):
    step, found = backtracked(lambda s: s.sum() < 1.0, tensor([longest]), 4, tensor(0.5))
    assert float(found) == share
    torch.testing.assert_close(step, tensor([share * longest]))


def test_a_step_that_is_not_finite_is_not_taken():
    step, share = backtracked(lambda s: s.sum() < 1.0, tensor([torch.nan]), 4, tensor(0.5))
    assert step.tolist() == [0.0]
    assert float(share) == 0.0


def test_each_lane_searches_for_itself():
    steps, ratios = tensor([[0.5], [3.0], [9.0]]), tensor([0.5, 0.5, 0.1])
    together, shares = torch.func.vmap(
        lambda step, ratio: backtracked(lambda s: s.sum() < 1.0, step, 4, ratio)
    )(steps, ratios)
    torch.testing.assert_close(shares, tensor([1.0, 0.25, 0.1]))
    torch.testing.assert_close(together, tensor([[0.5], [0.75], [0.9]]))


def test_each_lane_solves_for_itself():
    matrices = tensor([[[4.0, 1.0], [1.0, 3.0]], [[2.0, 0.0], [0.0, 1.0]]])
    targets = tensor([[1.0, 2.0], [2.0, 1.0]])
    together = torch.func.vmap(
        lambda matrix, target: conjugate_gradient(matrix.mv, target, 2, ZERO, tensor(1e-12))
    )(matrices, targets)
    torch.testing.assert_close(together, tensor([[1 / 11, 7 / 11], [1.0, 1.0]]))
