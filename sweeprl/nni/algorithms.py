"""What is known of NNI's tuners and assessors: which of them work, on which spaces, and how.

Each was run with NNI 3.0 and current packages; a broken one is refused with what works instead,
since NNI would say nothing and propose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeprl.errors import ConfigError, UnknownNameError, did_you_mean
from sweeprl.search_spaces import Nested, SearchSpace

__all__ = [
    "ASSESSORS",
    "TUNERS",
    "Algorithm",
    "Plan",
    "assessor_section",
    "check_together",
    "tuner_section",
]


@dataclass(frozen=True)
class Plan:
    """How an experiment goes, as far as the settings of tuners and assessors depend on it.

    Args:
        trials: how many.
        concurrency: how many at a time.
        random_reports: the most reports of one trial that may come before its first update.
    """

    trials: int = 20
    concurrency: int = 2
    random_reports: int = 0

    @property
    def population_size(self) -> int:
        """Random individuals that evolution begins with; with NNI's 32, 20 trials never evolve.

        A third of the trials, and twice as many as run at once: that many have no result yet.
        """
        return max(self.trials // 3, 2 * self.concurrency)

    @property
    def start_step(self) -> int:
        """The first report that a trial is judged on: a learned one, and not before the fifth."""
        return max(5, self.random_reports + 1)


@dataclass(frozen=True)
class Algorithm:
    """A tuner or an assessor of NNI's.

    Args:
        settings: its `classArgs` in an experiment; all maximise.
        is_flat: whether its space must not have nested choices.
        trouble: why it does not work; empty where it does.
    """

    settings: Callable[[Plan], Mapping[str, Any]] = lambda plan: {}
    is_flat: bool = False
    trouble: str = ""


_MAXIMIZE = {"optimize_mode": "maximize"}

TUNERS = {
    "TPE": Algorithm(lambda plan: _MAXIMIZE),
    "Random": Algorithm(),
    "GridSearch": Algorithm(),
    "Evolution": Algorithm(lambda plan: {**_MAXIMIZE, "population_size": plan.population_size}),
    "PBT": Algorithm(
        lambda plan: {
            **_MAXIMIZE,
            "population_size": max(4, plan.concurrency),
            "factor": 0.2,
        },
        is_flat=True,
    ),
    "Anneal": Algorithm(trouble="it does not run with numpy 2"),
    "Batch": Algorithm(trouble="it tries a list of whole configs and has no search space"),
    "BOHB": Algorithm(trouble="it does not run with a current ConfigSpace"),
    "DNGO": Algorithm(trouble="it cannot read choices of words, and needs a package of its own"),
    "GP": Algorithm(trouble="it raises on its first proposal with numpy 2"),
    "Hyperband": Algorithm(trouble="it raises after its first trial"),
    "Metis": Algorithm(trouble="it cannot read logarithmic ranges"),
    "NetworkMorphism": Algorithm(trouble="it proposes networks and no parameters"),
    "PPO": Algorithm(trouble="it searches for network architectures, and needs tensorflow"),
    "RegularizedEvolutionTuner": Algorithm(trouble="it searches for network architectures"),
    "SMAC": Algorithm(trouble="its package cannot be built any more"),
    "TPE_legacy": Algorithm(trouble="it needs hyperopt, which does not run with numpy 2"),
}
"""By the name that NNI knows them under."""

ASSESSORS = {
    "Medianstop": Algorithm(lambda plan: {**_MAXIMIZE, "start_step": plan.start_step}),
    "Curvefitting": Algorithm(trouble="it falls behind where there is more than a report a second"),
}
"""By the name that NNI knows them under."""


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
        ConfigError: a generation waits for a final result of each of its trials, and NNI's tuner
            raises where a stopped one has none; or agents would be handed on through a folder that
            other machines do not have.
    """
    if tuner["name"] != "PBT":
        return
    if assessor is not None:
        raise ConfigError(
            "The tuner PBT must go without an assessor, since each trial of a generation has to "
            f"reach its final result, but got the assessor {assessor['name']}. Leave it out, or "
            "use the tuner TPE or Evolution."
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
        from sweeprl.nni.class_arguments import check_class_arguments  # which imports nni

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
