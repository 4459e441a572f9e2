import torch
from torch import tensor

from sweeprl.functional import search_gradient


def test_numbers_worked_by_hand():
    returns = tensor([[4.0, 0.0], [1.0, 2.0], [-5.0, 3.0]])
    noise = tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    # the best two of max(4, 2, 3) are the first and the last; their returns 4, 0, -5, 3 have mean
    # 1/2 and variance (12.25 + 0.25 + 30.25 + 6.25) / 4 = 12.25
    found, sigma = search_gradient(returns, noise, 2)
    torch.testing.assert_close(sigma, tensor(3.5))
    torch.testing.assert_close(found, tensor([4.0 - 8.0, -8.0]) / (2 * 3.5))


def test_equal_returns_show_no_direction():
    found, _ = search_gradient(torch.ones(3, 2), torch.randn(3, 4), 3)
    torch.testing.assert_close(found, torch.zeros(4))


def test_equals_itself_under_vmap():
    returns, noise = torch.randn(3, 5, 2), torch.randn(3, 5, 4)
    lanes, _ = torch.func.vmap(lambda r, n: search_gradient(r, n, 2))(returns, noise)
    torch.testing.assert_close(lanes[1], search_gradient(returns[1], noise[1], 2)[0])
