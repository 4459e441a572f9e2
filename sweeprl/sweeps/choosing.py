"""How the trials of a sweep are trained, where the user leaves it open."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeprl import registry
from sweeprl.config import TrialConfig, merge
from sweeprl.envs import EnvExtension
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.executors import Executor, InProcessExecutor, LanesExecutor, ProcessExecutor
from sweeprl.executors.capacity import lanes_in_memory, num_cores, num_lanes_for
from sweeprl.executors.dry_run import why_not_lanes
from sweeprl.executors.feed import cohort_of
from sweeprl.launcher import build_frame, choose_device
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace
from sweeprl.trials.budget import budget_of

__all__ = ["check_executor", "choose_executor", "opened_executor", "trains_lanes"]

_NAMES = ("auto", "lanes", "processes", "in-process")

_DRAWS = 64

_ENOUGH = 8
"""Trials of 64 drawn at random that must be able to share an engine for lanes to be worth it."""

_STEPS_PER_PROCESS = 200_000
"""Environment steps of a sweep from which on another process of lanes wins back its own start."""


def check_executor(name: str, seconds_per_trial: float | None) -> None:
    """Refuses what `choose_executor` could not serve.

    Raises:
        ConfigError: there is no such executor, or it cannot keep the limit.
    """
    if name not in _NAMES:
        raise ConfigError(
            f"No executor named '{name}'.{did_you_mean(name, _NAMES)} Known: {', '.join(_NAMES)}."
        )
    if seconds_per_trial is not None and name not in ("auto", "processes"):
        raise ConfigError(
            f"A limit of seconds for each trial needs the executor processes, but got '{name}'."
        )


def choose_executor(
    name: str,
    base: TrialConfig,
    space: SearchSpace,
    *,
    num_workers: int | None = None,
    num_lanes: int | None = None,
    num_seeds: int | None = None,
    seconds_per_trial: float | None = None,
    config_folder: str = "",
    say: Callable[[str], None] | None = None,
) -> tuple[Executor, str]:
    """Returns the executor called `name`, and why it was chosen.

    Args:
        name: auto, lanes, processes or in-process.
        base: the config of the sweep.
        space: what its trials may differ in.
        num_workers: for processes, and for lanes: how many processes share them.
        num_lanes: for lanes, those of all processes.
        num_seeds: how many there will be of all trials, where that is known.
        seconds_per_trial: limit for one seed; only processes can be ended from outside.
        config_folder: a folder whose modules the config may name.
        say: takes lines meant for the user.

    Raises:
        ConfigError: several processes are to share a GPU.
    """
    reason = "as asked for"
    if name == "auto":
        name, reason = _best(base, space, seconds_per_trial, config_folder)
    if name == "lanes":
        with importable([config_folder, Path.cwd()] if config_folder else [Path.cwd()]):
            each, num_processes = _shared_out(base, num_workers, num_lanes, num_seeds)
        if num_processes == 1:
            return LanesExecutor(num_lanes, say=say), reason
        reason = f"{reason}; {num_processes} processes of {each} lanes each"
        return ProcessExecutor(num_processes, say=say, num_lanes=each), reason
    if name == "processes":
        return ProcessExecutor(num_workers, seconds_per_trial, say=say), reason
    return InProcessExecutor(), reason


def _shared_out(
    base: TrialConfig, num_workers: int | None, num_lanes: int | None, num_seeds: int | None
) -> tuple[int, int]:
    """Lanes of each process, and the number of processes."""
    device = choose_device(base.gpus)
    if device.type != "cpu" or num_workers == 1:
        if num_workers is not None and num_workers > 1:
            raise ConfigError(
                f"Lanes on a GPU must be trained by one process, but got num_workers={num_workers}."
                " Leave it out, or set gpus to null."
            )
        return num_lanes or 0, 1
    frame = build_frame(base, registry.envs.get(base.env)())
    in_memory = lanes_in_memory(frame, base, device)
    most = min(num_lanes or num_seeds or in_memory, in_memory)
    busy = num_cores()
    if num_seeds is not None:
        busy = min(busy, num_seeds * budget_of(base) // _STEPS_PER_PROCESS)
    num_processes = max(1, min(num_workers or busy, most))
    if num_lanes is not None:
        return most // num_processes, num_processes
    each = math.ceil(most / num_processes)
    return min(each, num_lanes_for(frame, base, device, num_processes)), num_processes


def trains_lanes(executor: Executor) -> bool:
    """Whether trials are trained in lock-step."""
    if isinstance(executor, ProcessExecutor):
        return executor.num_lanes > 1
    return isinstance(executor, LanesExecutor)


def _best(
    base: TrialConfig, space: SearchSpace, seconds_per_trial: float | None, config_folder: str
) -> tuple[str, str]:
    if seconds_per_trial is not None:
        return "processes", "only a process can be ended when its time is over"
    with importable([config_folder, Path.cwd()] if config_folder else [Path.cwd()]):
        extension: EnvExtension = registry.envs.get(base.env)()
        reason = why_not_lanes(build_frame(base, extension), base, extension)
        if reason is not None:
            return "processes", reason
        together = _largest_cohort(base, space)
    shared = f"{together} of {_DRAWS} random trials can share an engine"
    if together < _ENOUGH:
        return "processes", f"only {shared}; `sweeprl space --lanes` has a space in which all can"
    return "lanes", shared


def _largest_cohort(base: TrialConfig, space: SearchSpace) -> int:
    rng = random.Random(0)
    drawn = [merge(base, space.resolve(base, space.sample(rng))) for _ in range(_DRAWS)]
    cohorts = [cohort_of(config) for config in drawn]
    return max(cohorts.count(cohort) for cohort in set(cohorts))


@contextmanager
def opened_executor(
    executor: str | Executor,
    base: TrialConfig,
    space: SearchSpace,
    config_folder: str,
    say: Callable[[str], None],
    **options: Any,
) -> Iterator[Executor]:
    """Makes the executor called so; one of the caller's own is used, and left open.

    Args:
        executor: its name, or an executor.
        base: the config of the sweep.
        space: what its trials may differ in.
        config_folder: a folder whose modules the config may name.
        say: takes lines meant for the user.
        options: for `choose_executor`.
    """
    if not isinstance(executor, str):
        yield executor
        return
    chosen, reason = choose_executor(
        executor, base, space, config_folder=config_folder, say=say, **options
    )
    say(f"{type(chosen).__name__}: {reason}.")
    try:
        yield chosen
    finally:
        chosen.close()
