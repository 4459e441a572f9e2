"""What a config.yml says of our own tuner and assessor, which are not known to NNI by a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.nni.writing.secrets import check_no_password
from sweeprl.search_spaces import SearchSpace

__all__ = ["is_optuna", "optuna_assessor", "optuna_tuner"]

_PLACE = {"codeDirectory": "."}
"""NNI asks for one, although the class is installed."""


def is_optuna(name: str | None) -> bool:
    """Whether that is how ours are called."""
    return name is not None and name.casefold() == "optuna"


def optuna_tuner(
    sampler: str, space: SearchSpace, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns the section of a tuner that proposes with one of Optuna's samplers.

    Args:
        sampler: one of `sweeps.samplers`, or `module:Class`.
        space: what it is to search.
        given: further `classArgs`: seed, root_dir, storage.

    Raises:
        UnknownNameError: there is no such sampler.
        ConfigError: the tuner takes no such argument, or must not have it.
    """
    from sweeprl.sweeps.samplers import sampler_for  # which imports Optuna

    sampler_for(space, sampler)
    arguments = _arguments("tuner", {"sampler": sampler}, given, ("seed", "root_dir", "storage"))
    check_no_password(arguments)
    return {"className": "sweeprl.nni.tuner.OptunaTuner", **_PLACE, "classArgs": arguments}


def optuna_assessor(
    pruner: str,
    tuner: str,
    config: TrialConfig,
    num_trials: int,
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the section of an assessor that stops with one of Optuna's pruners.

    Raises:
        UnknownNameError: there is no such pruner.
        ConfigError: there is nothing to be pruned by, or no study to be pruned in.
    """
    from sweeprl.sweeps.pruners import pruner_for  # which imports Optuna

    if not is_optuna(tuner):
        raise ConfigError(
            f"The assessor Optuna prunes in the study of the tuner Optuna, but got the tuner "
            f"{tuner}. Use both, or the assessor Medianstop."
        )
    if pruner == "wilcoxon":
        raise ConfigError(
            "The pruner wilcoxon compares trials on several seeds, but a trial of NNI's has one. "
            "Use median, or sweeprl sweep."
        )
    pruner_for(config, pruner, num_trials)
    arguments = _arguments("assessor", {"pruner": pruner}, given, ())
    return {"className": "sweeprl.nni.assessor.OptunaAssessor", **_PLACE, "classArgs": arguments}


def _arguments(
    kind: str, own: dict[str, Any], given: Mapping[str, Any] | None, known: Sequence[str]
) -> dict[str, Any]:
    for name in given or {}:
        if name not in known:
            raise ConfigError(
                f"The {kind} Optuna takes {', '.join(known) or 'nothing'} with --{kind}-set, and "
                f"--{next(iter(own))}, but got '{name}'.{did_you_mean(name, known)}"
            )
    return {**own, **(given or {})}
