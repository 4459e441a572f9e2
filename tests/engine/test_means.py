from types import SimpleNamespace

import torch
from torch import tensor

from sweeprl.engine.means import RoundMeans

MANY = SimpleNamespace(leave=lambda values: values)
ONE = SimpleNamespace(leave=lambda value: value.unsqueeze(0))
SOME, OTHERS = tensor([[True], [False], [False]]), tensor([[True], [True], [False]])


def test_each_loss_is_averaged_over_the_updates_that_descended_it():
    means = RoundMeans(ONE)
    for number, value in enumerate((1.0, 2.0, 6.0)):
        means.add(0, {"critic_loss": tensor(value), "q_value": tensor(-value)}, None)
        if number == 1:
            means.add(1, {"actor_loss": tensor(9.0)}, None)
    found = means.means()
    assert {name: value.tolist() for name, value in found.items()} == {
        "critic_loss": [3.0],
        "q_value": [-3.0],
        "actor_loss": [9.0],
    }


def test_lanes_are_averaged_over_the_updates_they_took_part_in():
    means = RoundMeans(MANY)
    means.add(0, {"loss": tensor([1.0, 1.0, torch.nan])}, OTHERS)
    means.add(0, {"loss": tensor([2.0, torch.inf, torch.inf])}, SOME)
    assert means.means(where_none=0.0)["loss"].tolist() == [1.5, 1.0, 0.0]
    found = means.means()["loss"]
    assert found[:2].tolist() == [1.5, 1.0]
    assert found[2].isnan()
    means.add(0, {"loss": tensor([3.0, 3.0, 3.0])}, None)
    assert means.means()["loss"].tolist() == [2.0, 2.0, 3.0]


def test_what_is_not_finite_shows():
    means = RoundMeans(MANY)
    means.add(0, {"loss": tensor([1.0, torch.nan, 1.0])}, OTHERS)
    assert not means.means(where_none=0.0)["loss"].isfinite().all()


def test_what_was_logged_is_left_as_it_is():
    logged = tensor([1.0, 2.0, 3.0])
    means = RoundMeans(MANY)
    means.add(0, {"loss": logged}, None)
    means.add(0, {"loss": tensor([1.0, 1.0, 1.0])}, None)
    assert logged.tolist() == [1, 2, 3]


def test_a_round_without_updates_logs_nothing():
    assert RoundMeans(MANY).means() == {}
