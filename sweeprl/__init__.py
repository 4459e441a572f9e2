"""Hyperparameter sweeps for reinforcement learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeprl.lazy import on_first_use
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
else:
    __getattr__, __dir__ = on_first_use(__name__)

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
