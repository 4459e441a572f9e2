"""Who sits in a lane: one seed of a trial, its folder and its record."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from pytorch_lightning.loggers import CSVLogger

from sweeprl.config import TrialConfig
from sweeprl.executors.ledger import Row
from sweeprl.launcher import (
    TrialFolder,
    TrialRecord,
    lightning_checkpoint,
    save_checkpoint,
    versions,
)
from sweeprl.trials import Tally

__all__ = ["Seat"]


@dataclass
class Seat:
    """One seed of a trial, from the lane's point of view."""

    config: TrialConfig
    """With the seed and the folder of this lane."""
    tally: Tally
    record: TrialRecord = field(init=False)
    reported_at: int = 0
    """Environment steps of its last row."""
    evaluated_at: int = 0
    """Environment steps of its last evaluation."""
    best: float | None = None
    """Mean return of its best evaluation."""
    saved_at: float = field(default_factory=time.monotonic)
    """When its last checkpoint was written."""
    epoch_returns: list[float] = field(default_factory=list)
    """Of the episodes of the running epoch."""
    best_epoch: float = float("-inf")
    """Best mean return of an epoch."""
    epochs_without_gain: int = 0
    """Epochs since then."""

    def __post_init__(self) -> None:
        self.folder = TrialFolder(Path(self.config.root_dir))
        self._started_at = time.monotonic()
        self._earlier = 0.0

    def open(self) -> None:
        """Makes the folder ready and says that the trial runs.

        Raises:
            ConfigError: another trial's results lie there.
        """
        trial = self.tally.trial
        goes_on = trial.resume and self.folder.record.exists()
        if goes_on:
            self._earlier = self.folder.load_record().seconds
        else:
            self.folder.claim(overwrite=False)
        self.folder.save_config(self.config)
        self.record = TrialRecord(
            status="running",
            score_kind=self.config.score,
            seed=self.config.seed,
            config_folder=trial.config_folder,
            versions=versions(),
            seconds=self._earlier,
        )
        self.folder.save_record(self.record)

    def has_lost_patience(self, returns: Sequence[float]) -> bool:
        """Takes in new training returns; whether no epoch was better for as long as is allowed."""
        patience = self.config.early_stopping_patience
        if patience is None:
            return False
        self.epoch_returns += returns
        if len(self.epoch_returns) < self.config.episode_per_epoch:
            return False
        mean, self.epoch_returns = fmean(self.epoch_returns), []
        is_better = mean > self.best_epoch
        self.best_epoch = max(mean, self.best_epoch)
        self.epochs_without_gain = 0 if is_better else self.epochs_without_gain + 1
        return self.epochs_without_gain >= patience

    def rows_until(self, env_steps: int) -> list[Row]:
        """Reads the rows of `metrics.csv` up to a checkpoint that lies at `env_steps`."""
        if not self.folder.metrics.exists():
            return []
        with self.folder.metrics.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= env_steps]
        return [
            (int(row["step"]), {k: float(v) for k, v in row.items() if k != "step" and v})
            for row in rows
        ]

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
        self.folder.metrics.unlink(missing_ok=True)
        logger = CSVLogger(str(self.folder.root), name="", version="")
        for env_steps, means in rows:
            logger.log_metrics(dict(means), step=env_steps)
        logger.save()

    def end(self, facts: Mapping[str, Any]) -> None:
        """Writes how it went, and tells."""
        seconds = self._earlier + time.monotonic() - self._started_at
        update = {**facts, "best_evaluation": self.best, "seconds": round(seconds, 3)}
        self.record = self.record.model_copy(update=update)
        self.folder.save_record(self.record)
        self.tally.finish(self.record)
