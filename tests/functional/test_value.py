import torch
from torch import tensor

from sweeprl.functional import (
    double_q_value,
    hysteretic_target,
    select_action_value,
    soft_value,
    standardized,
    td_target,
    weighted_mean,
)


def test_td_target_keeps_the_bootstrap_unless_the_discount_is_zero():
    target = td_target(tensor([1.0, 1.0]), tensor([0.9, 0.0]), tensor([10.0, 10.0]))
    torch.testing.assert_close(target, tensor([10.0, 1.0]))


def test_double_q_takes_the_selectors_action_and_the_evaluators_value():
    evaluator = tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    selector = tensor([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    torch.testing.assert_close(double_q_value(evaluator, selector), tensor([1.0, 6.0]))


def test_soft_value_is_the_smaller_critic_less_the_weighted_log_probability():
    value = soft_value(tensor([3.0]), tensor([2.0]), tensor([-1.5]), tensor(0.2))
    torch.testing.assert_close(value, tensor([2.3]))


def test_weighted_mean_ignores_rows_of_weight_zero():
    assert weighted_mean(tensor([1.0, 2.0, 99.0]), tensor([1.0, 3.0, 0.0])) == 1.75
    assert weighted_mean(tensor([1.0, 2.0]), tensor([0.0, 0.0])) == 0.0


def test_standardized_has_mean_zero_and_deviation_one_where_weights_are_not_zero():
    values = standardized(tensor([1.0, 5.0, 99.0]), tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(values, tensor([-1.0, 1.0, 48.0]))
    torch.testing.assert_close(standardized(tensor([2.0, 2.0]), torch.ones(2)), torch.zeros(2))


def test_functions_equal_themselves_under_vmap():
    generator = torch.Generator().manual_seed(0)
    q, other = torch.randn(3, 5, 4, generator=generator), torch.randn(3, 5, 4, generator=generator)
    action = torch.randint(4, (3, 5), generator=generator)
    lanes = torch.func.vmap(select_action_value)(q, action)
    torch.testing.assert_close(lanes[1], select_action_value(q[1], action[1]))
    lanes = torch.func.vmap(double_q_value)(q, other)
    torch.testing.assert_close(lanes[2], double_q_value(q[2], other[2]))
    weight = torch.rand(3, 5, generator=generator)
    lanes = torch.func.vmap(weighted_mean)(q[..., 0], weight)
    torch.testing.assert_close(lanes[0], weighted_mean(q[0, :, 0], weight[0]))


def test_hysteretic_targets_go_as_far_as_the_rates_say():
    found = hysteretic_target(tensor([1.0, 1.0]), tensor([3.0, -3.0]), tensor(0.5), tensor(0.25))
    torch.testing.assert_close(found, tensor([2.0, 0.0]))
    q, target = tensor([0.3, -0.2]), tensor([1.0, -7.0])
    torch.testing.assert_close(hysteretic_target(q, target, tensor(1.0), tensor(1.0)), target)
