import torch
from torch import tensor

from sweeprl.functional import gae, n_step_return


def column(*values):
    return tensor(values).unsqueeze(1)


def test_numbers_worked_by_hand():
    # deltas: 1 + .5*2 - 1 = 1, 2 + .5*4 - 2 = 2, 3 + 0 - 4 = -1 (terminated)
    advantage = gae(
        column(1.0, 2.0, 3.0),
        column(0.5, 0.5, 0.0),
        column(0.8, 0.8, 0.0),
        column(1.0, 2.0, 4.0),
        column(2.0, 4.0, 7.0),
    )
    # A_3 = -1; A_2 = 2 + .4 * -1 = 1.6; A_1 = 1 + .4 * 1.6 = 1.64
    torch.testing.assert_close(advantage, column(1.64, 1.6, -1.0))


def test_truncation_keeps_the_bootstrap_and_cuts_the_trace():
    advantage = gae(
        column(1.0, 1.0), column(0.9, 0.9), column(0.0, 1.0), column(0.0, 0.0), column(10.0, 20.0)
    )
    # the first step was truncated: its bootstrap of 10 counts, the next episode does not
    torch.testing.assert_close(advantage, column(10.0, 19.0))


def test_lambda_one_without_values_is_the_discounted_return():
    ones, zeros = torch.ones(4, 2), torch.zeros(4, 2)
    advantage = gae(ones, 0.5 * ones, ones, zeros, zeros)
    torch.testing.assert_close(advantage[:, 0], tensor([1.875, 1.75, 1.5, 1.0]))


def test_equals_itself_under_vmap():
    arguments = torch.rand(5, 3, 6, 2, generator=torch.Generator().manual_seed(0)).unbind(0)
    lanes = torch.func.vmap(gae)(*arguments)
    torch.testing.assert_close(lanes[1], gae(*(argument[1] for argument in arguments)))


def test_rewards_of_several_steps_worked_by_hand():
    rewards = tensor([[1.0, 10.0, 100.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(n_step_return(rewards, tensor(0.9)), tensor([91.0, 1.0]))
    torch.testing.assert_close(n_step_return(rewards, tensor(0.0)), tensor([1.0, 1.0]))


def test_lanes_sum_with_their_own_discount():
    rewards, discount = torch.rand(2, 4, 3), tensor([0.5, 0.9])
    lanes = torch.func.vmap(n_step_return)(rewards, discount)
    for lane in range(2):
        torch.testing.assert_close(lanes[lane], n_step_return(rewards[lane], discount[lane]))
