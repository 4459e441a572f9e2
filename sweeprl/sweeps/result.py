"""What a sweep found: the ranking, the winner, and what tuning gained."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sweeprl.config import TrialConfig, merge, save_config
from sweeprl.sweeps.confirmation import Standing
from sweeprl.sweeps.entries import Entry, trained_to_the_end
from sweeprl.sweeps.seeds import TEST_SEEDS
from sweeprl.sweeps.statistics import probability_of_improvement

__all__ = ["SweepResult", "result_of"]


@dataclass(frozen=True)
class SweepResult:
    """How a sweep went."""

    status: Literal["finished", "stopped"]
    """stopped: by a signal; the same command goes on with it."""
    winner: Entry | None
    """The trial of the search that won; None where no trial finished."""
    standings: tuple[Standing, ...]
    """The configs that were confirmed, the best first; empty where none was."""
    default: Entry | None
    """Trial 0: the config as it was given."""
    config: TrialConfig | None
    """The winner's, with a seed that the sweep never used."""
    num_trials: int
    """Of the search."""
    num_runs: int
    """Of the confirmation."""
    env_steps: int
    """Of both."""
    seconds: float
    """On the wall clock, over all sessions."""

    @property
    def is_confirmed(self) -> bool:
        """Whether the winner was chosen by confirmation."""
        return bool(self.standings)

    @property
    def gain(self) -> float | None:
        """How much better the winner is than trial 0, on seeds that the search never used."""
        default = self._default_standing
        return None if default is None else self.standings[0].value - default.value

    @property
    def probability_of_improvement(self) -> float | None:
        """How probably a run of the winner scores higher than one of trial 0."""
        default = self._default_standing
        if default is None:
            return None
        return probability_of_improvement(self.standings[0].scores, default.scores)

    @property
    def _default_standing(self) -> Standing | None:
        return next((s for s in self.standings if s.is_default), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `json.dumps` takes."""
        return {
            "status": self.status,
            "winner": None if self.winner is None else self.winner.number,
            "params": None if self.winner is None else self.winner.params,
            "is_confirmed": self.is_confirmed,
            "standings": [_plain(standing) for standing in self.standings],
            "gain_over_trial_0": self.gain,
            "probability_of_improvement": self.probability_of_improvement,
            "num_trials": self.num_trials,
            "num_confirmation_runs": self.num_runs,
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
        "iqm": standing.value,
        "interval": [interval.low, interval.high] if is_known else None,
        "scores": list(standing.scores),
        "search_score": standing.search_score,
        "optimism": standing.optimism,
    }


def _score(entry: Entry) -> float:
    assert entry.score is not None
    return entry.score


def result_of(
    status: Literal["finished", "stopped"],
    base: TrialConfig,
    search: Sequence[Entry],
    runs: Sequence[Entry],
    standings: Sequence[Standing],
    seconds: float,
) -> SweepResult:
    """Puts together what both stages found."""
    by_number = {entry.number: entry for entry in search}
    finished = [e for e in trained_to_the_end(search) if e.state == "finished"]
    winner = max(finished, key=_score, default=None)
    if standings:
        winner = by_number[standings[0].number]
    config = None
    if winner is not None:
        own = {"seed": base.seed + TEST_SEEDS, "root_dir": "best"}
        config = merge(base, {**winner.params, **own})
    return SweepResult(
        status,
        winner,
        tuple(standings),
        next((entry for entry in search if entry.is_default), None),
        config,
        num_trials=len(search),
        num_runs=len(runs),
        env_steps=sum(entry.env_steps for entry in [*search, *runs]),
        seconds=seconds,
    )
