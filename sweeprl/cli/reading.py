"""A sweep that lies in a folder or database, read back for whoever looks at it."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna

from sweeprl.cli.options import STORAGE_VARIABLE
from sweeprl.config import TrialConfig, merge
from sweeprl.errors import ConfigError
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps import Entry, SweepFolder, SweepResult, entries_of
from sweeprl.sweeps.confirmation import FinalTest
from sweeprl.sweeps.entries import root_of
from sweeprl.sweeps.folder import runs_of
from sweeprl.sweeps.result import result_of

__all__ = ["Reading", "read_sweep", "storage_with_password"]


@dataclass(frozen=True)
class Reading:
    """What is known of a sweep."""

    folder: SweepFolder
    base: TrialConfig
    space: SearchSpace
    search: list[Entry]
    """Trials of the search."""
    runs: list[Entry]
    """Confirmation runs."""
    tests: list[Entry]
    """Runs of the final test."""
    declared: dict[str, Any]
    """What the sweep is, see `sweeprl.sweeps.declaration`."""
    seconds: float
    """On the wall clock, over all its sessions."""
    attempts: Counter[int]
    """How often each trial of the search was begun."""

    @cached_property
    def result(self) -> SweepResult:
        """What the sweep found, or has found so far."""
        status: Any = "finished" if self._is_finished else "stopped"
        return result_of(status, self.base, self.search, self.runs, self.tests, self.seconds)

    @property
    def _is_finished(self) -> bool:
        """Whether the sweep says so; what another process is at work on does not."""
        try:
            text = (self.folder.root / "result.json").read_text(encoding="utf-8")
            return bool(json.loads(text)["status"] == "finished")
        except (OSError, ValueError, KeyError):
            return False

    @property
    def counts(self) -> Counter[str]:
        """Trials of the search by where they stand."""
        return Counter(entry.state for entry in self.search)

    @property
    def config_folders(self) -> list[str]:
        """Whose modules the config may name."""
        folder = self.folder.config_folder
        return [folder] if folder else []

    def trial(self, number: int) -> Entry:
        """Returns one of the search.

        Raises:
            ConfigError: there is none of that number.
        """
        for entry in self.search:
            if entry.number == number:
                return entry
        raise ConfigError(
            f"N must be the number of a trial in '{self.folder.root}', but there is no {number}. "
            f"See: sweeprl trials {self.folder.root}"
        )

    def folder_of(self, entry: Entry) -> Path:
        """Returns where a trial's results lie, on the machine that has trained it."""
        return self.folder.trials / f"{entry.number:04}"

    def config_of(self, entry: Entry) -> TrialConfig:
        """Returns what was trained, but for seed and folder."""
        with importable([*self.config_folders, Path.cwd()]):
            return merge(self.base, entry.params)

    def params_of(self, entry: Entry) -> dict[str, Any]:
        """Returns what a trial has under the space's keys; of trial 0 the config's own values."""
        return entry.params or self.space.values_of(self.base)

    def runs_of(self, number: int) -> list[Entry]:
        """Returns the confirmation runs of a trial."""
        return [run for run in self.runs if run.trial.user_attrs.get("candidate") == number]


def read_sweep(root: Path, storage: str | None = None) -> Reading:
    """Reads a sweep.

    Args:
        root: its folder.
        storage: URL of its database; the folder knows it by default, but for a password.

    Raises:
        ConfigError: there is none, or the database is not to be had.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = SweepFolder(root)
    url = storage or storage_with_password(folder)
    study = folder.search(url)
    if "sweep" not in study.user_attrs:
        raise ConfigError(
            f"The sweep in '{root}' must have begun, but its database holds nothing of it. "
            "Start it with: sweeprl sweep --config config.json"
        )
    declared = study.user_attrs["sweep"]
    base, space = folder.base(study), folder.space(study)
    trials = study.get_trials(deepcopy=False)
    seconds = float(study.user_attrs.get("seconds", 0.0))
    attempts = Counter(root_of(one) for one in trials if "worker" in one.user_attrs)
    return Reading(
        folder,
        base,
        space,
        entries_of(trials),
        runs_of(study),
        runs_of(study, FinalTest.name),
        declared,
        seconds,
        attempts,
    )


def storage_with_password(folder: SweepFolder) -> str | None:
    """Returns the environment's URL, where the folder leaves a password open."""
    url = folder.pointer()["storage"]
    return os.environ.get(STORAGE_VARIABLE) if url is not None and ":***@" in url else None
