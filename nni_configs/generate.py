"""Writes the experiments in this folder; tests/nni/test_nni_configs.py keeps them true.

python nni_configs/generate.py
"""

from __future__ import annotations

from pathlib import Path

from sweeprl import (
    SearchSpace,
    TrialConfig,
    generate_algorithm_config,
    generate_env_config,
    generate_training_config,
)
from sweeprl.nni import write_experiment
from sweeprl.nni.writing.platforms import Machine, Remote

PROBLEMS = {
    "dqn": ("DQN", "CartPole-v1", 50_000),
    "ppo": ("PPO", "CartPole-v1", 100_000),
    "sac": ("SAC", "Pendulum-v1", 20_000),
}
"""Frame, environment and environment steps of each trial."""

MACHINE = Remote([Machine("USER", "HOST")], python_dir="/home/USER/venv/bin")
"""To be filled in: another machine, reached over SSH."""

HERE = {"python": "python"}
"""Whichever the experiment is created with."""

SEARCHES = {
    "tpe": {"tuner": "TPE", **HERE},
    "tpe-medianstop": {"tuner": "TPE", "assessor": "Medianstop", **HERE},
    "tpe-remote": {"tuner": "TPE", "remote": MACHINE},
    "evolution": {"tuner": "Evolution", **HERE},
    "pbt": {"tuner": "PBT", **HERE},
    "optuna": {"tuner": "Optuna", "assessor": "Optuna", **HERE},
}


def config_of(frame: str, env_name: str, max_env_steps: int) -> TrialConfig:
    """What is tuned."""
    config = generate_env_config("gymnasium", generate_algorithm_config(frame), env_name=env_name)
    return TrialConfig.of(
        {
            **generate_training_config(config=config),
            "max_env_steps": max_env_steps,
            "report_every_env_steps": max_env_steps // 20,
        }
    )


def write_all(folder: Path) -> None:
    """Writes every experiment into a folder of its own."""
    for problem, details in PROBLEMS.items():
        config = config_of(*details)
        for search, settings in SEARCHES.items():
            space = SearchSpace.of_config(config)
            if search == "pbt":  # agents are handed on, whose networks must fit
                space = space.for_lanes(config)
            path = folder / f"{problem}-{search}"
            write_experiment(config, path, space, **settings, overwrite=True)


if __name__ == "__main__":
    write_all(Path(__file__).parent)
