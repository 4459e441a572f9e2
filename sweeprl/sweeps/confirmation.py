"""Confirmation: the best configs of the search, trained anew on seeds that it never used; and test.

What a search reports of its winner is the luck of the best of many draws, not what the config is
worth. Patterson et al. 2024, Empirical Design in Reinforcement Learning, section 4.4 (maximization
bias), https://arxiv.org/abs/2304.01315.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeprl.config import TrialConfig, merge
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.entries import Entry, trained_to_the_end
from sweeprl.sweeps.seeds import CONFIRMATION_SEEDS, TEST_SEEDS
from sweeprl.sweeps.stage import Job, Stage
from sweeprl.sweeps.statistics import (
    Interval,
    bootstrap_interval,
    interquartile_mean,
    pooled_deviation,
)

__all__ = ["Confirmation", "FinalTest", "Standing", "candidates", "planned_confirmation", "ranking"]


def candidates(entries: Sequence[Entry], num_trials: int, num_runs: int) -> list[Entry]:
    """Returns the configs that are worth confirming, the best first, and the one that was given.

    Of several objectives, it is the first that ranks them.

    Two for up to 16 trials, five for up to 64, ten beyond that; and as many again whose intervals
    reach into that of the last of these, where the search has trained configs on several seeds and
    so knows how much a score varies. Few runs are not spread over many configs: there is at
    least one, and at most half as many as runs, beside the one that was given.
    """
    whole = trained_to_the_end(entries)
    ranked = sorted(
        (e for e in whole if e.state == "finished" and e.score is not None),
        key=lambda e: (e.score, len(e.scores)),
        reverse=True,
    )
    count = 2 if num_trials <= 16 else 5 if num_trials <= 64 else 10
    most = max(1, num_runs // 2)
    count = min(count, most)
    chosen = ranked[:count] + _as_good(ranked[:count], ranked[count : 2 * count])
    chosen = chosen[:most]
    return chosen + [e for e in entries if e.is_default and e not in chosen]


def planned_confirmation(
    found: Sequence[Entry], budget: SweepBudget, env_steps_per_run: int
) -> tuple[list[Entry], int]:
    """Returns what is confirmed after a search, and in how many runs at most.

    Args:
        found: trials of the search, all of them over.
        budget: of the sweep.
        env_steps_per_run: of one run.

    Returns:
        No configs where there is no budget, or no score, for it.
    """
    num_runs = budget.confirmation_runs(found, env_steps_per_run)
    chosen = candidates(found, budget.trials or len(found), num_runs)
    if budget.confirmation and budget.env_steps is None:
        num_runs = max(num_runs, len(chosen))  # small sweeps: one each, if they have time
    if num_runs < len(chosen) or not any(entry.state == "finished" for entry in chosen):
        return [], num_runs
    return chosen, num_runs


def _as_good(chosen: Sequence[Entry], others: Sequence[Entry]) -> list[Entry]:
    deviation = pooled_deviation([list(entry.scores.values()) for entry in [*chosen, *others]])
    if deviation is None or not chosen:
        return []

    def interval(entry: Entry) -> Interval:
        assert entry.score is not None
        margin = 1.96 * deviation / max(1, len(entry.scores)) ** 0.5
        return Interval(entry.score - margin, entry.score + margin)

    return [entry for entry in others if interval(entry).overlaps(interval(chosen[-1]))]


@dataclass(frozen=True)
class Standing:
    """What confirmation found of one config."""

    number: int
    """Of its trial in the search."""
    is_default: bool
    search_score: float | None
    scores: tuple[float, ...]
    """On seeds that the search never used; a failed run counts as the worst of all runs."""
    search_scores: tuple[float, ...] = ()
    """On each seed of the search; empty where they have no say: it has not trained the config to
    the end, or a run on a fresh seed has failed."""

    @property
    def value(self) -> float:
        """Interquartile mean of the scores: what the config is worth."""
        return float(interquartile_mean(self.scores))

    @property
    def estimate(self) -> float:
        """Interquartile mean of all scores, the search's too.

        It is too good, as all that was chosen is; among configs that were chosen in the same way it
        tells the better one more surely than the fresh seeds alone.
        """
        return float(interquartile_mean((*self.scores, *self.search_scores)))

    @property
    def interval(self) -> Interval:
        """95 % bootstrap interval of the interquartile mean; all numbers below three scores."""
        if len(self.scores) < 3:
            return Interval(-math.inf, math.inf)
        return bootstrap_interval(self.scores)

    @property
    def optimism(self) -> float | None:
        """How much better the search said it was."""
        return None if self.search_score is None else self.search_score - self.value


def ranking(
    runs: Sequence[Entry], candidates: Sequence[Entry], *, with_search: bool = True
) -> list[Standing]:
    """Ranks the configs that were trained on fresh seeds, the best first.

    What the search has found is ranked by its estimate, but the config that was given comes between
    what did better than it on the fresh seeds and the rest: it was not chosen for its luck.

    Args:
        runs: entries of the confirmation study, or of the final test.
        candidates: entries of the search.
        with_search: whether the search's scores have a part in it.
    """
    numbers = {entry.number for entry in candidates}
    over = [run for run in runs if run.is_over and _candidate(run) in numbers]
    worst = min((run.score for run in over if run.score is not None), default=None)
    if worst is None:
        return []
    scores: dict[int | None, list[float]] = {}
    for run in over:
        score = worst if run.score is None else run.score
        scores.setdefault(_candidate(run), []).append(score)
    trained = [entry for entry in candidates if entry.number in scores]
    latest = max(entry.generation or 0 for entry in trained)
    failed = {_candidate(run) for run in over if run.score is None}
    standings = []
    for entry in trained:
        is_comparable = _is_comparable(entry, latest)
        has_say = with_search and is_comparable and entry.number not in failed
        standing = Standing(
            entry.number,
            entry.is_default,
            entry.score if is_comparable else None,
            tuple(scores[entry.number]),
            _search_scores(entry) if has_say else (),
        )
        standings.append(standing)
    to_beat = max((one.value for one in standings if one.is_default), default=-math.inf)

    def place(standing: Standing) -> tuple[int, float]:
        is_better = standing.value > to_beat
        group = 1 if standing.is_default else 0 if is_better else 2
        return group, -standing.estimate

    return sorted(standings, key=place)


def _search_scores(entry: Entry) -> tuple[float, ...]:
    scores = tuple(entry.scores.values())
    return scores if scores or entry.score is None else (entry.score,)


def _is_comparable(entry: Entry, latest_generation: int) -> bool:
    """Whether the search has trained it to the end; trial 0 of a population, one generation."""
    return entry.state == "finished" and (entry.generation or 0) == latest_generation


def _candidate(run: Entry) -> int | None:
    """Number of the config; None where coordinators that asked at once have made too many."""
    number: int | None = run.trial.user_attrs.get("candidate")
    return number


def _known_candidate(run: Entry) -> int:
    return int(run.trial.user_attrs["candidate"])


def _seed(run: Entry) -> int:
    return int(run.trial.user_attrs["seed"])


class Confirmation(Stage):
    """Runs of the best configs on fresh seeds: first a few for each, then for those that lead.

    Args:
        base: what the parameters are put into.
        candidates: entries of the search.
        num_runs: how many runs there may be.
        folder: of all runs' results.
        budget: of the sweep.
        clock: of the sweep.
    """

    name = "confirmation"
    first_seed = CONFIRMATION_SEEDS
    """Counted from the sweep's own seed; all configs share their seeds."""

    def __init__(
        self,
        base: TrialConfig,
        candidates: Sequence[Entry],
        num_runs: int,
        folder: Path,
        budget: SweepBudget,
        clock: Clock,
    ) -> None:
        self.candidates, self.num_runs = candidates, num_runs
        self._base, self._folder = base, folder
        self._budget, self._clock = budget, clock
        self._params: Mapping[int, Mapping[str, Any]] = {e.number: e.params for e in candidates}
        self._num_each = self._num_first()

    def _num_first(self) -> int:
        """Runs that each config gets, before there are further ones for those that lead."""
        num = max(1, len(self.candidates))
        return max(1, min(self.num_runs // num, max(3, (2 * self.num_runs) // (3 * num))))

    @property
    def planned(self) -> int:
        """At most."""
        return self.num_runs

    def wants_more(self, entries: Sequence[Entry]) -> bool:
        """Whether another run is worth it."""
        return self._next(entries) is not None

    def _next(self, runs: Sequence[Entry]) -> tuple[int, int] | None:
        """The config and the seed of the next run; None where none is wanted now.

        First all configs get the same number. When these are over, those that may still be the best
        get half as many again, over and over, the one with the fewest first.
        """
        runs = [run for run in runs if _candidate(run) in self._params]
        if len(runs) >= self.num_runs or not self._budget.allows_confirmation(self._clock.seconds):
            return None
        counts = Counter(dict.fromkeys(self._params, 0))
        counts.update(map(_known_candidate, runs))
        fewest = min(counts, key=lambda number: counts[number])
        if counts[fewest] < self._num_each:
            return fewest, self._unused_seed(fewest, runs)
        over = [run for run in runs if run.is_over]
        known = Counter(map(_known_candidate, over))
        contenders = self.contenders(over)
        if min(known[number] for number in counts) < self._num_each or len(contenders) < 2:
            return None
        enough = math.ceil(1.5 * max(known[number] for number in contenders))
        fewest = min(contenders, key=lambda number: counts[number])
        return (fewest, self._unused_seed(fewest, runs)) if counts[fewest] < enough else None

    def _unused_seed(self, candidate: int, runs: Sequence[Entry]) -> int:
        used = {_seed(run) for run in runs if _candidate(run) == candidate}
        return next(
            seed for seed in itertools.count(self._base.seed + self.first_seed) if seed not in used
        )

    def contenders(self, runs: Sequence[Entry]) -> list[int]:
        """The configs that may be the best, as far as is known.

        All have the same noise here, pooled: a few seeds of one config say too little about it. As
        in the ranking, the fresh seeds alone compare a config with the one that was given.
        """
        standings = ranking(runs, self.candidates)
        noise = pooled_deviation([(*one.scores, *one.search_scores) for one in standings])
        if noise is None:
            return [standing.number for standing in standings]
        best = standings[0]

        def may_be_best(standing: Standing) -> bool:
            pair = (best, standing)
            if any(one.is_default for one in pair):
                lead = best.value - standing.value
                nums = [len(one.scores) for one in pair]
            else:
                lead = best.estimate - standing.estimate
                nums = [len(one.scores) + len(one.search_scores) for one in pair]
            return bool(lead <= 1.96 * noise * sum(1 / num for num in nums) ** 0.5)

        return [standing.number for standing in standings if may_be_best(standing)]

    def label(self, job: Job) -> str:
        """The candidate and the seed."""
        attributes = job.trial.user_attrs
        return f"{attributes['candidate']} on seed {attributes['seed']}"

    def enqueue(self, study: optuna.Study, entries: Sequence[Entry]) -> None:
        """Lets the next run wait."""
        following = self._next(entries)
        assert following is not None
        attributes = dict(zip(("candidate", "seed"), following, strict=True))
        study.add_trial(create_trial(state=TrialState.WAITING, user_attrs=attributes))

    def is_one_too_many(self, trial: FrozenTrial, entries: Sequence[Entry]) -> bool:
        """Whether nobody has enqueued it, others have, too, or its config is none of the best."""
        if trial.user_attrs.get("candidate") not in self._params:
            return True
        own = Entry(trial.number, "running", trial)
        others = [entry for entry in entries if _candidate(entry) == _candidate(own)]
        same = [entry for entry in others if _seed(entry) == _seed(own)]
        return any(entry.number < trial.user_attrs.get("root", trial.number) for entry in same)

    def propose(self, trial: optuna.Trial) -> dict[str, Any]:
        """What the search had proposed."""
        return dict(self._params[trial.user_attrs["candidate"]])

    def seeds(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """The one seed of the run."""
        return () if job.scores else (int(job.trial.user_attrs["seed"]),)

    def config(self, job: Job, seeds: Sequence[int]) -> TrialConfig:
        """The candidate's, in the run's folder."""
        folder = self._folder / f"{job.trial.user_attrs['candidate']:04}-seed-{seeds[0]}"
        return merge(self._base, {**job.params, "root_dir": str(folder)})

    def values(self, job: Job) -> list[float]:
        """The score."""
        assert job.score is not None
        return [job.score]


class FinalTest(Confirmation):
    """As many runs of each config on seeds that had no part in choosing any.

    The best of several configs that were confirmed is in part the luckiest, too; of one that is
    chosen already, further seeds say what it is worth.
    """

    name = "test"
    first_seed = TEST_SEEDS

    def _num_first(self) -> int:
        return self.num_runs // len(self.candidates)
