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
    from sweeprl.errors import ConfigError, SweepRLError, TrialFailed
    from sweeprl.executors import LanesExecutor, ProcessExecutor
    from sweeprl.launcher import TrialRecord, evaluate, launch
    from sweeprl.trials import MemoryReporter, Reporter, Trial, TrialOutcome

__all__ = [
    "ConfigError",
    "LanesExecutor",
    "MemoryReporter",
    "ProcessExecutor",
    "Reporter",
    "SweepRLError",
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
    "save_config",
]

_HOMES = {
    "ConfigError": "sweeprl.errors",
    "LanesExecutor": "sweeprl.executors",
    "MemoryReporter": "sweeprl.trials",
    "ProcessExecutor": "sweeprl.executors",
    "Reporter": "sweeprl.trials",
    "SweepRLError": "sweeprl.errors",
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
    "save_config": "sweeprl.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sweeprl' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
