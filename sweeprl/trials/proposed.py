"""A trial that a tuner's own process has started: from its proposal to its outcome."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

import torch

from sweeprl.config import TrialConfig
from sweeprl.endings import die_of, end_by
from sweeprl.errors import ConfigError, SweepRLError
from sweeprl.launcher import StopOnSignal, TrialFolder, TrialModule
from sweeprl.launcher.views import ViewName
from sweeprl.lightning import Callback, pl
from sweeprl.trials.backend import TunerBackend
from sweeprl.trials.running import run_trial
from sweeprl.trials.trial import TrialOutcome

__all__ = ["StartFrom", "run_proposed", "train_and_end"]


def run_proposed(
    base: TrialConfig, backend: TunerBackend, config_folder: Path, view: ViewName = "none"
) -> TrialOutcome:
    """Trains what a tuner proposes for this process, and goes on with it after an interruption.

    Args:
        base: what the proposal is put into; the trial's folder is the tuner's to choose.
        backend: the tuner.
        config_folder: a folder whose modules the config may name.
        view: how progress is shown.

    Raises:
        ConfigError: the proposal breaks a rule; nothing was trained.
    """
    proposal = backend.proposal(base, config_folder)
    own = TrialFolder(backend.root_dir)
    begins_anew = proposal.start_from is not None and not own.last.exists()
    earlier = [StartFrom(proposal.start_from)] if begins_anew and proposal.start_from else []
    # A manager that stops its experiment and whoever stops the manager may both signal the trial.
    signals = StopOnSignal(heeds_second=False)
    outcome = run_trial(
        base.model_copy(update={"root_dir": str(own.root)}),
        proposal.params,
        backend.reporter(),
        resume=True,
        config_folder=str(config_folder),
        pl_callbacks=[signals, *earlier],
        view=view,
    )
    if proposal.save_to is not None and outcome.status == "finished":
        proposal.save_to.mkdir(parents=True, exist_ok=True)
        shutil.copy2(own.last, proposal.save_to / own.last.name)
    return outcome


def train_and_end(base: TrialConfig, backend: TunerBackend, config_folder: Path) -> NoReturn:
    """Trains what a tuner proposes for this process, and ends it as NNI understands it.

    Exit code 0 where the trial has finished, 1 where it has failed, and 2 where the proposal was
    refused, with the reason on standard error. A trial that was stopped saves its checkpoint and
    dies of the signal: NNI shows that as canceled, and not as failed.

    Args:
        base: what the proposal is put into.
        backend: the tuner, as `detect_backend` finds it.
        config_folder: a folder whose modules the config may name.
    """
    try:
        outcome = run_proposed(base, backend, config_folder, view="plain")
    except KeyboardInterrupt:
        die_of(signal.SIGINT)
        raise
    except SweepRLError as error:
        end_by(error)
    sys.stderr.write(f"{outcome.sentence()}\n")
    if outcome.status == "stopped":
        die_of(signal.SIGINT)
    sys.exit(0 if outcome.is_success else 1)


class StartFrom(Callback):
    """Lets a trial begin with the agent of an earlier one, as in population-based training.

    Jaderberg et al., "Population Based Training of Neural Networks", 2017,
    https://arxiv.org/abs/1711.09846. Networks, optimizers, replay, random streams and
    the place in the schedules are taken over; hyperparameters, environments and the budget are the
    trial's own.

    Args:
        folder: that the earlier trial's checkpoint was left in; without one, as in the first
            generation, the trial begins as any other.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "last.ckpt"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the agent over.

        Raises:
            ConfigError: the earlier trial's networks or replay were of another shape.
        """
        assert isinstance(pl_module, TrialModule)
        if not self._path.exists():
            return
        checkpoint = torch.load(self._path, map_location="cpu", weights_only=True)
        learner = pl_module.learner
        try:
            learner.load_state_dict(checkpoint["learner"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"A trial that goes on with the agent in '{self._path}' must have its networks, "
                f"optimizer class and replay size, but: {error}. Leave those out of the space."
            ) from error
