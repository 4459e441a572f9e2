"""How a sweep goes, for whoever shows it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.entries import Entry
from sweeprl.sweeps.stage import Job, Stage

__all__ = ["NoView", "Progress", "RunningTrial", "SweepView"]

Event = Mapping[str, Any]
"""What happened, in plain values; `event` says of which kind:

stage_begun, trial_begun, report, trial_ended, trial_interrupted, note, sweep_ended.
"""


class SweepView(Protocol):
    """Shows a sweep."""

    def show(self, event: Event, progress: Progress) -> None:
        """Shows what happened and where the sweep stands; brief, as every report calls it."""


class NoView:
    """Shows nothing."""

    def show(self, event: Event, progress: Progress) -> None:
        """Shows nothing."""


@dataclass
class RunningTrial:
    """A trial that is being trained here."""

    label: str
    scores: dict[int, float] = field(default_factory=dict)
    """On the grid, by environment steps."""


class Progress:
    """Keeps count of a sweep and tells its view.

    Args:
        view: shows it.
        clock: of the sweep.
        budget: of the sweep.
        env_steps_per_seed: of a trial on one seed.
    """

    def __init__(
        self, view: SweepView, clock: Clock, budget: SweepBudget, env_steps_per_seed: int
    ) -> None:
        self._view, self.clock = view, clock
        self.budget, self.env_steps_per_seed = budget, env_steps_per_seed
        self.stage = ""
        """search or confirmation."""
        self.planned: int | None = None
        """Trials of the stage; None where the budget is not one of trials."""
        self.counts: Counter[str] = Counter()
        """Trials of the stage that are over, by how they ended."""
        self.env_steps = 0
        """Environment steps of all trials that are over, of both stages."""
        self.best: Entry | Job | None = None
        """The best of the stage so far."""
        self.running: dict[int, RunningTrial] = {}
        """Trials that are trained here, by number."""
        self._stage: Stage | None = None
        self._began_at, self._ended_here = time.monotonic(), 0

    @property
    def num_ended(self) -> int:
        """Trials of the stage that are over."""
        return self.counts.total()

    @property
    def trials_per_minute(self) -> float:
        """Trials that ended here, in this session and stage."""
        return 60 * self._ended_here / max(time.monotonic() - self._began_at, 1e-9)

    def begin(self, stage: Stage, entries: Sequence[Entry]) -> None:
        """Starts a stage, of which some trials may be over."""
        self._stage, self.stage, self.planned = stage, stage.name, stage.planned
        over = [entry for entry in entries if entry.is_over]
        self.counts = Counter(entry.state for entry in over)
        self.env_steps += sum(entry.env_steps for entry in over)
        finished = [entry for entry in over if entry.state == "finished"]
        self.best = max(finished, key=lambda entry: entry.score or 0.0, default=None)
        self.running = {}
        self._began_at, self._ended_here = time.monotonic(), 0
        self._tell("stage_begun", stage=stage.name, planned=stage.planned, ended=len(over))

    def note(self, text: str) -> None:
        """Says something that the user should know."""
        self._tell("note", text=text)

    def begun(self, job: Job) -> None:
        """A trial has begun, or goes on."""
        assert self._stage is not None
        label = self._stage.label(job)
        self.running[job.number] = RunningTrial(label, dict(job.reports))
        self._tell("trial_begun", trial=label, params=dict(job.params), again=job.is_repeated)

    def reported(self, job: Job, env_steps: int, score: float) -> None:
        """A trial has come to a point of the grid."""
        running = self.running[job.number]
        if env_steps <= next(reversed(running.scores), 0):
            running.scores.clear()  # of the seed before
        running.scores[env_steps] = score
        self._tell("report", trial=running.label, env_steps=env_steps, score=score)

    def ended(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """A trial is over."""
        running = self.running.pop(job.number)
        self.counts[outcome["status"]] += 1
        self.env_steps += job.env_steps
        self._ended_here += 1
        if outcome["status"] == "finished" and _is_better(job, self.best):
            self.best = job
        self._tell("trial_ended", trial=running.label, score=job.score, **outcome)

    def interrupted(self, job: Job, reason: str) -> None:
        """A trial was interrupted; it will be gone on with."""
        running = self.running.pop(job.number)
        self._tell("trial_interrupted", trial=running.label, reason=reason)

    def end(self, **facts: Any) -> None:
        """The sweep is over, or was stopped."""
        self._tell("sweep_ended", **facts)

    def _tell(self, event: str, **facts: Any) -> None:
        self._view.show({"event": event, **facts}, self)


def _is_better(job: Job, best: Entry | Job | None) -> bool:
    assert job.score is not None
    return best is None or best.score is None or job.score > best.score
