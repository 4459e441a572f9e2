"""The folder of an NNI experiment: config.yml, search_space.json and base.json."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig, save_config
from sweeprl.config.io import dump_yaml, write_text
from sweeprl.errors import ConfigError
from sweeprl.nni.algorithms import assessor_section, tuner_section
from sweeprl.nni.optuna_sections import is_optuna, optuna_assessor, optuna_tuner
from sweeprl.search_spaces import SearchSpace, to_nni

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
    assessor: str | None = None,
    sampler: str = "tpe",
    pruner: str = "auto",
    trials: int = 20,
    concurrency: int = 2,
    hours: float | None = None,
    python: str = sys.executable,
    overwrite: bool = False,
) -> ExperimentFolder:
    """Writes what `sweeprl nni create` and `nnictl create --config` start.

    All is checked before anything is written: NNI itself checks nothing, and stalls.

    Args:
        config: what is tuned.
        folder: to write to; modules that the config names must lie there.
        space: what may be proposed; the frame's own by default.
        tuner: one of `algorithms.TUNERS`, or Optuna.
        assessor: one of `algorithms.ASSESSORS`, or Optuna; trials run to their end without one.
        sampler: of the tuner Optuna, see `OptunaTuner`.
        pruner: of the assessor Optuna, see `OptunaAssessor`.
        trials: how many.
        concurrency: how many at a time.
        hours: after which no trial begins any more.
        python: the interpreter that trials run in.
        overwrite: whether to replace an experiment's files that lie there.

    Raises:
        ConfigError: a setting is wrong, or the tuner cannot search the space.
    """
    from sweeprl.trials.optuna import budget_of  # which imports torch

    files = ExperimentFolder(Path(folder))
    budget_of(config)
    space = space or SearchSpace.of_config(config)
    space.check(config)
    _check_numbers(trials, concurrency, hours)
    judge = None
    if is_optuna(assessor):
        judge = optuna_assessor(pruner, tuner, config, trials)
    elif assessor is not None:
        judge = assessor_section(assessor)
    content = {
        "experimentName": files.root.resolve().name,
        "searchSpaceFile": files.space.name,
        # Bash passes NNI's signals on to the last command only, which therefore stands alone.
        "trialCommand": f"{shlex.quote(python)} -m sweeprl run --config {files.base.name}",
        "trialCodeDirectory": ".",
        "trialConcurrency": concurrency,
        "maxTrialNumber": trials,
        **({} if hours is None else {"maxExperimentDuration": f"{round(3600 * hours)}s"}),
        "tuner": optuna_tuner(sampler, space) if is_optuna(tuner) else tuner_section(tuner, space),
        **({} if judge is None else {"assessor": judge}),
        "trainingService": {"platform": "local"},
    }
    search_space = to_nni(space.narrowed(config))
    _check_free(files, overwrite)
    save_config(config, files.base)
    write_text(files.space, json.dumps(search_space, indent=4) + "\n")
    write_text(files.config, dump_yaml(content, sort_keys=False))
    return files


def _check_numbers(trials: int, concurrency: int, hours: float | None) -> None:
    wanted: dict[str, Any] = {"trials": trials, "concurrency": concurrency, "hours": hours}
    for name, number in wanted.items():
        if number is not None and not number > 0:
            raise ConfigError(f"{name} must be positive, but got {number}.")


def _check_free(files: ExperimentFolder, overwrite: bool) -> None:
    found = [path for path in (files.config, files.space, files.base) if path.exists()]
    if found and not overwrite:
        raise ConfigError(
            f"The experiment's files must not exist yet, but '{found[0]}' does. "
            "Choose another --output or add --overwrite."
        )
