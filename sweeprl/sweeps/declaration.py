"""What a sweep is, as its study keeps it: the same name is the same sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps.objectives import Objective
from sweeprl.sweeps.seeds import (
    CONFIRMATION_SEEDS,
    TEST_SEEDS,
    PairedTest,
    Race,
    SeedPlan,
    Together,
)

__all__ = ["agree", "declaration_of", "declared_seed_plan"]

_MAY_CHANGE = ("gpus", "num_threads", "checkpoint_every_seconds")
"""Settings of the config that change nothing in what is learned."""


def declaration_of(
    base: TrialConfig,
    space: SearchSpace,
    seed_plan: SeedPlan,
    objectives: Sequence[Objective],
    generations: int | None = None,
) -> dict[str, Any]:
    """Returns what must not change while a sweep is under way, in plain values."""
    own = {} if generations is None else {"generations": generations}
    return {
        **own,
        "config": {key: v for key, v in base.to_dict().items() if key != "root_dir"},
        "space": space.to_dict(),
        "objectives": [objective.label for objective in objectives],
        "seeds": {
            "plan": type(seed_plan).__name__,
            "search": list(seed_plan.all),
            "confirmation_from": base.seed + CONFIRMATION_SEEDS,
            "test_from": base.seed + TEST_SEEDS,
        },
    }


def declared_seed_plan(declared: Mapping[str, Any]) -> SeedPlan:
    """Returns the plan that a sweep was begun with."""
    seeds = declared["seeds"]
    kinds = {kind.__name__: kind for kind in (PairedTest, Race, Together)}
    return kinds[seeds["plan"]](seeds["search"][0], len(seeds["search"]))


def agree(study: optuna.Study, declared: Mapping[str, Any]) -> None:
    """Writes what the sweep is into a new study, or compares it with what stands there.

    Raises:
        ConfigError: naming what differs, or the study is none of a sweep.
    """
    before = study.user_attrs.get("sweep")
    if before is None:
        if study.get_trials(deepcopy=False):
            raise ConfigError(
                f"The study '{study.study_name}' must be one of a sweep, but others have put "
                "trials into it. Choose another name."
            )
        study.set_user_attr("sweep", declared)
        return
    old, new = dict(_leaves(before)), dict(_leaves(declared))
    changes = [
        f"{key}: {old.get(key, 'nothing')!r} before, {new.get(key, 'nothing')!r} now"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and not _may_change(key)
    ]
    if changes:
        raise ConfigError(
            f"A sweep that goes on must be the same, but '{study.study_name}' differs:\n  "
            + "\n  ".join(changes)
            + "\nTake these back, or choose another folder or name for a new sweep."
        )


def _may_change(key: str) -> bool:
    section, _, rest = key.partition(".")
    return section == "config" and rest.partition(".")[0] in _MAY_CHANGE


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values inside, by dotted path."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = list(enumerate(value))
    if not parts:
        yield path, value
    for key, part in parts:
        yield from _leaves(part, f"{path}.{key}" if path else str(key))
