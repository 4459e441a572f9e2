import torch
from torch import tensor

from sweeprl.functional import annealed, importance_weights


def test_weights_are_those_of_the_paper():
    # N = 4, P = 0.1, 0.2, 0.3, 0.4, beta = 0.5: (N P) ** -beta is 1.5811, 1.1180, 0.9129, 0.7906.
    found = importance_weights(tensor([0.1, 0.2, 0.3, 0.4]), tensor(0.5))
    torch.testing.assert_close(found, tensor([1.0, 0.70711, 0.57735, 0.5]), atol=1e-5, rtol=0)


def test_full_weights_make_the_mean_over_what_is_drawn_that_over_all():
    chance, values = tensor([0.5, 0.25, 0.25]), tensor([1.0, 2.0, 6.0])
    weights = importance_weights(chance, tensor(1.0))
    mean = (chance * weights * values).sum() / (chance * weights).sum()
    torch.testing.assert_close(mean, values.mean())


def test_each_lane_has_its_own_exponent():
    found = importance_weights(tensor([[1.0, 4.0], [1.0, 4.0]]), tensor([[0.5], [0.0]]))
    torch.testing.assert_close(found, tensor([[1.0, 0.5], [1.0, 1.0]]))


def test_annealing_ends_at_one_or_never_begins():
    start, steps = tensor([0.4, 0.4]), tensor([1000.0, 1000.0])
    torch.testing.assert_close(
        annealed(start, steps, tensor([100.0, torch.nan])), tensor([1.0, 0.4])
    )
