"""One trial, in this process: from proposed parameters to its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig, merge
from sweeprl.errors import StorageFailed, TrialFailed
from sweeprl.launcher import TrialFolder, TrialRecord, launch
from sweeprl.launcher.views import ViewName
from sweeprl.lightning import Callback
from sweeprl.trials.reporter import MemoryReporter, Reporter
from sweeprl.trials.reporting import ReportOnGrid
from sweeprl.trials.tally import Listener, Tally
from sweeprl.trials.trial import Trial, TrialOutcome

__all__ = ["run_here", "run_trial", "train_seed"]


def run_trial(
    base: TrialConfig,
    params: Mapping[str, Any],
    reporter: Reporter | None = None,
    *,
    seeds: Sequence[int] = (),
    resume: bool = False,
    config_folder: str = "",
    pl_callbacks: Sequence[Callback] = (),
    view: ViewName = "none",
) -> TrialOutcome:
    """Merges what was proposed into a config, trains it, and returns how it went.

    Args:
        base: what the parameters are put into; its `root_dir` is the trial's own.
        params: values by dotted path.
        reporter: hears the scores on the grid of environment steps, and may stop the trial.
        seeds: to train on, one after the other; the config's own by default.
        resume: go on from the checkpoint in `root_dir` where there is one.
        config_folder: a folder whose modules the config may name.
        pl_callbacks: further Lightning callbacks.
        view: how progress is shown.

    Raises:
        ConfigError: a path leads nowhere, or a value breaks a rule; nothing was trained.
        Exception: whatever is a fault of the code and not of the trial. A trial that diverges, or
            whose environment raises, has an outcome whose status is failed.
    """
    trial = Trial(
        merge(base, params), reporter or MemoryReporter(), seeds, resume, config_folder, params
    )
    return run_here(trial, pl_callbacks, view)


def run_here(
    trial: Trial, pl_callbacks: Sequence[Callback] = (), view: ViewName = "none"
) -> TrialOutcome:
    """Trains the seeds of a trial in this process, one after the other."""
    configs = trial.configs()
    tally = Tally(trial, len(configs))
    for config in configs:
        if tally.should_stop:
            tally.finish(TrialRecord.unbegun(config, "pruned", tally.reason))
        else:
            tally.has_begun = True
            tally.finish(train_seed(trial, config, tally, pl_callbacks, view))
    assert tally.outcome is not None
    return tally.outcome


def train_seed(
    trial: Trial,
    config: TrialConfig,
    listener: Listener,
    pl_callbacks: Sequence[Callback] = (),
    view: ViewName = "none",
) -> TrialRecord:
    """Trains one seed of a trial; a failure of its own is a record, not an error.

    A full disk is no failure of the trial's own.

    Args:
        trial: the trial.
        config: of this seed.
        listener: hears its scores.
        pl_callbacks: further Lightning callbacks.
        view: how progress is shown.
    """
    folder = TrialFolder(Path(config.root_dir))
    goes_on = trial.resume and folder.last.exists()
    try:
        return launch(
            config,
            [ReportOnGrid(listener, trial.params), *pl_callbacks],
            resume=goes_on,
            overwrite=trial.resume and not goes_on,
            config_folder=trial.config_folder or None,
            view=view,
        )
    except StorageFailed:
        raise
    except TrialFailed:
        return folder.load_record()
