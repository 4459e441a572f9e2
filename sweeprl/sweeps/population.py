"""Population-based training: agents that learn side by side, of which the worst copy the best.

Jaderberg et al. 2017, Population Based Training of Neural Networks, https://arxiv.org/abs/1711.09846,
with truncation selection (section 4.1.1) and settings that are perturbed or drawn anew (explore).

Differs from the paper:
    Generations wait for each other, so that agents are compared at equal environment steps. What an
    agent has come to is a schedule: a config that can be trained from the start on other seeds, and
    is confirmed like any other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeprl.config import Range, TrialConfig, merge, traced_of
from sweeprl.errors import ConfigError
from sweeprl.launcher import TrialFolder, inherit
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.optuna import suggest
from sweeprl.search_spaces.parameters import short
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.entries import Entry
from sweeprl.sweeps.exploring import explored
from sweeprl.sweeps.stage import Job, Stage
from sweeprl.trials.budget import budget_of

__all__ = ["Population", "check_population", "generations_of"]

_GENERATIONS = 10

_SHARE = 0.2
"""Of a generation, that copies, and that is copied."""


_NEEDS: dict[str, tuple[Any, ...]] = {
    "pruner": ("none", "auto"),
    "seeds": (1, "1", "auto"),
    "objectives": (("score",),),
}
"""What other settings of the sweep may be; the last is what they are if left out."""


def generations_of(given: int | None, sampler: object) -> int | None:
    """Returns the generations of a sweep; None where it is no population-based training.

    Raises:
        ConfigError: they are given to another sampler.
    """
    if sampler == "pbt":
        return _GENERATIONS if given is None else given
    if given is not None:
        raise ConfigError(
            f"generations must be left out where the sampler is not 'pbt', but got {given} and "
            f"{sampler!r}. Leave it out, or set --sampler pbt."
        )
    return None


def check_population(
    base: TrialConfig,
    space: SearchSpace,
    members: int | None,
    generations: int,
    others: Mapping[str, Any],
) -> None:
    """Refuses a population that cannot evolve.

    Args:
        base: what proposals are put into.
        space: what may be proposed.
        members: of a generation.
        generations: of the population.
        others: the settings of the sweep that `_NEEDS` names.

    Raises:
        ConfigError: saying what it lacks.
    """
    for name, allowed in _NEEDS.items():
        if others[name] not in allowed:
            raise ConfigError(
                f"Population-based training must have {name} {allowed[-1]!r}, but got "
                f"{others[name]!r}. Leave it out."
            )
    if members is None or members < 2:
        raise ConfigError(
            "Population-based training must have a number of trials, at least 2, one for each "
            f"agent, but got {members}. Set --trials."
        )
    if not 2 <= generations <= budget_of(base):
        raise ConfigError(
            f"generations must be at least 2 and at most max_env_steps={budget_of(base)}, but got "
            f"{generations}."
        )
    if base.schedule:
        raise ConfigError(
            "Population-based training must have a config without a schedule, since it finds one, "
            f"but the config has {len(base.schedule)} changes. Set schedule to []."
        )
    if not _changing(base, space):
        known = ", ".join(traced_of(base.frame_config))
        raise ConfigError(
            "Population-based training must have a setting in its space that can change in "
            f"training, but finds none there. Those that can: {known}."
        )


def _changing(base: TrialConfig, space: SearchSpace) -> list[str]:
    """Keys of a space that can change in training."""
    known = traced_of(base.frame_config)
    kinds = space.parameters.items()
    return [key for key, one in kinds if isinstance(one, Range) and short(key) in known]


class Population(Stage):
    """Trials of a population: one for each agent and generation.

    A trial goes on with the agent of one of the generation before: its own, or, where that was
    among the worst, that of one of the best, with settings that differ a little. The members of the
    first generation are the config as it was given, the points that the user named, and what the
    study's sampler proposes.

    Args:
        base: what proposals are put into.
        space: what may be proposed.
        folder: of all trials' results.
        budget: of the sweep; its trials are the members.
        clock: of the sweep.
        generations: parts that `max_env_steps` is divided into.
        points: parameters, by dotted path, that the first members try.
    """

    name = "search"

    def __init__(
        self,
        base: TrialConfig,
        space: SearchSpace,
        folder: Path,
        budget: SweepBudget,
        clock: Clock,
        generations: int,
        points: Sequence[dict[str, Any]] = (),
    ) -> None:
        assert budget.trials is not None
        self._base, self._space, self._folder = base, space, folder
        self._budget, self._clock, self._points = budget, clock, points
        self._members, self._generations = budget.trials, generations

    @property
    def planned(self) -> int:
        """Trials of all generations."""
        return self._members * self._generations

    def env_steps(self, generation: int) -> int:
        """At which a generation ends; that before the first one at 0."""
        return round((generation + 1) * budget_of(self._base) / self._generations)

    def wants_more(self, entries: Sequence[Entry]) -> bool:
        """Whether a generation lacks a member, or is over and can be followed."""
        return self._next(entries) is not None

    def _next(self, entries: Sequence[Entry]) -> tuple[int, int] | None:
        """Member and generation of the next trial; None where none is wanted now."""
        by_place = {place: entry for entry in entries if (place := _place(entry.trial)) is not None}
        for generation in range(self._generations):
            missing = [m for m in range(self._members) if (m, generation) not in by_place]
            own = [entry for place, entry in by_place.items() if place[1] == generation]
            if missing:
                is_new = not own
                return None if is_new and self._is_out_of_time() else (missing[0], generation)
            if not all(entry.is_over for entry in own) or not _ranked(own):
                return None
        return None

    def _is_out_of_time(self) -> bool:
        seconds, share = self._budget.seconds, 1 - self._budget.confirmation
        return seconds is not None and self._clock.seconds >= share * seconds

    def enqueue(self, study: optuna.Study, entries: Sequence[Entry]) -> None:
        """Lets the next member of a generation wait."""
        following = self._next(entries)
        assert following is not None
        member, generation = following
        if generation > 1 and member == 0:
            self._clean(generation - 2, entries)
        attributes: dict[str, Any] = {"member": member, "generation": generation}
        if generation == 0:
            attributes |= self._given(member)
        else:
            before = [e for e in entries if e.generation == generation - 1]
            attributes |= self._heir(member, generation, before)
        study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attributes))

    def _clean(self, generation: int, entries: Sequence[Entry]) -> None:
        """Drops what nobody can go on from any more: of some frames, millions of transitions."""
        for entry in entries:
            if entry.generation == generation:
                self._trial(entry.number).last.unlink(missing_ok=True)

    def _trial(self, number: int) -> TrialFolder:
        return TrialFolder(self._folder / f"{number:04}")

    def _given(self, member: int) -> dict[str, Any]:
        """What a first member does not leave to the sampler."""
        if member == 0:
            return {"is_default": True, "params": {}}
        if member > len(self._points):
            return {}
        return {"params": self._space.resolve(self._base, self._points[member - 1])}

    def _heir(self, member: int, generation: int, before: Sequence[Entry]) -> dict[str, Any]:
        """Whose agent a member goes on with, and with which parameters."""
        rng = random.Random(f"{self._base.seed}/{generation}/{member}")
        ranked = _ranked(before)
        own = next(entry for entry in before if _place(entry.trial) == (member, generation - 1))
        count = math.ceil(_SHARE * self._members)
        is_among_worst = own not in ranked or ranked.index(own) >= self._members - count
        better = [entry for entry in ranked[:count] if entry is not own]
        parent, params = own, dict(own.params)
        if is_among_worst and better:
            parent = rng.choice(better)
            params = self._changed(parent, self.env_steps(generation - 1), rng)
        return {
            "parent": parent.number,
            "inherited": self.env_steps(generation - 1),
            "params": params,
        }

    def _changed(self, parent: Entry, env_steps: int, rng: random.Random) -> dict[str, Any]:
        """The parent's parameters, and a change of some settings from `env_steps` on."""
        now = merge(self._base, parent.params).at(env_steps)
        space = self._space.only(*_changing(self._base, self._space))
        known = space.values_of(now)
        values = self._space.resolve(now, explored(space, known, rng))
        settings = {
            short(key): float(values[key])
            for key, before in known.items()
            if before is not None and values[key] != before  # null is structure
        }
        if not settings:
            return dict(parent.params)
        change = {"env_steps": env_steps, "settings": settings}
        return {**parent.params, "schedule": [*parent.params.get("schedule", []), change]}

    def is_one_too_many(self, trial: FrozenTrial, entries: Sequence[Entry]) -> bool:
        """Whether nobody has enqueued it, or another has its place."""
        place = _place(trial)
        first = trial.user_attrs.get("root", trial.number)
        others = [entry.number for entry in entries if _place(entry.trial) == place]
        return place is None or any(number < first for number in others)

    def propose(self, trial: optuna.Trial) -> dict[str, Any]:
        """What the sampler suggests to a member of the first generation."""
        return self._space.resolve(self._base, suggest(trial, self._space))

    def seeds(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """The member's own."""
        return () if job.scores else (self._base.seed + job.trial.user_attrs["member"],)

    def config(self, job: Job, seeds: Sequence[int]) -> TrialConfig:
        """The proposal up to the generation's end, in a folder that holds the parent's agent."""
        known = job.trial.user_attrs
        folder = self._trial(job.number)
        own = {
            "root_dir": str(folder.root),
            "seed": seeds[0],
            "max_env_steps": self.env_steps(known["generation"]),
        }
        config = merge(self._base, {**job.params, **own})
        if "parent" in known and not folder.last.exists():
            inherit(folder, self._trial(known["parent"]), config)
        return config

    def goes_on(self, job: Job) -> bool:
        """Also where there is a parent's agent to go on with."""
        return super().goes_on(job) or "parent" in job.trial.user_attrs

    def values(self, job: Job) -> list[float]:
        """The score."""
        assert job.score is not None
        return [job.score]

    def label(self, job: Job) -> str:
        """Number, member and generation."""
        known = job.trial.user_attrs
        return f"{job.number}, member {known['member']} in generation {known['generation']}"


def _place(trial: FrozenTrial) -> tuple[int, int] | None:
    """Member and generation."""
    known = trial.user_attrs
    return (known["member"], known["generation"]) if "generation" in known else None


def _ranked(entries: Sequence[Entry]) -> list[Entry]:
    """Those that have a score, the best first."""
    finished = [e for e in entries if e.state == "finished" and e.score is not None]
    return sorted(finished, key=lambda e: (e.score, -e.number), reverse=True)
