"""The LightningModule for every frame: it feeds experience to the learner and keeps the curves."""

from __future__ import annotations

import math
import warnings
from collections import deque
from typing import Any

import torch
from torch.utils.data import DataLoader

from sweeprl.config import TrialConfig
from sweeprl.engine import Learner
from sweeprl.envs import DatasetResult, Episode, EvaluationDataset, RLDataset
from sweeprl.launcher.learning import LearningModule, crossed, loader
from sweeprl.launcher.randomness import global_rng, set_global_rng

__all__ = ["TrialModule"]


class TrialModule(LearningModule):
    """Trains one trial, whatever its frame.

    Args:
        config: the trial.
        learner: the agents.
        train_data: what they experience in training.
        evaluation_data: episodes that judge them meanwhile.
        test_data: episodes that judge them at the end.
    """

    def __init__(
        self,
        config: TrialConfig,
        learner: Learner,
        train_data: RLDataset,
        evaluation_data: EvaluationDataset,
        test_data: EvaluationDataset,
    ) -> None:
        super().__init__(learner)
        self.config = config
        self.train_data = train_data
        self.evaluation_data, self.test_data = evaluation_data, test_data
        self.episodes: list[Episode] = []
        self.latest_returns: deque[float] = deque(maxlen=_SMOOTHING)
        self.best_evaluation: float | None = None
        self.is_over = False  # decided once a batch, so that all hooks between two batches agree
        self.is_pruned = False
        self.went_on_exactly = True
        self._is_heir = False  # goes on with the agent of a trial that had another seed
        self._num_changes = 0  # of the schedule, that have been made
        self._epoch_returns: list[float] = []
        self._pending: dict[str, list[float]] = {}
        self._evaluated_at = 0
        self._reported_at = 0
        self._judgements: list[float] = []

    # ---- data

    def train_dataloader(self) -> DataLoader[DatasetResult]:
        """Experience, a chunk at a time."""
        return loader(self.train_data)

    def val_dataloader(self) -> DataLoader[DatasetResult]:
        """Evaluation episodes."""
        return loader(self.evaluation_data)

    def test_dataloader(self) -> DataLoader[DatasetResult]:
        """Final test episodes."""
        return loader(self.test_data)

    # ---- training

    def on_train_start(self) -> None:
        """Says where a resumed trial does not go on exactly."""
        self.is_over = self.train_data.is_exhausted or self.stop_requested
        if not (self.went_on_exactly or self._is_heir):
            warnings.warn(
                "This environment could not be put back to where it was interrupted: new episodes "
                "begin instead.",
                stacklevel=1,
            )

    def prune(self) -> None:
        """Ends the trial after this chunk, without a final test."""
        self.is_pruned = self.stop_requested = self.is_over = True

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Ends the epoch when its episodes are played or the budget is spent."""
        if self.is_over:
            self.trainer.should_stop = True
        self._keep_to_schedule()
        return -1 if self.is_over or self._is_epoch_full() else None

    def _keep_to_schedule(self) -> None:
        if self._must_change():
            env_steps = self.train_data.env_steps
            changed = self.config.at(env_steps).frame_config
            self.learner.adjust(0, self.learner.frame.with_config(changed))
            self._num_changes = self.config.num_changes(env_steps)

    def _must_change(self) -> bool:
        return self.config.num_changes(self.train_data.env_steps) != self._num_changes

    def remember(self, result: DatasetResult, logs: dict[str, torch.Tensor]) -> None:
        """Adds to the curves, and shows the epoch's mean return to callbacks where it is full."""
        self._remember(result, logs)
        if self._is_epoch_full():
            self._show_to_callbacks("train/return")
            if self.learner.updates.any():  # a warm-up cannot try the patience of EarlyStopping
                self._show_to_callbacks("train/return_of_learner")

    def _show_to_callbacks(self, name: str) -> None:
        mean = sum(self._epoch_returns) / len(self._epoch_returns)
        self.log(name, mean, on_step=True, on_epoch=False, logger=False, batch_size=1)

    def is_due(self) -> bool:
        """Whether the trial or an epoch is over, or a report, an evaluation or a change is due."""
        is_over = self.train_data.is_exhausted or self.stop_requested or self._is_epoch_full()
        return is_over or self._must_report() or self._must_evaluate() or self._must_change()

    def _must_report(self) -> bool:
        every, env_steps = self.config.report_every_env_steps, self.train_data.env_steps
        return self.train_data.is_exhausted or crossed(self._reported_at, env_steps, every)

    def _must_evaluate(self) -> bool:
        every, env_steps = self.config.evaluation.every_env_steps, self.train_data.env_steps
        return self.train_data.is_exhausted or (
            every is not None and crossed(self._evaluated_at, env_steps, every)
        )

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Writes the curves and lets Lightning evaluate where that is due."""
        self.is_over = self.train_data.is_exhausted or self.stop_requested
        if self._must_report():
            self._report()
        # Lightning validates after every batch for which this is above zero.
        self.trainer.limit_val_batches = len(self.evaluation_data) if self._must_evaluate() else 0

    def on_train_epoch_end(self) -> None:
        """Starts the next epoch's count, unless this one was cut short."""
        if self._is_epoch_full():
            self._epoch_returns = []

    def _is_epoch_full(self) -> bool:
        return len(self._epoch_returns) >= self.config.episode_per_epoch

    def _remember(self, result: DatasetResult, logs: dict[str, torch.Tensor]) -> None:
        returns = [episode.total for episode in result.episodes]
        self.episodes += result.episodes
        self._epoch_returns += returns
        self.latest_returns.extend(returns)
        self._collect("train/return", returns)
        self._collect("train/length", [float(episode.length) for episode in result.episodes])
        for name, value in result.logs.items():
            self._collect(f"env/{name}", [value])
        for name, values in logs.items():
            self._collect(f"learn/{name}", [float(values[0])])

    def _collect(self, name: str, values: list[float]) -> None:
        if values:
            self._pending.setdefault(name, []).extend(values)

    def _report(self) -> None:
        """Writes the means since the last report."""
        self._reported_at = self.train_data.env_steps
        means = {name: sum(values) / len(values) for name, values in self._pending.items()}
        self._pending = {}
        self._log_curves({**means, "train/episodes": float(len(self.episodes))})

    def _log_curves(self, metrics: dict[str, float]) -> None:
        for logger in self.trainer.loggers:
            logger.log_metrics(metrics, step=self.train_data.env_steps)

    # ---- evaluation and test

    def on_validation_start(self) -> None:
        """Forgets the last evaluation."""
        self._judgements = []

    def validation_step(self, batch: DatasetResult, batch_idx: int) -> None:
        """Takes note of one evaluation episode."""
        self._judge(batch, "val/return")

    def on_validation_epoch_end(self) -> None:
        """Writes the evaluation's curve."""
        self._evaluated_at = self.train_data.env_steps
        mean = sum(self._judgements) / len(self._judgements)
        self.best_evaluation = max(
            mean, -math.inf if self.best_evaluation is None else self.best_evaluation
        )
        self._log_curves({"val/return": mean})

    def on_test_start(self) -> None:
        """Forgets the last evaluation."""
        self._judgements = []

    def test_step(self, batch: DatasetResult, batch_idx: int) -> None:
        """Takes note of one test episode; the rest are left out where the trial is to stop."""
        self._judge(batch, "test/return")
        if self.stop_requested:
            self.test_data.cut_short()

    @property
    def judgements(self) -> list[float]:
        """Returns of the episodes of the latest evaluation or test."""
        return list(self._judgements)

    def _judge(self, result: DatasetResult, name: str) -> None:
        total = result.episodes[0].total
        self._judgements.append(total)
        self.log(name, total, on_step=False, on_epoch=True, logger=False, batch_size=1)

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds weights; and, where training is to go on from it, everything else."""
        if "optimizer_states" not in checkpoint:
            checkpoint["weights"] = self.learner.weights()
            return
        checkpoint["learner"] = self.learner.state_dict()
        checkpoint["train_data"] = self.train_data.state_dict()
        checkpoint["global_rng"] = global_rng()
        checkpoint["curves"] = {
            "episodes": [tuple(episode) for episode in self.episodes],
            "latest_returns": list(self.latest_returns),
            "best_evaluation": self.best_evaluation,
            "epoch_returns": list(self._epoch_returns),
            "pending": self._pending,
            "marks": (self._evaluated_at, self._reported_at),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes over what a checkpoint holds."""
        if "weights" in checkpoint:
            self.learner.load_weights(checkpoint["weights"])
            return
        self.learner.load_state_dict(checkpoint["learner"], seed=self.config.seed)
        self._is_heir = checkpoint["learner"]["streams"]["seed"] != self.config.seed
        self.went_on_exactly = self.train_data.load_state_dict(checkpoint["train_data"])
        if not self.went_on_exactly:
            self.learner.begin_episodes()
        set_global_rng(checkpoint["global_rng"])
        curves = checkpoint["curves"]
        self.episodes = [Episode(*episode) for episode in curves["episodes"]]
        self.latest_returns.extend(curves["latest_returns"])
        self.best_evaluation = curves["best_evaluation"]
        self._epoch_returns = curves["epoch_returns"]
        self._pending = curves["pending"]
        self._evaluated_at, self._reported_at = curves["marks"]


_SMOOTHING = 20
"""Latest training episodes whose mean return the progress display shows."""
