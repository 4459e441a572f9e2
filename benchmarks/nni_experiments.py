"""Experiments that `nni_speed.py` and `nni_faults.py` run: a bare script, or sweeprl's trials."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import sweeprl
from sweeprl.nni import write_experiment
from sweeprl.search_spaces import Float, OneMinus, SearchSpace

SPACE = SearchSpace(
    parameters={
        "learning_rate": Float(1e-5, 1e-2, log=True),
        "discount": OneMinus(1e-3, 0.1),
        "epsilon_end": Float(0.0, 0.2),
    }
)


def base_config(steps: int, report_every: int) -> sweeprl.TrialConfig:
    """DQN with stable-baselines3's own defaults, which `nni_trial.py` has."""
    plain = sweeprl.generate_env_config(
        "gymnasium",
        sweeprl.generate_algorithm_config("DQN"),
        env_name="CartPole-v1",
        render_every_episode=0,
    )
    plain["frame_config"] |= {
        "batch_size": 32,
        "collect_steps": 4,
        "exploration_steps": max(1, steps // 10),
        "gradient_max": 10.0,
        "mode": "fixed_target",
        "replay_size": 10**6,
        "update_rate": None,
        "update_steps": 2500,
        "updates_per_step": 0.25,
        "warmup_steps": 100,
    }
    settings = {
        "max_env_steps": steps,
        "report_every_env_steps": report_every,
        "evaluation": {"episodes": 1, "every_env_steps": steps, "final_episodes": 1},
        "logger": ["csv"],
    }
    return sweeprl.TrialConfig.of(sweeprl.generate_training_config(config=plain, **settings))


def write(
    folder: Path,
    kind: str,
    *,
    steps: int,
    report_every: int,
    trials: int,
    concurrency: int,
    tuner: str = "TPE",
    assessor: str | None = None,
) -> None:
    """Writes an experiment whose trials are of a kind: bare, cold or warm."""
    files = write_experiment(
        base_config(steps, report_every),
        folder,
        SPACE,
        tuner=tuner,
        assessor=assessor,
        trials=trials,
        concurrency=concurrency,
        warm=kind == "warm",
    )
    content: dict[str, Any] = yaml.safe_load(files.config.read_text())
    if kind == "bare":
        script = Path(__file__).with_name("nni_trial.py")
        content["trialCommand"] = shlex.join(
            [sys.executable, str(script)]
            + ["--steps", str(steps), "--report-every", str(report_every)]
        )
    files.config.write_text(yaml.safe_dump(content, sort_keys=False))


def versions() -> dict[str, str]:
    """Of what a figure depends on."""
    names = ("nni", "torch", "stable-baselines3", "gymnasium", "sweeprl")
    return {name: version(name) for name in names}
