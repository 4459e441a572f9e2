"""A trial and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.launcher import TrialRecord

if TYPE_CHECKING:
    from sweeprl.trials.reporter import Reporter

__all__ = ["Trial", "TrialOutcome"]


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended.

    Args:
        records: of each of its seeds.
    """

    records: tuple[TrialRecord, ...]

    @property
    def status(self) -> str:
        """finished, pruned, stopped or failed: of several seeds, the one that counts most."""
        found = {record.status for record in self.records}
        return next(s for s in ("failed", "stopped", "pruned", "finished", "running") if s in found)

    @property
    def reason(self) -> str:
        """Why it ended."""
        return next(record.reason for record in self.records if record.status == self.status)

    @property
    def score(self) -> float | None:
        """Mean over the seeds; None where it failed, or a seed has none."""
        scores = [record.score for record in self.records if record.score is not None]
        is_whole = len(scores) == len(self.records) and self.status != "failed"
        return fmean(scores) if is_whole else None

    @property
    def is_success(self) -> bool:
        """Whether it was trained to its end, and is worth something to a tuner."""
        return self.status == "finished" and self.score is not None

    @property
    def env_steps(self) -> int:
        """Environment steps of all seeds."""
        return sum(record.env_steps for record in self.records)

    def sentence(self) -> str:
        """How it ended, for its log."""
        score = "no score" if self.score is None else f"score {self.score:.1f}"
        return f"{self.status}: {self.reason}; {score}"

    def summary(self) -> dict[str, Any]:
        """Plain values that `json.dumps` takes."""
        return {
            "status": self.status,
            "reason": self.reason,
            "score": self.score,
            "scores": {str(record.seed): record.score for record in self.records},
            "test_returns": {str(record.seed): record.test_return for record in self.records},
            "env_steps": self.env_steps,
            "seconds": round(sum(record.seconds for record in self.records), 3),
        }


@dataclass(frozen=True)
class Trial:
    """A config to be trained.

    Args:
        config: what is trained; its `root_dir` is the trial's own.
        reporter: hears how it goes.
        seeds: to train it on; the config's own by default. Several share the folder: each has a
            folder `seed-N` in it.
        resume: go on from `last.ckpt` where there is one.

    Raises:
        ConfigError: no seed, or the same one twice.
    """

    config: TrialConfig
    reporter: Reporter
    seeds: Sequence[int] = ()
    resume: bool = False
    config_folder: str = ""
    """A folder whose modules the config may name."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """What a tuner proposed, by dotted path; compared with the config that is trained."""
    is_cancelled: Callable[[], bool] = lambda: False
    """Whether it is to be stopped, to go on another time; a lane asks after every chunk."""

    def __post_init__(self) -> None:
        if len(set(self.seeds)) != len(self.seeds):
            raise ConfigError(f"seeds must differ from each other, but got {list(self.seeds)}.")

    def configs(self) -> list[TrialConfig]:
        """The config of each seed."""
        root = Path(self.config.root_dir)
        if len(self.seeds) < 2:
            seed = self.seeds[0] if self.seeds else self.config.seed
            return [self.config.model_copy(update={"seed": seed})]
        return [
            self.config.model_copy(update={"seed": seed, "root_dir": str(root / f"seed-{seed}")})
            for seed in self.seeds
        ]
