from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

import sweeprl
from sweeprl import registry
from sweeprl.cli import main
from sweeprl.config import load_config
from sweeprl.envs._copies import episode_seed
from sweeprl.errors import ConfigError
from sweeprl.executors import LanesExecutor
from sweeprl.executors.cohort import CohortModule
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import (
    assert_same_end,
    curve,
    last,
    outcomes,
    record,
    run,
    run_configs,
    small_config,
)

CLI = [sys.executable, "-m", "sweeprl"]


def single(folder, root):
    """Trains what a lane trained, alone, as the lane's own config.json says."""
    config = load_config(folder / "config.json").model_copy(update=dict(root_dir=str(root)))
    return sweeprl.launch(config, view="none")


def command(*arguments):
    """Runs sweeprl in a process of its own; returns what it printed."""
    done = subprocess.run(
        [*CLI, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def cli(monkeypatch, capsys):
    """Runs sweeprl in this process; returns what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sweeprl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code or 0, printed.err) == (0, "")
        return printed.out

    return call


# ---- what a trial leaves


@pytest.mark.parametrize("frame", registry.frames.names())
def test_a_lane_leaves_what_a_single_trial_leaves(frame, tmp_path):
    configs = [small_config(tmp_path / str(seed), frame, "gymnasium", seed=seed) for seed in (0, 1)]
    reporters = run_configs(configs)
    assert outcomes(reporters) == ["finished", "finished"]
    single(tmp_path / "1", tmp_path / "single")
    assert_same_end(tmp_path / "1", tmp_path / "single", atol=1e-6)
    files = [
        {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "1", tmp_path / "single")
    ]
    assert files[0] == files[1]
    headers = [(tmp_path / name / "metrics.csv").read_text().partition("\n")[0] for name in "01"]
    assert headers[0] == (tmp_path / "single" / "metrics.csv").read_text().partition("\n")[0]
    mine, theirs = record(tmp_path / "1"), record(tmp_path / "single")
    assert mine.keys() == theirs.keys()
    assert reporters[1].outcome.score == pytest.approx(theirs["score"], rel=1e-4)
    assert list(reporters[0].scores)[-1] == 300


@pytest.mark.parametrize("env", ["gymnasium", "torch"])
def test_a_lane_explores_with_correlated_noise_as_a_single_trial_does(env, tmp_path):
    configs = []
    for seed in (0, 1):
        plain = small_config(tmp_path / str(seed), "DDPG", env, seed=seed, num_envs=2).to_dict()
        plain["train_env_config"]["act_kwargs"] = {"mode": "ou", "noise_param": {"dt": 1.0}}
        plain["max_env_steps"] = 500  # past the end of both environments' first episodes
        # What updates change would drift apart by float errors that training multiplies.
        plain["frame_config"] |= dict(actor_learning_rate=1e-9, critic_learning_rate=1e-9)
        configs.append(sweeprl.TrialConfig.of(plain))
    assert outcomes(run_configs(configs)) == ["finished", "finished"]
    single(tmp_path / "1", tmp_path / "single")
    mine, theirs = (last(tmp_path / name)["learner"] for name in ("1", "single"))
    assert mine["memory"].abs().min() > 1e-3
    torch.testing.assert_close(mine["memory"], theirs["memory"])
    for key, atol in (("rows", 1e-4), ("stored", 0)):
        torch.testing.assert_close(mine["replay"][key], theirs["replay"][key], atol=atol, rtol=1e-4)


def test_a_lane_keeps_to_its_schedule_as_a_single_trial_does(tmp_path):
    def config(name, seed, schedule):
        return small_config(tmp_path / name, "PPO", "gymnasium", seed=seed, schedule=schedule)

    change = [{"env_steps": 128, "settings": {"actor_learning_rate": 1e-2, "discount": 0.5}}]
    late = [{"env_steps": 10**6, "settings": {"discount": 0.5}}]
    run_configs([config("0", 0, change), config("1", 1, change), config("same", 1, late)])
    single(tmp_path / "1", tmp_path / "single")
    assert_same_end(tmp_path / "1", tmp_path / "single", atol=1e-6)
    with pytest.raises(AssertionError):
        assert_same_end(tmp_path / "1", tmp_path / "same", atol=1e-6)


@pytest.mark.parametrize("as_lanes", [True, False])
def test_a_trial_that_goes_on_keeps_to_its_schedule(as_lanes, tmp_path):
    change = [{"env_steps": 128, "settings": {"actor_learning_rate": 1e-2}}]

    def train(name, env_steps, resume=False):
        given = dict(schedule=change, max_env_steps=env_steps)
        config = small_config(tmp_path / name, "PPO", "gymnasium", **given)
        if not as_lanes:
            sweeprl.launch(config, view="none", resume=resume)
        else:
            LanesExecutor(1, say=lambda _: None).run(
                [Trial(config, MemoryReporter(), resume=resume)]
            )

    train("whole", 320)
    train("cut", 192)
    train("cut", 320, resume=True)
    mine, theirs = (last(tmp_path / name)["learner"]["weights"] for name in ("cut", "whole"))
    for role, named in theirs["networks"].items():
        for name, value in named.items():
            torch.testing.assert_close(mine["networks"][role][name], value)


def test_the_effective_config_says_how_often_a_lane_updates(tmp_path):
    run_configs([small_config(tmp_path / "0")])
    assert load_config(tmp_path / "0" / "config.json").frame_config.collect_steps == 64


@pytest.mark.parametrize("frame", ["DQN", "PPO", "TRPO", "ARS", "SAC", "MADDPG"])
def test_the_command_line_evaluates_and_resumes_a_lane(frame, cli, tmp_path):
    configs = [small_config(tmp_path / str(seed), frame, seed=seed) for seed in (0, 1)]
    run_configs(configs)
    shown = cli("evaluate", tmp_path / "0", "--episodes", 2, "--json")
    assert len(json.loads(shown)["returns"]) == 2
    best = record(tmp_path / "0")["best_evaluation"]
    go_on = command if frame == "DQN" else cli
    go_on("run", "--resume", tmp_path / "0", "--set", "max_env_steps=500", "--quiet")
    after = record(tmp_path / "0")
    assert (after["status"], after["env_steps"]) == ("finished", 500)
    assert after["best_evaluation"] >= best
    assert [row["step"] for row in curve(tmp_path / "0")][-1] == 500


def test_a_resumed_lane_keeps_its_best_weights_where_nothing_better_comes(tmp_path):
    run_configs([small_config(tmp_path / "0")])
    path = tmp_path / "0" / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    (keeper,) = [state for key, state in content["callbacks"].items() if "Checkpoint" in key]
    assert float(keeper["best_model_score"]) == record(tmp_path / "0")["best_evaluation"]
    for name in ("best_model_score", "kth_value"):
        keeper[name] = torch.tensor(1e9)
    keeper["best_k_models"] = {name: torch.tensor(1e9) for name in keeper["best_k_models"]}
    torch.save(content, path)
    best = (tmp_path / "0" / "checkpoints" / "best.ckpt").read_bytes()
    config = load_config(tmp_path / "0" / "config.json")
    sweeprl.launch(config.model_copy(update=dict(max_env_steps=500)), resume=True, view="none")
    assert (tmp_path / "0" / "checkpoints" / "best.ckpt").read_bytes() == best


# ---- lanes that come and go


class Watch(Callback):
    """Notes how many lanes there are, and who sits in them."""

    def __init__(self):
        self.widths, self.seen = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        assert isinstance(pl_module, CohortModule)
        self.widths.append(pl_module.learner.num_lanes)
        self.seen.append([seat and seat.config.seed for seat in pl_module.seats])


def stop_at(env_steps):
    return MemoryReporter(prune=lambda scores: max(scores) >= env_steps)


@pytest.mark.parametrize("frame", ["DQN", "PPO"])
def test_seven_trials_on_three_lanes_end_as_each_would_alone(frame, tmp_path):
    """Trials end at different times, so that successors begin while others are half-way."""
    settings = dict(frame_config=dict(normalize_observation=True, normalize_reward=True))
    if frame == "DQN":
        settings["frame_config"] |= dict(replay_size=250)
    configs = [small_config(tmp_path / str(n), frame, seed=n, **settings) for n in range(7)]
    reporters = [stop_at(100 * (n + 1)) if n in (0, 1) else MemoryReporter() for n in range(7)]
    watch = Watch()
    run_configs(configs, 3, reporters, pl_callbacks=[watch])
    assert outcomes(reporters) == ["pruned"] * 2 + ["finished"] * 5
    assert watch.widths[0] == 3
    assert watch.widths[-1] == 1
    assert [3, 1, 2] in watch.seen
    for n in (1, 3, 6):
        alone = small_config(tmp_path / f"alone-{n}", frame, seed=n, **settings)
        reporter = stop_at(100 * (n + 1)) if n < 2 else MemoryReporter()
        run_configs([alone], 1, [reporter])
        assert reporter.scores == pytest.approx(reporters[n].scores, rel=1e-4)
        assert_same_end(tmp_path / str(n), tmp_path / f"alone-{n}", atol=1e-5)


def test_the_next_trial_is_asked_for_when_a_lane_is_free(tmp_path):
    asked = []

    def trials():
        for n in range(5):
            asked.append([record(tmp_path / str(k))["status"] for k in range(n) if k < n - 2])
            yield Trial(small_config(tmp_path / str(n), seed=n, max_env_steps=100), stop_at(10**9))

    run(trials(), num_lanes=2)
    assert asked[3] == ["finished"]
    assert asked[4][:2] == ["finished", "finished"]


def test_a_reporter_prunes_at_a_grid_point(tmp_path):
    configs = [small_config(tmp_path / str(n), seed=n, max_env_steps=400) for n in range(3)]
    reporters = [MemoryReporter(), stop_at(200), MemoryReporter()]
    run_configs(configs, 3, reporters)
    assert outcomes(reporters) == ["finished", "pruned", "finished"]
    assert reporters[1].outcome.reason == "its reporter stopped it"
    assert list(reporters[1].scores) == [100, 200]
    assert record(tmp_path / "1")["env_steps"] == 256
    assert record(tmp_path / "1")["test_returns"] == []


def test_a_lane_that_diverges_fails_and_the_others_do_not_notice(tmp_path):
    def configs(folder, rates):
        return [
            small_config(
                tmp_path / folder / str(n), "DQN", seed=n, frame_config=dict(learning_rate=rate)
            )
            for n, rate in enumerate(rates)
        ]

    reporters = run_configs(configs("a", [1e-3, 1e38, 1e-3, 1e38]), 4)
    run_configs(configs("b", [1e-3, 1e-3, 1e-3, 1e-3]), 4)
    assert outcomes(reporters) == ["finished", "failed", "finished", "failed"]
    assert "must be finite" in reporters[1].outcome.reason
    assert "Lower the learning rate" in record(tmp_path / "a" / "1")["reason"]
    for n in "02":
        assert_same_end(tmp_path / "a" / n, tmp_path / "b" / n, atol=1e-6)
    weights = last(tmp_path / "a" / "1")["learner"]["weights"]["networks"]["qnet"]
    assert all(value.isfinite().all() for value in weights.values())


class Fragile(gym.Wrapper):
    """Raises at the 100th step of whoever begins with the observation that seed 1 begins with."""

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        if not hasattr(self, "count"):
            self.count, self.first = 0, float(observation[0])
        return observation, info

    def step(self, action):
        self.count += 1
        if self.count == 100 and self.first in Fragile.doomed:
            raise RuntimeError("the simulator is gone")
        return self.env.step(action)

    doomed: set[float] = set()


def first_observation(seed, stage):
    """What tells the environment of a trial with `seed` whose it is."""
    env = gym.make("CartPole-v1")
    return float(env.reset(seed=episode_seed(seed, stage, 0, 0))[0][0])


def test_a_lane_whose_environment_raises_fails_and_the_others_do_not_notice(tmp_path):
    def configs(folder):
        built = []
        for n in range(4):
            config = small_config(tmp_path / folder / str(n), env="gymnasium", seed=n).to_dict()
            config["train_env_config"]["wrappers"] = [f"{__name__}.Fragile"]
            built.append(sweeprl.TrialConfig.of(config))
        return built

    Fragile.doomed = {first_observation(1, stage=0)}
    reporters = run_configs(configs("a"), 3)
    Fragile.doomed = set()
    run_configs(configs("b"), 3)
    assert outcomes(reporters) == ["finished", "failed", "finished", "finished"]
    assert reporters[1].outcome.reason == (
        "The environment's step raised RuntimeError: the simulator is gone"
    )
    for n in "023":
        assert_same_end(tmp_path / "a" / n, tmp_path / "b" / n, atol=1e-6)


class FragileInTest(gym.Wrapper):
    """Raises at once for the agent of seed 1."""

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        if float(observation[0]) in Fragile.doomed:
            raise RuntimeError("no test today")
        return observation, info


def test_a_lane_whose_test_environment_raises_fails_alone(tmp_path):
    configs = []
    for n in range(2):
        config = small_config(tmp_path / str(n), env="gymnasium", seed=n).to_dict()
        config["test_env_config"]["wrappers"] = [f"{__name__}.FragileInTest"]
        configs.append(sweeprl.TrialConfig.of(config))
    Fragile.doomed = {first_observation(1, stage=1)}
    reporters = run_configs(configs)
    Fragile.doomed = set()
    assert outcomes(reporters) == ["finished", "failed"]
    assert "no test today" in reporters[1].outcome.reason


def test_two_structures_are_two_cohorts(tmp_path):
    configs = [
        small_config(
            tmp_path / str(n), seed=n, max_env_steps=150,
            frame_config=dict(mode="vanilla" if n % 2 else "double"),
        )
        for n in range(6)
    ]  # fmt: skip
    reporters = [MemoryReporter() for _ in configs]
    trials = [Trial(c, r) for c, r in zip(configs, reporters, strict=True)]
    lines = run(trials, num_lanes=2)
    assert outcomes(reporters) == ["finished"] * 6
    assert len(lines) >= 2
    assert lines[0] == "2 lanes of DQN on cpu."


def test_lanes_may_differ_in_masked_settings(tmp_path):
    masked = [
        dict(batch_size=8, updates_per_step=0.125, warmup_steps=20),
        dict(batch_size=16, updates_per_step=0.25, warmup_steps=100),
        dict(batch_size=32, updates_per_step=0.5, warmup_steps=60),
    ]
    configs = [small_config(tmp_path / str(n), frame_config=m) for n, m in enumerate(masked)]
    watch = Watch()
    run_configs(configs, 3, pl_callbacks=[watch])
    assert watch.widths[0] == 3
    for n, settings in enumerate(masked):
        run_configs([small_config(tmp_path / f"alone-{n}", frame_config=settings)], 1)
        one, other = last(tmp_path / str(n))["learner"], last(tmp_path / f"alone-{n}")["learner"]
        assert one["counts"] == other["counts"]
        for name, value in other["weights"]["networks"]["qnet"].items():
            found = one["weights"]["networks"]["qnet"][name].numpy()
            np.testing.assert_allclose(found, value.numpy(), atol=1e-5)


# ---- patience, scores, seeds


@pytest.mark.parametrize("num_lanes", [1, 3])
def test_patience_ends_a_lane_where_it_ends_a_single_trial(num_lanes, tmp_path):
    settings = dict(early_stopping_patience=2, episode_per_epoch=2, max_env_steps=600)
    configs = [small_config(tmp_path / str(n), seed=n, **settings) for n in range(num_lanes)]
    reporters = run_configs(configs, num_lanes)
    reasons = [reporter.outcome.reason for reporter in reporters]
    assert any("early_stopping_patience" in reason for reason in reasons)
    for n in range(num_lanes):
        expected = single(tmp_path / str(n), tmp_path / f"single-{n}")
        found = record(tmp_path / str(n))
        assert (found["reason"], found["env_steps"]) == (expected.reason, expected.env_steps)
        assert curve(tmp_path / str(n))[-1]["step"] == curve(tmp_path / f"single-{n}")[-1]["step"]
        mine, theirs = (last(tmp_path / f)["callbacks"] for f in (str(n), f"single-{n}"))
        key = next(key for key in theirs if key.startswith("EarlyStopping"))
        assert mine[key]["wait_count"] == theirs[key]["wait_count"]
        assert float(mine[key]["best_score"]) == pytest.approx(float(theirs[key]["best_score"]))


@pytest.mark.parametrize("kind", ["final", "auc", "eval"])
def test_scores_are_those_of_a_single_trial(kind, tmp_path):
    config = small_config(tmp_path / "0", env="gymnasium", score=kind)
    (reporter,) = run_configs([config])
    expected = single(tmp_path / "0", tmp_path / "single")
    assert reporter.outcome.score == pytest.approx(expected.score)
    assert record(tmp_path / "0")["score_kind"] == kind


def test_seeds_are_lanes_and_their_mean_is_reported(tmp_path):
    reporter = MemoryReporter()
    run([Trial(small_config(tmp_path / "many"), reporter, seeds=[3, 4])])
    assert reporter.outcome.status == "finished"
    assert [r.seed for r in reporter.outcome.records] == [3, 4]
    singles = run_configs([small_config(tmp_path / str(seed), seed=seed) for seed in (3, 4)])
    for env_steps, mean in reporter.scores.items():
        assert mean == pytest.approx(np.mean([one.scores[env_steps] for one in singles]))
    scores = [record(tmp_path / "many" / f"seed-{seed}")["score"] for seed in (3, 4)]
    assert reporter.outcome.score == pytest.approx(np.mean(scores))


def test_seeds_of_a_trial_that_is_over_are_not_trained(tmp_path):
    reporter = stop_at(0)
    config = small_config(tmp_path / "0", frame_config=dict(learning_rate=1e38))
    run([Trial(config, reporter, seeds=[0, 1, 2])], num_lanes=2)
    assert reporter.outcome.status == "failed"
    passed_over = record(tmp_path / "0" / "seed-2")
    assert (passed_over["status"], passed_over["env_steps"]) == ("pruned", 0)
    assert passed_over["reason"] == "seed 0 failed"
    assert not (tmp_path / "0" / "seed-2" / "checkpoints").exists()


# ---- what ends a run


class Broken(Callback):
    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.lane_steps > 300:
            raise ValueError("not my day")


class BrokenReporter(MemoryReporter):
    def report(self, env_steps, score):
        raise ValueError("not my day")

    def finish(self, outcome):
        super().finish(outcome)
        raise RuntimeError("nor this")


@pytest.mark.parametrize("where", ["callback", "reporter"])
def test_what_a_callback_or_reporter_raises_stops_all_trials(where, tmp_path):
    configs = [small_config(tmp_path / str(n), seed=n) for n in range(4)]
    reporters = [MemoryReporter(), BrokenReporter(), MemoryReporter(), MemoryReporter()]
    if where == "callback":
        reporters[1] = MemoryReporter()
    callbacks = [Broken()] if where == "callback" else []
    with pytest.raises(ValueError, match="not my day"):
        run_configs(configs, 3, reporters, pl_callbacks=callbacks)
    for n in range(3):
        assert record(tmp_path / str(n))["status"] == "stopped"
        assert record(tmp_path / str(n))["reason"] == "ValueError: not my day"
        assert reporters[n].outcome.status == "stopped"
    assert not (tmp_path / "3").exists()


def test_a_folder_that_is_taken_ends_the_run_before_it_begins(tmp_path):
    run_configs([small_config(tmp_path / "1")])
    before = record(tmp_path / "1")
    configs = [small_config(tmp_path / str(n)) for n in range(3)]
    with pytest.raises(ConfigError, match="must not hold another trial's results"):
        run_configs(configs)
    assert record(tmp_path / "0")["status"] == "stopped"
    assert record(tmp_path / "1") == before
    assert not (tmp_path / "2").exists()


class Enough(Callback):
    def on_train_batch_end(self, trainer, pl_module, *_):
        trainer.should_stop = pl_module.lane_steps > 300


def test_trials_that_a_callback_breaks_off_are_finished(tmp_path):
    reporters = run_configs([small_config(tmp_path / n) for n in "01"], pl_callbacks=[Enough()])
    assert outcomes(reporters) == ["finished", "finished"]
    assert reporters[0].outcome.reason == "a callback stopped it"
    assert len(reporters[0].outcome.records[0].test_returns) == 3


class StopAt(Callback):
    """Sends this process a signal once the lanes have made `lane_steps`."""

    def __init__(self, lane_steps):
        self.lane_steps = lane_steps

    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.lane_steps >= self.lane_steps:
            self.lane_steps = 10**9
            os.kill(os.getpid(), signal.SIGTERM)


CASES = {
    "DQN-torch": {},
    "DQN-gymnasium": dict(
        early_stopping_patience=50,
        episode_per_epoch=3,
        frame_config=dict(normalize_observation=True, lr_scheduler="StepLR",
                          lr_scheduler_kwargs=dict(step_size=2, gamma=0.7)),
    ),
    "PPO-torch": dict(num_envs=2, frame_config=dict(normalize_reward=True, rollout_steps=32)),
    "SAC-gymnasium": {},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_stopped_trials_go_on_to_the_end_of_uninterrupted_ones(case, tmp_path):
    frame, env = case.split("-")
    settings = {"max_env_steps": 400, **CASES[case]}

    def configs(folder, num=3):
        return [
            small_config(tmp_path / folder / str(n), frame, env, seed=n, **settings)
            for n in range(num)
        ]

    run_configs(configs("whole"), 2)
    reporters = [MemoryReporter() for _ in range(3)]
    executor = LanesExecutor(2, num_threads=1, pl_callbacks=[StopAt(200)], say=lambda line: None)
    executor.run(Trial(c, r) for c, r in zip(configs("parts"), reporters, strict=True))
    assert executor.was_stopped
    assert [r.outcome and r.outcome.status for r in reporters] == ["stopped", "stopped", None]
    assert reporters[0].outcome.reason == f"signal {int(signal.SIGTERM)}"
    assert (tmp_path / "parts" / "0" / "checkpoints" / "last.ckpt").exists()
    assert not (tmp_path / "parts" / "2").exists()
    later = [MemoryReporter() for _ in range(3)]
    run((Trial(c, r, resume=True) for c, r in zip(configs("parts"), later, strict=True)), 3)
    assert outcomes(later) == ["finished"] * 3
    for n in "012":
        assert_same_end(tmp_path / "parts" / n, tmp_path / "whole" / n, atol=1e-6)


def test_a_trial_of_which_some_seeds_waited_hears_that_it_was_stopped(tmp_path):
    reporter = MemoryReporter()
    trial = Trial(small_config(tmp_path / "0"), reporter, seeds=[0, 1, 2])
    run([trial], num_lanes=2, pl_callbacks=[StopAt(200)])
    assert reporter.outcome.status == "stopped"
    assert len(reporter.outcome.records) == 3
    assert not (tmp_path / "0" / "seed-2").exists()
    later = MemoryReporter()
    run([Trial(small_config(tmp_path / "0"), later, seeds=[0, 1, 2], resume=True)], num_lanes=2)
    assert later.outcome.status == "finished"


def test_a_finished_trial_that_is_resumed_is_tested_anew_and_nothing_else(tmp_path):
    run_configs([small_config(tmp_path / "0")])
    before, rows = record(tmp_path / "0"), curve(tmp_path / "0")
    reporter = MemoryReporter()
    others = [Trial(small_config(tmp_path / str(n), seed=n), MemoryReporter()) for n in (1, 2)]
    run([Trial(small_config(tmp_path / "0"), reporter, resume=True), *others], num_lanes=2)
    assert curve(tmp_path / "0") == rows
    assert {k: v for k, v in record(tmp_path / "0").items() if k != "seconds"} == {
        k: v for k, v in before.items() if k != "seconds"
    }


def test_other_settings_cannot_change_when_going_on(tmp_path):
    run_configs([small_config(tmp_path / "0")])
    other = small_config(tmp_path / "0", frame_config=dict(discount=0.5))
    with pytest.raises(ConfigError, match="keeps its settings"):
        run([Trial(other, MemoryReporter(), resume=True)])


SCRIPT = """
import sys
from pathlib import Path
from sweeprl.executors import LanesExecutor
from tests.executors.test_lanes import endless_trials

executor = LanesExecutor(2, num_threads=1)
executor.run(endless_trials(Path(sys.argv[1])))
print("stopped" if executor.was_stopped else "done")
"""


def endless_trials(root, num=3, **settings):
    """Trials that no test has the patience for."""
    for n in range(num):
        fast = dict(max_env_steps=10**6, checkpoint_every_seconds=0.05, seed=n)
        evaluation = dict(episodes=1, every_env_steps=500, final_episodes=1)
        config = small_config(root / str(n), evaluation=evaluation, **fast)
        yield Trial(config.model_copy(update=settings), MemoryReporter(), resume=bool(settings))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_real_signal_loses_nothing(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "parts")],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    path = tmp_path / "parts" / "1" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    if number == signal.SIGTERM:
        assert (process.returncode, out) == (0, "stopped\n")
        assert record(tmp_path / "parts" / "0")["status"] == "stopped"
    else:
        assert record(tmp_path / "parts" / "0")["status"] == "running"
    assert not (tmp_path / "parts" / "2").exists()
    goal = max(last(tmp_path / "parts" / n)["learner"]["counts"][0] for n in "01") + 64
    for folder in ("parts", "whole"):
        run(endless_trials(tmp_path / folder, 2, max_env_steps=goal))
    for n in "01":
        assert_same_end(tmp_path / "parts" / n, tmp_path / "whole" / n, atol=1e-6)


# ---- what cannot be a lane


class Only(gym.Wrapper):
    """Only one of it may live."""

    alive = 0

    def __init__(self, env):
        super().__init__(env)
        if Only.alive:
            raise RuntimeError("there is one already")
        Only.alive += 1

    def close(self):
        Only.alive -= 1
        super().close()


def test_what_cannot_be_a_lane_goes_to_processes_and_says_why(tmp_path):
    config = small_config(tmp_path / "0", env="gymnasium", max_env_steps=150).to_dict()
    config["evaluation"] |= dict(every_env_steps=None)
    config["train_env_config"]["wrappers"] = [f"{__name__}.Only"]
    reporter = MemoryReporter()
    (line,) = run([Trial(sweeprl.TrialConfig.of(config), reporter, seeds=[1, 2])])
    assert line.startswith("Trained in processes, not as lanes: two copies of the environment")
    assert "there is one already" in line
    assert reporter.outcome.status == "finished"
    assert Only.alive == 0
    saved = load_config(tmp_path / "0" / "seed-1" / "config.json")
    assert saved.frame_config.collect_steps is None


def test_the_number_of_lanes_must_be_positive():
    with pytest.raises(ConfigError, match="num_lanes must be at least 1, but got 0"):
        LanesExecutor(num_lanes=0)


def test_a_wrong_config_is_raised_once_the_running_trials_have_ended(tmp_path):
    taken = small_config(tmp_path / "taken")
    sweeprl.launch(taken, view="none")
    before = (Path(taken.root_dir) / "record.json").read_text()
    reporters = [sweeprl.MemoryReporter() for _ in range(4)]
    configs = [small_config(tmp_path / f"{n}", seed=n, max_env_steps=200 + n) for n in range(4)]
    configs[2] = taken.model_copy(update=dict(max_env_steps=200))
    configs = [c.model_copy(update=dict(max_env_steps=200)) for c in configs]
    trials = [sweeprl.Trial(c, r) for c, r in zip(configs, reporters, strict=True)]
    with pytest.raises(ConfigError, match="must not hold another trial's results"):
        sweeprl.LanesExecutor(num_lanes=2, say=lambda _: None).run(iter(trials))
    statuses = [r.outcome.status if r.outcome else None for r in reporters]
    assert statuses[:3] == ["finished", "finished", "failed"]
    assert (Path(taken.root_dir) / "record.json").read_text() == before


def test_no_more_trials_of_another_structure_are_asked_for_than_may_wait(tmp_path):
    asked = []

    def trials():
        for number in range(40):
            asked.append(number)
            settings = dict(model_kwargs=[dict(hidden=[2 + number])] * 2)
            config = small_config(tmp_path / f"{number}", frame_config=settings, max_env_steps=60)
            yield sweeprl.Trial(config, Once(asked))

    class Once(sweeprl.MemoryReporter):
        def __init__(self, asked):
            super().__init__()
            self.asked = asked

        def finish(self, outcome):
            assert len(self.asked) <= 18
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweeprl.LanesExecutor(say=lambda _: None).run(trials())


def test_the_device_may_be_another_than_the_configs_say(tmp_path):
    config = small_config(tmp_path / "cpu", max_env_steps=60).model_copy(update=dict(gpus="auto"))
    lines = []
    reporter = MemoryReporter()
    LanesExecutor(gpus=None, say=lines.append).run([Trial(config, reporter)])
    assert lines == ["1 lane of DQN on cpu."]
    with pytest.raises(ConfigError, match="GPU 7 must be visible"):
        LanesExecutor(gpus=[7]).run([Trial(small_config(tmp_path / "gpu"), MemoryReporter())])
