"""How the trials of an experiment have ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeprl.nni.reading.manager import Job

__all__ = ["JobTally", "is_maximized"]


def is_maximized(params: Mapping[str, Any]) -> bool:
    """Tells whether an experiment's config asks for large results; where it does not say, yes.

    >>> is_maximized({"tuner": {"name": "TPE", "classArgs": {"optimize_mode": "minimize"}}})
    False
    >>> is_maximized({"tuner": {"name": "Random"}})
    True
    """
    arguments = (params.get("tuner") or {}).get("classArgs") or {}
    return bool(arguments.get("optimize_mode") != "minimize")


@dataclass
class JobTally:
    """Keeps the trials that are over, and the best of them."""

    is_maximized: bool = True
    best: Job | None = None
    _over: dict[str, Job] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._over)

    def add(self, jobs: Iterable[Job]) -> list[str]:
        """Adds those that have ended since; returns a line on each."""
        return [self._add(job) for job in jobs if job.is_over and job.id not in self._over]

    def summary(self) -> str:
        """Returns one line on all of them."""
        counts = Counter(job.end for job in self._over.values())
        ended = ", ".join(f"{count} {end}" for end, count in sorted(counts.items()))
        best = f"; best {self.best.final:.4g} by {self.best.name}" if self.best else ""
        return f"{len(self)} trials{': ' if ended else ''}{ended}{best}"

    def _add(self, job: Job) -> str:
        self._over[job.id] = job
        is_best = self._is_best(job)
        if is_best:
            self.best = job
        parts = [job.name, job.end]
        if job.seconds is not None:
            parts.append(f"after {job.seconds:.0f} s")
        if job.final is not None:
            parts.append(f"with {job.final:.4g}")
        return " ".join(parts) + (", the best so far" if is_best else "")

    def _is_best(self, job: Job) -> bool:
        if job.final is None:
            return False
        if self.best is None or self.best.final is None:
            return True
        return (job.final > self.best.final) == self.is_maximized and job.final != self.best.final
