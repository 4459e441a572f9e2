"""What a study holds of its trials: one entry for each, with all attempts at it joined.

An attempt that was interrupted ends as failed in Optuna, and a new trial takes its place, with the
same parameters, seeds and folder, and the reports so far. What belongs together says so in its user
attributes:

    params       what was proposed, by dotted path
    is_default   the config as it was given: trial 0
    member       of a population: which of its agents; generation: which part of its training
    parent       number of the trial whose agent goes on; inherited: environment steps of that
    candidate    of a confirmation run: number of the trial that it confirms; seed: on which
    worker       name of the coordinator that trains it
    reports      scores on the grid, where the study itself takes none
    so_far       scores of the seeds that are trained, where others are to follow
    outcome      how it went
    interrupted  why it ended without an outcome
    tries        attempts in a row without progress, which is the next
    progress     seeds that are trained, and environment steps of the latest report
    root         number of the first attempt
    again_of     number of the attempt before
    is_surplus   asked for by two coordinators at once, and given up before it began
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "Entry",
    "entries_of",
    "has_failed",
    "is_repeated_twice",
    "is_surplus",
    "root_of",
    "successors",
    "trained_to_the_end",
]

State = Literal["waiting", "running", "finished", "pruned", "failed"]

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Entry:
    """One trial of a study."""

    number: int
    """Of its first attempt; how users call it."""
    state: State
    """Where it stands."""
    trial: FrozenTrial
    """Its latest attempt."""

    @property
    def params(self) -> dict[str, Any]:
        """What was proposed, by dotted path; empty for the default config."""
        params: dict[str, Any] = self.trial.user_attrs.get("params", {})
        return params

    @property
    def is_default(self) -> bool:
        """Whether it is the config as it was given."""
        return bool(self.trial.user_attrs.get("is_default"))

    @property
    def generation(self) -> int | None:
        """Of a population's trial, which part of an agent's training it is, from 0 on."""
        generation: int | None = self.trial.user_attrs.get("generation")
        return generation

    @property
    def member(self) -> int | None:
        """Of a population's trial, which of its agents it is."""
        member: int | None = self.trial.user_attrs.get("member")
        return member

    @property
    def parent(self) -> int | None:
        """Number of the trial with whose agent it goes on."""
        parent: int | None = self.trial.user_attrs.get("parent")
        return parent

    @property
    def scores(self) -> dict[int, float]:
        """By seed, of those that are trained to the end."""
        so_far = self.outcome or self.trial.user_attrs.get("so_far", {})
        return {int(seed): score for seed, score in so_far.get("scores", {}).items()}

    @property
    def score(self) -> float | None:
        """Its value; of a pruned one what it reported last."""
        values = self.trial.values
        return values[0] if values else None

    @property
    def reports(self) -> dict[int, float]:
        """Scores on the grid, by environment steps."""
        kept = self.trial.user_attrs.get("reports", self.trial.intermediate_values)
        return {int(step): score for step, score in kept.items()}

    @property
    def outcome(self) -> dict[str, Any]:
        """How it ended; empty while it has not."""
        outcome: dict[str, Any] = self.trial.user_attrs.get("outcome", {})
        return outcome

    @property
    def env_steps(self) -> int:
        """Environment steps that it used, as far as they are known."""
        inherited = self.trial.user_attrs.get("inherited", 0)
        latest = max(max(self.reports, default=0) - inherited, 0)
        return int(self.outcome.get("env_steps", latest))

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.state in ("finished", "pruned", "failed")


def trained_to_the_end(entries: Sequence[Entry]) -> list[Entry]:
    """Those that can be compared: all, or of a population the latest generation that is over."""
    generations: dict[int, list[Entry]] = {}
    for entry in entries:
        if entry.generation is None:
            return list(entries)
        generations.setdefault(entry.generation, []).append(entry)
    size = len(generations.get(0, []))
    whole = [g for g in generations.values() if len(g) == size and all(e.is_over for e in g)]
    return whole[-1] if whole else list(entries)


def root_of(trial: FrozenTrial) -> int:
    """Number of the first attempt at a trial."""
    return int(trial.user_attrs.get("root", trial.number))


def has_failed(trial: FrozenTrial) -> bool:
    """Whether its outcome is a failure; an attempt that was interrupted has none."""
    outcome: dict[str, Any] = trial.user_attrs.get("outcome", {})
    return outcome.get("status") == "failed"


def is_surplus(trial: FrozenTrial) -> bool:
    """Whether it was given up before it began."""
    return bool(trial.user_attrs.get("is_surplus"))


def successors(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """By the number of an attempt, that of the one that takes its place; the first one counts."""
    found: dict[int, int] = {}
    for trial in trials:
        before = trial.user_attrs.get("again_of")
        if before is not None and not is_surplus(trial):
            found.setdefault(int(before), trial.number)
    return found


def is_repeated_twice(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether another attempt has taken the same one's place before."""
    before = trial.user_attrs.get("again_of")
    return before is not None and successors(trials)[before] != trial.number


def entries_of(trials: Sequence[FrozenTrial]) -> list[Entry]:
    """Joins the attempts of a study's trials, in the order of their numbers."""
    latest = {root_of(trial): trial for trial in trials if not is_surplus(trial)}
    return [Entry(root, _state(trial), trial) for root, trial in sorted(latest.items())]


def _state(trial: FrozenTrial) -> State:
    is_interrupted = trial.state is TrialState.FAIL and not has_failed(trial)
    return "waiting" if is_interrupted else _STATES[trial.state]
