"""A trial of an NNI experiment that has run, under the parameters it really had.

NNI 3.0 hands parameters out in the order in which they are asked for, and notes them in the order
in which trials begin: its own label of a trial may be another trial's. What is true stands in three
places, the best first: `nni.json`, which a sweeprl trial keeps in its folder; the parameter's
number in every report, joined with the job to which NNI gave that number; and NNI's label.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sweeprl.errors import ConfigError
from sweeprl.launcher import TrialFolder, TrialRecord
from sweeprl.nni.reading.manager import ENDS
from sweeprl.trials.nni import TRIAL_NUMBER, NNITrialFile

__all__ = ["Event", "JobHistory"]


class Event(NamedTuple):
    """A change of a job's status."""

    moment: float
    """Seconds since 1970."""
    status: str


@dataclass(frozen=True)
class JobHistory:
    """A trial of NNI.

    Args:
        id: NNI's name of it, the only one that is never used twice.
        sequence: its place in the experiment, which begins anew after a resume.
        folder: its `NNI_OUTPUT_DIR`.
        label: what NNI says were its parameters.
        events: how its status has changed.
    """

    id: str
    sequence: int
    folder: Path
    label: Mapping[str, Any]
    events: tuple[Event, ...] = ()
    repaired: Mapping[str, Any] | None = None
    """What its reports say were its parameters."""
    metrics: Mapping[int, float] = field(default_factory=dict)
    """Scores that it has reported, by environment steps."""
    final: float | None = None
    """Its result, where NNI has one."""

    @property
    def status(self) -> str:
        """As NNI calls it."""
        return next(
            (event.status for event in reversed(self.events) if event.status != "USER_TO_CANCEL"),
            "WAITING",
        )

    @property
    def is_over(self) -> bool:
        """Whether it has ended, as far as NNI knows."""
        return self.status in ENDS

    @property
    def was_cancelled(self) -> bool:
        """Whether the user has asked for its end."""
        return any(event.status == "USER_TO_CANCEL" for event in self.events)

    @property
    def started_at(self) -> datetime | None:
        """When it began, UTC."""
        if not self.events:
            return None
        return datetime.fromtimestamp(self.events[0].moment, timezone.utc).replace(tzinfo=None)

    @property
    def seconds(self) -> float:
        """From its latest start to its end."""
        starts = [event.moment for event in self.events if event.status == "RUNNING"]
        end = self.events[-1].moment if self.is_over else None
        return round(end - starts[-1], 3) if starts and end else 0.0

    @cached_property
    def witness(self) -> NNITrialFile | None:
        """What the trial itself has noted; None where it is none of sweeprl's."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            found = NNITrialFile.load(self.folder)
            return found if found is not None and found.trial == self.id else None
        return None

    @cached_property
    def record(self) -> TrialRecord | None:
        """Sweeprl's record of the trial; None where there is none."""
        with suppress(ConfigError):
            return TrialFolder(self.folder).load_record()
        return None

    @property
    def proposal(self) -> Mapping[str, Any]:
        """The parameters that it really had, as the tuner made them."""
        if self.witness is not None and self.witness.proposal:
            return self.witness.proposal
        return self.label if self.repaired is None else self.repaired

    @property
    def is_mislabelled(self) -> bool:
        """Whether NNI says that its parameters were others."""
        return self.proposal != self.label

    @property
    def number(self) -> int | None:
        """Number of the study's trial, where `OptunaTuner` has proposed it."""
        found = self.proposal.get(TRIAL_NUMBER)
        return found if isinstance(found, int) else None

    @property
    def reports(self) -> dict[int, float]:
        """Scores on the grid, by environment steps."""
        noted = {} if self.witness is None else dict(self.witness.reports)
        return dict(sorted((noted or self.metrics).items()))

    @property
    def score(self) -> float | None:
        """Its result, where it has one, whoever has noted it."""
        if self.record is not None and self.record.status == "finished":
            return self.record.score
        noted = None if self.witness is None else self.witness.final
        return self.final if noted is None else noted
