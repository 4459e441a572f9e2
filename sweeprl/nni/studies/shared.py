"""What the tuner and the assessor of an experiment share: they are two threads of one process.

Nothing that is slow to import is imported before NNI's manager has heard of the process, for which
it waits 10 s. And nothing is raised from what NNI calls: it would go on waiting for ever.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeprl.errors import Occupied
from sweeprl.nni.reading.logs import LOGGER

if TYPE_CHECKING:
    from sweeprl.nni.studies.study import ExperimentStudy

__all__ = [
    "SEARCH",
    "Search",
    "Settings",
    "experiment_folder",
    "harmless",
]

_SLOT_SECONDS = 20.0
"""How long the process of an experiment that was killed may take to notice."""


@dataclass
class Settings:
    """How an experiment searches, see `OptunaTuner` and `OptunaAssessor`."""

    sampler: str = "tpe"
    pruner: str = "none"
    seed: int | None = None
    root_dir: str | None = None
    storage: str | None = None


class Search:
    """The search of this process: one study, used by one thread at a time."""

    def __init__(self) -> None:
        self.settings = Settings()
        self._lock = threading.RLock()
        self._opened: ExperimentStudy | None = None
        self._num_trials: int | None = None
        self._exit = ExitStack()

    def open(self) -> None:
        """Opens the study, or makes it, once.

        Raises:
            ConfigError: a setting is wrong, or the study is another experiment's.
        """
        from sweeprl.nni.studies.opening import opened_study

        with self._lock:
            if self._opened is not None:
                return
            folder = experiment_folder()
            self._opened = _patiently(
                lambda: self._exit.enter_context(opened_study(folder, self.settings))
            )
            self._num_trials = self._opened.database.profile().get("maxTrialNumber")

    def propose(self) -> dict[str, Any] | None:
        """Returns the next proposal; None where there is none, or no study."""
        with self._lock:
            return None if self._opened is None else self._opened.propose()

    def report(self, number: int, reports: dict[int, float]) -> bool:
        """Takes note of a trial's scores; whether it is to be stopped."""
        with self._lock:
            return self._opened is not None and self._opened.report(number, reports)

    def settle(self) -> None:
        """Takes note of what has ended."""
        with self._lock:
            if self._opened is None:
                return
            self._opened.settle()
            if self._opened.is_done(self._num_trials):
                self._opened.conclude(self._num_trials)

    def close(self) -> None:
        """Writes what was found so far, and leaves the study to others."""
        with self._lock, self._exit:
            if self._opened is not None:
                self._opened.conclude(self._num_trials, is_last=True)
            self._opened = None


SEARCH = Search()
"""This process's."""


def experiment_folder() -> Path:
    """Returns the folder of the experiment that this process works for."""
    return Path(os.environ["NNI_LOG_DIRECTORY"]).parent


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Logs what goes wrong instead of raising it."""
    try:
        yield
    except Exception as error:
        LOGGER.exception("%s did not work: %s", what, error)


def _patiently(open_it: Callable[[], ExperimentStudy]) -> ExperimentStudy:
    """Waits while the process that had the study before ends."""
    give_up_at = time.monotonic() + _SLOT_SECONDS
    while True:
        try:
            return open_it()
        except Occupied:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.5)
