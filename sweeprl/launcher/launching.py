"""Running one trial with Lightning, from a config to its record."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from sweeprl import registry
from sweeprl.config import TrialConfig
from sweeprl.engine import Learner
from sweeprl.envs import EnvExtension, EvaluationDataset
from sweeprl.errors import ConfigError, TrialFailed
from sweeprl.frames import Frame, RolloutFrame
from sweeprl.launcher.callbacks import (
    LastCheckpoint,
    StopOnSignal,
    best_checkpoint,
    early_stopping,
)
from sweeprl.launcher.devices import choose_device
from sweeprl.launcher.module import TrialModule
from sweeprl.launcher.randomness import seed_everything
from sweeprl.launcher.record import TrialFolder, TrialRecord
from sweeprl.launcher.score import share_of, step_weighted_return
from sweeprl.launcher.surroundings import quiet, storage_guarded, threads
from sweeprl.launcher.views import ViewName, make_view
from sweeprl.lightning import (
    Callback,
    CSVLogger,
    EarlyStopping,
    Logger,
    ProgressBar,
    TensorBoardLogger,
    pl,
)
from sweeprl.networks import Resolver, caller_globals
from sweeprl.registry import importable

__all__ = [
    "build_frame",
    "build_learner",
    "build_module",
    "check_unchanged",
    "launch",
    "make_trainer",
]


def launch(
    config: Mapping[str, Any] | TrialConfig,
    pl_callbacks: Sequence[Callback] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    config_folder: str | Path | None = None,
    view: ViewName = "auto",
    stream: TextIO | None = None,
) -> TrialRecord:
    """Trains one trial and returns how it went.

    Args:
        config: a plain dictionary in the shape of a config.json, or a validated config.
        pl_callbacks: further Lightning callbacks.
        resume: go on from `last.ckpt` in the config's root_dir.
        overwrite: replace what another trial left in root_dir.
        config_folder: a folder whose modules the config may name, beside the working directory.
        view: how progress is shown.
        stream: where it is shown; standard error by default.

    Returns:
        The trial's record, which also lies in root_dir.

    Raises:
        ConfigError: a setting is wrong; nothing was trained.
        TrialFailed: the trial ended without a score; its record says why.
    """
    resolver = Resolver(caller_globals())
    folder = str(Path(config_folder).resolve()) if config_folder else ""
    with importable([folder, Path.cwd()] if folder else [Path.cwd()]):
        config = TrialConfig.of(config)
        extension: EnvExtension = registry.envs.get(config.env)()
        fit = partial(
            _fit,
            extension=extension,
            resolver=resolver,
            resume=resume,
            overwrite=overwrite,
            config_folder=folder,
            views=make_view(view, stream or sys.stderr),
        )
        with quiet(), threads(config.num_threads):
            record: TrialRecord = extension.launch(config, list(pl_callbacks or []), fit)
    return record


def _fit(
    config: TrialConfig,
    pl_callbacks: Sequence[Callback],
    *,
    extension: EnvExtension,
    resolver: Resolver,
    resume: bool,
    overwrite: bool,
    config_folder: str,
    views: list[Callback],
) -> TrialRecord:
    folder = TrialFolder(Path(config.root_dir))
    learner = build_learner(config, extension, resolver)
    earlier = folder.load_record() if resume else None
    if resume:
        check_unchanged(config, folder)
    else:
        folder.claim(overwrite)
    folder.save_config(config)
    module = build_module(config, extension, learner)
    record = TrialRecord.begun(config, config_folder, earlier.seconds if earlier else 0.0)
    folder.save_record(record)
    return _Run(config, folder, module, record, [*views, *pl_callbacks]).go(resume)


def build_frame(
    config: TrialConfig,
    extension: EnvExtension,
    resolver: Resolver | None = None,
    learns: bool = True,
) -> Frame:
    """Builds the frame of a trial; checks whatever needs the environment.

    Args:
        config: of the trial.
        extension: of its environments.
        resolver: finds the classes that the config names.
        learns: whether it is to learn, and needs what it learns from.

    Raises:
        ConfigError: frame, model, data and environment do not fit.
    """
    spec = extension.spec(config.train_env_config)
    frame: Frame = registry.frames.get(config.frame)(config.frame_config, spec, resolver)
    test_spec = extension.spec(config.test_env_config)
    if (spec.observation_size, spec.action) != (test_spec.observation_size, test_spec.action):
        raise ConfigError(
            "train_env_config and test_env_config must have the same spaces, but got "
            f"{spec} and {test_spec}."
        )
    frame.check_act_kwargs(config.train_env_config.act_kwargs)
    frame.check_act_kwargs(config.test_env_config.act_kwargs)
    if learns and isinstance(frame, RolloutFrame):
        _ = frame.demonstrations  # read now, before anything is played
    return frame


def build_learner(
    config: TrialConfig,
    extension: EnvExtension,
    resolver: Resolver | None = None,
    learns: bool = True,
) -> Learner:
    """Builds frame and learner of a trial; for the arguments see `build_frame`.

    Raises:
        ConfigError: frame, model and environment do not fit, or the GPU is not there.
    """
    device = choose_device(config.gpus)
    frame = build_frame(config, extension, resolver, learns)
    seed_everything(config.seed)
    learner = Learner([frame], [config.seed], config.num_envs, device)
    for section in ("train_env_config", "test_env_config"):
        _try_acting(learner, getattr(config, section).act_kwargs, section)
    return learner


def _try_acting(learner: Learner, act_kwargs: Mapping[str, Any], section: str) -> None:
    state = np.zeros((1, learner.frame.spec.observation_size), np.float32)
    try:
        with torch.random.fork_rng(devices=[]):
            learner.act(state, is_judged=True, **act_kwargs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{section}.act_kwargs must be values that the frame can act with, but with "
            f"{dict(act_kwargs)}: {error}."
        ) from error


def build_module(config: TrialConfig, extension: EnvExtension, learner: Learner) -> TrialModule:
    """Builds the datasets of a trial, in which `learner` acts, and the module around them."""
    train_data = extension.create_dataset(learner, config, "train")
    judges = [extension.create_dataset(learner, config, stage) for stage in ("evaluation", "test")]
    evaluation_data, test_data = judges
    assert isinstance(evaluation_data, EvaluationDataset)
    assert isinstance(test_data, EvaluationDataset)
    return TrialModule(config, learner, train_data, evaluation_data, test_data)


CHANGEABLE = ("max_env_steps", "max_episodes", "gpus", "root_dir")
"""What may differ when a trial goes on."""


def check_unchanged(config: TrialConfig, folder: TrialFolder) -> None:
    """Refuses to go on with other settings.

    Raises:
        ConfigError: naming those that differ.
    """
    saved = folder.load_config().model_dump(mode="json", exclude=set(CHANGEABLE))
    wanted = config.model_dump(mode="json", exclude=set(CHANGEABLE))
    changed = [key for key, value in wanted.items() if saved[key] != value]
    if changed:
        raise ConfigError(
            f"A resumed trial keeps its settings but for {', '.join(CHANGEABLE)}, and "
            f"{', '.join(changed)} differ from those in '{folder.config}'. Start a new trial "
            "in another root_dir."
        )


class _Run:
    """One session of a trial: training, the final test, the record."""

    def __init__(
        self,
        config: TrialConfig,
        folder: TrialFolder,
        module: TrialModule,
        record: TrialRecord,
        callbacks: list[Callback],
    ) -> None:
        self._config, self._folder, self._module, self._record = config, folder, module, record
        own = [callback for callback in callbacks if isinstance(callback, StopOnSignal)]
        self._signals = own[0] if own else StopOnSignal()
        self._trainer = _trainer(config, folder, [*callbacks, *([] if own else [self._signals])])
        self._started_at = time.monotonic()

    def go(self, resume: bool) -> TrialRecord:
        checkpoint = str(self._folder.last) if resume else None
        try:
            with storage_guarded(), self._signals.caught():
                if resume:
                    _keep_curves(self._trainer.loggers, self._folder)
                self._trainer.fit(self._module, ckpt_path=checkpoint, weights_only=True)
                seconds = self._seconds()
                if self._signals.received is None and not self._module.is_pruned:
                    self._test()
        except (KeyboardInterrupt, SystemExit) as error:
            if self._signals.received is None:
                self._save(self._ended("failed", _reason(error), self._seconds()))
                raise
            seconds = self._seconds()
        except BaseException as error:
            self._save(self._ended("failed", _reason(error), self._seconds()))
            raise
        finally:
            self._close()
        return self._save(self._ended(*self._outcome(), seconds))

    def _test(self) -> None:
        if not self._folder.best.exists():  # patience ran out before the first evaluation
            self._trainer.save_checkpoint(self._folder.best, weights_only=True)
        self._trainer.test(
            self._module, ckpt_path=str(self._folder.best), weights_only=True, verbose=False
        )

    def _seconds(self) -> float:
        return self._record.seconds + time.monotonic() - self._started_at

    def _outcome(self) -> tuple[str, str]:
        if self._signals.received is not None:
            return "stopped", f"signal {self._signals.received}"
        if self._module.is_pruned:
            return "pruned", "its reporter stopped it"
        if self._module.train_data.is_exhausted:
            return "finished", "the budget is spent"
        stopper = self._trainer.early_stopping_callback
        if isinstance(stopper, EarlyStopping) and stopper.stopped_epoch:
            return "finished", "no better mean return for early_stopping_patience epochs"
        return "finished", "a callback stopped it"

    def _ended(self, status: str, reason: str, seconds: float) -> TrialRecord:
        module, data = self._module, self._module.train_data
        was_tested = status == "finished"
        judgements = module.judgements if was_tested else []
        test_return = sum(judgements) / len(judgements) if judgements else None
        return self._record.model_copy(
            update={
                "status": status,
                "reason": reason,
                "score": self._score(test_return),
                "test_return": test_return,
                "test_returns": judgements,
                "best_evaluation": module.best_evaluation,
                "env_steps": data.env_steps,
                "episodes": len(module.episodes),
                "updates": int(module.learner.updates[0]),
                "seconds": round(seconds, 3),
            }
        )

    def _score(self, test_return: float | None) -> float | None:
        if self._config.score == "eval":
            return test_return
        data, share = self._module.train_data, share_of(self._config.score)
        return step_weighted_return(
            self._module.episodes, data.env_steps, share, self._config.num_envs
        )

    def _save(self, record: TrialRecord) -> TrialRecord:
        self._folder.save_record(record)
        return record

    def _close(self) -> None:
        module = self._module
        for data in (module.train_data, module.evaluation_data, module.test_data):
            data.copies.close()


def _trainer(config: TrialConfig, folder: TrialFolder, callbacks: list[Callback]) -> pl.Trainer:
    own = [
        *early_stopping(config),
        LastCheckpoint(folder.last, config.checkpoint_every_seconds),
        best_checkpoint(folder),
    ]
    return make_trainer(
        choose_device(config.gpus),
        [*callbacks, *own],
        logger=_loggers(config, folder),
        default_root_dir=str(folder.root),
    )


def make_trainer(device: torch.device, callbacks: list[Callback], **options: Any) -> pl.Trainer:
    """Returns a trainer whose module decides when an epoch, an evaluation and the training end.

    Args:
        device: where to train.
        callbacks: of the user and of sweeprl.
        **options: further arguments of the trainer.
    """
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=-1,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=None,
        val_check_interval=1,
        limit_val_batches=0,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_model_summary=False,
        callbacks=callbacks,
        **options,
    )


def _loggers(config: TrialConfig, folder: TrialFolder) -> list[Logger]:
    loggers: list[Logger] = []
    if "csv" in config.logger:
        loggers.append(CSVLogger(str(folder.root), name="", version=""))
    if "tensorboard" in config.logger:
        loggers.append(TensorBoardLogger(str(folder.root), name="tensorboard", version=""))
    return loggers


def _keep_curves(loggers: Sequence[Logger], folder: TrialFolder) -> None:
    """Writes the rows before the checkpoint again; Lightning's CSVLogger starts an empty file."""
    checkpoint = torch.load(folder.last, map_location="cpu", weights_only=True)
    env_steps = checkpoint["train_data"]["counts"][0]
    rows = folder.load_curves(env_steps)
    for logger in loggers:
        for step, means in rows if isinstance(logger, CSVLogger) else []:
            logger.log_metrics(dict(means), step=step)


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, TrialFailed) else f"{type(error).__name__}: {error}"
