"""Samplers: which parameters a trial is to try."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from sweeprl.errors import ConfigError, UnknownNameError, did_you_mean
from sweeprl.search_spaces import Choice, Nested, SearchSpace

__all__ = ["SAMPLERS", "GPThenCMAES", "load_class", "make_sampler", "sampler_for", "sampler_seed"]

SAMPLERS = ("auto", "random", "qmc", "tpe", "gp", "cmaes", "nsgaii")
"""The samplers that have a name; others are written `module:Class`."""


def make_sampler(
    name: str | BaseSampler,
    seed: int,
    is_conditional: bool,
    has_categorical: bool,
    num_objectives: int = 1,
) -> BaseSampler:
    """Makes the sampler that `name` stands for.

    `auto` is TPE where a parameter is a choice or exists in some trials only, and where there are
    several objectives; otherwise `GPThenCMAES`.

    Args:
        name: one of `SAMPLERS`, an importable `module:Class`, or a sampler, which is returned.
        seed: of the sampler's own random numbers; see `sampler_seed`.
        is_conditional: whether some parameters exist in some trials only.
        has_categorical: whether some parameters are choices.
        num_objectives: how many scores a trial has.

    Raises:
        UnknownNameError: no sampler has that name.
        ConfigError: the sampler cannot serve several objectives.
    """
    if isinstance(name, BaseSampler):
        return name
    if name == "auto":
        needs_tpe = is_conditional or has_categorical or num_objectives > 1
        name = "tpe" if needs_tpe else "gp then cmaes"
    if name == "cmaes" and num_objectives > 1:
        raise ConfigError(
            "The sampler 'cmaes' has one objective, but the sweep has "
            f"{num_objectives}. Use 'tpe' or 'nsgaii'."
        )
    if name not in _MAKERS:
        return _load(name, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of group=True and the QMC sampler
        return _MAKERS[name](seed, is_conditional)


def sampler_for(
    space: SearchSpace, name: str | BaseSampler, num_objectives: int = 1
) -> Callable[[int], BaseSampler]:
    """Returns what makes the sampler called `name`, of a seed, such that it suits a space.

    Raises:
        UnknownNameError: no sampler has that name.
        ConfigError: the sampler cannot serve several objectives.
    """
    kinds = space.parameters.values()
    make = partial(
        make_sampler,
        name,
        is_conditional=any(isinstance(one, Nested) for one in kinds),
        has_categorical=any(isinstance(one, (Nested, Choice)) for one in kinds),
        num_objectives=num_objectives,
    )
    make(0)  # so that a wrong name is refused now
    return make


def sampler_seed(base: int, worker: str, num_trials: int) -> int:
    """Returns a seed that differs between workers and between a sweep and its resumption.

    With one seed a resumed sweep, or a second worker, would ask for the same first points again.

    Args:
        base: the sweep's seed.
        worker: who asks.
        num_trials: how many trials the study has.

    >>> sampler_seed(0, "one", 0) == sampler_seed(0, "one", 0)
    True
    >>> len({sampler_seed(0, "one", 0), sampler_seed(0, "two", 0), sampler_seed(0, "one", 8)})
    3
    """
    # Python's hash() differs from process to process.
    digest = hashlib.sha256(repr((base, worker, num_trials)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def load_class(name: str, kind: str, base: type, known: Sequence[str]) -> type[Any]:
    """Imports the class that a user names.

    Args:
        name: `module:Class` or `module.Class`.
        kind: what it is, in error messages.
        base: the class it must extend.
        known: the names that need no import.

    Raises:
        UnknownNameError: it cannot be imported, or is something else.
    """
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    rule = f"Known: {', '.join(known)}; one of your own is written 'module:Class'."
    if not module or not attribute:
        raise UnknownNameError(f"No {kind} named '{name}'.{did_you_mean(name, known)} {rule}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnknownNameError(
            f"The {kind} '{name}' cannot be imported: {error}. {rule}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UnknownNameError(
            f"The {kind} '{name}' must be a class that extends optuna's {base.__name__}."
        )
    return found


class GPThenCMAES(BaseSampler):
    """A Gaussian process while trials are few, the covariance matrix adaptation when they are many.

    The rule of OptunaHub's AutoSampler for numeric parameters,
    https://hub.optuna.org/samplers/auto_sampler/: the process's cost grows with the cube of the
    trials, while the evolution strategy needs many of them and starts from the best ones so far.

    Args:
        seed: of both.
        num_gp_trials: complete trials until the second takes over.
    """

    def __init__(self, seed: int, num_gp_trials: int = 250) -> None:
        self._seed, self._num_gp_trials = seed, num_gp_trials
        self._sampler: BaseSampler = _gp(seed, False)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Asks the sampler whose turn it is."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Asks the sampler whose turn it is."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Asks the sampler whose turn it is."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Hands over to the second sampler when there are enough trials."""
        if not isinstance(self._sampler, CmaEsSampler):
            complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(complete) >= self._num_gp_trials:
                self._sampler = _warm_cmaes(self._seed, complete)
        self._sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tells the sampler whose turn it is."""
        self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Draws a new seed."""
        self._sampler.reseed_rng()


def _warm_cmaes(seed: int, trials: list[FrozenTrial]) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of source_trials
        return CmaEsSampler(seed=seed, warn_independent_sampling=False, source_trials=trials)


def _load(name: str, seed: int) -> BaseSampler:
    found = load_class(name, "sampler", BaseSampler, SAMPLERS)
    takes_seed = "seed" in inspect.signature(found).parameters
    sampler: BaseSampler = found(seed=seed) if takes_seed else found()
    return sampler


def _random(seed: int, is_conditional: bool) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _qmc(seed: int, is_conditional: bool) -> BaseSampler:
    # Unscrambled, the first point has every parameter at its lower bound.
    return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)


def _tpe(seed: int, is_conditional: bool) -> BaseSampler:
    # Without groups, parameters that some trials lack are sampled one by one.
    if is_conditional:
        return TPESampler(seed=seed, multivariate=True, group=True)
    return TPESampler(seed=seed)


def _gp(seed: int, is_conditional: bool) -> BaseSampler:
    return GPSampler(seed=seed, deterministic_objective=False, warn_independent_sampling=False)


def _cmaes(seed: int, is_conditional: bool) -> BaseSampler:
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _nsgaii(seed: int, is_conditional: bool) -> BaseSampler:
    return optuna.samplers.NSGAIISampler(seed=seed)


def _gp_then_cmaes(seed: int, is_conditional: bool) -> BaseSampler:
    return GPThenCMAES(seed)


_MAKERS: dict[str, Callable[[int, bool], BaseSampler]] = {
    "random": _random,
    "qmc": _qmc,
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "nsgaii": _nsgaii,
    "gp then cmaes": _gp_then_cmaes,
}
