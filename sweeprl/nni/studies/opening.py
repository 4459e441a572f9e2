"""Opening the study of an NNI experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna

from sweeprl.config import TrialConfig
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.studies.origin import base_of, code_folder, config_folder_of, space_of
from sweeprl.nni.studies.shared import Settings
from sweeprl.nni.studies.study import ExperimentStudy
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps.attempts import Attempts
from sweeprl.sweeps.declaration import agree, declaration_of
from sweeprl.sweeps.folder import SweepFolder
from sweeprl.sweeps.objectives import objectives_of
from sweeprl.sweeps.opening import quiet_optuna
from sweeprl.sweeps.pruners import pruner_for
from sweeprl.sweeps.samplers import sampler_for, sampler_seed
from sweeprl.sweeps.search import enqueue_given
from sweeprl.sweeps.seeds import Together
from sweeprl.sweeps.slot import slot
from sweeprl.sweeps.storage import address, close_storage, open_storage

__all__ = ["opened_search", "opened_study", "sweep_folder"]

_GRACE_SECONDS = 120.0
"""Without a sign of life, after which a sweep takes another coordinator's trials over."""


def sweep_folder(experiment: Path, profile: Mapping[str, Any], root_dir: str | None) -> SweepFolder:
    """Returns where an experiment's study lies: `sweep` in its folder, unless said otherwise."""
    place = experiment / "sweep" if root_dir is None else code_folder(profile) / root_dir
    return SweepFolder(place)


@contextmanager
def opened_study(
    experiment: Path, settings: Settings, config: Path | None = None
) -> Iterator[ExperimentStudy]:
    """Opens the study of an experiment that `OptunaTuner` searches for; nobody else may use it.

    Args:
        experiment: folder of the experiment.
        settings: of the search.
        config: the config that proposals are put into; by default the trial command names it.

    Raises:
        Occupied: another process uses it.
        ConfigError: a setting is wrong, or the study is another experiment's.
    """
    database = ExperimentDatabase(experiment)
    profile = database.profile()
    base, space = base_of(profile, config), space_of(profile)
    folder = sweep_folder(experiment, profile, settings.root_dir)
    config_folder = config_folder_of(profile, config)
    with importable([config_folder]):
        space.check(base)
        make_sampler = sampler_for(space, settings.sampler)
        pruner = pruner_for(base, settings.pruner, profile.get("maxTrialNumber"))
    with opened_search(folder, base, space, config_folder, settings.storage) as attempts:
        study = attempts.study
        seed = base.seed if settings.seed is None else settings.seed
        worker = f"nni-{profile['id']}"
        study.sampler = make_sampler(sampler_seed(seed, worker, len(attempts.all())))
        study.pruner = pruner
        enqueue_given(study, base, space)
        named = Attempts(study, worker, attempts.is_alone, _GRACE_SECONDS)
        yield ExperimentStudy(database, folder, named, base, space, worker)


@contextmanager
def opened_search(
    folder: SweepFolder,
    base: TrialConfig,
    space: SearchSpace,
    config_folder: str,
    storage: str | None = None,
) -> Iterator[Attempts]:
    """Opens the study of a search, or makes it.

    Args:
        folder: of the sweep.
        base: what proposals are put into.
        space: what may be proposed.
        config_folder: a folder whose modules the config may name.
        storage: URL of the database; a file in the folder by default.

    Raises:
        Occupied: another process uses it.
        ConfigError: it is another search's.
    """
    url, name = address(storage or folder.database), folder.root.resolve().name
    if storage is not None:
        name = f"{folder.root.resolve().parent.name}-{name}"  # many are called sweep
    with quiet_optuna(), slot(folder.root, url) as (worker, is_alone):
        opened = open_storage(url.render_as_string(hide_password=False))
        try:
            study = optuna.create_study(
                study_name=name, storage=opened, direction="maximize", load_if_exists=True
            )
            seeds = Together(base.seed, 1)
            agree(study, declaration_of(base, space, seeds, objectives_of(["score"], 1)))
            folder.point_to(name, url, config_folder)
            yield Attempts(study, worker, is_alone, _GRACE_SECONDS)
        finally:
            close_storage(opened)
