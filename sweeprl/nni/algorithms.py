"""What is known of NNI's tuners and assessors: which of them work, and on which spaces.

Each was run with NNI 3.0 and current packages; a broken one is refused with what works instead,
since NNI would say nothing and propose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweeprl.errors import ConfigError, UnknownNameError, did_you_mean
from sweeprl.search_spaces import Nested, SearchSpace

__all__ = ["ASSESSORS", "TUNERS", "Algorithm", "assessor_section", "tuner_section"]


@dataclass(frozen=True)
class Algorithm:
    """A tuner or an assessor of NNI's.

    Args:
        settings: its `classArgs`; all maximise.
        is_flat: whether its space must not have nested choices.
        trouble: why it does not work; empty where it does.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    is_flat: bool = False
    trouble: str = ""


_MAXIMIZE = {"optimize_mode": "maximize"}

TUNERS = {
    "TPE": Algorithm(_MAXIMIZE),
    "Random": Algorithm(),
    "GridSearch": Algorithm(),
    "Evolution": Algorithm({**_MAXIMIZE, "population_size": 20}),
    "PBT": Algorithm({**_MAXIMIZE, "population_size": 4, "factor": 0.2}, is_flat=True),
    "Anneal": Algorithm(trouble="it does not run with numpy 2"),
    "Batch": Algorithm(trouble="it tries a list of whole configs and has no search space"),
    "BOHB": Algorithm(trouble="it does not run with a current ConfigSpace"),
    "DNGO": Algorithm(trouble="it cannot read choices of words, and needs a package of its own"),
    "GP": Algorithm(trouble="it raises on its first proposal with numpy 2"),
    "Hyperband": Algorithm(trouble="it raises after its first trial"),
    "Metis": Algorithm(trouble="it cannot read logarithmic ranges"),
    "NetworkMorphism": Algorithm(trouble="it proposes networks and no parameters"),
    "PPO": Algorithm(trouble="it searches for network architectures, and needs tensorflow"),
    "SMAC": Algorithm(trouble="its package cannot be built any more"),
}
"""By the name that NNI knows them under."""

ASSESSORS = {
    "Medianstop": Algorithm({**_MAXIMIZE, "start_step": 5}),
    "Curvefitting": Algorithm(trouble="it falls behind where there is more than a report a second"),
}
"""By the name that NNI knows them under."""


def tuner_section(name: str, space: SearchSpace) -> dict[str, Any]:
    """Returns what a config.yml says of a tuner.

    Args:
        name: of the tuner, in any capitals.
        space: what it is to search.

    Raises:
        UnknownNameError: NNI has none of that name.
        ConfigError: it does not work, or not with this space.
    """
    known, tuner = _working("tuner", name, TUNERS, "TPE")
    nested = [key for key, one in space.parameters.items() if isinstance(one, Nested)]
    if tuner.is_flat and nested:
        raise ConfigError(
            f"The space of the tuner {known} must have no nested choices, but {', '.join(nested)} "
            "is one. Take it out of the space, or use the tuner TPE."
        )
    return _section(known, tuner)


def assessor_section(name: str) -> dict[str, Any]:
    """Returns what a config.yml says of an assessor.

    Raises:
        UnknownNameError: NNI has none of that name.
        ConfigError: it does not work.
    """
    return _section(*_working("assessor", name, ASSESSORS, "Medianstop"))


def _working(
    kind: str, name: str, table: Mapping[str, Algorithm], instead: str
) -> tuple[str, Algorithm]:
    known = next((one for one in table if one.casefold() == name.casefold()), None)
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


def _section(name: str, algorithm: Algorithm) -> dict[str, Any]:
    settings = {"classArgs": dict(algorithm.settings)} if algorithm.settings else {}
    return {"name": name, **settings}
