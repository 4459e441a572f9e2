"""The Lightning callback that reports a trial's score on the grid of environment steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeprl.config import check_applied
from sweeprl.launcher import TrialModule, share_of, step_weighted_return
from sweeprl.lightning import Callback, pl
from sweeprl.trials.tally import Listener

__all__ = ["ReportOnGrid"]


class ReportOnGrid(Callback):
    """Reports at every multiple of `report_every_env_steps`, and ends the trial when told to.

    Args:
        listener: hears the scores; its `should_stop` is looked at after each.
        params: what a tuner proposed, by dotted path; training begins only where the config agrees.
    """

    def __init__(self, listener: Listener, params: Mapping[str, Any] | None = None) -> None:
        self._listener, self._params = listener, params or {}
        self._reported_at = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves out what was reported before an interruption.

        Raises:
            ConfigError: what is to be trained is not what was proposed.
        """
        assert isinstance(pl_module, TrialModule)
        check_applied(pl_module.config, self._params)
        self._reported_at = pl_module.train_data.env_steps

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Reports the grid points that were passed."""
        assert isinstance(pl_module, TrialModule)
        config, now = pl_module.config, pl_module.train_data.env_steps
        every, share = config.report_every_env_steps, share_of(config.score)
        for point in range(self._reported_at // every + 1, now // every + 1):
            episodes = [e for e in pl_module.episodes if e.end <= point * every]
            score = step_weighted_return(episodes, point * every, share, config.num_envs)
            if score is not None:
                self._listener.report(point * every, score)
        self._reported_at = now
        if self._listener.should_stop:
            pl_module.prune()
