"""A watchdog in the foreground of a terminal, or as a process in the background."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sweeprl.nni.confinement import UMASK
from sweeprl.nni.reading.listing import find
from sweeprl.nni.running.experiments import stop
from sweeprl.nni.running.processes import find_processes
from sweeprl.nni.running.watchdog import Outcome, watch

__all__ = ["attend", "detach", "main"]

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def attend(
    begin: Callable[[], str],
    say: Callable[[str], None],
    *,
    keep_open: bool = False,
    quiet_seconds: float = 1800.0,
) -> int:
    """Looks after an experiment until its end; a signal stops it.

    Args:
        begin: starts the experiment, where it does not run yet, and returns its ID.
        say: gets a line on each trial and on all that the watchdog does.
        keep_open: whether the web page stays until a signal comes.
        quiet_seconds: see `watch`.

    Returns:
        The exit code: 0 done, 1 it failed or was stopped from elsewhere, 128 + n by signal n.
    """
    with _caught_signals() as caught:
        experiment_id = begin()
        outcome = watch(
            experiment_id,
            say,
            should_stop=lambda: bool(caught),
            quiet_seconds=quiet_seconds,
            keep_open=keep_open,
        )
        say(_farewell(outcome, is_signalled=bool(caught)))
        if outcome.status == "done" and keep_open:
            _stay_open(experiment_id, say, caught)
    if outcome.status == "done":
        return 0
    return 128 + caught[0] if caught and outcome.status == "stopped" else 1


def detach(
    begin: Callable[[], str], *, keep_open: bool = False, quiet_seconds: float = 1800.0
) -> Path | int:
    """Lets a process in the background look after an experiment.

    Args:
        begin: starts the experiment and returns its ID. A signal that comes meanwhile stops the
            experiment, which nobody would look after otherwise.
        keep_open: as for `attend`.
        quiet_seconds: see `watch`.

    Returns:
        Where that process's log is, or the exit code, 128 + n, after a signal n.
    """
    with _caught_signals() as caught:
        experiment_id = begin()
        if not caught:
            return _background(experiment_id, keep_open, quiet_seconds)
        stop(experiment_id)
        return 128 + caught[0]


def _background(experiment_id: str, keep_open: bool, quiet_seconds: float) -> Path:
    log = find(experiment_id).folder / "log" / "watchdog.log"
    options = ["--quiet-seconds", str(quiet_seconds), *(["--keep-open"] if keep_open else [])]
    log.touch(mode=0o666 & ~UMASK)
    with log.open("a") as file:
        subprocess.Popen(
            [sys.executable, "-m", "sweeprl.nni.running.watching", experiment_id, *options],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            umask=UMASK,
        )
    return log


def main() -> None:
    """Is the process in the background."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment_id")
    parser.add_argument("--keep-open", action="store_true")
    parser.add_argument("--quiet-seconds", type=float, default=1800.0)
    options = parser.parse_args()

    def say(text: str) -> None:
        sys.stdout.write(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] {text}\n")
        sys.stdout.flush()

    code = attend(
        lambda: str(options.experiment_id),
        say,
        keep_open=options.keep_open,
        quiet_seconds=options.quiet_seconds,
    )
    sys.exit(code)


def _farewell(outcome: Outcome, *, is_signalled: bool) -> str:
    reason = "" if is_signalled else f": {outcome.reason}"
    return f"{outcome.status.capitalize()}{reason}.\n{outcome.trials}."


def _stay_open(experiment_id: str, say: Callable[[str], None], caught: list[int]) -> None:
    say(f"The web page stays at {find(experiment_id).address}; Ctrl-C closes it.")
    while not caught and find_processes(experiment_id).managers:
        time.sleep(1)
    stop(experiment_id)


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Collects the signals that ask for an end, instead of being ended by them."""
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
