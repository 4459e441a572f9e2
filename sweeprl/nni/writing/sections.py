"""What a config.yml says of its tuner and its assessor, and which of them are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeprl.errors import ConfigError, UnknownNameError, did_you_mean
from sweeprl.nni.writing.algorithms import ASSESSORS, TUNERS, Algorithm, Plan
from sweeprl.search_spaces import Nested, SearchSpace

__all__ = ["assessor_section", "check_together", "tuner_section"]


def tuner_section(
    name: str, space: SearchSpace, plan: Plan | None = None, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what a config.yml says of a tuner.

    Args:
        name: of the tuner, in any capitals.
        space: what it is to search.
        plan: of the experiment.
        given: `classArgs` that the user has chosen.

    Raises:
        UnknownNameError: NNI has none of that name.
        ConfigError: it does not work, or not with this space or these settings.
    """
    known, tuner = _working("tuner", name, TUNERS, "TPE")
    nested = [key for key, one in space.parameters.items() if isinstance(one, Nested)]
    if tuner.is_flat and nested:
        raise ConfigError(
            f"The space of the tuner {known} must have no nested choices, but {', '.join(nested)} "
            "is one. Take it out of the space, or use the tuner TPE."
        )
    plan = plan or Plan()
    section = _section("tuner", known, {**tuner.settings(plan), **(given or {})}, given or {})
    _check_population(section, plan)
    return section


def assessor_section(
    name: str, plan: Plan | None = None, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what a config.yml says of an assessor.

    Args:
        name: of the assessor, in any capitals.
        plan: of the experiment.
        given: `classArgs` that the user has chosen.

    Raises:
        UnknownNameError: NNI has none of that name.
        ConfigError: it does not work, or not with these settings.
    """
    known, assessor = _working("assessor", name, ASSESSORS, "Medianstop")
    settings = {**assessor.settings(plan or Plan()), **(given or {})}
    return _section("assessor", known, settings, given or {})


def check_together(
    tuner: Mapping[str, Any], assessor: Mapping[str, Any] | None, *, is_remote: bool = False
) -> None:
    """Refuses what population-based training cannot go with.

    Args:
        tuner: its section of a config.yml.
        assessor: its section, if there is one.
        is_remote: whether trials run on other machines.

    Raises:
        ConfigError: NNI tells its tuner twice that an assessor has stopped a trial, with the latest
            report as its result and then as a failure, where this tuner raises; or agents would be
            handed on through a folder that other machines do not have.
    """
    if tuner.get("name") != "PBT":
        return
    if assessor is not None:
        name = assessor.get("name", "Optuna")
        raise ConfigError(
            "The tuner PBT must go without an assessor, since each trial of a generation has to "
            f"reach its final result, but got the assessor {name}. Leave it out, or use the tuner "
            "TPE or Evolution."
        )
    if is_remote and "all_checkpoint_dir" not in tuner["classArgs"]:
        raise ConfigError(
            "The tuner PBT must have an all_checkpoint_dir that all machines share where trials "
            "run on others, since it hands agents on through files, but got none. Set one, or use "
            "the tuner TPE or Evolution."
        )


def _working(
    kind: str, name: str, table: Mapping[str, Algorithm], instead: str
) -> tuple[str, Algorithm]:
    known = next((one for one in table if _bare(one) == _bare(name)), None)
    working = [one for one, algorithm in table.items() if not algorithm.trouble]
    if known is None:
        raise UnknownNameError(
            f"No {kind} of NNI's is named '{name}'.{did_you_mean(name, table)} "
            f"Those that work: {', '.join(working)}."
        )
    if table[known].trouble:
        raise ConfigError(
            f"The {kind} must be one that works, but of {known} is known: {table[known].trouble}. "
            f"Use {instead}. Those that work: {', '.join(working)}."
        )
    return known, table[known]


def _bare(name: str) -> str:
    """The name without what some of NNI's aliases end in: GPTuner is GP."""
    return name.casefold().removesuffix("tuner").removesuffix("assessor")


def _section(
    kind: str, name: str, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    if given:
        from sweeprl.nni.writing.class_arguments import check_class_arguments  # which imports nni

        check_class_arguments(kind, name, settings, given)
    return {"name": name, **({"classArgs": dict(settings)} if settings else {})}


def _check_population(section: Mapping[str, Any], plan: Plan) -> None:
    size = section.get("classArgs", {}).get("population_size", plan.concurrency)
    if size < plan.concurrency:
        raise ConfigError(
            f"`population_size >= concurrency` must hold, but got population_size={size}, "
            f"concurrency={plan.concurrency}, since a tuner proposes no more trials at once. Raise "
            "it, to twice the concurrency for example."
        )
