"""NNI's manager of one experiment, over its REST interface."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sweeprl.trials.nni_http import HttpClient, understood

__all__ = ["ENDS", "STOPPING", "Job", "Manager"]

_SECONDS = 10.0
"""How long an answer may take."""

ENDS = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "EARLY_STOPPED": "stopped",
    "USER_CANCELED": "stopped",
    "SYS_CANCELED": "stopped",
}
"""NNI's words for a trial that is over, and ours.

Other words are of trials that wait or run; a resumed one is ADD_RESUMED at first."""

STOPPING = ("STOPPING", "STOPPED")
"""NNI's words for an experiment that was told to end."""


@dataclass(frozen=True)
class Job:
    """A trial as NNI has it; the parameters of NNI 3.0 may be another trial's."""

    id: str
    sequence: int
    """Not unique: it begins anew when an experiment is resumed."""
    status: str
    """NNI's own word."""
    final: float | None
    """The last result of a trial that succeeded; None where it is no finite number."""
    seconds: float | None
    """How long it ran; None where it did not, or does still."""

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Job:
        """Reads what REST answers of one trial."""
        began, ended = plain.get("startTime"), plain.get("endTime")
        return cls(
            plain["trialJobId"],
            plain.get("sequenceId", -1),
            plain["status"],
            _final(plain.get("finalMetricData") or []),
            None if began is None or ended is None else (ended - began) / 1000,
        )

    @property
    def name(self) -> str:
        """As it is called in messages."""
        return f"trial {self.sequence} ({self.id})"

    @property
    def is_over(self) -> bool:
        """Whether it has ended, whichever way."""
        return self.status in ENDS

    @property
    def end(self) -> str:
        """succeeded, failed or stopped, where it is over; stopped for any death by a signal."""
        return ENDS[self.status]


class Manager:
    """Asks the manager that listens on a port of this machine.

    Every method raises OSError where nobody answers, or somebody else than a manager.
    """

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/v1/nni"
        self._http = HttpClient(_SECONDS)

    def status(self) -> tuple[str, list[str]]:
        """NNI's word (RUNNING, DONE, ...) and its errors."""
        with self._answer("/check-status") as answer:
            return answer["status"], [str(error) for error in answer.get("errors", [])]

    def profile(self) -> dict[str, Any]:
        """The experiment's id, times and config (`params`); empty before it has begun."""
        with self._answer("/experiment") as answer:
            return dict(answer or {})

    def jobs(self) -> list[Job]:
        """Its trials, in the order of their beginning."""
        with self._answer("/trial-jobs") as answer:
            return [Job.of(plain) for plain in answer]

    def stop(self) -> None:
        """Lets the manager end; returns before it has."""
        self._http.send("DELETE", f"{self._base}/experiment")

    @contextmanager
    def _answer(self, path: str) -> Iterator[Any]:
        with understood(self._base + path):
            yield self._get(path)

    def _get(self, path: str) -> Any:
        return self._http.get(self._base + path)


def _final(metrics: list[dict[str, Any]]) -> float | None:
    if not metrics:
        return None
    value: Any = metrics[-1]["data"]
    while isinstance(value, str):  # a string of JSON within a string of JSON
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, dict):
        value = value.get("default")
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
