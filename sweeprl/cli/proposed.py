"""`sweeprl run` as the trial command of an NNI experiment."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import typer

from sweeprl.cli.settings import load_changed
from sweeprl.errors import ConfigError

__all__ = ["run_in_experiment"]


def run_in_experiment(config: Path, changes: dict[str, Any]) -> None:
    """Trains the trial that this process was started for, and ends as NNI understands it.

    Exit code 0 where it has finished, and 1 where it has failed. One that was stopped saves its
    checkpoint and dies of the signal: NNI shows that as canceled, and not as failed.

    Args:
        config: path of the config that the proposal is put into.
        changes: further settings, by dotted path.
    """
    try:
        _run(config, changes)
    except KeyboardInterrupt:
        _die_of(signal.SIGINT)


def _run(config: Path, changes: dict[str, Any]) -> None:
    from sweeprl.trials.backend import detect_backend

    backend = detect_backend()
    if backend is None:
        raise ConfigError(
            "A trial of an NNI experiment must have NNI_TRIAL_JOB_ID in its environment, but has "
            "only NNI_PLATFORM. Unset that to train outside of NNI."
        )
    _show_log_in_web_page(backend.root_dir)
    base = load_changed(config, changes)

    from sweeprl.trials.proposed import run_proposed

    outcome = run_proposed(base, backend, config.resolve().parent, view="plain")
    score = "no score" if outcome.score is None else f"score {outcome.score:.1f}"
    sys.stderr.write(f"{outcome.status}: {outcome.reason}; {score}\n")
    if outcome.status == "stopped":
        _die_of(signal.SIGINT)
    if outcome.status != "finished" or outcome.score is None:
        raise typer.Exit(1)


def _show_log_in_web_page(folder: Path) -> None:
    """NNI's page shows `trial.log`; what the trial says goes to standard error."""
    log, errors = folder / "trial.log", folder / "trial.stderr"
    if errors.exists() and not log.exists():  # 2.10.1 writes neither
        log.symlink_to(errors.name)


def _die_of(number: signal.Signals) -> None:
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
