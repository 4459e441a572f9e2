"""Lanes in several processes at once: who gets what, and what is left of those that end."""

from __future__ import annotations

import os
import re
import signal

import psutil
import pytest

import sweeprl
from sweeprl.errors import ConfigError
from sweeprl.executors import LanesExecutor, ProcessExecutor
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import assert_same_end, last, outcomes, record, small_config

ENDLESS = dict(max_env_steps=10**7, checkpoint_every_seconds=1e-3)


@pytest.fixture(scope="module")
def shared():
    with ProcessExecutor(2, num_lanes=3, say=lambda line: shared_lines.append(line)) as executor:
        yield executor


shared_lines: list[str] = []


@pytest.fixture
def pool(shared):
    shared_lines.clear()
    return shared


def run(executor, configs, reporters=None, **settings):
    reporters = reporters or [MemoryReporter() for _ in configs]
    executor.run(Trial(c, r, **settings) for c, r in zip(configs, reporters, strict=True))
    return reporters


def configs(root, num, frame="DQN", **settings):
    return [small_config(root / str(n), frame, seed=n, **settings) for n in range(num)]


def test_both_processes_train_lanes_that_end_as_in_one(pool, tmp_path):
    reporters = run(pool, configs(tmp_path / "two", 10))
    assert outcomes(reporters) == ["finished"] * 10
    assert len([line for line in shared_lines if "lanes of DQN on cpu" in line]) == 2
    alone = [MemoryReporter() for _ in range(10)]
    trials = zip(configs(tmp_path / "one", 10), alone, strict=True)
    LanesExecutor(10, num_threads=1, say=print).run(Trial(c, r) for c, r in trials)
    for number, (mine, theirs) in enumerate(zip(reporters, alone, strict=True)):
        assert list(mine.scores) == [100, 200, 300]
        assert mine.scores == pytest.approx(theirs.scores)
        assert_same_end(tmp_path / "two" / f"{number}", tmp_path / "one" / f"{number}", atol=1e-6)


def test_different_cohorts_and_seeds_of_a_trial_are_shared_out(pool, tmp_path):
    reporters = [MemoryReporter() for _ in range(2)]
    pool.run(
        Trial(small_config(tmp_path / frame, frame), reporter, seeds=[3, 4, 5])
        for frame, reporter in zip(("DQN", "PPO"), reporters, strict=True)
    )
    assert outcomes(reporters) == ["finished", "finished"]
    for frame, reporter in zip(("DQN", "PPO"), reporters, strict=True):
        assert sorted(one.seed for one in reporter.outcome.records) == [3, 4, 5]
        assert list(reporter.scores) == [100, 200, 300]
        assert record(tmp_path / frame / "seed-4")["score"] is not None


def test_a_reporter_prunes_and_the_lane_is_given_away(pool, tmp_path):
    reporters = [MemoryReporter(prune=lambda scores: len(scores) == 2) for _ in range(8)]
    reporters += [MemoryReporter() for _ in range(4)]
    run(pool, configs(tmp_path, 12), reporters)
    assert outcomes(reporters) == ["pruned"] * 8 + ["finished"] * 4
    assert all(list(reporter.scores) == [100, 200] for reporter in reporters[:8])


def test_an_idle_process_gets_what_comes_later(pool, tmp_path):
    """Such as a population's next generation, which begins when the last one has ended."""
    reporters = [MemoryReporter() for _ in range(6)]
    given: list[int] = []

    class Generations:
        def __iter__(self):
            return self

        def __next__(self):
            ended = sum(reporter.outcome is not None for reporter in reporters)
            if len(given) == 6 or len(given) >= 2 * (1 + ended // 2):
                raise StopIteration
            given.append(len(given))
            steps = (100, 900)[given[-1] % 2]
            config = small_config(tmp_path / f"{given[-1]}", seed=given[-1], max_env_steps=steps)
            return Trial(config, reporters[given[-1]])

    pool.run(Generations())
    assert outcomes(reporters) == ["finished"] * 6
    assert len([line for line in shared_lines if " of DQN on cpu" in line]) > 2  # began anew


class KillsWorker(MemoryReporter):
    """Kills one of the processes at its first report."""

    def report(self, env_steps, score):
        super().report(env_steps, score)
        if len(self.scores) == 1:
            children = psutil.Process().children(recursive=True)
            workers = [one for one in children if one.num_threads() > 1 and has_open(one)]
            assert workers
            workers[0].kill()


def has_open(process) -> bool:
    """Whether it trains something: it holds the lock of a trial's folder."""
    return any(re.search(r"/\.lock$", file.path) for file in process.open_files())


def test_a_killed_process_takes_its_own_trials_only_and_they_go_on(pool, tmp_path):
    settings = dict(max_env_steps=1500, checkpoint_every_seconds=0.05)
    reporters = [KillsWorker(), *(MemoryReporter() for _ in range(5))]
    run(pool, configs(tmp_path, 6, **settings), reporters)
    found = outcomes(reporters)
    assert sorted(set(found)) == ["finished", "stopped"]
    stopped = [number for number, status in enumerate(found) if status == "stopped"]
    assert len(stopped) == 3
    for number in stopped:
        assert reporters[number].outcome.reason == "its process was killed by signal 9"
        assert record(tmp_path / f"{number}")["status"] == "stopped"
    assert sum(line.startswith("Stopped: the trial in ") for line in shared_lines) == 3
    again = run(pool, configs(tmp_path, 6, **settings), resume=True)
    assert outcomes(again) == ["finished"] * 6
    run(pool, configs(tmp_path / "whole", 6, **settings))
    for number in range(6):
        assert_same_end(tmp_path / f"{number}", tmp_path / "whole" / f"{number}", atol=1e-5)


class Signals(MemoryReporter):
    def report(self, env_steps, score):
        super().report(env_steps, score)
        if env_steps == 300:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_stops_all_lanes_with_checkpoints(pool, tmp_path):
    reporters = [Signals(), *(MemoryReporter() for _ in range(7))]
    run(pool, configs(tmp_path, 8, **ENDLESS), reporters)
    assert pool.received == signal.SIGTERM
    begun = [reporter for reporter in reporters if reporter.outcome is not None]
    assert outcomes(begun) == ["stopped"] * 6
    for number in range(6):
        assert record(tmp_path / f"{number}")["reason"] == f"signal {int(signal.SIGTERM)}"
        assert last(tmp_path / f"{number}")["learner"]["counts"][0] >= 100
    assert outcomes(run(pool, configs(tmp_path / "after", 2))) == ["finished"] * 2


class Breaks(MemoryReporter):
    def report(self, env_steps, score):
        raise KeyError("a bug of the reporter's")


def test_what_a_reporter_raises_stops_the_lanes_of_all_processes(pool, tmp_path):
    reporters = [*(MemoryReporter() for _ in range(5)), Breaks()]
    with pytest.raises(KeyError, match="a bug of the reporter's"):
        run(pool, configs(tmp_path, 6, **ENDLESS), reporters)
    assert outcomes(reporters[:5]) == ["stopped"] * 5
    assert all(last(tmp_path / f"{n}")["learner"]["counts"][0] > 0 for n in range(6))


def test_a_neighbours_error_leaves_what_others_have_written(pool, tmp_path):
    """Also where a trial of another cohort, which waits, is about to be refused its folder."""
    taken = small_config(tmp_path / "taken", "PPO")
    sweeprl.launch(taken, view="none")
    before = (tmp_path / "taken" / "record.json").read_bytes()
    endless = configs(tmp_path, 4, **ENDLESS)
    reporters = [Breaks(), *(MemoryReporter() for _ in range(4))]
    with pytest.raises(KeyError):
        run(pool, [*endless, taken], reporters)
    assert (tmp_path / "taken" / "record.json").read_bytes() == before
    found = {n: record(tmp_path / f"{n}")["reason"] for n in range(4)}
    assert "a bug of the reporter's" in found.pop(0)
    assert set(found.values()) == {"another trial's error ended the run"}


NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, state_dim, action_num):
        super().__init__(nn.Linear(state_dim, {width}), nn.ReLU(), nn.Linear({width}, action_num))

    def forward(self, state):
        return super().forward(state)
"""


def test_modules_of_one_name_in_two_folders_are_not_mixed_up(pool, tmp_path):
    trials = []
    for name, width in (("a", 8), ("b", 24), ("c", 40)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nets.py").write_text(NET.format(width=width))
        plain = small_config(tmp_path / f"trial-{name}").to_dict()
        plain["frame_config"] |= dict(models=["nets.Net"] * 2, model_kwargs=[{}] * 2)
        config = sweeprl.TrialConfig.of(plain)
        trials.append(Trial(config, MemoryReporter(), config_folder=str(tmp_path / name)))
    pool.run(trials)
    assert outcomes([trial.reporter for trial in trials]) == ["finished"] * 3
    for name, width in (("a", 8), ("b", 24), ("c", 40)):
        (first, *_) = last(tmp_path / f"trial-{name}")["learner"]["weights"]["networks"].values()
        assert {value.shape[1] for value in first.values()} >= {width}


def test_two_trials_in_one_folder_at_once_are_refused(tmp_path):
    config = small_config(tmp_path / "0", **ENDLESS)
    with (
        ProcessExecutor(1, num_lanes=3, say=print) as executor,
        pytest.raises(ConfigError, match="must have folders of their own, but two have"),
    ):
        run(executor, [config, config.model_copy(update={"seed": 7})], resume=True)


def test_a_folder_that_is_taken_ends_the_run_and_loses_nothing(pool, tmp_path):
    taken = small_config(tmp_path / "4", seed=4)
    sweeprl.launch(taken, view="none")
    before = record(tmp_path / "4")
    reporters = [MemoryReporter() for _ in range(6)]
    with pytest.raises(ConfigError, match="must not hold another trial's results"):
        run(pool, configs(tmp_path, 6), reporters)
    assert all(reporter.outcome is not None for reporter in reporters[:5])
    assert reporters[4].outcome.status != "finished"
    assert record(tmp_path / "4") == before


def test_what_cannot_be_a_lane_is_trained_by_the_same_processes(pool, tmp_path):
    plain = [config.to_dict() for config in configs(tmp_path, 2, env="gymnasium")]
    for config in plain:
        config["train_env_config"]["wrappers"] = ["tests.executors.test_lanes.Only"]
        config["evaluation"] |= dict(every_env_steps=None)
    reporters = run(pool, [sweeprl.TrialConfig.of(config) for config in plain])
    assert outcomes(reporters) == ["finished"] * 2
    assert all(line.startswith("Trained one by one, not as lanes: ") for line in shared_lines)
    assert len(shared_lines) in (1, 2)


def test_lanes_have_no_limits_of_their_own():
    with pytest.raises(ConfigError, match="got seconds_per_trial=5 and num_lanes=2"):
        ProcessExecutor(2, seconds_per_trial=5.0, num_lanes=2)
    with pytest.raises(ConfigError, match="num_lanes must be at least 1, but got 0"):
        ProcessExecutor(2, num_lanes=0)
