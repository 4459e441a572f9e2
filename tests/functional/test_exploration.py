import pytest
import torch
from torch import tensor

from sweeprl.functional import (
    as_probabilities,
    clipped_normal_noise,
    ornstein_uhlenbeck,
    smoothing_noise,
    uniform_noise,
)


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_uniform_noise_fills_its_range_evenly():
    numbers = uniform_noise(normal(100_000), -1.0, 3.0)
    assert -1 <= numbers.min() < -0.99
    assert 2.99 < numbers.max() <= 3
    shares = torch.histc(numbers, 4, -1.0, 3.0) / len(numbers)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.01, rtol=0)


def test_clipped_normal_noise_is_normal_inside_and_at_the_ends_outside():
    numbers = clipped_normal_noise(tensor([-9.0, 0.0, 1.0, 9.0]), 0.1, 0.2, -0.5, 0.4)
    torch.testing.assert_close(numbers, tensor([-0.5, 0.1, 0.3, 0.4]))


def test_three_steps_of_the_ornstein_uhlenbeck_process_worked_by_hand():
    x, found = tensor([1.0]), []
    for z in (0.0, 2.0, -1.0):
        x = ornstein_uhlenbeck(x, tensor([z]), mean=0.5, sigma=0.3, theta=0.2, dt=0.25)
        found.append(float(x))
    first = 1.0 + 0.2 * (0.5 - 1.0) * 0.25
    second = first + 0.2 * (0.5 - first) * 0.25 + 0.3 * 0.5 * 2.0
    third = second + 0.2 * (0.5 - second) * 0.25 - 0.3 * 0.5
    assert found == pytest.approx([first, second, third])


def test_its_deviation_settles_where_drift_and_noise_balance():
    x = torch.zeros(20_000)
    for z in normal(200, 20_000):
        x = ornstein_uhlenbeck(x, z, mean=0.0, sigma=0.2, theta=0.15, dt=1.0)
    # Of x' = (1 - theta) x + sigma z the variance is sigma^2 / (1 - (1 - theta)^2).
    assert float(x.std()) == pytest.approx(0.2 / (1 - 0.85**2) ** 0.5, rel=0.02)


def test_probabilities_are_cut_at_zero_and_sum_to_one():
    found = as_probabilities(tensor([[0.5, 1.5, -3.0], [0.0, 0.0, 0.0]]))
    torch.testing.assert_close(found, tensor([[0.25, 0.75, 0.0], [1 / 3, 1 / 3, 1 / 3]]))


def test_functions_equal_themselves_under_vmap():
    x, z = normal(3, 5, 2), normal(3, 5, 2).flip(0)
    for function in (
        lambda x, z: ornstein_uhlenbeck(x, z, 0.1, 0.2, 0.3, 0.4),
        lambda x, z: x + clipped_normal_noise(z, 0.0, 1.0, -0.5, 0.5),
        lambda x, z: x + uniform_noise(z, -1.0, 1.0),
        lambda x, z: as_probabilities(x + z),
    ):
        torch.testing.assert_close(torch.func.vmap(function)(x, z)[1], function(x[1], z[1]))


def test_smoothing_noise_is_clipped_to_either_side():
    found = smoothing_noise(tensor([[-9.0, 1.0, 9.0]]), tensor(0.2), tensor(0.5))
    torch.testing.assert_close(found, tensor([[-0.5, 0.2, 0.5]]))
