from __future__ import annotations

import pytest

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.executors import InProcessExecutor
from sweeprl.launcher import TrialFolder
from sweeprl.trials import MemoryReporter, Trial, run_trial
from tests.executors.conftest import small_config


@pytest.fixture
def base(tmp_path) -> TrialConfig:
    return small_config(tmp_path / "trial")


def test_a_trial_is_trained_with_what_was_proposed(base, tmp_path):
    reporter = MemoryReporter()
    outcome = run_trial(base, {"learning_rate": 2e-4, "model_kwargs.*.hidden": [8]}, reporter)
    assert outcome.status == "finished"
    assert reporter.outcome is outcome
    assert outcome.score == outcome.records[0].score is not None
    config = TrialFolder(tmp_path / "trial").load_config()
    assert config.frame_config.learning_rate == 2e-4
    assert [kwargs["hidden"] for kwargs in config.frame_config.model_kwargs] == [[8], [8]]
    every = base.report_every_env_steps
    assert set(reporter.scores) <= set(range(every, base.max_env_steps + 1, every))
    assert max(reporter.scores) == base.max_env_steps // every * every


def test_a_misspelt_parameter_is_refused_before_anything_is_trained(base, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'learning_rate'"):
        run_trial(base, {"lerning_rate": 1.0})
    assert not (tmp_path / "trial").exists()


def test_a_reporter_prunes(base):
    outcome = run_trial(base, {}, MemoryReporter(lambda scores: True))
    assert outcome.status == "pruned"
    assert outcome.env_steps < base.max_env_steps


def test_seeds_have_folders_of_their_own(base, tmp_path):
    outcome = run_trial(base, {}, seeds=[4, 9])
    assert [record.seed for record in outcome.records] == [4, 9]
    assert (tmp_path / "trial" / "seed-4" / "record.json").exists()
    assert outcome.summary()["scores"].keys() == {"4", "9"}


def test_a_trial_that_diverges_has_failed(base):
    outcome = run_trial(base, {"learning_rate": 1e30, "gradient_max": float("inf")})
    assert outcome.status == "failed"
    assert outcome.score is None
    assert "NaN" in outcome.reason or "nan" in outcome.reason or "inf" in outcome.reason


def test_a_config_that_is_not_what_was_proposed_is_refused(base):
    trial = Trial(base, MemoryReporter(), params={"learning_rate": 0.5})
    with pytest.raises(
        ConfigError, match=r"learning_rate must be trained as it was proposed, \[0.5"
    ):
        InProcessExecutor().run([trial])


def test_the_executor_in_this_process_trains_one_after_the_other(base, tmp_path):
    reporters = [MemoryReporter(), MemoryReporter()]
    InProcessExecutor().run(
        Trial(base.model_copy(update={"root_dir": str(tmp_path / str(n))}), reporter)
        for n, reporter in enumerate(reporters)
    )
    assert [reporter.outcome.status for reporter in reporters] == ["finished", "finished"]
    assert reporters[0].scores == reporters[1].scores
