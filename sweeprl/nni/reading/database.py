"""What NNI's database knows of an experiment; it is only read."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Container, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sweeprl.errors import ConfigError
from sweeprl.nni.reading.jobs import Event, JobHistory

__all__ = ["ExperimentDatabase"]

_FOLDERS = ("environments/local-env/trials", "trials")
"""Of the trials' folders inside the experiment's: of NNI 3.0, and of 2.10."""


@dataclass(frozen=True)
class ExperimentDatabase:
    """The database of an experiment, which is only read.

    Args:
        experiment: the experiment's folder.
    """

    experiment: Path

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self.experiment / "db" / "nni.sqlite"

    def profile(self) -> dict[str, Any]:
        """The experiment's settings, with its `id` and the `seconds` that it has run.

        Raises:
            ConfigError: there is no such experiment.
        """
        rows = self._rows(
            "SELECT params, id, execDuration FROM ExperimentProfile ORDER BY revision DESC LIMIT 1"
        )
        if not rows:
            raise ConfigError(f"'{self.file}' must hold an experiment, but holds none.")
        params, name, seconds = rows[0]
        return {**json.loads(params), "id": name, "seconds": float(seconds or 0)}

    def last_report(self) -> float | None:
        """When the latest report or result came, in seconds of the epoch; None before the first.

        Raises:
            ConfigError: the database cannot be read.
        """
        moment = self._rows("SELECT max(timestamp) FROM MetricData")[0][0]
        return None if moment is None else float(moment) / 1000

    def jobs(self, skip: Container[str] = ()) -> list[JobHistory]:
        """Every trial, in the order in which they began.

        Args:
            skip: NNI's IDs of those to leave out, which saves reading their reports.
        """
        events = self._rows(
            "SELECT trialJobId, timestamp, event, data, sequenceId FROM TrialJobEvent "
            "WHERE trialJobId != '' ORDER BY timestamp, rowid"
        )
        rows: dict[str, list[tuple[Any, ...]]] = {}
        for row in events:
            rows.setdefault(row[0], []).append(row[1:])
        given = list(_given(events))
        own = {one.job: one for one in given}
        metrics = self._metrics(skip)
        return [
            self._job(own[name], changes, metrics.get(name, []), given)
            for name, changes in rows.items()
            if name in own and name not in skip
        ]

    def _job(
        self,
        own: _Given,
        changes: list[tuple[Any, ...]],
        metrics: list[_Metric],
        given: list[_Given],
    ) -> JobHistory:
        events = tuple(Event(moment / 1000, event) for moment, event, _, _ in changes)
        reports = [one for one in metrics if one.kind == "PERIODICAL"]
        scores = {one.step(place): one.score for place, one in enumerate(reports)}
        finals = [one.score for one in metrics if one.kind == "FINAL" and one.score is not None]
        return JobHistory(
            own.job,
            next((int(place) for *_, place in changes if place is not None), 0),
            self._folder(own.job),
            own.parameters,
            events,
            _true_parameters(own, metrics, given),
            {step: score for step, score in scores.items() if score is not None},
            finals[0] if finals else None,
        )

    def _folder(self, job: str) -> Path:
        places = [self.experiment / folder / job for folder in _FOLDERS]
        return next((place for place in places if place.exists()), places[0])

    def _metrics(self, skip: Container[str]) -> dict[str, list[_Metric]]:
        found: dict[str, list[_Metric]] = {}
        for job, *row in self._rows(
            "SELECT trialJobId, timestamp, parameterId, type, data FROM MetricData "
            "ORDER BY timestamp, rowid"
        ):
            if job not in skip:
                found.setdefault(job, []).append(_Metric.of(*row))
        return found

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        if not self.file.exists():
            raise ConfigError(
                f"'{self.experiment}' must be the folder of an NNI experiment, but holds no "
                "db/nni.sqlite. They lie in ~/nni-experiments unless you chose another place."
            )
        address = f"{self.file.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=10.0)) as connection:
                rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
                return rows
        except sqlite3.Error as error:
            raise ConfigError(
                f"'{self.file}' must be a database of NNI that can be read, but: {error}."
            ) from None


class _Given(NamedTuple):
    """Parameters that NNI has noted for a job."""

    job: str
    moment: float
    number: str
    parameters: Mapping[str, Any]


def _given(events: list[tuple[Any, ...]]) -> Iterator[_Given]:
    for job, moment, _, data, _ in events:
        with suppress(ValueError, KeyError, TypeError):
            noted = json.loads(data)
            yield _Given(job, moment, str(noted["parameter_id"]), dict(noted["parameters"]))


class _Metric(NamedTuple):
    """A report, or the result."""

    moment: float
    parameter: str
    kind: str
    score: float | None
    env_steps: int | None

    @classmethod
    def of(cls, moment: float, parameter: Any, kind: str, data: str) -> _Metric:
        value: Any = None
        with suppress(ValueError, TypeError):
            value = json.loads(json.loads(data))
        env_steps = value.get("env_steps") if isinstance(value, dict) else None
        score = value.get("default") if isinstance(value, dict) else value
        steps = env_steps if isinstance(env_steps, int) else None
        return cls(moment, str(parameter), kind, _number(score), steps)

    def step(self, place: int) -> int:
        """Environment steps; of a trial that does not tell them the place of the report."""
        return place + 1 if self.env_steps is None else self.env_steps


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _true_parameters(
    own: _Given, metrics: list[_Metric], given: list[_Given]
) -> Mapping[str, Any] | None:
    """The parameters whose number the reports bear; None where they bear none.

    After a resume numbers are given again, so that the latest before the report counts.
    """
    if not metrics:
        return None
    last = metrics[-1]
    if last.parameter == own.number:
        return own.parameters
    earlier = [one for one in given if one.moment <= last.moment]
    found = [one.parameters for one in earlier if one.number == last.parameter]
    return found[-1] if found else None
