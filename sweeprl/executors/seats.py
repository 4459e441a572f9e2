"""Who sits in a lane: one seed of a trial, its folder and its record."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from sweeprl.config import TrialConfig, check_applied
from sweeprl.launcher import (
    Row,
    TrialFolder,
    TrialRecord,
    check_unchanged,
    lightning_checkpoint,
    save_checkpoint,
)
from sweeprl.launcher.callbacks import best_checkpoint, early_stopping
from sweeprl.lightning import Callback, CSVLogger, EarlyStopping
from sweeprl.trials import Tally

__all__ = ["Seat"]


@dataclass
class Seat:
    """One seed of a trial, from the lane's point of view."""

    config: TrialConfig
    """With the seed and the folder of this lane."""
    tally: Tally
    record: TrialRecord | None = None
    """How it goes; None before it begins."""
    reported_at: int = 0
    """Environment steps of its last row."""
    evaluated_at: int = 0
    """Environment steps of its last evaluation."""
    best: float | None = None
    """Mean return of its best evaluation."""
    saved_at: float = 0.0
    """When its last checkpoint was written."""
    epoch_returns: list[float] = field(default_factory=list)
    """Of the episodes of the running epoch."""
    best_epoch: float = float("-inf")
    """Best mean return of an epoch."""
    epochs_without_gain: int = 0
    """Epochs since then."""
    num_changes: int = 0
    """Of its schedule, that have been made."""
    is_told: bool = False
    """Whether its trial has heard how it went."""

    def __post_init__(self) -> None:
        self.folder = TrialFolder(Path(self.config.root_dir))
        self._started_at = self._earlier = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether there is a checkpoint to go on from, and that is wanted."""
        return self.tally.trial.resume and self.folder.last.exists()

    def open(self) -> None:
        """Makes the folder ready and says that the trial runs.

        Raises:
            ConfigError: another trial's results lie there, or the trial to go on with had other
                settings.
        """
        trial = self.tally.trial
        if self.goes_on:
            check_unchanged(self.config, self.folder)
            self._earlier = self.folder.load_record().seconds
        else:
            self.folder.claim(overwrite=trial.resume)
        check_applied(self.config, trial.params)
        self.tally.has_begun = True
        self._started_at = self.saved_at = time.monotonic()
        self.folder.save_config(self.config)
        self.record = TrialRecord.begun(self.config, trial.config_folder, self._earlier)
        self.folder.save_record(self.record)

    def pass_over(self) -> None:
        """Ends it before it begins, because its trial is over."""
        self.open()
        self.end({"status": "pruned", "reason": self.tally.reason})

    def refuse(self, reason: str, status: Literal["failed", "stopped"] = "failed") -> None:
        """Tells that it will not begin; its folder, maybe another trial's, stays as it is."""
        self.is_told = True
        self.tally.finish(TrialRecord.unbegun(self.config, status, reason))

    def has_lost_patience(self, returns: Sequence[float], has_learned: bool) -> bool:
        """Takes in new training returns; whether no epoch was better for as long as is allowed.

        Args:
            returns: of the episodes that ended.
            has_learned: whether the agent has made an update; its warm-up tries no patience.
        """
        patience = self.config.early_stopping_patience
        self.epoch_returns += returns
        if len(self.epoch_returns) < self.config.episode_per_epoch:
            return False
        mean, self.epoch_returns = fmean(self.epoch_returns), []
        if patience is None or not has_learned:
            return False
        is_better = mean > self.best_epoch
        self.best_epoch = max(mean, self.best_epoch)
        self.epochs_without_gain = 0 if is_better else self.epochs_without_gain + 1
        return self.epochs_without_gain >= patience

    def callback_states(self) -> dict[str, Any]:
        """What Lightning's callbacks would remember of the trial, had it been trained alone."""
        callbacks: list[Callback] = list(early_stopping(self.config))
        for stopper in callbacks:
            assert isinstance(stopper, EarlyStopping)
            stopper.best_score = torch.tensor(self.best_epoch)
            stopper.wait_count = self.epochs_without_gain
        if self.best is not None:
            keeper, score, path = best_checkpoint(self.folder), torch.tensor(self.best), self._best
            keeper.best_model_score = keeper.kth_value = score
            keeper.best_model_path = keeper.kth_best_model_path = path
            keeper.best_k_models = {path: score}
            callbacks.append(keeper)
        return {callback.state_key: callback.state_dict() for callback in callbacks}

    def load_callback_states(self, states: Mapping[str, Any]) -> None:
        """Takes over how far the trial's patience was tried."""
        for stopper in early_stopping(self.config):
            if state := states.get(stopper.state_key):
                self.best_epoch = float(state["best_score"])
                self.epochs_without_gain = state["wait_count"]

    @property
    def _best(self) -> str:
        """The best checkpoint, as Lightning's ModelCheckpoint calls it."""
        return os.path.realpath(self.folder.best)

    def save_best(self, weights: Mapping[str, Any]) -> None:
        """Writes the weights of the best evaluation."""
        save_checkpoint(lightning_checkpoint({"weights": weights}, is_full=False), self.folder.best)

    def save_last(self, content: Mapping[str, Any]) -> None:
        """Writes all that going on needs."""
        save_checkpoint(lightning_checkpoint(content, is_full=True), self.folder.last)
        self.saved_at = time.monotonic()

    def save_curves(self, rows: Sequence[Row]) -> None:
        """Writes `metrics.csv`."""
        if "csv" not in self.config.logger or not rows:
            return
        with TemporaryDirectory(prefix="curves-", dir=self.folder.root) as beside:
            logger = CSVLogger(beside, name="", version="")
            for env_steps, means in rows:
                logger.log_metrics(dict(means), step=env_steps)
            logger.save()
            os.replace(Path(beside) / self.folder.metrics.name, self.folder.metrics)

    def end(self, facts: Mapping[str, Any]) -> None:
        """Writes how it went, and tells."""
        self.note(facts)
        self.tell()

    def note(self, facts: Mapping[str, Any]) -> None:
        """Writes how it went."""
        seconds = self._earlier + time.monotonic() - self._started_at
        update = {**facts, "best_evaluation": self.best, "seconds": round(seconds, 3)}
        assert self.record is not None
        self.record = self.record.model_copy(update=update)
        self.folder.save_record(self.record)

    def tell(self) -> None:
        """Tells its trial how it went."""
        assert self.record is not None
        self.is_told = True
        self.tally.finish(self.record)
