"""Which processes belong to an experiment, and how they are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from sweeprl.nni.reading.listing import Experiment
from sweeprl.nni.reading.manager import STOPPING, Manager

__all__ = ["Processes", "end_orderly", "end_processes", "find_processes"]

_GRACE_SECONDS = 5.0
"""How long a trial may take to save its checkpoint; the same as in NNI."""

_DISPATCHER_SECONDS = 6.0
"""How long the dispatcher may take to end in order, which the manager waits for; 3 s are usual."""

_MANAGER_SECONDS = 15.0
"""How long the manager may take after that."""

_NOTICE_SECONDS = 6.0
"""How long the manager may take to note that it stops; a busy one takes seconds."""


class Processes(NamedTuple):
    """An experiment's processes on this machine."""

    managers: list[psutil.Process]
    dispatchers: list[psutil.Process]
    """They run tuner and assessor."""
    trials: list[psutil.Process]
    """With all that trials have started."""

    def __bool__(self) -> bool:
        return any(self)


def find_processes(experiment_id: str) -> Processes:
    """Looks for an experiment's processes among the user's own."""
    found = Processes([], [], [])
    user, not_its = psutil.Process().username(), _own_line()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in not_its and process.username() == user:
                _sort_in(found, process, experiment_id)
    return found


def _own_line() -> set[int]:
    """This process and those that have begun it: a command in a trial does not end itself."""
    with suppress(psutil.Error):
        return {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    return {os.getpid()}


def _sort_in(found: Processes, process: psutil.Process, experiment_id: str) -> None:
    command, environ = process.cmdline(), process.environ()
    if environ.get("NNI_EXP_ID") == experiment_id:
        found.trials.append(process)
    elif _is_dispatcher(environ, experiment_id):
        found.dispatchers.append(process)
    elif ("--experiment-id", experiment_id) in zip(command, command[1:], strict=False):
        found.managers.append(process)


def _is_dispatcher(environ: Mapping[str, str], experiment_id: str) -> bool:
    folder = Path(environ.get("NNI_LOG_DIRECTORY", ""))
    return environ.get("SDK_PROCESS") == "dispatcher" and folder.parent.name == experiment_id


def end_orderly(experiment: Experiment) -> None:
    """Ends an experiment such that it can be gone on with: trials save their checkpoints.

    The trials are told all at once; the manager would tell one after the other.
    """
    managers = find_processes(experiment.id).managers
    if managers:
        _signal(managers, signal.SIGTERM)
        _await_stopping(experiment.manager)
        _signal(find_processes(experiment.id).trials, signal.SIGINT)
        _, waiting = psutil.wait_procs(managers, timeout=_DISPATCHER_SECONDS)
        _signal(find_processes(experiment.id).dispatchers, signal.SIGTERM)  # its tuner hangs
        psutil.wait_procs(waiting, timeout=_MANAGER_SECONDS)
    end_processes(experiment.id)


def _await_stopping(manager: Manager) -> None:
    """Waits until it notes that it stops: what ends afterwards is for `resume` to go on with."""
    give_up_at = time.monotonic() + _NOTICE_SECONDS
    with suppress(OSError):  # it is gone already
        while manager.status()[0] not in STOPPING and time.monotonic() < give_up_at:
            time.sleep(0.05)


def end_processes(experiment_id: str) -> None:
    """Ends what is left of an experiment; trials may save their checkpoints."""
    while found := find_processes(experiment_id):
        _signal(found.managers, signal.SIGKILL)  # it would start others
        _signal(found.trials, signal.SIGINT)
        _signal(found.dispatchers, signal.SIGTERM)
        ending = [*found.managers, *found.dispatchers, *found.trials]
        _, alive = psutil.wait_procs(ending, timeout=_GRACE_SECONDS)
        _signal(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=_GRACE_SECONDS)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
