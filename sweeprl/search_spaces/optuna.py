"""Spaces as Optuna's distributions, and Optuna's proposals as the values of a trial.

Optuna sees latents, whose names carry their transform where there is one: `learning_rate`,
`1 - discount`, `log2(batch_size)`. What a trial is told is decoded from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from sweeprl.errors import ConfigError
from sweeprl.search_spaces.coding import decoded, encoded, latents_of, walk
from sweeprl.search_spaces.latents import Label, Latent, Real, Whole
from sweeprl.search_spaces.naming import parameters_of
from sweeprl.search_spaces.space import SearchSpace

__all__ = ["decode", "encode", "from_optuna", "suggest", "to_optuna"]


def to_optuna(space: SearchSpace, conditional: bool = False) -> dict[str, BaseDistribution]:
    """Returns the distributions that `Study.ask` takes.

    Args:
        space: what is to be searched.
        conditional: whether the parameters of branches are there as well. Optuna cannot ask for
            those at once, see `suggest`.
    """
    latents = latents_of(space.parameters, conditional)
    return {name: _distribution(latent) for name, latent in latents}


def from_optuna(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    """Returns the space that distributions were made from, or one for another program's.

    Args:
        distributions: by name. A distribution of a single number becomes a choice with one option;
            a choice whose branches' parameters are not there becomes a plain choice, unless its
            name says `choose`.

    Raises:
        ConfigError: a name does not fit its distribution.
    """
    latents = {name: _latent(name, one) for name, one in distributions.items()}
    return SearchSpace(parameters=parameters_of(latents))


def suggest(trial: optuna.trial.BaseTrial, space: SearchSpace) -> dict[str, Any]:
    """Asks a trial for every parameter that matters, and returns its values by dotted path.

    Of a nested choice only the branch that was chosen is asked for. Limits are not kept yet, see
    `SearchSpace.resolve`.
    """

    def ask(name: str, latent: Latent) -> Any:
        match latent:
            case Real():
                return trial.suggest_float(
                    name, latent.low, latent.high, log=latent.log, step=latent.step
                )
            case Whole():
                return trial.suggest_int(
                    name, latent.low, latent.high, log=latent.log, step=latent.step
                )
            case Label():
                return trial.suggest_categorical(name, latent.options)

    return walk(space.parameters, ask)


def decode(space: SearchSpace, latents: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values by dotted path that a trial's `params` stand for.

    >>> from sweeprl.search_spaces import OneMinus, PowerOfTwo
    >>> space = SearchSpace(parameters={"discount": OneMinus(1e-4, 0.1), "n": PowerOfTwo(1, 9)})
    >>> decode(space, {"1 - discount": 0.01, "log2(n)": 6})
    {'discount': 0.99, 'n': 64}

    Raises:
        ConfigError: a latent is missing, unknown or not what it may be.
    """
    return decoded(space.parameters, latents)


def encode(space: SearchSpace, params: Mapping[str, Any], nearest: bool = False) -> dict[str, Any]:
    """Returns what `Study.enqueue_trial` takes to try `params`.

    Args:
        space: what is searched.
        params: values by dotted path, those of `SearchSpace.values_of` for example.
        nearest: whether a value outside its range becomes the nearest of the range, and one that is
            missing or null the middle.

    Raises:
        ConfigError: a key is unknown; or, unless `nearest`, a value is missing or outside its
            range.
    """
    return encoded(space.parameters, params, nearest)


def _distribution(latent: Latent) -> BaseDistribution:
    match latent:
        case Real():
            return FloatDistribution(latent.low, latent.high, log=latent.log, step=latent.step)
        case Whole():
            return IntDistribution(latent.low, latent.high, log=latent.log, step=latent.step)
        case Label():
            return CategoricalDistribution(latent.options)


def _latent(name: str, distribution: BaseDistribution) -> Latent:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return Real(low, high, log, step) if low < high else Label((low,))
        case IntDistribution(low=low, high=high, log=log, step=step):
            return Whole(low, high, log, step) if low < high else Label((low,))
        case CategoricalDistribution(choices=choices):
            return Label(tuple(choices))
    raise ConfigError(
        f"A distribution must be one of Float, Int and Categorical, but '{name}' is "
        f"{distribution!r}."
    )
