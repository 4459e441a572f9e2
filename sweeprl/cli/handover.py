"""The thin process of an NNI trial: it hands its parameters to the experiment's resident worker.

`import torch` and Lightning take longer than many a trial; here neither is imported, nor anything
else but Python's own modules. The first trial of an experiment starts the worker, which trains the
trials that run at once as lanes; see `sweeprl.nni.warm`. Between the two is a socket that only
this user reaches, and on it a line of JSON for each message. A process that ends, however it ends,
closes its side, and that is how a trial is cancelled.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from sweeprl.endings import die_of

__all__ = ["hand_over", "socket_path"]

_TRIES = 2
"""A worker may end for lack of trials, or be killed, at the moment when it is asked."""


def hand_over(arguments: Sequence[str]) -> str:
    """Lets the resident worker train this trial, and ends as the trial has ended.

    Args:
        arguments: of `sweeprl run`.

    Returns:
        Why the trial has to be trained in this process instead.
    """
    url = os.environ.get("NNI_TRIAL_COMMAND_CHANNEL", "")
    if os.environ.get("NNI_PLATFORM") != "local" or not url.startswith("http://"):
        return "only NNI 3.0 on its manager's own machine lets a worker speak for a trial"
    request = _request(arguments)
    if request is None:
        return "only --config, --set and --seed are handed over"
    with _ended_by_signal() as ended:
        answer = _asked(request, ended)
        if answer is not None and isinstance(answer.get("end"), int):
            sys.exit(answer["end"])
        if ended.number or answer == {"end": "stopped"}:
            die_of(ended.number or signal.SIGINT)
    return "the experiment's worker is gone" if answer is None else str(answer["alone"])


def _asked(request: dict[str, Any], ended: _Ended) -> dict[str, Any] | None:
    """What the worker answers in the end; None where there is none."""
    answer = None
    for _ in range(_TRIES):
        try:
            connection = _connected()
        except OSError as error:
            return {"alone": f"its worker cannot be reached: {error}"}
        with closing(connection):
            ended.connection = connection
            if ended.number is None:
                answer = _conversation(connection, request)
        if answer is not None or ended.number is not None:
            break
    return answer


def _request(arguments: Sequence[str]) -> dict[str, Any] | None:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("command")
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--config", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seed", type=int)
    try:
        found, others = parser.parse_known_args(list(arguments))
    except (argparse.ArgumentError, SystemExit):
        return None
    if others or found.command != "run":
        return None
    environ = {name: value for name, value in os.environ.items() if name.startswith("NNI_")}
    return {
        "environ": environ,
        "config": str(Path(found.config).resolve()),
        "settings": found.set,
        "seed": found.seed,
    }


class _Ended:
    """Which signal has asked for the trial's end; the worker is told at once."""

    number: int | None = None
    connection: socket.socket | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if self.connection is not None:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_WR)


@contextmanager
def _ended_by_signal() -> Iterator[_Ended]:
    ended = _Ended()
    before = {n: signal.signal(n, ended.note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _conversation(connection: socket.socket, request: dict[str, Any]) -> dict[str, Any] | None:
    """Shows what the worker says of the trial; returns how it ended, None without an end."""
    with suppress(OSError, ValueError):
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile(encoding="utf-8") as lines:
            for line in lines:
                answer: dict[str, Any] = json.loads(line)
                if "say" not in answer:
                    return answer
                sys.stderr.write(f"{answer['say']}\n")
                sys.stderr.flush()
    return None


def socket_path(experiment: str) -> Path:
    """Returns where an experiment's worker listens, in a folder that only this user can enter.

    Not in the experiment's own folder: the path of a socket has at most 107 characters.

    Raises:
        PermissionError: somebody else has made the folder.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = runtime if os.access(runtime, os.W_OK) else tempfile.gettempdir()
    folder = Path(parent) / f"sweeprl-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"'{folder}' must be a folder that only its owner can enter, but is not. Delete it."
        )
    return folder / f"{experiment}.sock"


def _connected() -> socket.socket:
    """To the worker, which is started where there is none."""
    import fcntl  # which Windows lacks

    path = socket_path(os.environ["NNI_EXP_ID"])
    with path.with_name("start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two would start two workers
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            _start_worker(path)
            connection.connect(str(path))
    return connection


def _start_worker(path: Path) -> None:
    """It finds the socket open: nobody has to wait until it has imported torch."""
    path.unlink(missing_ok=True)
    own = ("NNI_TRIAL_JOB_ID", "NNI_TRIAL_SEQ_ID", "NNI_OUTPUT_DIR", "NNI_SYS_DIR")
    environ = {name: value for name, value in os.environ.items() if name not in own}
    # Threads that wait in a loop take the cores from what else runs, other trials among it.
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with closing(socket.socket(socket.AF_UNIX)) as listener, _log().open("ab") as log:
        listener.bind(str(path))
        listener.listen(256)
        subprocess.Popen(
            [sys.executable, "-m", "sweeprl.cli.resident", str(listener.fileno())],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # what ends a trial is not for the others' worker
        )


def _log() -> Path:
    trial = Path(os.environ["NNI_OUTPUT_DIR"])
    folder = next((p for p in trial.parents if p.name == os.environ["NNI_EXP_ID"]), trial) / "log"
    folder.mkdir(exist_ok=True)
    return folder / "worker.log"
