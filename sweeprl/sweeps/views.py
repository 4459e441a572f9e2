"""How a running sweep shows itself: live on a terminal, as lines in a pipe, as events."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweeprl.sweeps.drawing import along, duration, interval_text, number, sparkline
from sweeprl.sweeps.progress import Event, Progress, RunningTrial
from sweeprl.sweeps.statistics import bootstrap_interval

if TYPE_CHECKING:
    from sweeprl.launcher.views import ViewName

__all__ = [
    "EventView",
    "LiveView",
    "PlainView",
    "View",
    "json_text",
    "make_view",
    "share_done",
]

_SHOWN = 10
"""Most rows of running trials."""

_COLUMNS = 24
"""Characters of a curve."""


def make_view(name: ViewName, stream: TextIO) -> View:
    """Returns the view called `name`; "auto" is live on a terminal and plain elsewhere."""
    if name == "auto":
        name = "live" if stream.isatty() else "plain"
    views: dict[str, type[View]] = {"live": LiveView, "plain": PlainView, "json": EventView}
    return views.get(name, _Blank)(stream)


def share_done(progress: Progress) -> float:
    """Returns the share of the stage that is done, in [0, 1]; running trials count in part.

    Of several limits, it is the one that is nearest.
    """
    budget, per_seed = progress.budget, progress.env_steps_per_seed
    running = sum(_latest(one) for one in list(progress.running.values())) / per_seed
    if progress.stage != "search":
        return _share(progress.num_ended + running, progress.planned)
    # What limits the whole sweep leaves its share to confirmation.
    search = 1 - budget.confirmation
    shares = [_share(progress.num_ended + running, progress.planned)]
    shares.append(_share(progress.env_steps + running * per_seed, budget.env_steps, search))
    shares.append(_share(progress.clock.seconds, budget.seconds, search))
    return max(shares)


def _share(used: float, limit: float | None, part: float = 1.0) -> float:
    return min(used / (part * limit), 1.0) if limit else 0.0


def _latest(running: RunningTrial) -> int:
    """Environment steps at its latest report."""
    return next(reversed(running.scores), 0)


class View(ABC):
    """Shows a sweep.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._begun_at, self._begun_share = time.monotonic(), 0.0
        self._interval: tuple[object, str] = (None, "")

    def show(self, event: Event, progress: Progress) -> None:
        """Shows what happened and where the sweep stands."""
        if event["event"] == "stage_begun":
            self._begun_at, self._begun_share = time.monotonic(), share_done(progress)
        self.take(event, progress)

    @abstractmethod
    def take(self, event: Event, progress: Progress) -> None:
        """Shows what happened, or takes note of it."""

    def close(self) -> None:
        """Shows what is not shown yet."""
        self.stream.flush()

    def _position(self, progress: Progress) -> str:
        """How many trials are over, and how long the others will take."""
        kind = "trials" if progress.stage == "search" else "runs"
        planned = "" if progress.planned is None else f"/{progress.planned}"
        left = self._seconds_left(progress)
        time_left = "" if left is None else f"  {duration(left)} left"
        return f"{progress.num_ended}{planned} {kind}{time_left}"

    def _seconds_left(self, progress: Progress) -> float | None:
        """Of the stage, if it goes on like this; None where that cannot be told yet."""
        share, passed = share_done(progress), time.monotonic() - self._begun_at
        gained = share - self._begun_share
        return passed * (1 - share) / gained if gained > 0.01 and share < 1 else None

    def _best(self, progress: Progress) -> str:
        """The best trial so far, and how surely its score is known."""
        best = progress.best
        if best is None:
            return "best -"
        scores = list(best.scores.values())
        key = (progress.stage, best.number, best.score, len(scores))
        if self._interval[0] != key:  # the bootstrap takes milliseconds
            has_several = len(scores) > 1
            interval = interval_text(*_bounds(scores)) if len(scores) > 2 else ""
            seeds = f", {len(scores)} seeds" if has_several else ""
            what = "best" if progress.stage == "search" else "best run"
            trial = best.trial.user_attrs.get("candidate", best.number)
            text = f"{what} {number(best.score)} {interval}".rstrip()
            self._interval = (key, f"{text} (trial {trial}{seeds})")
        return self._interval[1]


def _pace(progress: Progress) -> str:
    """Trials per minute, where some have ended here."""
    pace = progress.trials_per_minute
    return f"{pace:.3g} per minute  " if pace else ""


def _count(steps: int) -> str:
    """A large number in a few characters."""
    return f"{steps / 1e6:,.2f} M" if steps >= 1e6 else f"{steps:,}"


def _bounds(scores: Sequence[float]) -> tuple[float, float]:
    interval = bootstrap_interval(scores)
    return interval.low, interval.high


class _Blank(View):
    """Shows nothing."""

    def take(self, event: Event, progress: Progress) -> None:
        """Shows nothing."""


class LiveView(View):
    """A few lines that change in place, four times a second."""

    def __init__(self, stream: TextIO, console: Console | None = None) -> None:
        super().__init__(stream)
        self.console = console or Console(file=stream)
        self._progress: Progress | None = None
        self._live = Live(
            console=self.console, get_renderable=self.render, refresh_per_second=4, transient=True
        )

    def take(self, event: Event, progress: Progress) -> None:
        """Takes note; the screen is redrawn by a thread of its own, however much happens."""
        self._progress = progress
        if event["event"] == "report":
            return
        if event["event"] == "stage_begun":
            self._live.start()
        for line in _lasting(event):
            self.console.print(line, highlight=False)
        if event["event"] == "sweep_ended":
            self.close()

    def close(self) -> None:
        """Clears what changes in place; what the sweep found is told by others."""
        self._live.stop()

    def render(self) -> RenderableType:
        """Draws where the sweep stands."""
        progress = self._progress
        if progress is None or not progress.stage:
            return Text("starting", style="dim")
        return Group(self._bar(progress), *self._lines(progress), *self._table(progress))

    def _bar(self, progress: Progress) -> RenderableType:
        share = share_done(progress)
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(no_wrap=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=1.0, completed=share)
        row.add_row(f"[bold]{progress.stage}", bar, f"{share:.0%}  {self._position(progress)}")
        return row

    def _lines(self, progress: Progress) -> list[RenderableType]:
        counts = {"finished": "green", "pruned": "yellow", "failed": "red"}
        ended = Text("  ").join(
            Text(f"{progress.counts[state]:,} {state}", style if progress.counts[state] else "dim")
            for state, style in counts.items()
        )
        age = duration(progress.clock.seconds)
        steps = progress.env_steps + sum(_latest(one) for one in list(progress.running.values()))
        facts = f"{_pace(progress)}{_count(steps)} env steps  {age}"
        return [
            Text(self._best(progress), style="bold"),
            Text("  ").join([ended, Text(facts)]),
        ]

    def _table(self, progress: Progress) -> list[RenderableType]:
        running = list(progress.running.values())
        shown = running[: max(1, min(_SHOWN, self.console.height - 8))]
        if not shown:
            return []
        scores = [list(one.scores.values()) for one in shown]
        low = min((min(one) for one in scores if one), default=0.0)
        high = max((max(one) for one in scores if one), default=0.0)
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        table.add_column("trial" if progress.stage == "search" else "run", justify="right")
        table.add_column("env steps", justify="right", min_width=9)
        table.add_column("score", justify="right", min_width=8)
        table.add_column(f"curve, from {number(low)} to {number(high)}", no_wrap=True)
        for one in shown:
            table.add_row(*self._row(one, progress.env_steps_per_seed, low, high))
        left = len(running) - len(shown)
        more = [Text(f"and {left:,} more", style="dim")] if left else []
        return [Text(""), table, *more]

    def _row(
        self, running: RunningTrial, budget: int, low: float, high: float
    ) -> list[RenderableType]:
        scores = dict(running.scores)
        latest = _latest(running)
        curve = sparkline(along(scores, budget, _COLUMNS), low, high)
        drawn = Text(curve, style="cyan")
        drawn.append("·" * (_COLUMNS - len(curve)), style="dim")
        return [running.label, f"{latest:,}", number(scores.get(latest)), drawn]


def _lasting(event: Event) -> list[Text]:
    """What stays on the screen."""
    match event["event"]:
        case "note":
            return [Text(event["text"], style="dim")]
        case "trial_ended" if event["status"] == "failed":
            return [Text(f"trial {event['trial']} failed: {event['reason']}", style="red")]
        case "trial_interrupted" if not event["reason"].startswith("signal"):
            return [Text(f"trial {event['trial']} was interrupted: {event['reason']}", "yellow")]
    return []


class PlainView(View):
    """A line for whatever is worth one, and one every few seconds."""

    every_seconds = 10.0

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._written_at = time.monotonic()

    def take(self, event: Event, progress: Progress) -> None:
        """Writes a line, if it is worth one."""
        match event["event"]:
            case "stage_begun":
                self._write(f"{progress.stage}: {self._position(progress)}")
            case "trial_ended":
                self._write(self._ended(event, progress))
            case "trial_interrupted":
                self._write(f"trial {event['trial']} was interrupted: {event['reason']}")
            case "note":
                self._write(event["text"])
            case "report" if time.monotonic() - self._written_at >= self.every_seconds:
                self._write(self._heartbeat(progress))

    def _ended(self, event: Event, progress: Progress) -> str:
        how = event["status"]
        if how == "failed":
            how = f"failed: {event['reason']}"
        return (
            f"{share_done(progress):4.0%}  trial {event['trial']:>4} {how:<8}  "
            f"score {number(event['score']):>8}  {self._best(progress)}  {self._position(progress)}"
        )

    def _heartbeat(self, progress: Progress) -> str:
        return (
            f"{share_done(progress):4.0%}  {len(progress.running)} running  {_pace(progress)}"
            f"{self._best(progress)}  {self._position(progress)}"
        )

    def _write(self, line: str) -> None:
        self._written_at = time.monotonic()
        self.stream.write(line + "\n")
        self.stream.flush()


class EventView(View):
    """Every event as a JSON object on a line; `at` is the sweep's age in seconds."""

    def take(self, event: Event, progress: Progress) -> None:
        """Writes the event."""
        self.stream.write(json_text({**event, "at": round(progress.clock.seconds, 2)}) + "\n")
        self.stream.flush()


def json_text(value: Any) -> str:
    """Returns JSON that every program reads: it knows neither NaN nor infinity.

    >>> json_text({"score": float("nan"), "params": {"gradient_max": float("inf")}})
    '{"score": null, "params": {"gradient_max": "Infinity"}}'
    """
    return json.dumps(_plain(value), allow_nan=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else json.dumps(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
