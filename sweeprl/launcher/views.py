"""How a running trial shows itself: live on a terminal, as lines in a pipe, as events."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from typing import Any, Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from sweeprl.launcher.module import TrialModule
from sweeprl.lightning import Callback, pl

__all__ = [
    "EventView",
    "LiveView",
    "PlainView",
    "View",
    "ViewName",
    "budget_used",
    "make_view",
]

ViewName = Literal["auto", "live", "plain", "json", "none"]


def make_view(name: ViewName, stream: TextIO) -> list[Callback]:
    """Returns the view called `name`; "auto" is live on a terminal and plain elsewhere."""
    if name == "auto":
        name = "live" if stream.isatty() else "plain"
    views: dict[str, type[View]] = {"live": LiveView, "plain": PlainView, "json": EventView}
    return [views[name](stream)] if name in views else []


class View(Callback, ABC):
    """Shows progress a few times a second at most.

    Args:
        stream: where to.
    """

    every_seconds = 0.25

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._shown_at = 0.0
        self._started_at = 0.0
        self._first_step = 0

    @abstractmethod
    def show(self, status: dict[str, Any]) -> None:
        """Shows where the trial stands."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        assert isinstance(pl_module, TrialModule)
        self._started_at = time.monotonic()
        self._first_step = pl_module.train_data.env_steps

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Shows where the trial stands, if it is time."""
        now = time.monotonic()
        if now - self._shown_at >= self.every_seconds:
            self._shown_at = now
            self.show(self._status(pl_module, now))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Shows where the trial ended."""
        self.show(self._status(pl_module, time.monotonic()))

    def _status(self, module: pl.LightningModule, now: float) -> dict[str, Any]:
        assert isinstance(module, TrialModule)
        data, returns = module.train_data, module.latest_returns
        seconds = max(now - self._started_at, 1e-9)
        return {
            "env_steps": data.env_steps,
            "max_env_steps": data.max_env_steps,
            "episodes": len(module.episodes),
            "max_episodes": data.max_episodes,
            "return": sum(returns) / len(returns) if returns else None,
            "best_evaluation": module.best_evaluation,
            "env_steps_per_second": round((data.env_steps - self._first_step) / seconds, 1),
        }


def budget_used(status: dict[str, Any]) -> float:
    """Share of the budget that is spent, in [0, 1].

    >>> budget_used({"env_steps": 10, "max_env_steps": 100, "episodes": 1, "max_episodes": 4})
    0.25
    """
    shares = [status["episodes"] / status["max_episodes"]]
    if status["max_env_steps"]:
        shares.append(status["env_steps"] / status["max_env_steps"])
    return float(min(max(shares), 1.0))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


class LiveView(View):
    """One line that changes in place."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(file=stream),
        )
        self._task = self._progress.add_task("starting", total=1.0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Opens the line."""
        super().on_train_start(trainer, pl_module)
        self._progress.start()

    def show(self, status: dict[str, Any]) -> None:
        """Redraws the line."""
        text = (
            f"return [bold]{_number(status['return'])}[/]  best "
            f"{_number(status['best_evaluation'])}  "
            f"{status['env_steps']:,} steps  {status['env_steps_per_second']:,.0f}/s"
        )
        self._progress.update(self._task, completed=budget_used(status), description=text)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the last state on the screen."""
        super().on_train_end(trainer, pl_module)
        self._progress.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leaves the last state on the screen."""
        self._progress.stop()


class PlainView(View):
    """A line every few seconds."""

    every_seconds = 5.0

    def show(self, status: dict[str, Any]) -> None:
        """Writes a line."""
        line = (
            f"{budget_used(status):4.0%}  {status['env_steps']:>9,} env steps  "
            f"{status['episodes']:>6,} episodes  "
            f"return {_number(status['return']):>8}  best {_number(status['best_evaluation']):>8}  "
            f"{status['env_steps_per_second']:>8,.0f} steps/s"
        )
        self.stream.write(line + "\n")
        self.stream.flush()


class EventView(View):
    """A JSON object on a line every second."""

    every_seconds = 1.0

    def show(self, status: dict[str, Any]) -> None:
        """Writes an event."""
        self.stream.write(json.dumps({"event": "progress", **status}) + "\n")
        self.stream.flush()
