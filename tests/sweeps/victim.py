"""A sweep in a process of its own, for tests to treat badly."""

from __future__ import annotations

import os
import sys

from sweeprl.search_spaces import Float, SearchSpace
from sweeprl.sweeps import Sweep
from tests.executors.conftest import small_config, wrapped_config

SPACE = SearchSpace(parameters={"learning_rate": Float(1e-4, 1e-2, log=True)})


class Sender:
    """Sends every event; a report's means that the study has it."""

    def __init__(self, connection):
        self._connection = connection

    def show(self, event, progress):
        self._connection.send(event)


def main(connection, errors, folder, settings):
    """Is the process.

    Args:
        connection: gets the events.
        errors: file of what it writes to standard error.
        folder: where it works, and its workers.
        settings: of `sweep`.
    """
    with open(errors, "w") as file:
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.exit(sweep(Sender(connection), **settings))


def sweep(view, root_dir, trials, trial, wrapper=None, **settings):
    """Searches; returns the exit code."""
    trial = {"checkpoint_every_seconds": 0.2, **trial}
    config = small_config("unused", **trial)
    if wrapper is not None:
        config = wrapped_config("unused", wrapper, **trial)
    result = Sweep(config, SPACE, trials, root_dir=root_dir, view=view, **settings).run()
    return 0 if result.status == "finished" else 143
