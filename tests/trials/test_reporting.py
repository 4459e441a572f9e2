import pytest

import sweeprl
from sweeprl.config import load_config
from sweeprl.trials import MemoryReporter, ReportOnGrid, Tally, Trial
from tests.executors.conftest import run_configs, small_config


def launched(config, reporter, **settings):
    tally = Tally(Trial(config, reporter), 1)
    return sweeprl.launch(config, [ReportOnGrid(tally)], view="none", **settings)


@pytest.mark.parametrize("frame", ["DQN", "PPO"])
def test_a_single_trial_reports_what_a_lane_reports(frame, tmp_path):
    settings = dict(env="gymnasium", num_envs=2, report_every_env_steps=70)
    (lane,) = run_configs([small_config(tmp_path / "lane", frame, **settings)])
    config = load_config(tmp_path / "lane" / "config.json")
    reporter = MemoryReporter()
    record = launched(config.model_copy(update=dict(root_dir=str(tmp_path / "one"))), reporter)
    assert reporter.scores == pytest.approx(lane.scores, rel=1e-4)
    assert list(reporter.scores)[-1] == 280
    assert record.score == pytest.approx(lane.outcome.score, rel=1e-4)


def test_a_trial_ends_when_its_reporter_says_so(tmp_path):
    reporter = MemoryReporter(prune=lambda scores: max(scores) >= 200)
    record = launched(small_config(tmp_path / "0"), reporter)
    assert (record.status, record.reason) == ("pruned", "its reporter stopped it")
    assert record.env_steps < 300
    assert record.test_returns == []


def test_a_resumed_trial_does_not_report_twice(tmp_path):
    first, second = MemoryReporter(), MemoryReporter()
    launched(small_config(tmp_path / "0"), first)
    launched(small_config(tmp_path / "0", max_env_steps=500), second, resume=True)
    assert list(first.scores)[-1] == 300
    assert list(second.scores) == [400, 500]
