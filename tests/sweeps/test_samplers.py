from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, TPESampler
from optuna.trial import TrialState, create_trial

from sweeprl.errors import ConfigError, UnknownNameError
from sweeprl.sweeps.samplers import SAMPLERS, GPThenCMAES, make_sampler, sampler_seed

NUMERIC = {
    "rate": FloatDistribution(1e-5, 1e-2, log=True),
    "size": IntDistribution(1, 10),
}
CHOICE = {"optimizer": CategoricalDistribution(["Adam", "SGD"])}
HAS_SEED = [name for name in SAMPLERS if name != "auto"]


def study_with(sampler, num_objectives=1) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler, directions=["maximize"] * num_objectives)


def ask_some(study, count, space=NUMERIC, num_objectives=1):
    asked = []
    for _ in range(count):
        trial = study.ask(space)
        asked.append(trial.params)
        study.tell(trial, [trial.params["rate"]] * num_objectives)
    return asked


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("has_categorical", [False, True])
def test_every_sampler_proposes_parameters_without_a_warning(name, has_categorical):
    space = NUMERIC | CHOICE if has_categorical else NUMERIC
    sampler = make_sampler(name, 0, False, has_categorical)
    asked = ask_some(study_with(sampler), 14, space)
    assert len({tuple(params.items()) for params in asked}) > 10
    assert all(1e-5 <= params["rate"] <= 1e-2 for params in asked)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"cmaes"}))
def test_several_objectives(name):
    study = study_with(make_sampler(name, 0, False, False, num_objectives=2), 2)
    assert len(ask_some(study, 14, num_objectives=2)) == 14


def test_several_objectives_are_too_many_for_one_sampler():
    with pytest.raises(ConfigError, match="one objective, but the sweep has 2. Use 'tpe'"):
        make_sampler("cmaes", 0, False, False, num_objectives=2)


@pytest.mark.parametrize("name", SAMPLERS)
def test_parameters_that_some_trials_lack(name):
    study = study_with(make_sampler(name, 0, True, True))
    for _ in range(14):
        trial = study.ask(CHOICE)
        if trial.params["optimizer"] == "SGD":
            trial.suggest_float("momentum", 0, 0.99)
        trial.suggest_float("rate", 1e-5, 1e-2, log=True)
        study.tell(trial, trial.params["rate"])
    assert all(
        ("momentum" in trial.params) == (trial.params["optimizer"] == "SGD")
        for trial in study.trials
    )


@pytest.mark.parametrize("name", HAS_SEED)
def test_a_seed_determines_what_is_asked(name):
    once, again, other = (
        ask_some(study_with(make_sampler(name, seed, False, False)), 5) for seed in (1, 1, 2)
    )
    assert once == again
    assert once != other


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_resumed_sweep_asks_for_other_points(name):
    study = study_with(make_sampler(name, sampler_seed(0, "one", 0), False, False))
    before = ask_some(study, 4)
    resumed = make_sampler(name, sampler_seed(0, "one", len(study.trials)), False, False)
    study.sampler = resumed
    after = ask_some(study, 4)
    second = make_sampler(name, sampler_seed(0, "two", 0), False, False)
    elsewhere = ask_some(study_with(second), 4)
    rates = [params["rate"] for params in before + after + elsewhere]
    assert len(set(rates)) == len(rates)


def test_the_same_seed_would_ask_for_the_same_points():
    study = study_with(make_sampler("tpe", 0, False, False))
    before = ask_some(study, 4)
    study.sampler = make_sampler("tpe", 0, False, False)
    assert ask_some(study, 4) == before


def test_a_seed_is_the_same_in_every_process():
    assert sampler_seed(7, "host-12", 3) == 3715386207
    assert 0 <= sampler_seed(-1, "", 10**9) < 2**32


@pytest.mark.parametrize(
    "is_conditional, has_categorical, num_objectives, kind",
    [
        (False, False, 1, GPThenCMAES),
        (False, True, 1, TPESampler),
        (True, False, 1, TPESampler),
        (False, False, 2, TPESampler),
    ],
)
def test_auto_looks_at_the_parameters(is_conditional, has_categorical, num_objectives, kind):
    sampler = make_sampler("auto", 0, is_conditional, has_categorical, num_objectives)
    assert isinstance(sampler, kind)


def test_tpe_has_groups_where_parameters_are_conditional():
    assert make_sampler("tpe", 0, True, True)._group
    assert not make_sampler("tpe", 0, False, True)._group


def test_the_gaussian_process_expects_noise():
    assert not make_sampler("gp", 0, False, False)._deterministic


def test_auto_hands_over_when_trials_are_many():
    sampler = GPThenCMAES(0, num_gp_trials=14)
    study = study_with(sampler)
    ask_some(study, 14)
    assert isinstance(sampler._sampler, GPSampler)
    study.tell(study.ask(NUMERIC), state=TrialState.FAIL)
    ask_some(study, 6)
    assert isinstance(sampler._sampler, CmaEsSampler)
    sampler.reseed_rng()
    # It starts where the first sampler arrived, not from the middle of the space.
    best = sorted(trial.params["rate"] for trial in study.trials[:14])[-3]
    assert sum(trial.params["rate"] > best / 10 for trial in study.trials[15:]) >= 4


def test_auto_hands_over_with_the_limit_of_the_original():
    study = study_with(GPThenCMAES(0))
    for size in range(250):
        params = {"rate": 1e-5 * 1.02**size, "size": 1 + size % 10}
        study.add_trial(create_trial(value=size, params=params, distributions=NUMERIC))
    ask_some(study, 2)
    assert isinstance(study.sampler._sampler, CmaEsSampler)


class Seedless(BaseSampler):
    infer_relative_search_space = sample_relative = sample_independent = None


Seedless.__abstractmethods__ = frozenset()


def test_a_sampler_of_the_users_own():
    sampler = TPESampler()
    assert make_sampler(sampler, 0, False, False) is sampler
    for name in ("optuna.samplers:QMCSampler", "optuna.samplers.QMCSampler"):
        with pytest.warns(optuna.exceptions.ExperimentalWarning):
            loaded = make_sampler(name, 5, False, False)
        assert isinstance(loaded, QMCSampler)
        assert loaded._seed == 5
    assert isinstance(make_sampler(f"{__name__}:Seedless", 5, False, False), Seedless)


@pytest.mark.parametrize(
    "name, message",
    [
        ("tpee", "No sampler named 'tpee'. Did you mean 'tpe'?.*'module:Class'"),
        ("optuna.samplers:TPE", "cannot be imported.*no attribute 'TPE'"),
        ("nowhere:TPE", "cannot be imported.*No module named 'nowhere'"),
        ("optuna.pruners:NopPruner", "must be a class that extends optuna's BaseSampler"),
        (".TPE", "No sampler named '.TPE'"),
    ],
)
def test_an_unknown_name_is_refused(name, message):
    with pytest.raises(UnknownNameError, match=message):
        make_sampler(name, 0, False, False)
