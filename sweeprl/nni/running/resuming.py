"""What NNI would do wrong when it resumes an experiment, mended in its database beforehand."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sweeprl.errors import ConfigError

__all__ = ["prepare_resume"]

_INTERRUPTED = ("WAITING", "RUNNING")


def prepare_resume(folder: Path) -> None:
    """Mends the database of an experiment that does not run.

    A tuner's history is replayed, its randomness is not: a seeded one would repeat its suggestions.
    A trial that waited to be resumed when the experiment ended once more would be forgotten. And
    NNI 2 counts a trial that it resumes twice, so that the last ones would not be begun.

    Raises:
        ConfigError: there is no database.
    """
    path = folder / "db" / "nni.sqlite"
    if not path.exists():
        raise ConfigError(f"A resumed experiment needs its database, but '{path}' does not exist.")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("delete from TrialJobEvent where event = 'ADD_RESUMED'")
        _change_config(database)


def _change_config(database: sqlite3.Connection) -> None:
    latest = "select revision, params from ExperimentProfile order by revision desc limit 1"
    row = database.execute(latest).fetchone()
    if row is None:
        return
    params = json.loads(row[1])
    _renew_seed(params.get("tuner") or {})
    if "maxTrialNumber" in params and version("nni").startswith("2."):
        params["maxTrialNumber"] += _num_interrupted(database)
    update = "update ExperimentProfile set params = ? where revision = ?"
    database.execute(update, (json.dumps(params), row[0]))


def _renew_seed(tuner: dict[str, Any]) -> None:
    """Gives one of NNI's own tuners another seed, if it has one; others look after themselves."""
    arguments = tuner.get("classArgs") or {}
    if tuner.get("name") and isinstance(arguments.get("seed"), int):
        arguments["seed"] = random.Random(arguments["seed"]).randrange(2**31)


def _num_interrupted(database: sqlite3.Connection) -> int:
    # SQLite takes the other columns from the row of the maximum.
    latest = (
        "select event, max(rowid) from TrialJobEvent where trialJobId != '' group by trialJobId"
    )
    return sum(event in _INTERRUPTED for event, _ in database.execute(latest))
