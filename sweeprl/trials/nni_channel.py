"""How a trial speaks with NNI.

NNI 3.0 hands out parameters in the order in which trials ask, so that two that run at once may get
each other's. A trial that knows the manager's address can ask for its own ones: `ManagerChannel`,
which speaks HTTP itself and spares each trial the second that `import nni` takes. Everything else
goes through NNI's own functions: `LibraryChannel`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from sweeprl.errors import ConfigError
from sweeprl.trials.nni_http import HttpClient, understood

__all__ = ["Channel", "LibraryChannel", "ManagerChannel", "Metric"]

Metric = Literal["PERIODICAL", "FINAL"]
"""What NNI calls a report during a trial, and the one at its end."""


class Channel(Protocol):
    """Speaks with NNI for one trial."""

    def parameters(self) -> tuple[dict[str, Any], int | None]:
        """Returns what the tuner has proposed for this trial, and the number it gave to that.

        Raises:
            ConfigError: there is nothing.
        """

    def search_space(self) -> dict[str, Any] | None:
        """Returns the content of the experiment's search_space.json; None where it is not known."""

    def delivered(self, kind: Metric) -> int | None:
        """Returns how many metrics NNI has of this trial; None where that cannot be asked."""

    def send(self, kind: Metric, sequence: int, value: Mapping[str, float]) -> None:
        """Sends one.

        Args:
            kind: of the metric.
            sequence: of reports, counted from 0 in every process of the trial.
            value: with the key `default`, which tuners read.

        Raises:
            OSError: it did not arrive.
        """


class ManagerChannel:
    """Speaks with the manager of NNI 3.0.

    Every method but `parameters` raises OSError where it does not answer as it should.

    Args:
        url: the trial's own command channel, `http://localhost:PORT/env/local-env/ID`.
        trial: ID of the trial.
        manager: address of the manager; by default it has the command channel, too, which is so
            on its own machine.
        timeout: seconds that the manager may take to answer.
        patience: seconds in which it has to know the trial; it starts the process first.
    """

    def __init__(
        self,
        url: str,
        trial: str,
        manager: str | None = None,
        *,
        timeout: float = 5.0,
        patience: float = 30.0,
    ) -> None:
        self._url, self._trial = url, trial
        self._api = f"{manager or url.partition('/env/')[0]}/api/v1/nni"
        self._http, self._patience = HttpClient(timeout), patience
        self._parameter_id: int | None = None

    def parameters(self) -> tuple[dict[str, Any], int | None]:
        """Asks for the trial's own record until the manager has it.

        Raises:
            ConfigError: it does not have it in time.
        """
        give_up_at = time.monotonic() + self._patience
        while True:
            try:
                found = self._given()
                if found is not None:
                    self._parameter_id = found[1]
                    return found
                reason = "it has none yet"
            except OSError as error:
                reason = str(error)
            if time.monotonic() > give_up_at:
                raise ConfigError(
                    f"NNI's manager must give parameters to trial '{self._trial}' within "
                    f"{self._patience:g} s, but at {self._api}: {reason}. Does it still run? See: "
                    "sweeprl nni status"
                )
            time.sleep(0.1)

    def _given(self) -> tuple[dict[str, Any], int] | None:
        with self._answer(f"trial-jobs/{self._trial}") as job:
            found = job.get("hyperParameters")
            if not found:
                return None
            record = json.loads(found[-1])
            return dict(record["parameters"]), record["parameter_id"]

    def search_space(self) -> dict[str, Any] | None:
        """Asks for the experiment's."""
        with self._answer("experiment") as experiment:
            found = experiment["params"].get("searchSpace")
            space: dict[str, Any] | None = json.loads(found) if isinstance(found, str) else found
            return space

    def concurrency(self) -> int:
        """Asks how many trials the experiment runs at once."""
        with self._answer("experiment") as experiment:
            return int(experiment["params"]["trialConcurrency"])

    def delivered(self, kind: Metric) -> int | None:
        """Asks for the trial's metrics."""
        with self._answer(f"metric-data/{urllib.parse.quote(self._trial)}") as metrics:
            return [metric["type"] for metric in metrics].count(kind)

    def send(self, kind: Metric, sequence: int, value: Mapping[str, float]) -> None:
        """Puts one into the trial's command channel."""
        metric = {
            "parameter_id": self._parameter_id,
            "trial_job_id": self._trial,
            "type": kind,
            "sequence": sequence,
            "value": json.dumps(value),
        }
        self._http.send("PUT", self._url, {"type": "metric", "metric": json.dumps(metric)})

    @contextmanager
    def _answer(self, path: str) -> Iterator[Any]:
        url = f"{self._api}/{path}"
        with understood(url):
            yield self._http.get(url)


class LibraryChannel:
    """Speaks with NNI through its own functions: of 2.10.1, and where no manager can be asked."""

    def parameters(self) -> tuple[dict[str, Any], int | None]:
        """Takes the parameters that are handed out next; may be asked once."""
        with _undisturbed():
            import nni

            found = nni.get_next_parameter()
        if not found:
            raise ConfigError(
                "NNI must have parameters for this trial, but has none. Start trials with: "
                "nnictl create"
            )
        return dict(found), None

    def search_space(self) -> dict[str, Any] | None:
        """It is not known here."""
        return None

    def delivered(self, kind: Metric) -> int | None:
        """It cannot be asked."""
        return None

    def send(self, kind: Metric, sequence: int, value: Mapping[str, float]) -> None:
        """Reports it."""
        import nni

        report = nni.report_final_result if kind == "FINAL" else nni.report_intermediate_result
        try:
            report(dict(value))
        except Exception as error:
            raise OSError(str(error)) from error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Takes back what `import nni` does to a trial: its own standard output and log level."""
    out, level = sys.stdout, logging.getLogger().level
    try:
        yield
    finally:
        sys.stdout = out
        logging.getLogger().setLevel(level)
