"""A trial's thin process, from its resident worker's point of view."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sweeprl.nni.studies.shared import harmless
from sweeprl.trials.reporter import Reporter
from sweeprl.trials.trial import TrialOutcome

__all__ = ["Visitor", "VisitorReporter"]


class Visitor:
    """The connection to a trial's process.

    Args:
        connection: to it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile(encoding="utf-8")
        self.is_gone = False
        """Whether it has ended, or is about to."""

    def request(self) -> dict[str, Any]:
        """Returns what it wants.

        Raises:
            ValueError: it does not say.
        """
        found: dict[str, Any] = json.loads(self._lines.readline())
        return found

    def wait(self) -> None:
        """Returns when it is gone."""
        with suppress(OSError, ValueError):
            self._lines.read()
        self.is_gone = True

    def say(self, text: str) -> None:
        """Puts a line into the trial's log."""
        self._send({"say": text})

    def send_alone(self, reason: str) -> None:
        """Lets it train the trial itself."""
        self._end({"alone": reason})

    def end(self, end: int | str) -> None:
        """Ends it.

        Args:
            end: its exit code, or "stopped".
        """
        self._end({"end": end})

    def _end(self, answer: dict[str, Any]) -> None:
        self._send(answer)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _send(self, answer: dict[str, Any]) -> None:
        with suppress(OSError):  # it is gone
            self._connection.sendall(json.dumps(answer).encode() + b"\n")


class VisitorReporter(Reporter):
    """Hears of a trial between two chunks, and speaks with NNI and the trial's process meanwhile.

    Args:
        inner: reports to NNI.
        visitor: the trial's process.
        when_over: called as soon as the trial has ended, in the thread that trains.
    """

    def __init__(self, inner: Reporter, visitor: Visitor, when_over: Callable[[], None]) -> None:
        self._inner, self._visitor, self._when_over = inner, visitor, when_over
        self._to_do: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def report(self, env_steps: int, score: float) -> None:
        """Has it reported."""

        def speak() -> None:
            with harmless("A report"):
                self._inner.report(env_steps, score)
            self._visitor.say(f"{env_steps:>9,} env steps  score {score:.1f}")

        self._to_do.put(speak)

    def should_stop(self) -> bool:
        """NNI stops a trial with a signal to its process."""
        return False

    def finish(self, outcome: TrialOutcome) -> None:
        """Has the end reported, and ends the trial's process."""
        is_cancelled = self._visitor.is_gone

        def speak() -> None:
            with harmless("Reporting the end"):
                self._inner.finish(outcome)
            self._visitor.say(outcome.sentence())
            if outcome.status != "stopped":
                self._visitor.end(0 if outcome.is_success else 1)
            elif is_cancelled:
                self._visitor.end("stopped")
            else:
                self._visitor.send_alone(f"its worker has stopped it: {outcome.reason}")

        self._to_do.put(speak)
        self._to_do.put(None)
        self._when_over()

    def send_alone(self, reason: str) -> None:
        """Gives the trial back to its process."""
        self._to_do.put(lambda: self._visitor.send_alone(reason))
        self._to_do.put(None)

    def join(self, seconds: float) -> None:
        """Returns when all is said, or after `seconds`."""
        self._thread.join(seconds)

    def _speak(self) -> None:
        while (speak := self._to_do.get()) is not None:
            speak()
