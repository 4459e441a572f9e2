"""Steps within a trust region: natural gradients and the search along them.

Everything is a fixed number of operations under masks, so that it can be lifted over lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["backtracked", "conjugate_gradient", "fisher_vector_product", "hessian_vector_product"]

Product = Callable[[Tensor], Tensor]
"""A symmetric matrix, as its product with a vector `(P,)`."""


def conjugate_gradient(
    product: Product, target: Tensor, iterations: int, threshold: Tensor, epsilon: Tensor
) -> Tensor:
    """Solves `A x = b` for a positive definite matrix that is known by its products only.

    Hestenes and Stiefel 1952, Methods of Conjugate Gradients for Solving Linear Systems, equations
    3:1, https://doi.org/10.6028/jres.049.044.

    Args:
        product: `A` times a vector.
        target: `b`, `(P,)`.
        iterations: how many are made.
        threshold: below this squared residual the solution stays as it is, a scalar.
        epsilon: added to denominators, a scalar.

    Returns:
        `x`, `(P,)`

    >>> matrix, zero = torch.tensor([[4.0, 1.0], [1.0, 3.0]]), torch.tensor(0.0)
    >>> conjugate_gradient(matrix.mv, torch.tensor([1.0, 2.0]), 2, zero, zero)
    tensor([0.0909, 0.6364])
    """
    solution, residual, direction = torch.zeros_like(target), target, target
    square = torch.dot(residual, residual)
    for _ in range(iterations):
        is_open = square > threshold
        image = product(direction)
        step = square / (torch.dot(direction, image) + epsilon)
        solution = torch.where(is_open, solution + step * direction, solution)
        residual = torch.where(is_open, residual - step * image, residual)
        square_now = torch.dot(residual, residual)
        direction = residual + square_now / (square + epsilon) * direction
        square = square_now
    return solution


def fisher_vector_product(
    describe: Callable[[Tensor], Tensor],
    metric: Tensor,
    parameters: Tensor,
    vector: Tensor,
    weight: Tensor,
) -> Tensor:
    """Product of a policy's Fisher information matrix and a vector, `mean(J^T M J) v`.

    Schulman et al. 2015, Trust Region Policy Optimization, appendix C.1,
    https://arxiv.org/abs/1502.05477.

    Args:
        describe: parameters `(P,)` to what its distributions are described by, `(B, K)`, whose
            derivative is `J`.
        metric: diagonal of the Fisher information `M` of that description, `(B, K)`.
        parameters: where, `(P,)`.
        vector: `(P,)`
        weight: of each state in the mean, `(B,)`.

    Returns:
        `(P,)`
    """
    pull_back: Any = torch.func.vjp(describe, parameters)[1]
    # J v is the derivative of u -> v^T J^T u, which asks for no forward-mode derivatives.
    pushed = torch.func.grad(lambda u: torch.dot(pull_back(u)[0], vector))(torch.zeros_like(metric))
    share = weight / weight.sum().clamp_min(1e-8)
    product: Tensor = pull_back(share.unsqueeze(-1) * metric * pushed)[0]
    return product


def hessian_vector_product(
    function: Callable[[Tensor], Tensor], parameters: Tensor, vector: Tensor
) -> Tensor:
    """Product of a scalar function's Hessian and a vector, by differentiating twice.

    Pearlmutter 1994, Fast Exact Multiplication by the Hessian,
    https://doi.org/10.1162/neco.1994.6.1.147.

    Args:
        function: parameters `(P,)` to a scalar.
        parameters: where, `(P,)`.
        vector: `(P,)`

    Returns:
        `(P,)`

    >>> cube = lambda x: (x ** 3).sum()
    >>> hessian_vector_product(cube, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    slope = torch.func.grad(function)
    product: Tensor = torch.func.grad(lambda p: torch.dot(slope(p), vector))(parameters)
    return product


def backtracked(
    is_better: Callable[[Tensor], Tensor], step: Tensor, num: int, ratio: Tensor
) -> tuple[Tensor, Tensor]:
    """The first of `step`, `ratio * step`, `ratio ** 2 * step`... that passes, or no step at all.

    Schulman et al. 2015, Trust Region Policy Optimization, appendix C,
    https://arxiv.org/abs/1502.05477.

    Args:
        is_better: whether a step `(P,)` passes, a boolean scalar.
        step: the longest one, `(P,)`.
        num: how many are tried.
        ratio: from one to the next, a scalar.

    Returns:
        The step `(P,)`, and which share of the longest one it is, 0 where none passed.

    >>> backtracked(lambda step: step.sum() < 3, torch.tensor([8.0]), 4, torch.tensor(0.5))
    (tensor([2.]), tensor(0.2500))
    """
    share = torch.zeros_like(ratio)
    tried = torch.ones_like(ratio)
    for _ in range(num):
        passes = is_better(tried * step) & (share == 0)
        share = torch.where(passes, tried, share)
        tried = tried * ratio
    # Not `share * step`, which would not be 0 for a step that is not finite.
    return torch.where(share > 0, share * step, torch.zeros_like(step)), share
