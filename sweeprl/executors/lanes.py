"""Many trials in one process: every one a lane of an engine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from sweeprl import registry
from sweeprl.config import TrialConfig
from sweeprl.engine import Learner
from sweeprl.envs import Budget, EnvExtension, LanesDataset
from sweeprl.errors import ConfigError
from sweeprl.executors.capacity import lanes_in_memory, num_cores, num_lanes_for, replay_rows
from sweeprl.executors.cohort import CohortModule
from sweeprl.executors.dry_run import why_not_lanes
from sweeprl.executors.feed import Feed
from sweeprl.executors.seats import Seat
from sweeprl.frames import Frame
from sweeprl.launcher import (
    StopOnSignal,
    build_frame,
    choose_device,
    make_trainer,
    quiet,
    seed_everything,
    storage_guarded,
    threads,
)
from sweeprl.launcher.surroundings import keep_memory
from sweeprl.lightning import Callback
from sweeprl.networks import Resolver, caller_globals
from sweeprl.registry import importable
from sweeprl.trials import Trial

__all__ = ["LanesExecutor"]


_MOST_WAITING = 16
"""Trials of other cohorts that are asked for at most while one is trained: a tuner proposes better
when it has heard more."""


class LanesExecutor:
    """Trains trials as lanes, cohort by cohort; those of one cohort share all but numbers.

    A lane whose trial ended, was pruned or failed is given to the next trial at once. What cannot
    be a lane is trained in processes, with a line that says why.

    Args:
        num_lanes: trials trained at once; by default as many as fill the device, as far as its
            memory holds them.
        gpus: the device, as in a config; "config" is what the trials' configs say.
        num_threads: CPU threads; by default as many as there are cores.
        pl_callbacks: further Lightning callbacks.
        say: takes lines meant for the user.
        stays_open: asked after every chunk; while true, lanes without a trial are kept and offered
            to trials that come later. By default trials are only asked for where one has ended.
        otherwise: takes the trials that cannot be lanes, and the reason; by default they are
            trained in processes.
        num_processes: how many such executors share the machine. Each of several has its part of
            the memory, and leaves trials of other cohorts and second signals to its parent.

    Raises:
        ConfigError: `num_lanes` is not positive.
    """

    def __init__(
        self,
        num_lanes: int | None = None,
        gpus: Any = "config",
        num_threads: int | None = None,
        pl_callbacks: Sequence[Callback] = (),
        say: Callable[[str], None] | None = None,
        stays_open: Callable[[], bool] | None = None,
        otherwise: Callable[[Iterable[Trial], str], None] | None = None,
        num_processes: int = 1,
    ) -> None:
        if num_lanes is not None and num_lanes < 1:
            raise ConfigError(f"num_lanes must be at least 1, but got {num_lanes}.")
        self._num_lanes, self._gpus = num_lanes, gpus
        self._num_threads = num_threads or num_cores()
        self._callbacks = list(pl_callbacks)
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201
        self._stays_open, self._num_processes = stays_open, num_processes
        self._otherwise = otherwise or self._train_in_processes
        self._received: int | None = None

    @property
    def was_stopped(self) -> bool:
        """Whether a signal ended the last run."""
        return self._received is not None

    def run(self, trials: Iterable[Trial]) -> None:
        """Trains all trials; each one's reporter hears how it went.

        Args:
            trials: asked for the next one when a lane is free.

        Raises:
            ConfigError: a trial's config is wrong.
            Exception: what a callback or a reporter raised. The trials that ran are stopped, with
                it as the reason; they can go on from their last checkpoints.
        """
        resolver = Resolver(caller_globals())
        # One that waits ends a cohort that stays open, as soon as its trials have ended.
        takes_one = self._stays_open is not None or self._num_processes > 1
        most = 1 if takes_one else self._num_lanes or _MOST_WAITING
        feed = Feed(trials, most_waiting=most)
        self._received = None
        try:
            self._run_all(feed, resolver)
        except BaseException as error:
            feed.abandon(f"{type(error).__name__}: {error}")
            raise
        finally:
            feed.close("the run ended before it began")

    def close(self) -> None:
        """Nothing waits."""

    def _run_all(self, feed: Feed, resolver: Resolver) -> None:
        while not self.was_stopped and (cohort := feed.next_cohort()) is not None:
            seat = feed.next_seat(cohort)
            if seat is None:  # those that waited are over before they began
                continue
            folder = seat.tally.trial.config_folder
            with (
                importable([folder, Path.cwd()] if folder else [Path.cwd()]),
                quiet(),
                threads(self._num_threads),
                keep_memory(),
            ):
                self._run_cohort(feed, cohort, seat, resolver)
        if self.was_stopped:
            feed.close(f"signal {self._received}")

    def _run_cohort(self, feed: Feed, cohort: str, first: Seat, resolver: Resolver) -> None:
        config = first.config
        extension: EnvExtension = registry.envs.get(config.env)()
        seed_everything(config.seed)
        frame = build_frame(config, extension, resolver)
        reason = why_not_lanes(frame, config, extension)
        if reason is not None:
            self._otherwise(feed.trials_from(first, cohort), reason)
            return
        extension.launch(
            config,
            self._callbacks,
            lambda _, callbacks: self._fit(feed, cohort, first, frame, extension, callbacks),
        )

    def _train_in_processes(self, trials: Iterable[Trial], reason: str) -> None:
        from sweeprl.executors.processes import ProcessExecutor  # whose workers train lanes

        self._say(f"Trained in processes, not as lanes: {reason}.")
        processes = ProcessExecutor()
        processes.run(trials)
        self._received = processes.received

    def _fit(
        self,
        feed: Feed,
        cohort: str,
        first: Seat,
        frame: Frame,
        extension: EnvExtension,
        callbacks: Sequence[Callback],
    ) -> None:
        device = choose_device(first.config.gpus if self._gpus == "config" else self._gpus)
        seats = self._seats(feed, cohort, first, self._room(frame, first.config, device))

        def frame_of(config: TrialConfig) -> Frame:
            return frame.with_config(config.frame_config)

        learner = _learner(seats, frame_of, device)
        data = _data(seats, learner, extension)
        signals = StopOnSignal(heeds_second=self._num_processes == 1)
        module = CohortModule(
            learner,
            data,
            extension,
            seats,
            lambda: feed.next_seat(cohort),
            frame_of,
            signals,
            self._stays_open and (lambda: self._is_open(feed, cohort)),
        )
        trainer = make_trainer(
            device, [*callbacks, signals], logger=False, enable_checkpointing=False
        )
        lanes = "1 lane" if len(seats) == 1 else f"{len(seats)} lanes"
        self._say(f"{lanes} of {first.config.frame} on {device}.")
        try:
            with storage_guarded(), signals.caught():
                module.open()
                trainer.fit(module)
        except (KeyboardInterrupt, SystemExit) as error:
            if signals.received is None:
                module.abandon(f"{type(error).__name__}: {error}")
                raise
            module.abandon(f"signal {signals.received}")
        except BaseException as error:
            module.abandon(f"{type(error).__name__}: {error}")
            raise
        finally:
            data.envs.close()
        self._received = signals.received
        if module.error is not None:
            raise module.error

    def _room(self, frame: Frame, config: TrialConfig, device: torch.device) -> int:
        """How many lanes there may be."""
        if self._num_processes > 1:
            room = lanes_in_memory(frame, config, device) // self._num_processes
            return max(1, min(self._num_lanes or sys.maxsize, room))
        if self._num_lanes is not None and self._stays_open is None:
            return self._num_lanes
        return min(self._num_lanes or sys.maxsize, num_lanes_for(frame, config, device))

    def _seats(self, feed: Feed, cohort: str, first: Seat, num: int) -> list[Seat | None]:
        """Who sits where; without a trial, a lane that stays open is nobody's yet."""
        seats: list[Seat | None] = [first]
        while len(seats) < num and (seat := feed.next_seat(cohort)) is not None:
            seats.append(seat)
        if self._stays_open is not None:
            seats += [None] * (num - len(seats))
        return seats

    def _is_open(self, feed: Feed, cohort: str) -> bool:
        return self._stays_open is not None and self._stays_open() and not feed.has_others(cohort)


def _learner(
    seats: Sequence[Seat | None], frame_of: Callable[[TrialConfig], Frame], device: torch.device
) -> Learner:
    configs = _configs(seats)
    config = configs[0]
    return Learner(
        [frame_of(config) for config in configs],
        [config.seed for config in configs],
        config.num_envs,
        device,
        replay_device=device if device.type == "cuda" else None,
        replay_size=replay_rows(config) or None,
        is_tolerant=True,
    )


def _data(seats: Sequence[Seat | None], learner: Learner, extension: EnvExtension) -> LanesDataset:
    configs = _configs(seats)
    seeds = [config.seed for config in configs]
    envs = extension.create_lanes(configs[0], seeds, "train", learner.device)
    budgets = [Budget(config.max_env_steps, config.max_episodes) for config in configs]
    data = LanesDataset(envs, learner, configs[0].train_env_config.act_kwargs, budgets)
    for lane, seat in enumerate(seats):
        if seat is None:
            data.stop(lane)
    return data


def _configs(seats: Sequence[Seat | None]) -> list[TrialConfig]:
    """Of each lane; where nobody sits, that of the first."""
    first = seats[0]
    assert first is not None
    return [first.config if seat is None else seat.config for seat in seats]
