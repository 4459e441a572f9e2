"""NNI's list of the user's experiments."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeprl.errors import ConfigError, SweepFailed, did_you_mean
from sweeprl.nni.reading.logs import dispatcher_error, manager_error
from sweeprl.nni.reading.manager import Manager

__all__ = ["Experiment", "find", "nni_home"]


@dataclass(frozen=True)
class Experiment:
    """An experiment as NNI's list of them has it."""

    id: str
    folder: Path
    """Its logs, database and trials."""
    port: int
    """Of its web page and REST interface; the last one, where it does not run; 0 if unknown."""
    began_at: float
    """When it was last created or resumed, in seconds of the epoch."""
    is_remote: bool = False
    """Whether its trials run on other machines."""

    @property
    def address(self) -> str:
        """Of its web page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def manager(self) -> Manager:
        """Answers where the experiment runs."""
        return Manager(self.port)

    @property
    def is_running(self) -> bool:
        """Whether its manager answers."""
        return bool(self.profile())

    def profile(self) -> dict[str, Any]:
        """What its manager says of it; nothing where none answers, or another one's."""
        try:
            found = self.manager.profile()
        except OSError:
            return {}
        return found if found.get("id") == self.id else {}

    @property
    def reason(self) -> str | None:
        """Why it does not go on, as its logs have it since it began."""
        return dispatcher_error(self.folder, self.began_at) or manager_error(
            self.folder, self.began_at
        )


def find(experiment_id: str) -> Experiment:
    """Finds an experiment in NNI's list.

    Raises:
        ConfigError: it is not there.
    """
    listed = _listed()
    if experiment_id not in listed:
        raise ConfigError(
            f"No experiment of this user has the ID '{experiment_id}'."
            f"{did_you_mean(experiment_id, listed)} List all with: nnictl experiment list --all"
        )
    entry = listed[experiment_id]
    folder = Path(entry["logDir"]) / experiment_id
    return Experiment(
        experiment_id,
        folder,
        entry.get("port") or 0,
        entry["startTime"] / 1000,
        entry.get("platform", "local") != "local",
    )


def nni_home() -> Path:
    """Returns the folder of the user's experiments."""
    return Path.home() / "nni-experiments"


def _listed() -> dict[str, dict[str, Any]]:
    path = nni_home() / ".experiment"
    for _ in range(20):  # NNI writes it in place: it may be read in the middle of that
        try:
            listed: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return listed
        except FileNotFoundError:
            return {}
        except ValueError:
            time.sleep(0.05)
    raise SweepFailed(f"NNI's list of experiments must be JSON, but '{path}' is not. Delete it.")
