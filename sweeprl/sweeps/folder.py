"""The folder of a sweep, and the studies behind it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import BaseStorage
from sqlalchemy.engine import URL

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.storage import address, open_storage

__all__ = ["SweepFolder", "runs_name", "runs_of"]


def runs_name(name: str, stage: str) -> str:
    """Name of the study that confirms, or tests, what the study `name` has found."""
    return f"{name}-{stage}"


def runs_of(search: optuna.Study, stage: str = "confirmation") -> list[Entry]:
    """Entries of a stage that follows `search`, confirmation or test; none where there is none."""
    name = runs_name(search.study_name, stage)
    if name not in optuna.get_all_study_names(storage=search._storage):
        return []
    study = optuna.load_study(study_name=name, storage=search._storage)
    return entries_of(study.get_trials(deepcopy=False))


@dataclass(frozen=True)
class SweepFolder:
    """What lies where in the folder of a sweep.

    Args:
        root: the sweep's `root_dir`.
    """

    root: Path

    @property
    def database(self) -> Path:
        """The embedded database, where no other is named."""
        return self.root / "study.db"

    @property
    def trials(self) -> Path:
        """Folders of the search's trials."""
        return self.root / "trials"

    def runs_in(self, stage: str) -> Path:
        """Folders of the runs of a stage that follows the search, confirmation or test."""
        return self.root / stage

    @property
    def best(self) -> Path:
        """The winner's config."""
        return self.root / "best.json"

    @property
    def _pointer(self) -> Path:
        return self.root / "sweep.json"

    def point_to(self, name: str, url: URL, config_folder: str) -> None:
        """Notes under which name, and in which database, the sweep is kept; never a password."""
        self.root.mkdir(parents=True, exist_ok=True)
        is_own = url.database == str(self.database)  # the folder may be moved
        storage = None if is_own else url.render_as_string(hide_password=True)
        pointer = {"name": name, "storage": storage, "config_folder": config_folder}
        text = json.dumps(pointer, indent=4)
        temporary = self._pointer.with_suffix(".tmp")
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, self._pointer)

    def pointer(self) -> dict[str, str | None]:
        """Reads that back.

        Raises:
            ConfigError: no sweep lies there.
        """
        try:
            found: dict[str, str | None] = json.loads(self._pointer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ConfigError(
                f"'{self.root}' must be the folder of a sweep, but holds no sweep.json. "
                "Start one with: sweeprl sweep --config config.json"
            ) from None
        return found

    @property
    def config_folder(self) -> str:
        """A folder whose modules the config may name."""
        return self.pointer()["config_folder"] or ""

    def url(self, storage: str | None = None) -> URL:
        """Returns the address of the database.

        Args:
            storage: its URL, where a password is needed.

        Raises:
            ConfigError: a password is needed.
        """
        url = storage or self.pointer()["storage"]
        if url is not None and sqlalchemy.make_url(url).password == "***":
            raise ConfigError(
                f"The sweep in '{self.root}' is kept in {url}, whose password is not written down. "
                "Name the database with --storage."
            )
        return address(url or self.database)

    def storage(self, storage: str | None = None) -> BaseStorage:
        """Opens the database.

        Args:
            storage: its URL, where a password is needed.
        """
        return open_storage(self.url(storage).render_as_string(hide_password=False))

    def search(self, storage: str | None = None) -> optuna.Study:
        """The study of the search."""
        return self.load(self.storage(storage))

    def load(self, storage: BaseStorage) -> optuna.Study:
        """The study of the search, in a database that is open.

        Raises:
            ConfigError: the database does not have it.
        """
        try:
            return optuna.load_study(study_name=self.pointer()["name"], storage=storage)
        except KeyError:
            raise ConfigError(
                f"The sweep in '{self.root}' must have begun, but its database holds nothing of "
                "it. Start it with: sweeprl sweep --config config.json"
            ) from None

    def runs(self, storage: str | None = None) -> list[Entry]:
        """Entries of the confirmation; none where it has not begun."""
        return runs_of(self.search(storage))

    def base(self, study: optuna.Study) -> TrialConfig:
        """The config that the sweep's proposals are put into."""
        folder = self.config_folder
        with importable([folder] if folder else []):
            return TrialConfig.of(study.user_attrs["sweep"]["config"])

    def space(self, study: optuna.Study) -> SearchSpace:
        """What its trials may differ in."""
        return SearchSpace.of(study.user_attrs["sweep"]["space"])
