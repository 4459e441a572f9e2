"""A sweep as its user sees it: settings, all checked before anything is trained, and `run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage

from sweeprl.config import TrialConfig
from sweeprl.executors import Executor
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.optuna import encode
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.choosing import check_executor, opened_executor, trains_lanes
from sweeprl.sweeps.declaration import agree, declaration_of, declared_seed_plan
from sweeprl.sweeps.folder import SweepFolder
from sweeprl.sweeps.objectives import objectives_of
from sweeprl.sweeps.opening import opened_storage, quiet_optuna
from sweeprl.sweeps.population import Population, check_population, generations_of
from sweeprl.sweeps.progress import NoView, Progress, SweepView
from sweeprl.sweeps.pruners import pruner_for
from sweeprl.sweeps.result import SweepResult
from sweeprl.sweeps.samplers import sampler_for, sampler_seed
from sweeprl.sweeps.search import Search, enqueue_given
from sweeprl.sweeps.seeds import seed_plan
from sweeprl.sweeps.session import Session
from sweeprl.sweeps.slot import slot
from sweeprl.sweeps.stage import Stage
from sweeprl.sweeps.storage import address
from sweeprl.trials.budget import budget_of

__all__ = ["Sweep"]


class Sweep:
    """Searches for good parameters and confirms what it finds; run again, it goes on.

    Args:
        config: what is tuned; trial 0 is this config as it is.
        space: what may be proposed; by default what the frame declares.
        trials: of the search; None where `env_steps` or `seconds` is the budget.
        env_steps: environment steps of search and confirmation together.
        seconds: wall-clock seconds of both together.
        confirmation: share of the whole budget for training the best configs anew on fresh seeds.
        seeds: how many a trial is trained on, or `race:N`: up to N for those that lead; `auto` is
            one for fewer than 64 trials, then a race.
        sampler: auto, random, qmc, tpe, gp, cmaes, nsgaii, `module:Class`, or one of Optuna's; or
            pbt, population-based training, in which each of the trials is an agent, see
            `Population`.
        generations: of pbt: parts of a training between which the worst agents copy the best; 10
            by default.
        pruner: none, median, percentile, asha, hyperband, patient, wilcoxon, `module:Class`, or
            one of Optuna's; `auto` goes by the number of trials and the executor.
        executor: auto, lanes, processes, in-process, or an executor.
        num_workers: for processes, and for lanes: how many processes share them.
        num_lanes: for lanes, those of all processes.
        seconds_per_trial: limit for one seed of a trial; needs processes.
        objectives: score, and what else is to be as good as it can, see `objectives_of`.
        points: parameters to try first, by dotted path.
        root_dir: folder of everything the sweep writes.
        storage: URL of a database that several coordinators share; by default a file in root_dir.
        name: of the study; by default that of root_dir.
        max_equal_failures: how many equal failures in a row end the sweep.
        grace_seconds: without a sign of life, after which another coordinator's trials are taken
            over.
        config_folder: a folder whose modules the config may name.
        view: shows how it goes.

    Raises:
        ConfigError: a setting is wrong, or the space does not fit the config; nothing was trained.
    """

    def __init__(
        self,
        config: TrialConfig | Mapping[str, Any],
        space: SearchSpace | Mapping[str, Any] | None = None,
        trials: int | None = 64,
        *,
        env_steps: int | None = None,
        seconds: float | None = None,
        confirmation: float = 0.3,
        seeds: int | str = "auto",
        sampler: str | BaseSampler = "tpe",
        generations: int | None = None,
        pruner: str | BasePruner = "auto",
        executor: str | Executor = "auto",
        num_workers: int | None = None,
        num_lanes: int | None = None,
        seconds_per_trial: float | None = None,
        objectives: Sequence[str] = ("score",),
        points: Sequence[Mapping[str, Any]] = (),
        root_dir: str | Path = "sweep",
        storage: str | None = None,
        name: str | None = None,
        max_equal_failures: int = 5,
        grace_seconds: int = 120,
        config_folder: str = "",
        view: SweepView | None = None,
    ) -> None:
        self._folder = SweepFolder(Path(root_dir))
        self._url = address(storage or self._folder.database)
        self._name = name or Path(root_dir).resolve().name
        self._config_folder = config_folder
        with importable([config_folder, Path.cwd()] if config_folder else [Path.cwd()]):
            self.base = TrialConfig.of(config)
            given = SearchSpace.of_config(self.base) if space is None else space
            self.space = SearchSpace.of(given)
            self.space.check(self.base)
        budget_of(self.base)
        self._generations = generations_of(generations, sampler)
        if self._generations is not None:
            check_population(
                self.base,
                self.space,
                trials,
                self._generations,
                {"pruner": pruner, "seeds": seeds, "objectives": tuple(objectives)},
            )
            seeds, sampler, pruner = trials or 0, "random", "none"
        self._budget = SweepBudget(trials, env_steps, seconds, confirmation)
        self._seeds_are_open = seeds == "auto"
        self._seed_plan = seed_plan(seeds, self.base.seed, trials, pruner)
        self._objectives = objectives_of(objectives, len(self._seed_plan.all))
        if self._generations is None:
            self._budget.check(1 + len(points), budget_of(self.base) * len(self._seed_plan.all))
        else:
            self._budget.check(max(trials or 0, 1 + len(points)), budget_of(self.base))
        self._points = [dict(point) for point in points]
        for point in self._points:
            encode(self.space, point)  # refuses what lies outside
        self._make_sampler = sampler_for(self.space, sampler, len(self._objectives))
        self._pruner = pruner
        self._make_pruner(is_in_lanes=False)
        if isinstance(executor, str):
            check_executor(executor, seconds_per_trial)
        self._executor = executor
        self._executor_options: dict[str, Any] = {
            "num_workers": num_workers,
            "num_lanes": num_lanes,
            "num_seeds": self._num_seeds(),
            "seconds_per_trial": seconds_per_trial,
        }
        self._max_equal_failures, self._grace_seconds = max_equal_failures, grace_seconds
        self._view = view or NoView()

    def run(self) -> SweepResult:
        """Runs the sweep to its end, or goes on with it.

        Returns:
            The result, which also lies in root_dir; its status is stopped where a signal came.

        Raises:
            ConfigError: another sweep lies there, or another process runs this one.
            SweepFailed: trials failed again and again, or the database did not come back.
            Exception: a fault of the code.
        """
        clock = Clock()
        progress = Progress(self._view, clock, self._budget, budget_of(self.base))
        with (
            quiet_optuna(),
            slot(self._folder.root, self._url) as (worker, is_alone),
            opened_storage(self._url, self._grace_seconds, progress.note) as storage,
            opened_executor(
                self._executor,
                self.base,
                self.space,
                self._config_folder,
                progress.note,
                **self._executor_options,
            ) as executor,
        ):
            study = self._study(storage, worker, trains_lanes(executor))
            self._folder.point_to(self._name, self._url, self._config_folder)
            clock.add(study.user_attrs.get("seconds", 0.0))
            session = Session(
                self.base,
                self._folder,
                self._budget,
                clock,
                progress,
                executor,
                worker,
                is_alone,
                self._grace_seconds,
                self._max_equal_failures,
                self._config_folder,
            )
            return session.run(study, self._search(clock))

    def _num_seeds(self) -> int | None:
        """How many will be trained, races not counted; None where time is the only limit."""
        if self._budget.env_steps is not None:
            return max(1, self._budget.env_steps // budget_of(self.base))
        trials, each = self._budget.trials, self._seed_plan.num_at_once
        return None if trials is None else trials * each

    def _search(self, clock: Clock) -> Stage:
        folder = self._folder.trials
        if self._generations is None:
            return Search(
                self.base,
                self.space,
                folder,
                self._budget,
                clock,
                self._seed_plan,
                self._objectives,
            )
        return Population(
            self.base, self.space, folder, self._budget, clock, self._generations, self._points
        )

    def _study(self, storage: BaseStorage, worker: str, is_in_lanes: bool) -> optuna.Study:
        """The study of the search, in which the given config waits as trial 0."""
        study = optuna.create_study(
            study_name=self._name,
            storage=storage,
            directions=[objective.direction for objective in self._objectives],
            load_if_exists=True,
        )
        if self._seeds_are_open and (before := study.user_attrs.get("sweep")):
            self._seed_plan = declared_seed_plan(before)
        declared = declaration_of(
            self.base, self.space, self._seed_plan, self._objectives, self._generations
        )
        agree(study, declared)
        num_trials = len(study.get_trials(deepcopy=False))
        study.sampler = self._make_sampler(sampler_seed(self.base.seed, worker, num_trials))
        study.pruner = self._make_pruner(is_in_lanes)
        if self._generations is None:
            enqueue_given(study, self.base, self.space)
            for point in self._points:
                study.enqueue_trial(encode(self.space, point), skip_if_exists=True)
        return study

    def _make_pruner(self, is_in_lanes: bool) -> BasePruner:
        return pruner_for(
            self.base,
            self._pruner,
            self._budget.trials,
            is_lanes=is_in_lanes,
            num_objectives=len(self._objectives),
        )
