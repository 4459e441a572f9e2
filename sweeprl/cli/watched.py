"""A sweep in a terminal: what it shows, and the signals that end it."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sweeprl.sweeps import Progress
    from sweeprl.sweeps.progress import Event
    from sweeprl.sweeps.views import View

__all__ = ["GO_ON", "Watched", "command_line", "stopped_like_ctrl_c"]

GO_ON = "Nothing is lost: the same command goes on."


class Watched:
    """A view, and which signal has stopped the sweep."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.signal: int = signal.SIGINT

    def show(self, event: Event, progress: Progress) -> None:
        """Shows what happened."""
        if event["event"] == "trial_interrupted":
            word, _, number = event["reason"].rpartition(" ")
            if word == "signal" and number.isdigit():
                self.signal = int(number)
        self._view.show(event, progress)

    @contextmanager
    def closed_at_the_end(self) -> Iterator[None]:
        """Leaves the terminal as it was, whatever happens."""
        try:
            yield
        except _Stopped as stopped:
            self._view.close()
            sys.stderr.write(f"Stopped by signal {stopped.number}. {GO_ON}\n")
            raise typer.Exit(128 + stopped.number) from None
        finally:
            self._view.close()


class _Stopped(BaseException):
    """A signal came while nothing was trained."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Lets a signal end the sweep where no executor heeds it: what runs is told, and kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command_line() -> str:
    """The command as it was given, but for passwords."""
    shown = [re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", argument) for argument in sys.argv[1:]]
    return shlex.join(["sweeprl", *shown])
