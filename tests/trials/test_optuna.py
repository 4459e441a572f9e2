from __future__ import annotations

import os
import signal

import optuna
import pytest
from optuna.trial import TrialState
from pytorch_lightning.callbacks import Callback

from sweeprl.errors import ConfigError, SweepFailed
from sweeprl.search_spaces import Float, SearchSpace
from sweeprl.trials.optuna import Failures, OptunaObjective, OptunaReporter
from tests.executors.conftest import small_config

SPACE = SearchSpace(parameters={"learning_rate": Float(1e-4, 1e-2, log=True)})


@pytest.fixture
def base(tmp_path):
    return small_config(tmp_path / "study")


def test_the_objective_plugs_into_a_study(base, tmp_path):
    study = optuna.create_study(direction="maximize")
    study.optimize(OptunaObjective(base, SPACE), n_trials=3)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    for trial in study.trials:
        outcome = trial.user_attrs["outcome"]
        assert trial.value == outcome["score"]
        assert trial.user_attrs["params"] == trial.params
        assert max(trial.intermediate_values) <= base.max_env_steps
        assert (tmp_path / "study" / f"{trial.number:04}" / "record.json").exists()


def test_it_serves_ask_and_tell(base):
    study = optuna.create_study(direction="maximize")
    objective = OptunaObjective(base, SPACE, seeds=[3, 4])
    trial = study.ask()
    study.tell(trial, objective(trial))
    assert study.trials[0].state is TrialState.COMPLETE
    assert study.trials[0].user_attrs["outcome"]["scores"].keys() == {"3", "4"}


class Always(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return True


def test_any_pruner_prunes_late(base):
    study = optuna.create_study(direction="maximize", pruner=Always())
    study.optimize(OptunaObjective(base, SPACE, warm_up=200), n_trials=1)
    trial = study.trials[0]
    assert trial.state is TrialState.PRUNED
    assert 200 <= trial.last_step < base.max_env_steps


def test_nothing_is_pruned_at_the_end(base):
    study = optuna.create_study(direction="maximize", pruner=Always())
    study.optimize(OptunaObjective(base, SPACE, warm_up=base.max_env_steps), n_trials=1)
    assert study.trials[0].state is TrialState.COMPLETE


def test_the_reporter_asks_between_warm_up_and_end_only():
    study = optuna.create_study(direction="maximize", pruner=Always())
    reporter = OptunaReporter(study.ask(), budget=400, warm_up=200)
    stops = []
    for step in (100, 200, 300, 400):
        reporter.report(step, 1.0)
        stops.append(reporter.should_stop())
    assert stops == [False, True, True, False]


def test_what_was_reported_before_an_interruption_is_not_reported_again():
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    trial.report(1.0, 100)
    reporter = OptunaReporter(trial, budget=400, reports={100: 1.0})
    reporter.report(100, 2.0)
    reporter.report(200, 3.0)
    assert study.get_trials()[0].intermediate_values == {100: 1.0, 200: 3.0}


def test_a_diverged_trial_has_failed_and_the_study_goes_on(base):
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial({"learning_rate": 1e30})
    space = SearchSpace(parameters={"learning_rate": Float(1e-4, 1e31, log=True)})
    study.optimize(OptunaObjective(base, space), n_trials=1)
    trial = study.trials[0]
    assert trial.state is TrialState.FAIL
    assert trial.user_attrs["outcome"]["status"] == "failed"


def test_a_fault_of_the_code_stops_the_study_with_its_traceback(base, monkeypatch):
    def broken(*args, **kwargs):
        raise AttributeError("no such thing")

    monkeypatch.setattr("sweeprl.frames.dqn.DQN.q_loss", broken)
    study = optuna.create_study(direction="maximize")
    with pytest.raises(AttributeError, match="no such thing"):
        study.optimize(OptunaObjective(base, SPACE), n_trials=3)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]


class Signal(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_leaves_no_trial_running(base, monkeypatch):
    import sweeprl.trials.running as module

    run = module.run_trial
    monkeypatch.setattr(
        module, "run_trial", lambda *a, **k: run(*a, **{**k, "pl_callbacks": [Signal()]})
    )
    study = optuna.create_study(direction="maximize")
    with pytest.raises(KeyboardInterrupt):
        study.optimize(OptunaObjective(base, SPACE), n_trials=3)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert study.trials[0].user_attrs["outcome"]["status"] == "stopped"


def test_a_space_that_does_not_fit_is_refused_at_once(base):
    space = SearchSpace(parameters={"learning_rat": Float(1e-4, 1e-2)})
    with pytest.raises(ConfigError, match="learning_rat"):
        OptunaObjective(base, space)


def test_a_study_that_minimises_is_refused(base):
    study = optuna.create_study()
    with pytest.raises(ConfigError, match=r"directions=\['minimize'\]"):
        study.optimize(OptunaObjective(base, SPACE), n_trials=1)


def test_failures_of_one_kind_in_a_row_are_too_many():
    failures = Failures(3)
    failures.take("failed", "NaN at step 10")
    failures.take("failed", "NaN at step 2000")
    with pytest.raises(SweepFailed, match="3 did: NaN at step 7"):
        failures.take("failed", "NaN at step 7")


@pytest.mark.parametrize("between", [("finished", ""), ("failed", "another")])
def test_what_comes_between_starts_the_count_again(between):
    failures = Failures(2)
    failures.take("failed", "NaN")
    failures.take(*between)
    failures.take("failed", "NaN")
