"""What a trial leaves behind, and where it lies."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from sweeprl.config import Config, TrialConfig, build, load_config, save_config
from sweeprl.errors import ConfigError
from sweeprl.registry import importable
from sweeprl.version import __version__

__all__ = ["Row", "TrialFolder", "TrialRecord", "replace_file", "versions"]


Row = tuple[int, dict[str, float]]
"""Of the curves: environment steps, and the means since the row before."""


class TrialRecord(Config):
    """How a trial went."""

    status: Literal["running", "finished", "stopped", "pruned", "failed"]
    """finished: its budget or patience ran out; stopped: by a signal; pruned: by whom it reported
    to; failed: see `reason`."""
    reason: str = ""
    """Why it ended."""
    score: float | None = None
    """What a tuner maximises; None where no episode finished."""
    score_kind: str = "final"
    """Which score that is."""
    test_return: float | None = None
    """Mean return of the best checkpoint in the final test."""
    test_returns: list[float] = []
    """Return of each of its episodes."""
    best_evaluation: float | None = None
    """Mean return of the best evaluation during training."""
    env_steps: int = 0
    """Environment steps trained."""
    episodes: int = 0
    """Training episodes finished."""
    updates: int = 0
    """Gradient steps."""
    seconds: float = 0.0
    """Wall-clock seconds of training, over all sessions of the trial."""
    seed: int = 0
    """From which everything random was derived."""
    config_folder: str = ""
    """Folder whose modules the config may name."""
    versions: dict[str, str] = {}
    """Of the packages that decide the result."""

    @classmethod
    def begun(cls, config: TrialConfig, config_folder: str, seconds: float) -> TrialRecord:
        """The record of a trial that begins, or goes on after `seconds` of training."""
        return cls(
            status="running",
            score_kind=config.score,
            seed=config.seed,
            config_folder=config_folder,
            versions=versions(),
            seconds=seconds,
        )

    @classmethod
    def unbegun(
        cls, config: TrialConfig, status: Literal["stopped", "pruned", "failed"], reason: str
    ) -> TrialRecord:
        """The record of a trial that will not begin."""
        return cls(status=status, reason=reason, score_kind=config.score, seed=config.seed)


def versions() -> dict[str, str]:
    """Versions of the packages that decide a result."""
    names = ("torch", "pytorch-lightning", "gymnasium", "numpy")
    return {"sweeprl": __version__, **{name: _version(name) for name in names}}


@cache
def _version(name: str) -> str:
    """Looked up once: a thousand lanes ask for it."""
    return version(name)


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial and what lies where in it.

    Args:
        root: the trial's `root_dir`.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The effective config."""
        return self.root / "config.json"

    @property
    def record(self) -> Path:
        """How the trial went."""
        return self.root / "record.json"

    @property
    def best(self) -> Path:
        """Weights of the best evaluation."""
        return self.root / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """Everything that going on needs."""
        return self.root / "checkpoints" / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """The curves."""
        return self.root / "metrics.csv"

    @property
    def videos(self) -> Path:
        """The videos."""
        return self.root / "videos"

    def claim(self, overwrite: bool) -> None:
        """Makes the folder ready for a new trial.

        Raises:
            ConfigError: another trial's results lie there and `overwrite` is not set.
        """
        if self.config.exists() and not self.record.exists():
            raise ConfigError(
                f"root_dir must be empty or a trial's, but '{self.root}' holds a config.json and "
                "no record.json. Choose another root_dir."
            )
        if self.record.exists():
            if not overwrite:
                raise ConfigError(
                    f"root_dir must not hold another trial's results, but '{self.root}' does. "
                    "Choose another root_dir, go "
                    f"on with: sweeprl run --resume {self.root}, or replace them with --overwrite."
                )
            self._clear()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"root_dir must be a folder that can be written, but: {error}. Choose another one."
            ) from None
        if not os.access(self.root, os.W_OK):
            raise ConfigError(
                f"root_dir must be a folder that can be written, but '{self.root}' cannot. "
                "Choose another one."
            )

    def _clear(self) -> None:
        for path in (self.config, self.record, self.metrics, self.root / "hparams.yaml"):
            path.unlink(missing_ok=True)
        for folder, pattern in _WRITTEN.items():
            for path in (self.root / folder).glob(pattern):
                path.unlink()

    def load_config(self) -> TrialConfig:
        """Reads the effective config.

        Raises:
            ConfigError: no trial lies there.
        """
        if not self.config.exists():
            raise ConfigError(
                f"'{self.root}' must be a trial's root_dir, but holds no config.json. "
                "Run one with: sweeprl run --config config.json"
            )
        folder = self.load_record().config_folder if self.record.exists() else ""
        with importable([folder] if folder else []):
            return load_config(self.config)

    def save_config(self, config: TrialConfig) -> None:
        """Writes the effective config."""
        save_config(config, self.config)

    def load_record(self) -> TrialRecord:
        """Reads how the trial went.

        Raises:
            ConfigError: no record lies there.
        """
        try:
            data = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"'{self.record}' must be a trial's record, but: {error}") from None
        return build(TrialRecord, data)

    def load_curves(self, env_steps: int) -> list[Row]:
        """Reads the rows up to a checkpoint that lies at `env_steps`; none where there are none."""
        if not self.metrics.exists():
            return []
        with self.metrics.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= env_steps]
        return [
            (int(row["step"]), {k: float(v) for k, v in row.items() if k != "step" and v})
            for row in rows
        ]

    def save_record(self, record: TrialRecord) -> None:
        """Writes how the trial went; a reader finds the old record or the new one, never half.

        On a full disk the old record is overwritten in place: it was written with room to spare.
        """
        text = record.model_dump_json(indent=4)
        temporary = self.record.with_suffix(".tmp")
        try:
            _write(temporary, text.ljust(_RECORD_ROOM) + "\n")
            os.replace(temporary, self.record)
        except OSError:
            temporary.unlink(missing_ok=True)
            with self.record.open("r+", encoding="utf-8") as file:
                file.write(text.ljust(_RECORD_ROOM) + "\n")


_WRITTEN = {
    "checkpoints": "*.ckpt",
    "videos": "*-episode-*.mp4",
    "tensorboard": "events.out.tfevents.*",
}
"""What a trial writes, by folder."""

_RECORD_ROOM = 4000
"""Characters that a record takes at least."""


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file beside `path` and moves it there; a reader finds the old one or the new one.

    Raises:
        OSError: it could not be written.
    """
    temporary = path.with_suffix(".tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    except RuntimeError as error:  # of `torch.save`, which does not say that the disk is full
        if shutil.disk_usage(path.parent).free >= _HARDLY_ANY:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


_HARDLY_ANY = 1_000_000
"""Bytes of a disk that are as good as none."""
