from __future__ import annotations

import time

import pytest
from sqlalchemy import exc

from sweeprl.errors import DatabaseFailed
from sweeprl.sweeps import patience as module
from sweeprl.sweeps.patience import Patience, is_outage, reason


def operational(words="server closed the connection\nunexpectedly"):
    return exc.OperationalError("SELECT 1", {}, Exception(words))


class Flaky:
    """Fails some times, then returns how often it was told that it is a repetition."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.repetitions = list(errors), 0

    def __call__(self, is_repeated: bool) -> int:
        self.repetitions += is_repeated
        if self.errors:
            raise self.errors.pop(0)
        return self.repetitions


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where it is slept away; holds the pauses."""
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "monotonic", lambda: sum(pauses))
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    return pauses


def test_a_call_that_succeeds_is_made_once(clock):
    assert Patience("db", 300).keep_trying(Flaky()) == 0
    assert clock == []


def test_a_call_is_repeated_until_it_succeeds(clock):
    said = []
    assert Patience("db", 300, said.append).keep_trying(Flaky(*[operational()] * 12)) == 12
    assert all(0.05 <= pause <= 10 for pause in clock)
    assert all(
        pause <= longest for pause, longest in zip(clock, [0.1, 0.2, 0.4, 0.8, 1.6], strict=False)
    )
    assert max(clock) > 4
    assert said[0] == (
        "The database db does not answer (server closed the connection unexpectedly). Nothing is "
        "lost: it is tried again for 300 s, and the sweep goes on by itself."
    )
    assert said[1] == f"The database db answers again after {sum(clock):.0f} s."
    assert len(said) == 2


def test_an_outage_that_is_over_at_once_is_not_worth_a_line(clock):
    said = []
    patience = Patience("db", 300, said.append)
    assert not patience.has_recovered_within(10)
    patience.keep_trying(Flaky(operational(), operational()))
    assert said == []
    assert patience.has_recovered_within(10)
    clock.append(11)
    assert not patience.has_recovered_within(10)


def test_it_gives_up(clock):
    error = operational("FATAL: secret is no password")
    with pytest.raises(DatabaseFailed) as raised:
        Patience("db", 7, lambda line: None, password="secret").keep_trying(Flaky(*[error] * 99))
    assert sum(clock) == 7
    assert str(raised.value) == (
        "The database db does not answer (FATAL: *** is no password). Gave up after 7 s. What was "
        "acknowledged before is kept: start again when the database answers, and the sweep goes on."
    )


def test_other_errors_are_raised(clock):
    with pytest.raises(KeyError):
        Patience("db", 300).keep_trying(Flaky(KeyError("study")))
    assert clock == []


def test_it_says_so_in_the_log(clock, caplog):
    Patience("db", 300).keep_trying(Flaky(*[operational()] * 9))
    assert [record.message[:17] for record in caplog.records] == ["The database db d"] + [
        "The database db a"
    ]


@pytest.mark.parametrize(
    "words, plight",
    [
        ("database or disk is full", "has no room left on its disk. Free some"),
        ("could not extend file: No space left on device", "has no room left on its disk"),
        ("database is locked", "is locked by another program"),
        ("disk I/O error", "cannot be written. Is its disk full?"),
        ("connection refused", "does not answer"),
    ],
)
def test_it_says_what_is_wrong(words, plight):
    assert f"The database db {plight}" in Patience("db", 1).describe(operational(words))


def chained(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error, is_passing",
    [
        (operational(), True),
        (chained(RuntimeError("storage"), operational()), True),
        (exc.InterfaceError("SELECT 1", {}, Exception("closed")), True),
        (exc.TimeoutError("no connection is free"), True),
        (exc.PendingRollbackError("roll back first"), True),
        (exc.DBAPIError("", {}, Exception("lost"), connection_invalidated=True), True),
        (exc.DBAPIError("", {}, Exception("odd")), False),
        (operational("no such table: studies"), False),
        (exc.IntegrityError("INSERT", {}, Exception("duplicate key")), False),
        (exc.DataError("INSERT", {}, Exception("too long")), False),
        (ValueError("wrong"), False),
    ],
)
def test_what_is_an_outage(error, is_passing):
    assert is_outage(error) == is_passing


def test_the_reason_is_the_driver_s():
    assert reason(chained(RuntimeError("storage"), operational("a\n b"))) == "a b"
    assert reason(ValueError()) == "ValueError"


def test_real_time_passes():
    begun = time.monotonic()
    Patience("db", 300).keep_trying(Flaky(operational(), operational()))
    assert 0.1 <= time.monotonic() - begun < 5
