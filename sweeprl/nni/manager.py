"""NNI's manager of one experiment, over its REST interface."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Job", "Manager"]

_SECONDS = 10.0
"""How long an answer may take."""

_ENDS = {
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "EARLY_STOPPED": "stopped",
    "USER_CANCELED": "stopped",
    "SYS_CANCELED": "stopped",
}
"""Other words are of trials that wait or run; a resumed one is ADD_RESUMED at first."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks no proxy."""


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
    def is_over(self) -> bool:
        """Whether it has ended, whichever way."""
        return self.status in _ENDS

    @property
    def end(self) -> str:
        """succeeded, failed or stopped, where it is over; stopped for any death by a signal."""
        return _ENDS[self.status]


class Manager:
    """Asks the manager that listens on a port of this machine.

    Every method raises OSError where nobody answers.
    """

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/v1/nni"

    def status(self) -> tuple[str, list[str]]:
        """NNI's word (RUNNING, DONE, ...) and its errors."""
        answer = self._get("/check-status")
        return answer["status"], [str(error) for error in answer.get("errors", [])]

    def profile(self) -> dict[str, Any]:
        """The experiment's id, times and config (`params`); empty before it has begun."""
        return self._get("/experiment") or {}

    def jobs(self) -> list[Job]:
        """Its trials, in the order of their beginning."""
        return [Job.of(plain) for plain in self._get("/trial-jobs")]

    def stop(self) -> None:
        """Lets the manager end; returns before it has."""
        request = urllib.request.Request(f"{self._base}/experiment", method="DELETE")
        with _direct.open(request, timeout=_SECONDS):
            pass

    def _get(self, path: str) -> Any:
        with _direct.open(self._base + path, timeout=_SECONDS) as response:
            text = response.read()
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise OSError(f"NNI's manager did not answer with JSON: {text[:80]!r}") from error


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
