"""`sweeprl run` as the trial command of an NNI experiment."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from sweeprl.cli.settings import load_changed
from sweeprl.endings import die_of
from sweeprl.errors import ConfigError

__all__ = ["run_in_experiment"]


def run_in_experiment(config: Path, changes: dict[str, Any], as_lane: bool = False) -> None:
    """Trains the trial that this process was started for, and ends as NNI understands it.

    See `trials.proposed.train_and_end`.

    Args:
        config: path of the config that the proposal is put into.
        changes: further settings, by dotted path.
        as_lane: whether the experiment's other trials are lanes: it has their settings then.
    """
    try:
        _run(config, changes, as_lane)
    except KeyboardInterrupt:
        die_of(signal.SIGINT)


def _run(config: Path, changes: dict[str, Any], as_lane: bool) -> None:
    from sweeprl.trials.backend import detect_backend

    backend = detect_backend()
    if backend is None:
        raise ConfigError(
            "A trial of an NNI experiment must have NNI_TRIAL_JOB_ID in its environment, but has "
            "only NNI_PLATFORM. Unset that to train outside of NNI."
        )
    _show_log_in_web_page(backend.root_dir)
    base = load_changed(config, changes)
    if as_lane:
        from sweeprl.executors import feed

        base = feed.as_lane(base)

    from sweeprl.trials.proposed import train_and_end

    train_and_end(base, backend, config.resolve().parent)


def _show_log_in_web_page(folder: Path) -> None:
    """NNI's page shows `trial.log`; what the trial says goes to standard error."""
    log, errors = folder / "trial.log", folder / "trial.stderr"
    if errors.exists() and not log.exists():  # 2.10.1 writes neither
        log.symlink_to(errors.name)
