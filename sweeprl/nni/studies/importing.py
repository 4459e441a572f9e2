"""An experiment that NNI's own tuners ran, as a sweep that can be looked at and confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.jobs import JobHistory
from sweeprl.nni.reading.listing import find
from sweeprl.nni.studies.opening import opened_search, opened_study, sweep_folder
from sweeprl.nni.studies.origin import base_of, config_folder_of, space_of
from sweeprl.nni.studies.outcomes import outcome_of
from sweeprl.nni.studies.shared import Settings
from sweeprl.nni.studies.study import conclude, link
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.nni import decode_nni
from sweeprl.search_spaces.optuna import encode, to_optuna
from sweeprl.sweeps.folder import SweepFolder
from sweeprl.trials.nni import GIVEN, NOT_PARAMETERS

__all__ = ["Import", "experiment_at", "import_experiment"]


@dataclass(frozen=True)
class Import:
    """What an import has done."""

    folder: SweepFolder
    experiment: str
    """NNI's ID of it."""
    num_new: int
    """Trials that were not there before."""
    num_known: int
    """Trials that were."""
    num_going_on: int
    """Trials that have not ended, and were left out."""
    num_mislabelled: int
    """Trials that NNI's database has under another one's parameters."""
    unreadable: tuple[str, ...]
    """Why some were left out, with NNI's ID of each."""


def experiment_at(place: str) -> Path:
    """Returns the folder of an experiment that is named by its ID, or by the folder.

    Raises:
        ConfigError: there is none.
    """
    return Path(place) if (Path(place) / "db").is_dir() else find(place).folder


def import_experiment(
    experiment: Path, root_dir: Path | None = None, config: Path | None = None
) -> Import:
    """Makes a sweep of what an experiment has trained; what is there already stays as it is.

    The sweep of an experiment that `OptunaTuner` searches for exists: it hears what it has missed.

    Args:
        experiment: folder of the experiment.
        root_dir: folder of the sweep; by default `sweep` in that of the experiment.
        config: the config that proposals were put into; by default the trial command names it.

    Raises:
        ConfigError: there is no such experiment, its config is not known, or the folder holds
            another sweep.
        Occupied: the experiment is running and keeps the sweep itself, or another import is.
    """
    database = ExperimentDatabase(experiment)
    profile, jobs = database.profile(), database.jobs()
    tuner = profile.get("tuner") or {}
    if str(tuner.get("className")).endswith(".OptunaTuner") and root_dir is None:
        return _completed(experiment, profile, jobs, config)
    base, space = base_of(profile, config), space_of(profile)
    folder = SweepFolder(root_dir) if root_dir else sweep_folder(experiment, profile, None)
    with opened_search(folder, base, space, config_folder_of(profile, config)) as attempts:
        study = attempts.study
        known = {trial.user_attrs.get("job") for trial in attempts.all()}
        unreadable = []
        for job in jobs:
            try:
                if job.id not in known:
                    _add(study, folder, job, base, space)
            except ConfigError as error:
                unreadable.append(f"{job.id}: {error}")
        study.set_user_attr("seconds", profile["seconds"])
        conclude(study, folder, base, is_done=all(job.is_over for job in jobs))
        num_there = len(attempts.all())
    return _import(folder, profile, jobs, num_there, len(known), tuple(unreadable))


def _completed(
    experiment: Path, profile: dict[str, Any], jobs: list[JobHistory], config: Path | None
) -> Import:
    arguments = (profile.get("tuner") or {}).get("classArgs") or {}
    with opened_study(experiment, Settings(**arguments), config) as study:
        before = sum(entry.is_over for entry in study.entries)
        study.conclude(profile.get("maxTrialNumber"), is_last=True)
        after = sum(entry.is_over for entry in study.entries)
        return _import(study.folder, profile, jobs, after, before, ())


def _import(
    folder: SweepFolder,
    profile: dict[str, Any],
    jobs: list[JobHistory],
    num_there: int,
    num_known: int,
    unreadable: tuple[str, ...],
) -> Import:
    return Import(
        folder,
        profile["id"],
        num_new=num_there - num_known,
        num_known=num_known,
        num_going_on=len(jobs) - num_there - len(unreadable),
        num_mislabelled=sum(job.is_mislabelled for job in jobs),
        unreadable=unreadable,
    )


def _add(
    study: optuna.Study, folder: SweepFolder, job: JobHistory, base: TrialConfig, space: SearchSpace
) -> None:
    outcome = outcome_of(job, base.seed)
    if outcome is None:
        return
    own = {key: value for key, value in job.proposal.items() if key not in NOT_PARAMETERS}
    proposed = decode_nni(space, own)
    number = len(study.get_trials(deepcopy=False))
    is_given = bool(job.proposal.get(GIVEN))
    attributes = {
        "params": {} if is_given else space.resolve(base, proposed),
        **({"is_default": True} if is_given else {}),
        "proposal": dict(job.proposal),
        "worker": "nni",
        "job": job.id,
        "outcome": outcome,
    }
    link(folder, number, job.folder)
    study.add_trial(_frozen(job, outcome, encode(space, proposed), space, attributes))


def _frozen(
    job: JobHistory,
    outcome: dict[str, Any],
    latents: dict[str, Any],
    space: SearchSpace,
    attributes: dict[str, Any],
) -> FrozenTrial:
    states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    state = states.get(outcome["status"], TrialState.FAIL)
    values = outcome.get("values")
    if state is TrialState.PRUNED and job.reports:
        values = [job.reports[max(job.reports)]]
    known = to_optuna(space, conditional=True)
    return create_trial(
        state=state,
        values=values,
        params=latents,
        distributions={name: known[name] for name in latents},
        user_attrs=attributes,
        intermediate_values=job.reports,
    )
