"""Hyperparameter sweeps for reinforcement learning.

Names are imported when they are first used, so that `sweeprl --help` costs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sweeprl.version import __version__ as __version__

if TYPE_CHECKING:
    from sweeprl.config import (
        TrialConfig,
        generate_algorithm_config,
        generate_env_config,
        generate_training_config,
        load_config,
        merge,
        save_config,
    )
    from sweeprl.errors import ConfigError, SweepFailed, SweepRLError, TrialFailed
    from sweeprl.executors import InProcessExecutor, LanesExecutor, ProcessExecutor
    from sweeprl.launcher import TrialRecord, evaluate, launch
    from sweeprl.search_spaces import SearchSpace
    from sweeprl.sweeps import Sweep, SweepResult
    from sweeprl.trials import MemoryReporter, Reporter, Trial, TrialOutcome, run_trial
    from sweeprl.trials.optuna import OptunaObjective

__all__ = [
    "ConfigError",
    "InProcessExecutor",
    "LanesExecutor",
    "MemoryReporter",
    "OptunaObjective",
    "ProcessExecutor",
    "Reporter",
    "SearchSpace",
    "Sweep",
    "SweepFailed",
    "SweepRLError",
    "SweepResult",
    "Trial",
    "TrialConfig",
    "TrialFailed",
    "TrialOutcome",
    "TrialRecord",
    "evaluate",
    "generate_algorithm_config",
    "generate_env_config",
    "generate_training_config",
    "launch",
    "load_config",
    "merge",
    "run_trial",
    "save_config",
]

_HOMES = {
    "ConfigError": "sweeprl.errors",
    "InProcessExecutor": "sweeprl.executors",
    "LanesExecutor": "sweeprl.executors",
    "MemoryReporter": "sweeprl.trials",
    "OptunaObjective": "sweeprl.trials.optuna",
    "ProcessExecutor": "sweeprl.executors",
    "Reporter": "sweeprl.trials",
    "SearchSpace": "sweeprl.search_spaces",
    "Sweep": "sweeprl.sweeps",
    "SweepFailed": "sweeprl.errors",
    "SweepRLError": "sweeprl.errors",
    "SweepResult": "sweeprl.sweeps",
    "Trial": "sweeprl.trials",
    "TrialConfig": "sweeprl.config",
    "TrialFailed": "sweeprl.errors",
    "TrialOutcome": "sweeprl.trials",
    "TrialRecord": "sweeprl.launcher",
    "evaluate": "sweeprl.launcher",
    "generate_algorithm_config": "sweeprl.config",
    "generate_env_config": "sweeprl.config",
    "generate_training_config": "sweeprl.config",
    "launch": "sweeprl.launcher",
    "load_config": "sweeprl.config",
    "merge": "sweeprl.config",
    "run_trial": "sweeprl.trials",
    "save_config": "sweeprl.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sweeprl' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
