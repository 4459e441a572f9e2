"""Waiting for a database that does not answer.

A sweep lasts for days, and within days a server is restarted, a disk fills up, a file is locked by
a backup. None of this is a reason to lose a trial: the call is repeated until it succeeds.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from sqlalchemy import exc

from sweeprl.errors import DatabaseFailed

__all__ = ["Patience", "is_outage", "reason"]

T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0
"""Seconds between two attempts: doubled from the first to the longest."""

SILENCE = 1.0
"""Seconds; what is over sooner is not worth a line."""

NEVER_PASSES = ("no such table", "no such column", "syntax error")
"""SQLite calls these operational errors, too."""

PLIGHTS = {
    "disk is full": "has no room left on its disk. Free some",
    "No space left": "has no room left on its disk. Free some",
    "disk I/O error": "cannot be written. Is its disk full?",
    "is locked": "is locked by another program",
}
"""What is wrong, by what the database says; it does not answer otherwise."""


class Patience:
    """Repeats calls that fail while a database cannot be used.

    Args:
        database: its name in messages, without a password.
        seconds: how long one call is repeated.
        say: takes lines meant for the user, one when an outage begins to last and one at its end;
            the log by default.
        password: never to be seen in a message.
    """

    def __init__(
        self,
        database: str,
        seconds: float,
        say: Callable[[str], None] | None = None,
        password: str = "",
    ) -> None:
        self.database, self.seconds = database, seconds
        self._say = say or logging.getLogger(__name__).warning
        self._password = password
        self._lock = threading.Lock()
        self._is_said = False
        self._recovered_at: float | None = None

    def keep_trying(
        self,
        call: Callable[[bool], T],
        is_passing: Callable[[BaseException], bool] | None = None,
    ) -> T:
        """Returns what `call` returns when it succeeds.

        Args:
            call: is told whether an earlier attempt broke, which may have been carried out all the
                same: the connection can break between the commit and its acknowledgement.
            is_passing: which errors are worth another attempt; those of `is_outage` by default.

        Raises:
            DatabaseFailed: it did not succeed for `seconds`.
        """
        begun = time.monotonic()
        for attempt in itertools.count():
            try:
                result = call(attempt > 0)
            except Exception as error:
                if not (is_passing or is_outage)(error):
                    raise
                self._wait(attempt, time.monotonic() - begun, error)
            else:
                if attempt:
                    self._recover(time.monotonic() - begun)
                return result
        raise AssertionError("count() does not end")

    def has_recovered_within(self, seconds: float) -> bool:
        """Whether an outage ended no longer ago than that."""
        recovered_at = self._recovered_at
        return recovered_at is not None and time.monotonic() - recovered_at < seconds

    def describe(self, error: BaseException) -> str:
        """Says in a sentence what is wrong with the database."""
        why = reason(error)
        if self._password:
            why = why.replace(self._password, "***")
        plights = (plight for text, plight in PLIGHTS.items() if text in why)
        return f"The database {self.database} {next(plights, 'does not answer')} ({why})."

    def _wait(self, attempt: int, waited: float, error: Exception) -> None:
        left = self.seconds - waited
        if left <= 0:
            raise DatabaseFailed(
                f"{self.describe(error)} Gave up after {waited:.0f} s. What was acknowledged "
                "before is kept: start again when the database answers, and the sweep goes on."
            ) from error
        if waited > SILENCE:
            self._say_once(error)
        # Jitter, or all workers come back in the same instant.
        pause = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * random.uniform(0.5, 1.0)
        time.sleep(min(pause, left))

    def _say_once(self, error: Exception) -> None:
        with self._lock:
            is_news, self._is_said = not self._is_said, True
        if is_news:
            self._say(
                f"{self.describe(error)} Nothing is lost: it is tried again for "
                f"{self.seconds:.0f} s, and the sweep goes on by itself."
            )

    def _recover(self, waited: float) -> None:
        with self._lock:
            was_said, self._is_said = self._is_said, False
            self._recovered_at = time.monotonic()
        if was_said:
            self._say(f"The database {self.database} answers again after {waited:.0f} s.")


def is_outage(error: BaseException) -> bool:
    """Whether `error` comes from a database that cannot be used now and may be later."""
    return any(_is_outage(link) for link in _chain(error))


def reason(error: BaseException) -> str:
    """Returns the driver's own words, in one line."""
    link = next((link for link in _chain(error) if isinstance(link, exc.DBAPIError)), error)
    words = getattr(link, "orig", None) or link
    return " ".join(str(words).split()) or type(words).__name__


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(error, exc.PendingRollbackError):
        return True  # Optuna went on with a session whose connection had just been lost
    is_candidate = isinstance(error, (exc.OperationalError, exc.InterfaceError, exc.TimeoutError))
    return is_candidate and not any(text in str(error) for text in NEVER_PASSES)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
