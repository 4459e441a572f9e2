"""What NNI's logs say of why it does not go on."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

__all__ = [
    "LOGGER",
    "OPENING",
    "PROPOSING",
    "cannot_train",
    "dispatcher_error",
    "is_stopped_in_order",
    "manager_error",
    "search_error",
]

LOGGER = logging.getLogger("nni.sweeprl")
"""NNI writes into dispatcher.log what loggers below its own say."""

OPENING, PROPOSING = "Opening the study", "Proposing a trial"
"""What the experiment ends for where it does not work."""

_TAIL_BYTES = 200_000
_RECORD = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] ", re.MULTILINE)
_FATAL = re.compile(r"^\w+ \(nni\.(runtime\.msg_dispatcher|main)")
"""NNI's own loops, which end with what they log with a traceback; a tuner may log what it likes."""
_NO_TRAINING = "training service initialize failed"

_ENDING = re.compile(rf"^ERROR \({re.escape(LOGGER.name)}\b.*\) ({OPENING}|{PROPOSING}) ")
"""What our tuner ends an experiment for; it must not raise."""


def search_error(folder: Path, since: float) -> str | None:
    """Returns the exception for which our own tuner proposes no more trials, in one line.

    Args:
        folder: of the experiment.
        since: what is older is of a former run, in seconds of the epoch.
    """
    records = _records(folder / "log" / "dispatcher.log", since)
    found = [record for record in records if _ENDING.match(record)]
    return _exception(found[-1]) if found else None


def dispatcher_error(folder: Path, since: float) -> str | None:
    """Returns the last exception that has ended a tuner or assessor, in one line.

    Args:
        folder: of the experiment.
        since: what is older is of a former run, in seconds of the epoch.
    """
    fatal = [
        record
        for record in _records(folder / "log" / "dispatcher.log", since)
        if _FATAL.match(record) and "Traceback (most recent call last)" in record
    ]
    return _exception(fatal[-1]) if fatal else None


def manager_error(folder: Path, since: float) -> str | None:
    """Returns the last error that the manager has noted, in one line."""
    records = _records(folder / "log" / "nnimanager.log", since)
    errors = [record for record in records if record.startswith(("ERROR ", "CRITICAL "))]
    return " ".join(errors[-1].split("\n")[0].split(" ", 2)[2:]) if errors else None


def is_stopped_in_order(folder: Path, since: float) -> bool:
    """Tells whether somebody has stopped the manager, rather than it broke down."""
    return any(_NO_TRAINING not in record for record in _shutdowns(folder, since))


def cannot_train(folder: Path, since: float) -> bool:
    """Tells whether the manager has ended itself, since it could not get machines or GPUs ready."""
    return any(_NO_TRAINING in record for record in _shutdowns(folder, since))


def _shutdowns(folder: Path, since: float) -> Iterator[str]:
    for record in _records(folder / "log" / "nnimanager.log", since):
        if "Initiate shutdown:" in record:
            yield record


def _records(path: Path, since: float) -> Iterator[str]:
    """What was logged since, each without its time."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    first = f"{datetime.fromtimestamp(int(since)):%Y-%m-%d %H:%M:%S}"
    _, *parts = _RECORD.split(text)
    for at, record in zip(parts[::2], parts[1::2], strict=True):
        if at >= first:
            yield record.rstrip()


def _exception(record: str) -> str:
    """The line after the traceback's last frame: `KeyError: 5`."""
    lines = record[record.rindex("Traceback (most recent call last)") :].split("\n")[1:]
    return next((line for line in lines if line and not line.startswith(" ")), lines[-1].strip())
