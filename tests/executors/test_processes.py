from __future__ import annotations

import os
import signal

import gymnasium as gym
import pytest
from torch import nn

import sweeprl
from sweeprl.errors import ConfigError
from sweeprl.executors import ProcessExecutor
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import assert_same_end, outcomes, record, small_config


class Dies(gym.Wrapper):
    """Is killed at its 150th step."""

    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 150:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.env.step(action)


class TwoInputs(nn.Module):
    """No network for DQN."""

    def forward(self, state, other):
        return state


def run(configs, reporters=None, num_workers=2, executor=None, **settings):
    reporters = reporters or [MemoryReporter() for _ in configs]
    trials = (Trial(c, r, **settings) for c, r in zip(configs, reporters, strict=True))
    (executor or ProcessExecutor(num_workers)).run(trials)
    return reporters


def test_a_killed_process_fails_alone_and_the_others_finish_or_are_pruned(tmp_path):
    plain = small_config(tmp_path / "0", env="gymnasium").to_dict()
    plain["train_env_config"]["wrappers"] = [f"{__name__}.Dies"]
    configs = [sweeprl.TrialConfig.of(plain)]
    configs += [small_config(tmp_path / str(n), seed=n) for n in (1, 2)]
    reporters = [MemoryReporter() for _ in configs]
    reporters[2] = MemoryReporter(prune=lambda scores: max(scores) >= 200)
    run(configs, reporters)
    assert outcomes(reporters) == ["failed", "finished", "pruned"]
    assert reporters[0].outcome.reason == "its process ended with exit code -9"
    assert record(tmp_path / "0")["reason"] == "its process ended with exit code -9"
    assert list(reporters[1].scores)[-1] == 300
    assert max(reporters[2].scores) == 200
    sweeprl.launch({**configs[1].to_dict(), "root_dir": str(tmp_path / "alone")}, view="none")
    assert_same_end(tmp_path / "1", tmp_path / "alone")


def test_what_is_refused_in_a_process_is_raised_here_and_ends_the_others(tmp_path):
    wrong = small_config(tmp_path / "0", frame_config=dict(models=[TwoInputs] * 2,
                                                           model_kwargs=[{}] * 2))  # fmt: skip
    endless = small_config(tmp_path / "1", max_env_steps=10**7)
    with pytest.raises(ConfigError, match="TwoInputs must play the role 'qnet'"):
        run([wrong, endless])
    if (tmp_path / "1").exists():  # its process may not have begun yet
        assert record(tmp_path / "1")["status"] == "failed"
        assert "TwoInputs" in record(tmp_path / "1")["reason"]


class Signalling(MemoryReporter):
    """Sends this process a signal after its first report."""

    def report(self, env_steps, score):
        super().report(env_steps, score)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_stops_all_processes_and_resume_goes_on(tmp_path):
    def config(folder):
        return small_config(tmp_path / folder, max_env_steps=1500)

    reporter, never = Signalling(), MemoryReporter()
    executor = ProcessExecutor(1)
    run([config("parts"), config("never")], [reporter, never], executor=executor)
    assert executor.was_stopped
    assert reporter.outcome.status == "stopped"
    assert reporter.outcome.reason == f"signal {int(signal.SIGTERM)}"
    assert never.outcome is None
    assert not (tmp_path / "never").exists()
    (later,) = run([config("parts")], resume=True)
    assert later.outcome.status == "finished"
    assert min(later.scores) > max(reporter.scores)
    sweeprl.launch(config("whole"), view="none")
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


class Broken(MemoryReporter):
    def report(self, env_steps, score):
        raise ValueError("not my day")


def test_what_a_reporter_raises_ends_the_run(tmp_path):
    config = small_config(tmp_path / "0", max_env_steps=10**7)
    with pytest.raises(ValueError, match="not my day"):
        run([config], [Broken()])
    assert record(tmp_path / "0")["status"] == "failed"
    assert record(tmp_path / "0")["reason"] == "ValueError: not my day"


def test_the_number_of_workers_must_be_positive():
    with pytest.raises(ConfigError, match="num_workers must be at least 1, but got 0"):
        ProcessExecutor(0)
