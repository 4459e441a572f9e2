from __future__ import annotations

import optuna
import pytest
from optuna.pruners import HyperbandPruner, NopPruner
from optuna.trial import TrialState

from sweeprl.errors import ConfigError, UnknownNameError
from sweeprl.sweeps.pruners import PRUNERS, default_pruner, make_pruner

BUDGET, EVERY = 100_000, 5000
BY_STEPS = sorted(set(PRUNERS) - {"none", "wilcoxon"})


def study_with(pruner) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(study_name="fixed", direction="maximize", pruner=pruner)


def run(study, level, budget=BUDGET, every=EVERY, scores=None) -> int | None:
    """Runs a trial whose score rises to `level`; returns the step at which it was pruned."""
    trial = study.ask()
    for step in range(every, budget + 1, every):
        trial.report(level * step / budget if scores is None else scores(step), step)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return step
    study.tell(trial, level)
    return None


def level_of(level, budget):
    """Scores that rise to `level` in a fifth of the budget, and stay there."""
    return lambda step: level * min(1.0, 5 * step / budget)


def run_sweep(name, budget=BUDGET, every=EVERY, learning_starts=0) -> dict[str, list]:
    """Runs nine ordinary trials, then good and bad ones by turns."""
    study = study_with(make_pruner(name, budget, every, learning_starts, 30))
    pruned = {"good": [], "bad": []}
    for level in (50, 60, 40, 55, 45, 65, 35, 58, 52):
        run(study, level, budget, every, level_of(level, budget))
    for rank in range(12):
        for kind, level in (("bad", 5 + rank), ("good", 100 + rank)):
            pruned[kind].append(run(study, level, budget, every, level_of(level, budget)))
    return pruned


@pytest.mark.parametrize("name", BY_STEPS)
def test_bad_trials_are_stopped_after_the_warm_up_and_good_ones_are_not(name):
    pruned = run_sweep(name)
    assert pruned["good"] == [None] * 12
    assert all(step is not None for step in pruned["bad"])
    warm_up = BUDGET / 5 if name in ("asha", "hyperband") else BUDGET / 3
    assert min(pruned["bad"]) >= warm_up
    assert max(pruned["bad"]) < BUDGET


@pytest.mark.parametrize(
    "name, steps",
    [
        ("median", {35_000}),
        ("percentile", {35_000}),
        ("asha", {20_000}),
        ("hyperband", {20_000, 60_000}),
    ],
)
def test_they_are_stopped_at_these_steps(name, steps):
    assert set(run_sweep(name)["bad"]) == steps


def test_asha_keeps_its_rungs_at_a_fifth_and_at_three_fifths():
    study = study_with(make_pruner("asha", BUDGET, EVERY, 0, 30))
    for level in range(9, 0, -1):
        run(study, level)
    rungs = {key for trial in study.trials for key in trial.system_attrs}
    assert rungs == {"completed_rung_0", "completed_rung_1"}
    at = [trial.intermediate_values for trial in study.trials]
    first = [trial.system_attrs["completed_rung_0"] for trial in study.trials]
    assert first == [values[20_000] for values in at]


def test_asha_stops_lanes_of_the_first_wave():
    num_lanes = 16
    study = study_with(make_pruner("asha", BUDGET, EVERY, 0, 64))
    trials = {study.ask(): float(7 * lane % num_lanes) for lane in range(num_lanes)}
    alive = dict(trials)
    for step in range(EVERY, BUDGET + 1, EVERY):
        for trial, level in list(alive.items()):
            trial.report(level, step)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                del alive[trial]
        assert (len(alive) == num_lanes) == (step < 20_000)
    assert num_lanes - 1.0 in alive.values()
    assert len(alive) <= num_lanes / 3


def test_hyperband_has_two_brackets_and_tells_the_sampler_of_them():
    pruner = make_pruner("hyperband", BUDGET, EVERY, 0, 30)
    study = study_with(pruner)
    run(study, 1.0)
    assert isinstance(pruner, HyperbandPruner)
    assert pruner._n_brackets == 2


@pytest.mark.parametrize("name", BY_STEPS)
@pytest.mark.parametrize("learning_starts", [10_000, 15_000, 20_000])
def test_nothing_is_stopped_before_twice_the_start_of_learning(name, learning_starts):
    bad = run_sweep(name, learning_starts=learning_starts)["bad"]
    steps = [step for step in bad if step is not None]
    assert len(steps) >= 7
    assert min(steps) >= 2 * learning_starts


@pytest.mark.parametrize("name", BY_STEPS)
@pytest.mark.parametrize("learning_starts", [50_000, 80_000, 10**9])
def test_nothing_is_stopped_where_learning_begins_too_late(name, learning_starts):
    assert run_sweep(name, learning_starts=learning_starts)["bad"] == [None] * 12


@pytest.mark.parametrize("name", BY_STEPS)
@pytest.mark.parametrize("reports", [1, 2, 3, 4, 5, 6, 9, 10, 27, 30])
@pytest.mark.parametrize("starts", [0, 1, 2, 4])
@pytest.mark.parametrize("rest", [0, 7])
def test_nothing_is_stopped_at_the_last_report(name, reports, starts, rest):
    every = 1000
    budget = reports * every + rest
    bad = run_sweep(name, budget, every, learning_starts=starts * every)["bad"]
    assert not [step for step in bad if step == reports * every]


@pytest.mark.parametrize("name", ["median", "percentile", "patient"])
def test_the_first_trials_are_completed(name):
    study = study_with(make_pruner(name, BUDGET, EVERY, 0, 30))
    assert [run(study, level) for level in (50, 4, 3, 2, 1)] == [None] * 5
    assert run(study, 0.5, scores=level_of(0.5, BUDGET)) is not None


def test_percentile_stops_the_worst_quarter_only():
    studies = [study_with(make_pruner(n, BUDGET, EVERY, 0, 30)) for n in ("percentile", "median")]
    for study in studies:
        for level in range(10, 90, 10):
            study.add_trial(
                optuna.trial.create_trial(
                    value=level, intermediate_values={s: level for s in range(5000, 100_001, 5000)}
                )
            )
    percentile, median = ([run(study, 0, scores=lambda _: 35.0)] for study in studies)
    assert (percentile, median) == ([None], [35_000])


def test_patient_waits_while_there_is_progress():
    def slow(step):
        return step / 1e6

    def stalled(step):
        return min(step, 60_000) / 1e6

    outcomes = {}
    for scores in (slow, stalled):
        study = study_with(make_pruner("patient", BUDGET, EVERY, 0, 30))
        for level in (50, 60, 40, 55, 45, 65):
            run(study, level)
        outcomes[scores] = run(study, 0, scores=scores)
    assert outcomes[slow] is None
    assert outcomes[stalled] == 60_000 + 3 * EVERY


def test_patient_looks_at_the_direction():
    pruner = make_pruner("patient", BUDGET, EVERY, 0, 30)
    study = optuna.create_study(direction="minimize", pruner=pruner)
    for level in (50, 60, 40, 55, 45, 65):
        run(study, level, scores=lambda step, level=level: level)
    assert run(study, 0, scores=lambda step: 500 - step / 1000) is None
    assert run(study, 0, scores=lambda step: 500.0) == 35_000


def test_wilcoxon_compares_seed_by_seed():
    study = study_with(make_pruner("wilcoxon", BUDGET, EVERY, 0, 30))
    luck = [5.0, -3.0, 1.0, 8.0, -6.0, 2.0, 0.0, 4.0, -1.0, 7.0]
    pruned = []
    for level in (10.0, 9.0, 10.5):
        trial = study.ask()
        pruned.append(None)
        for seed, noise in enumerate(luck):
            trial.report(level + noise, seed)
            if trial.should_prune():
                pruned[-1] = seed
                break
        study.tell(trial, level)
    assert pruned == [None, 4, None]


@pytest.mark.parametrize("name", BY_STEPS)
def test_a_sweep_of_few_trials_is_not_pruned(name):
    assert isinstance(make_pruner(name, BUDGET, EVERY, 0, 5), NopPruner)


def test_none_prunes_nothing():
    assert run_sweep("none")["bad"] == [None] * 12


@pytest.mark.parametrize(
    "num_trials, is_lanes, name",
    [
        (8, False, "median"),
        (64, True, "median"),
        (256, False, "none"),
        (1000, True, "none"),
        (None, False, "median"),
        (None, True, "asha"),
    ],
)
def test_the_default_depends_on_the_budget(num_trials, is_lanes, name):
    assert default_pruner(num_trials, is_lanes) == name


def test_a_pruner_of_the_users_own():
    pruner = NopPruner()
    assert make_pruner(pruner, BUDGET, EVERY, 0, 30) is pruner
    for name in ("optuna.pruners:NopPruner", "optuna.pruners.NopPruner"):
        assert isinstance(make_pruner(name, BUDGET, EVERY, 0, 30), NopPruner)


@pytest.mark.parametrize(
    "name, message",
    [
        ("mediam", "No pruner named 'mediam'. Did you mean 'median'?.*'module:Class'"),
        ("optuna.pruners:Nop", "cannot be imported.*no attribute 'Nop'"),
        ("nowhere.Nop", "cannot be imported.*No module named 'nowhere'"),
        ("optuna.samplers:TPESampler", "must be a class that extends optuna's BasePruner"),
    ],
)
def test_an_unknown_name_is_refused(name, message):
    with pytest.raises(UnknownNameError, match=message):
        make_pruner(name, BUDGET, EVERY, 0, 30)


@pytest.mark.parametrize("budget, every", [(100, 0), (100, 101)])
def test_a_budget_without_a_report_is_refused(budget, every):
    with pytest.raises(
        ConfigError, match="must hold where trials are pruned, but got report_every_env_steps="
    ):
        make_pruner("median", budget, every, 0, 30)
