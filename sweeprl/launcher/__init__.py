"""Training with PyTorch Lightning: one trial, and what trainings of many trials share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeprl.lazy import on_first_use

if TYPE_CHECKING:
    from sweeprl.launcher.callbacks import StopOnSignal
    from sweeprl.launcher.checkpoint import inherit, lightning_checkpoint, save_checkpoint
    from sweeprl.launcher.devices import choose_device
    from sweeprl.launcher.evaluation import evaluate
    from sweeprl.launcher.launching import (
        build_frame,
        build_learner,
        build_module,
        check_unchanged,
        launch,
        make_trainer,
    )
    from sweeprl.launcher.learning import LearningModule, crossed, loader
    from sweeprl.launcher.module import TrialModule
    from sweeprl.launcher.randomness import global_rng, seed_everything
    from sweeprl.launcher.record import Row, TrialFolder, TrialRecord, versions
    from sweeprl.launcher.score import share_of, step_weighted_return
    from sweeprl.launcher.surroundings import quiet, storage_guarded, threads
else:
    __getattr__, __dir__ = on_first_use(__name__)

__all__ = [
    "LearningModule",
    "Row",
    "StopOnSignal",
    "TrialFolder",
    "TrialModule",
    "TrialRecord",
    "build_frame",
    "build_learner",
    "build_module",
    "check_unchanged",
    "choose_device",
    "crossed",
    "evaluate",
    "global_rng",
    "inherit",
    "launch",
    "lightning_checkpoint",
    "loader",
    "make_trainer",
    "quiet",
    "save_checkpoint",
    "seed_everything",
    "share_of",
    "step_weighted_return",
    "storage_guarded",
    "threads",
    "versions",
]
