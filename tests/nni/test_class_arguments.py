from __future__ import annotations

import pytest

from sweeprl.errors import ConfigError
from sweeprl.nni.writing.class_arguments import check_class_arguments


def check(name, given, kind="tuner"):
    check_class_arguments(kind, name, {"optimize_mode": "maximize", **given}, given)


@pytest.mark.parametrize(
    "name, given",
    [
        ("TPE", {"seed": 1, "tpe_args": {"n_startup_jobs": 5}}),
        ("Evolution", {"population_size": 8}),
        ("PBT", {"fraction": 0.3}),
    ],
)
def test_what_a_tuner_takes(name, given):
    check(name, given)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ConfigError, match="got 'populaton_size'. Did you mean 'population_size'"):
        check("Evolution", {"populaton_size": 8})
    with pytest.raises(ConfigError, match="got 'seed'.* Known: optimize_mode"):
        check_class_arguments("tuner", "GridSearch", {"seed": 1}, {"seed": 1})


def test_a_value_that_it_cannot_use_is_refused():
    with pytest.raises(ConfigError, match="Evolution must be told what it can use"):
        check("Evolution", {"population_size": "many"})
    with pytest.raises(ConfigError, match="Medianstop must be told what it can use"):
        check("Medianstop", {"start_step": -1}, kind="assessor")


def test_a_score_is_not_minimized():
    with pytest.raises(ConfigError, match="must have `optimize_mode: maximize`.* got 'minimize'"):
        check("TPE", {"optimize_mode": "minimize"})
