import math

import pytest
import torch
from torch import tensor
from torch.distributions import Categorical, Normal, TanhTransform, TransformedDistribution

from sweeprl.functional import (
    categorical_entropy,
    categorical_kl,
    categorical_log_prob,
    categorical_sample,
    clipped_surrogate,
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
    squashed_gaussian_log_prob,
    surrogate,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_clipped_surrogate_is_pessimistic_on_both_sides():
    log_ratio = tensor([1.5, 0.5, 1.5, 0.5]).log()
    advantage = tensor([1.0, 1.0, -1.0, -1.0])
    value = clipped_surrogate(log_ratio, torch.zeros(4), advantage, tensor(0.2))
    torch.testing.assert_close(value, tensor([1.2, 0.5, -1.5, -0.8]))


def test_categorical_equals_torch_distributions(generator):
    log_probs = torch.randn(6, 4, generator=generator).log_softmax(-1)
    action = torch.randint(4, (6,), generator=generator)
    reference = Categorical(logits=log_probs)
    torch.testing.assert_close(categorical_log_prob(log_probs, action), reference.log_prob(action))
    torch.testing.assert_close(categorical_entropy(log_probs), reference.entropy())


def test_categorical_samples_have_the_right_frequencies(generator):
    probs = tensor([0.5, 0.2, 0.3])
    noise = torch.randn(100_000, generator=generator)
    drawn = categorical_sample(probs.log().expand(100_000, 3), noise)
    frequencies = torch.bincount(drawn, minlength=3) / 100_000
    torch.testing.assert_close(frequencies, probs, atol=0.006, rtol=0)


def test_categorical_samples_stay_in_range_at_the_ends_of_the_noise():
    log_probs = torch.full((2, 3), 1 / 3).log()
    assert categorical_sample(log_probs, tensor([-40.0, 40.0])).tolist() == [0, 2]


def test_gaussian_equals_torch_distributions(generator):
    mean, action = torch.randn(2, 5, 3, generator=generator)
    log_std = tensor([-1.0, 0.0, 0.5])
    reference = Normal(mean, log_std.exp())
    torch.testing.assert_close(
        gaussian_log_prob(action, mean, log_std), reference.log_prob(action).sum(-1)
    )
    torch.testing.assert_close(gaussian_entropy(log_std), reference.entropy().sum(-1)[0])


def test_squashed_gaussian_equals_torch_distributions(generator):
    mean, pre_tanh = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    log_std = torch.full((5, 3), -0.3, dtype=torch.float64)
    reference = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    expected = reference.log_prob(torch.tanh(pre_tanh)).sum(-1)
    torch.testing.assert_close(squashed_gaussian_log_prob(pre_tanh, mean, log_std), expected)


def test_squashed_gaussian_is_finite_where_tanh_saturates():
    log_prob = squashed_gaussian_log_prob(tensor([[30.0]]), tensor([[0.0]]), tensor([[0.0]]))
    # -450 - log(sqrt(2 pi)) - log(1 - tanh(30)^2), the last term 2 * (log 2 - 30)
    assert float(log_prob) == pytest.approx(
        -450 - 0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - 30), rel=1e-5
    )


def test_divergences_worked_by_hand():
    old, new = tensor([0.5, 0.5]).log(), tensor([0.25, 0.75]).log()
    # 1/2 log 2 + 1/2 log 2/3
    expected = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert float(categorical_kl(old, new)) == pytest.approx(expected, rel=1e-5)
    # log 2 - log 1 + (1 + 9) / 8 - 1/2
    old, new = tensor([1.0, 0.0]), tensor([4.0, math.log(2)])
    assert float(gaussian_kl(old, new)) == pytest.approx(math.log(2) + 10 / 8 - 0.5, rel=1e-5)


@pytest.mark.parametrize("divergence", [categorical_kl, gaussian_kl])
def test_a_distribution_does_not_diverge_from_itself(divergence):
    one = torch.randn(5, 4).log_softmax(-1)
    torch.testing.assert_close(divergence(one, one), torch.zeros(5))


def test_divergence_of_several_choices_is_the_sum_of_theirs():
    old, new = torch.randn(2, 3).log_softmax(-1), torch.randn(2, 3).log_softmax(-1)
    both = categorical_kl(old.flatten(), new.flatten())
    torch.testing.assert_close(both, categorical_kl(old, new).sum())


def test_surrogate_is_the_advantage_times_the_ratio():
    found = surrogate(tensor([0.6]).log(), tensor([0.3]).log(), tensor([-1.5]))
    torch.testing.assert_close(found, tensor([-3.0]))
