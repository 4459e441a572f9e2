"""The folder of an NNI experiment: config.yml, search_space.json and base.json."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig, merge, save_config
from sweeprl.config.io import dump_yaml, write_text
from sweeprl.errors import ConfigError
from sweeprl.nni.writing.algorithms import Plan
from sweeprl.nni.writing.gpus import Gpus, check_gpus
from sweeprl.nni.writing.named_modules import check_importable
from sweeprl.nni.writing.optuna_sections import is_optuna, optuna_assessor, optuna_tuner
from sweeprl.nni.writing.platforms import Remote, platform_section
from sweeprl.nni.writing.sections import assessor_section, check_together, tuner_section
from sweeprl.nni.writing.warm_conditions import check_warm
from sweeprl.search_spaces import SearchSpace, to_nni
from sweeprl.search_spaces.corners import corners
from sweeprl.trials.budget import budget_of, learning_starts

__all__ = ["ExperimentFolder", "write_experiment"]


@dataclass(frozen=True)
class ExperimentFolder:
    """What lies where in the folder that an experiment is created from.

    Args:
        root: the folder.
    """

    root: Path

    @property
    def config(self) -> Path:
        """What NNI reads."""
        return self.root / "config.yml"

    @property
    def space(self) -> Path:
        """The search space, in NNI's form."""
        return self.root / "search_space.json"

    @property
    def base(self) -> Path:
        """The config that proposals are put into."""
        return self.root / "base.json"


def write_experiment(
    config: TrialConfig,
    folder: str | Path,
    space: SearchSpace | None = None,
    *,
    tuner: str = "TPE",
    tuner_settings: Mapping[str, Any] | None = None,
    assessor: str | None = None,
    assessor_settings: Mapping[str, Any] | None = None,
    sampler: str = "tpe",
    pruner: str = "auto",
    trials: int = 20,
    concurrency: int = 2,
    hours: float | None = None,
    trial_minutes: float | None = None,
    gpus: Gpus | None = None,
    remote: Remote | None = None,
    warm: bool = False,
    python: str | None = None,
    overwrite: bool = False,
) -> ExperimentFolder:
    """Writes what `sweeprl nni create` and `nnictl create --config` start.

    All is checked before anything is written: NNI itself checks nothing, and stalls.

    Args:
        config: what is tuned.
        folder: to write to; modules that the config names must lie there, or be installed.
        space: what may be proposed; the frame's own by default.
        tuner: one of `algorithms.TUNERS`, or Optuna.
        tuner_settings: `classArgs` of the tuner, where they should not be ours.
        assessor: one of `algorithms.ASSESSORS`, or Optuna; trials run to their end without one.
        assessor_settings: `classArgs` of the assessor, where they should not be ours.
        sampler: of the tuner Optuna, see `OptunaTuner`.
        pruner: of the assessor Optuna, see `OptunaAssessor`.
        trials: how many.
        concurrency: how many at a time.
        hours: after which no trial begins any more.
        trial_minutes: after which a trial is stopped.
        gpus: what each trial gets of them; NNI leaves that to the config by default.
        remote: other machines that trials run on; this one by default.
        warm: whether trials that run at once are lanes of one worker, which only the first of them
            has to wait for; the space is then by default what lanes may differ in.
        python: the interpreter that trials run in; this one by default, and `python` on others.
        overwrite: whether to replace an experiment's files that lie there.

    Raises:
        ConfigError: a setting is wrong, the tuner cannot search the space, or trials could not
            import what the config names.
    """
    files = ExperimentFolder(Path(folder))
    budget_of(config)
    if space is None:
        space = SearchSpace.of_config(config)
        space = space.for_lanes(config) if warm else space
    space.check(config)
    numbers = {"trials": trials, "concurrency": concurrency}
    _check_positive({**numbers, "hours": hours, "trial_minutes": trial_minutes})
    python = python or (sys.executable if remote is None else "python")
    plan = Plan(trials, concurrency, _random_reports(config, space))
    if is_optuna(tuner):
        proposed_by = optuna_tuner(sampler, space, tuner_settings)
    else:
        proposed_by = tuner_section(tuner, space, plan, tuner_settings)
    judged_by = None
    if is_optuna(assessor):
        judged_by = optuna_assessor(pruner, tuner, config, trials, assessor_settings)
    elif assessor is not None:
        judged_by = assessor_section(assessor, plan, assessor_settings)
    check_together(proposed_by, judged_by, is_remote=remote is not None)
    content = {
        "experimentName": files.root.resolve().name,
        "searchSpaceFile": files.space.name,
        # One plain command: bash lets it take its place, so that signals reach it. No `exec`: NNI 2
        # notes the exit code in the same shell afterwards.
        "trialCommand": f"{shlex.quote(python)} -m sweeprl run --config {files.base.name}"
        + " --warm" * warm,
        "trialCodeDirectory": ".",
        "trialConcurrency": concurrency,
        "maxTrialNumber": trials,
        **_durations(hours, trial_minutes),
        "tuner": proposed_by,
        **({} if judged_by is None else {"assessor": judged_by}),
        **_platform(config, remote, gpus or Gpus()),
    }
    if warm:
        check_warm(content)
    if remote is not None:  # this machine's GPUs are counted when the experiment is created
        check_gpus(content)
    check_importable(config, files.root, python if remote is None else sys.executable)
    search_space = to_nni(space.narrowed(config))
    _check_free(files, overwrite)
    save_config(config, files.base)
    write_text(files.space, json.dumps(search_space, indent=4) + "\n")
    write_text(files.config, dump_yaml(content, sort_keys=False))
    return files


def _check_positive(wanted: Mapping[str, float | None]) -> None:
    for name, number in wanted.items():
        if number is not None and not number > 0:
            raise ConfigError(f"{name} must be positive, but got {number}.")


def _durations(hours: float | None, trial_minutes: float | None) -> dict[str, str]:
    limits = {
        "maxExperimentDuration": None if hours is None else 3600 * hours,
        "maxTrialDuration": None if trial_minutes is None else 60 * trial_minutes,
    }
    # NNI counts whole seconds, and 0 is no limit.
    return {
        key: f"{max(1, round(seconds))}s" for key, seconds in limits.items() if seconds is not None
    }


def _platform(config: TrialConfig, remote: Remote | None, gpus: Gpus) -> dict[str, Any]:
    section = platform_section(remote, gpus)
    if gpus.per_trial is not None and config.gpus not in ("auto", None):
        raise ConfigError(
            'gpus must be "auto" or null where NNI hands out the GPUs, since a trial sees only its '
            f"own one, but got {config.gpus!r}. Write: --set gpus=auto"
        )
    return section


def _random_reports(config: TrialConfig, space: SearchSpace) -> int:
    """The most reports that a trial of the space may make before it learns."""
    extremes = corners(space.narrowed(config).parameters)
    trials = [merge(config, space.resolve(config, corner.params)) for corner in extremes]
    return max(
        math.ceil(learning_starts(one) / one.report_every_env_steps) for one in [config, *trials]
    )


def _check_free(files: ExperimentFolder, overwrite: bool) -> None:
    found = [path for path in (files.config, files.space, files.base) if path.exists()]
    if found and not overwrite:
        raise ConfigError(
            f"The experiment's files must not exist yet, but '{found[0]}' does. "
            "Choose another --output or add --overwrite."
        )
