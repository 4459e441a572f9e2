"""Who may have started this process to train one trial: a tuner that is another program."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.trials.reporter import Reporter

__all__ = ["Proposal", "TunerBackend", "detect_backend"]


@dataclass(frozen=True)
class Proposal:
    """What a tuner wants to be trained.

    Args:
        params: values by dotted path.
        start_from: folder of an earlier trial whose agent this one goes on with, as in
            population-based training.
        save_to: folder that the trained agent is to be left in.
    """

    params: Mapping[str, Any]
    start_from: Path | None = None
    save_to: Path | None = None


class TunerBackend(ABC):
    """A tuner that starts a process for every trial."""

    @classmethod
    @abstractmethod
    def detect(cls, environ: Mapping[str, str]) -> TunerBackend | None:
        """Returns the backend where `environ`, of this process, says that it is one's trial."""

    @property
    @abstractmethod
    def root_dir(self) -> Path:
        """The trial's own folder; the same after an interruption."""

    @abstractmethod
    def proposal(self, base: TrialConfig, config_folder: Path) -> Proposal:
        """Asks for the trial's parameters.

        Args:
            base: the config that they will be put into.
            config_folder: the folder that it lies in.

        Raises:
            ConfigError: they are not to be had, or are outside the search space.
        """

    @abstractmethod
    def reporter(self) -> Reporter:
        """Returns who tells the tuner how the trial goes; asked after `proposal`."""


def detect_backend(environ: Mapping[str, str] = os.environ) -> TunerBackend | None:
    """Returns the tuner whose trial this process is; None where nobody else has started it."""
    from sweeprl.trials.nni import NNIBackend

    return NNIBackend.detect(environ)
