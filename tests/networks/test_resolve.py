from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import nn

from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete
from sweeprl.errors import ConfigError, UnknownNameError
from sweeprl.networks import QCritic, QNet, Resolver, caller_globals
from sweeprl.registry import importable

SPEC = EnvSpec(4, Discrete(3))
DEFAULT = ("Net", QNet)


class OwnNet(nn.Module):
    """Takes dimensions by the names that are filled in."""

    def __init__(self, state_dim, action_dim=0, action_num=0, width=8):
        super().__init__()
        self.given = (state_dim, action_dim, action_num, width)


class NoDimensions(nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.size = size


def network(reference, args=(), kwargs=(), spec=SPEC, resolver=None):
    resolver = resolver or Resolver([globals()])
    return resolver.network(reference, args, dict(kwargs), spec, DEFAULT)


def test_a_class_is_itself():
    assert isinstance(network(OwnNet), OwnNet)


def test_a_global_of_the_caller():
    assert isinstance(network("OwnNet", resolver=Resolver(caller_globals())), OwnNet)


def test_a_global_of_the_caller_comes_before_a_default_of_that_name():
    mine = {"QNet": OwnNet}
    assert isinstance(network("QNet", resolver=Resolver([mine])), OwnNet)


def test_the_nearest_caller_comes_first():
    scopes = [{"Net": OwnNet}, {"Net": NoDimensions}]
    assert isinstance(network("Net", resolver=Resolver(scopes)), OwnNet)


def test_a_global_that_is_no_class_is_passed_over():
    assert isinstance(network("Net", resolver=Resolver([{"Net": 3}])), QNet)


def test_an_importable_name():
    assert isinstance(network(f"{__name__}.OwnNet"), OwnNet)


@pytest.mark.parametrize("name", ["Net", "QNet"])
def test_the_default_by_its_role_or_its_class(name):
    assert isinstance(network(name, resolver=Resolver()), QNet)


def test_a_name_of_the_predecessors_main_module(monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "MainNet", OwnNet, raising=False)
    assert isinstance(network("__main__.MainNet", resolver=Resolver()), OwnNet)


@pytest.mark.parametrize(
    "spec, expected",
    [
        (EnvSpec(4, Discrete(3)), (4, 1, 3, 8)),
        (EnvSpec(7, Continuous(2)), (7, 2, 2, 8)),
        (EnvSpec(5, MultiDiscrete((2, 6))), (5, 2, [2, 6], 8)),
    ],
)
def test_dimensions_are_filled_in(spec, expected):
    assert network(OwnNet, spec=spec).given == expected


def test_what_is_given_is_not_replaced():
    assert network(OwnNet, kwargs={"state_dim": 40, "width": 2}).given == (40, 1, 3, 2)
    assert network(OwnNet, args=[40, 50]).given == (40, 50, 3, 8)
    assert network(OwnNet, args=[40, 50, 60, 70]).given == (40, 50, 60, 70)


def test_a_constructor_without_dimensions_gets_none():
    assert network(NoDimensions).size == 3


@pytest.mark.parametrize(
    "reference, tried",
    [
        ("Nat", r"Did you mean 'Net'\? Tried the caller's globals \(1 modules\); the known names"),
        ("no_such_module.Net", r"importing it \(No module named 'no_such_module'\); the known"),
        ("json.Net", r"importing it \(module 'json' has no attribute 'Net'\)"),
        ("zebra", r"the known names \(Net, QNet\)\. Give a class, or 'module\.Class'"),
    ],
)
def test_an_unknown_model_is_refused_with_what_was_tried(reference, tried):
    with pytest.raises(UnknownNameError, match=f"No model named '{reference}'.*{tried}"):
        network(reference)


@pytest.mark.parametrize("reference", ["json.loads", "json.JSONDecoder", dict])
def test_a_model_must_be_a_module(reference):
    with pytest.raises(ConfigError, match=r"A model must be an nn\.Module class, but '"):
        network(reference)


@pytest.mark.parametrize(
    "reference, args, kwargs, message",
    [
        (OwnNet, [], {"widht": 3}, "unexpected keyword argument 'widht'"),
        (OwnNet, [1, 2, 3, 4, 5], {}, "positional arguments"),
        (OwnNet, [1], {"state_dim": 2}, "multiple values for argument 'state_dim'"),
        (QCritic, ["wide"], {}, "must take args"),
    ],
)
def test_wrong_constructor_arguments_are_refused(reference, args, kwargs, message):
    with pytest.raises(ConfigError, match=f"(?s){message}.*Change model_args and model_kwargs"):
        network(reference, args, kwargs)


@pytest.mark.parametrize("reference", ["Adam", "torch.optim.Adam", torch.optim.Adam])
def test_an_optimizer_in_every_spelling(reference):
    assert Resolver().optimizer(reference) is torch.optim.Adam


@pytest.mark.parametrize(
    "reference", ["StepLR", "torch.optim.lr_scheduler.StepLR", torch.optim.lr_scheduler.StepLR]
)
def test_a_scheduler_in_every_spelling(reference):
    assert Resolver().lr_scheduler(reference) is torch.optim.lr_scheduler.StepLR


@pytest.mark.parametrize("reference", ["SmoothL1Loss", "torch.nn.SmoothL1Loss", nn.SmoothL1Loss])
def test_a_criterion_in_every_spelling(reference):
    criterion = Resolver().criterion(reference, [], {"beta": 0.5})
    assert isinstance(criterion, nn.SmoothL1Loss)
    assert criterion.beta == 0.5


@pytest.mark.parametrize(
    "find, message",
    [
        (lambda r: r.optimizer("Adm"), r"No optimizer named 'Adm'\. Did you mean 'Adam'\?"),
        (lambda r: r.lr_scheduler("StpLR"), r"No lr_scheduler named .* Did you mean 'StepLR'\?"),
        (
            lambda r: r.criterion("MSE", [], {}),
            r"No criterion named 'MSE'\. Did you mean 'MSELoss'",
        ),
        (lambda r: r.criterion("Linear", [], {}), r"No criterion named 'Linear'"),
        (lambda r: r.optimizer("StepLR"), r"No optimizer named 'StepLR'"),
    ],
)
def test_an_unknown_class_of_torch_is_refused(find, message):
    with pytest.raises(UnknownNameError, match=message):
        find(Resolver())


def test_a_criterion_leaves_one_loss_for_each_element():
    loss = Resolver().criterion("MSELoss", [], {})(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]))
    assert loss.tolist() == [1, 4, 9]


def test_a_criterion_keeps_the_reduction_that_was_asked_for():
    criterion = Resolver().criterion("MSELoss", [], {"reduction": "sum"})
    assert criterion(torch.zeros(3), torch.ones(3)).item() == 3


def test_a_criterion_of_ones_own_needs_no_reduction():
    class Absolute(nn.Module):
        def forward(self, one, other):
            return (one - other).abs()

    criterion = Resolver().criterion(Absolute, [], {})
    assert criterion(torch.zeros(2), torch.tensor([1.0, -2.0])).tolist() == [1, 2]


def test_wrong_criterion_arguments_are_refused():
    with pytest.raises(ConfigError, match=r"(?s)Criterion 'MSELoss' must.*Change criterion_args"):
        Resolver().criterion("MSELoss", [], {"bta": math.pi})


def test_modules_of_a_folder_are_importable_for_a_while(tmp_path):
    (tmp_path / "resolve_test_net.py").write_text(
        "from torch import nn\nclass FarNet(nn.Module):\n    pass\n"
    )
    before = list(sys.path)
    with pytest.raises(UnknownNameError):
        network("resolve_test_net.FarNet")
    with importable([tmp_path]):
        assert type(network("resolve_test_net.FarNet")).__name__ == "FarNet"
    assert sys.path == before


def test_the_path_is_restored_after_an_error(tmp_path):
    before = list(sys.path)
    with pytest.raises(ZeroDivisionError), importable([tmp_path, tmp_path, *sys.path[:1]]):
        1 / 0  # noqa: B018
    assert sys.path == before


def test_the_first_folder_wins(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "resolve_test_order.py").write_text(f"class Net:\n    at = '{name}'\n")
    with importable([tmp_path / "one", tmp_path / "two"]):
        assert Resolver().find("resolve_test_order.Net", "model", {}).at == "one"


def test_callers_are_found_nearest_first_without_sweeprls_own():
    scopes = caller_globals()
    assert scopes[0] is globals()
    names = [str(scope.get("__name__")) for scope in scopes]
    assert not any(name.partition(".")[0] == "sweeprl" for name in names)
