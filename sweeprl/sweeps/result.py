"""What a sweep found: the ranking, the winner, and what tuning gained."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sweeprl.config import TrialConfig, merge, save_config
from sweeprl.sweeps.confirmation import Standing, ranking
from sweeprl.sweeps.entries import Entry, trained_to_the_end
from sweeprl.sweeps.seeds import TEST_SEEDS
from sweeprl.sweeps.statistics import probability_of_improvement

__all__ = ["SweepResult", "result_of", "winner_and_default"]


@dataclass(frozen=True)
class SweepResult:
    """How a sweep went."""

    status: Literal["finished", "stopped"]
    """stopped: by a signal; the same command goes on with it."""
    winner: Entry | None
    """The trial of the search that won; None where no trial finished."""
    standings: tuple[Standing, ...]
    """The configs that were confirmed, the best first; empty where none was."""
    tested: tuple[Standing, ...]
    """The winner and trial 0 on seeds that chose nothing, the better first; empty where the winner
    was not tested."""
    default: Entry | None
    """Trial 0: the config as it was given."""
    config: TrialConfig | None
    """The winner's, with a seed that the sweep never used."""
    num_trials: int
    """Of the search."""
    num_runs: int
    """Of the confirmation."""
    num_test_runs: int
    """Of the final test."""
    env_steps: int
    """Of all."""
    seconds: float
    """On the wall clock, over all sessions."""

    @property
    def is_confirmed(self) -> bool:
        """Whether the winner was chosen by confirmation."""
        return bool(self.standings)

    @property
    def test(self) -> Standing | None:
        """The winner's on seeds that chose nothing; None where it was not tested."""
        return self._of_winner(self.tested)

    @property
    def gain(self) -> float | None:
        """How much better the winner is than trial 0: where it was tested, in the test."""
        pair = self._compared
        return None if pair is None else pair[0].value - pair[1].value

    @property
    def probability_of_improvement(self) -> float | None:
        """How probably a run of the winner scores higher than one of trial 0."""
        pair = self._compared
        return None if pair is None else probability_of_improvement(pair[0].scores, pair[1].scores)

    @property
    def _compared(self) -> tuple[Standing, Standing] | None:
        """The winner and trial 0, on the same seeds that the search never used."""
        for standings in (self.tested, self.standings):
            winner = self._of_winner(standings)
            default = next((one for one in standings if one.is_default), None)
            if winner is not None and default is not None:
                return winner, default
        return None

    def _of_winner(self, standings: Sequence[Standing]) -> Standing | None:
        return next((s for s in standings if self.winner and s.number == self.winner.number), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `json.dumps` takes."""
        return {
            "status": self.status,
            "winner": None if self.winner is None else self.winner.number,
            "params": None if self.winner is None else self.winner.params,
            "is_confirmed": self.is_confirmed,
            "standings": [_plain(standing) for standing in self.standings],
            "tested": [_plain(standing) for standing in self.tested],
            "gain_over_trial_0": self.gain,
            "probability_of_improvement": self.probability_of_improvement,
            "num_trials": self.num_trials,
            "num_confirmation_runs": self.num_runs,
            "num_test_runs": self.num_test_runs,
            "env_steps": self.env_steps,
            "seconds": round(self.seconds, 1),
        }

    def save(self, folder: Path) -> None:
        """Writes `result.json`, and the winner as `best.json`."""
        text = json.dumps(self.to_dict(), indent=4) + "\n"
        temporary = folder / "result.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / "result.json")
        if self.config is not None:
            save_config(self.config, folder / "best.json")


def _plain(standing: Standing) -> dict[str, Any]:
    interval = standing.interval
    is_known = len(standing.scores) > 1
    return {
        "trial": standing.number,
        "is_default": standing.is_default,
        "estimate": standing.estimate,
        "iqm": standing.value,
        "interval": [interval.low, interval.high] if is_known else None,
        "scores": list(standing.scores),
        "search_score": standing.search_score,
        "optimism": standing.optimism,
    }


def _score(entry: Entry) -> float:
    assert entry.score is not None
    return entry.score


def winner_and_default(
    search: Sequence[Entry], standings: Sequence[Standing]
) -> tuple[Entry | None, Entry | None]:
    """Returns the trial of the search that won, and trial 0; None where there is none.

    Args:
        search: trials of the search.
        standings: those that were confirmed, the best first; the first one has won.
    """
    finished = [e for e in trained_to_the_end(search) if e.state == "finished"]
    winner = max(finished, key=_score, default=None)
    if standings:
        winner = next(entry for entry in search if entry.number == standings[0].number)
    return winner, next((entry for entry in search if entry.is_default), None)


def result_of(
    status: Literal["finished", "stopped"],
    base: TrialConfig,
    search: Sequence[Entry],
    runs: Sequence[Entry],
    tests: Sequence[Entry],
    seconds: float,
) -> SweepResult:
    """Puts together what all stages found.

    Args:
        status: how the sweep stands.
        base: its config.
        search: trials of the search.
        runs: of the confirmation.
        tests: runs of the final test.
        seconds: on the wall clock.
    """
    standings = ranking(runs, search)
    winner, default = winner_and_default(search, standings)
    compared = {entry.number: entry for entry in (winner, default) if entry is not None}
    tested = ranking(tests, list(compared.values()), with_search=False)
    config = None
    if winner is not None:
        own = {"seed": base.seed + TEST_SEEDS, "root_dir": "best"}
        config = merge(base, {**winner.params, **own})
        if all(standing.number != winner.number for standing in tested):
            tested = []
    return SweepResult(
        status,
        winner,
        tuple(standings),
        tuple(tested),
        default,
        config,
        num_trials=len(search),
        num_runs=len(runs),
        num_test_runs=len(tests),
        env_steps=sum(entry.env_steps for entry in [*search, *runs, *tests]),
        seconds=seconds,
    )
