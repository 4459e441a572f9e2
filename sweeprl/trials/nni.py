"""A trial of an NNI experiment: its own parameters, its reports, its own record."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.config.io import read_mapping
from sweeprl.launcher.record import replace_file
from sweeprl.search_spaces.nni import decode_nni, from_nni
from sweeprl.trials.backend import Proposal, TunerBackend
from sweeprl.trials.nni_channel import Channel
from sweeprl.trials.nni_place import channel_of, check_alone
from sweeprl.trials.reporter import Reporter
from sweeprl.trials.trial import TrialOutcome

__all__ = [
    "GIVEN",
    "NOT_PARAMETERS",
    "TRIAL_NUMBER",
    "NNIBackend",
    "NNIReporter",
    "NNITrialFile",
]

TRIAL_NUMBER = "_trial"
"""Name under which our Optuna tuner puts the number of the study's trial into a proposal."""

GIVEN = "_given"
"""Name under which it says that the trial is the config as it was given, whatever else stands in
the proposal: what a search changes may be outside the ranges there, or not set."""

_LOAD_FROM, _SAVE_TO = "load_checkpoint_dir", "save_checkpoint_dir"
"""What NNI's population-based tuner adds to a proposal."""

NOT_PARAMETERS = (TRIAL_NUMBER, GIVEN, _LOAD_FROM, _SAVE_TO)
"""What else may stand in a proposal."""

_RETRY_SECONDS = 30.0
"""After a report that did not arrive; training does not wait for a manager that is gone."""

_LAST_TRIES = 3
"""Attempts to deliver what is left when the trial ends, a second apart."""


@dataclass
class NNITrialFile:
    """What sweeprl keeps of a trial of NNI's, in `nni.json` in the trial's folder.

    NNI 3.0 may label a trial with another one's parameters, and loses what is reported while its
    manager is gone. Here stands what was true.
    """

    experiment: str
    trial: str
    parameter_id: int | None = None
    """The tuner's number of the proposal."""
    proposal: dict[str, Any] = field(default_factory=dict)
    """As the tuner made it."""
    params: dict[str, Any] = field(default_factory=dict)
    """What it stands for, by dotted path, within the frame's limits."""
    reports: list[tuple[int, float]] = field(default_factory=list)
    """Environment steps and scores on the grid."""
    num_delivered: int = 0
    """How many of them NNI has."""
    final: float | None = None
    """The score at the end; None before, and where the trial did not finish."""
    is_final_delivered: bool = False

    @staticmethod
    def path(folder: Path) -> Path:
        """Where it lies."""
        return folder / "nni.json"

    @classmethod
    def load(cls, folder: Path) -> NNITrialFile | None:
        """Reads it; None where there is none."""
        try:
            plain = json.loads(cls.path(folder).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(**{**plain, "reports": [(int(at), score) for at, score in plain["reports"]]})

    def save(self, folder: Path) -> None:
        """Writes it; a reader finds the old one or the new one."""
        text = json.dumps(asdict(self)) + "\n"
        replace_file(self.path(folder), lambda path: _write(path, text))


class NNIBackend(TunerBackend):
    """NNI, on the side of one trial.

    Args:
        environ: of the trial's process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._root_dir = Path(environ["NNI_OUTPUT_DIR"])
        self._experiment = environ.get("NNI_EXP_ID", "")
        self._trial = environ["NNI_TRIAL_JOB_ID"]
        self._environ = environ
        self.channel = channel_of(environ)
        self._file: NNITrialFile | None = None

    @classmethod
    def detect(cls, environ: Mapping[str, str]) -> NNIBackend | None:
        """Goes by what NNI says to the processes that it starts."""
        is_trial = environ.get("NNI_PLATFORM", "unittest") != "unittest"
        return cls(environ) if is_trial and "NNI_TRIAL_JOB_ID" in environ else None

    @property
    def root_dir(self) -> Path:
        """NNI's folder for the trial, which `nnictl resume` keeps."""
        return self._root_dir

    def proposal(self, base: TrialConfig, config_folder: Path) -> Proposal:
        """Asks once; a trial that goes on has its proposal already."""
        check_alone(self._environ, self.channel, config_folder)
        known = NNITrialFile.load(self._root_dir)
        found, number = self.channel.parameters()
        self._file = known or NNITrialFile(self._experiment, self._trial)
        self._file.proposal, self._file.parameter_id = found, number
        own = {k: v for k, v in found.items() if k not in NOT_PARAMETERS}
        is_given = bool(found.get(GIVEN))
        self._file.params = {} if is_given else self._decoded(own, base, config_folder)
        self._file.save(self._root_dir)
        return Proposal(
            self._file.params,
            start_from=Path(found[_LOAD_FROM]) if _LOAD_FROM in found else None,
            save_to=Path(found[_SAVE_TO]) if _SAVE_TO in found else None,
        )

    def _decoded(
        self, proposal: dict[str, Any], base: TrialConfig, config_folder: Path
    ) -> dict[str, Any]:
        """What it stands for; as it came where the search space is not known."""
        found = self._search_space(config_folder)
        if found is None:
            return proposal
        space = from_nni(found)
        return space.resolve(base, decode_nni(space, proposal))

    def _search_space(self, config_folder: Path) -> dict[str, Any] | None:
        """The experiment's; where NNI does not tell, that of a file beside the config."""
        found = None
        with suppress(OSError):  # the manager has died since it gave the parameters
            found = self.channel.search_space()
        beside = config_folder / "search_space.json"
        if found is None and beside.exists():
            return read_mapping(beside, "sweeprl nni-config", what="search space")
        return found

    def reporter(self) -> Reporter:
        """Returns who keeps the reports and sends them."""
        assert self._file is not None, "`proposal` comes first"
        return NNIReporter(self.channel, self._file, self._root_dir)


class NNIReporter(Reporter):
    """Keeps what a trial reports, and sends it to NNI; a report that fails does no harm.

    What NNI has is not sent again when the trial goes on after an interruption, and what did not
    arrive is sent later. A report is kept before it is sent: killed in between, the trial still
    knows what NNI may have.

    Args:
        channel: to NNI.
        file: what is known of the trial.
        folder: where that is kept.
    """

    def __init__(self, channel: Channel, file: NNITrialFile, folder: Path) -> None:
        self._channel, self._file, self._folder = channel, file, folder
        self._known = dict(file.reports)
        self._num_sent = 0
        """In this process; NNI counts anew for each."""
        self._retry_at = 0.0
        self._trust_nni()

    def _trust_nni(self) -> None:
        """The process may have died between sending a metric and taking note of it."""
        try:
            reports, finals = (self._channel.delivered(kind) for kind in ("PERIODICAL", "FINAL"))
        except OSError:
            return
        if reports is not None:
            self._file.num_delivered = min(reports, len(self._file.reports))
        if finals is not None:
            self._file.is_final_delivered = finals > 0

    def report(self, env_steps: int, score: float) -> None:
        """Keeps and sends it, unless that was done before."""
        if env_steps in self._known or not math.isfinite(score):
            return
        self._known[env_steps] = score
        self._file.reports.append((env_steps, score))
        self._keep()
        self._deliver()

    def should_stop(self) -> bool:
        """NNI stops a trial with a signal."""
        return False

    def finish(self, outcome: TrialOutcome) -> None:
        """Sends the score of a trial that has finished, and what did not arrive before."""
        score = outcome.score
        if outcome.status == "finished" and score is not None and math.isfinite(score):
            self._file.final = score
            self._keep()
        for _ in range(_LAST_TRIES):
            self._retry_at = 0.0
            if self._deliver():
                return
            time.sleep(1.0)

    def _deliver(self) -> bool:
        """Sends what is left; whether NNI has it all."""
        before = self._file.num_delivered, self._file.is_final_delivered
        try:
            self._send_all()
        except OSError as error:
            if not self._retry_at:
                logging.getLogger(__name__).warning(
                    "NNI's manager did not take a report: %s. It is kept in '%s'.",
                    error,
                    NNITrialFile.path(self._folder),
                )
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            return False
        finally:
            if before != (self._file.num_delivered, self._file.is_final_delivered):
                self._keep()
        return True

    def _keep(self) -> None:
        """A disk that is full ends no training; the next report tries again, with all of them."""
        try:
            self._file.save(self._folder)
        except OSError as error:
            logging.getLogger(__name__).warning(
                "What the trial reports could not be kept in '%s': %s. Make room there.",
                NNITrialFile.path(self._folder),
                error,
            )

    def _send_all(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        file = self._file
        while file.num_delivered < len(file.reports):
            env_steps, score = file.reports[file.num_delivered]
            self._channel.send("PERIODICAL", self._num_sent, self._metric(env_steps, score))
            self._num_sent += 1
            file.num_delivered += 1
        if file.final is not None and not file.is_final_delivered:
            last = file.reports[-1][0] if file.reports else 0
            self._channel.send("FINAL", 0, self._metric(last, file.final))
            file.is_final_delivered = True

    def _metric(self, env_steps: int, score: float) -> dict[str, float]:
        metric: dict[str, float] = {"default": score, "env_steps": env_steps}
        if TRIAL_NUMBER in self._file.proposal:
            metric["trial"] = self._file.proposal[TRIAL_NUMBER]
        return metric


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
