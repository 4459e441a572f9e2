"""What is kept of each lane while it learns: episodes, curves, and where it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeprl.envs import Episode, EpisodeTable, LanesResult
from sweeprl.launcher import Row, step_weighted_return

__all__ = ["LaneLedger"]


class LaneLedger:
    """Episodes and curves of L lanes; taking in a chunk costs no loop over lanes.

    Args:
        num_lanes: L.
        num_envs: environments of each lane.
    """

    def __init__(self, num_lanes: int, num_envs: int) -> None:
        self._num_envs = num_envs
        self.num_episodes = np.zeros(num_lanes, np.int64)
        """Finished ones of each lane, `(L,)`."""
        self._episodes = {
            "end": np.zeros((num_lanes, 64), np.int64),
            "length": np.zeros((num_lanes, 64), np.int64),
            "total": np.zeros((num_lanes, 64)),
        }
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._counts: dict[str, NDArray[np.float64]] = {}
        self.rows: list[list[Row]] = [[] for _ in range(num_lanes)]
        """The curves of each lane so far."""

    def add(
        self,
        result: LanesResult,
        logs: Mapping[str, NDArray[np.float64]],
        has_learned: NDArray[np.bool_],
    ) -> None:
        """Takes in a chunk, and the losses `(L,)` of lanes that learned from it; nan is none."""
        episodes = result.episodes
        self._append(episodes)
        ended = np.bincount(episodes.lane, minlength=len(self.num_episodes)).astype(float)
        for name, values in (("return", episodes.total), ("length", episodes.length)):
            sums = np.bincount(episodes.lane, values, len(self.num_episodes))
            self._collect(f"train/{name}", sums, ended)
        for name, losses in logs.items():
            counts = has_learned & ~np.isnan(losses)
            self._collect(f"learn/{name}", np.where(counts, losses, 0.0), counts * 1.0)

    def _append(self, episodes: EpisodeTable) -> None:
        order = np.argsort(episodes.lane, kind="stable")
        lane = episodes.lane[order]
        new = np.bincount(lane, minlength=len(self.num_episodes))
        first = np.cumsum(new) - new
        place = self.num_episodes[lane] + np.arange(len(lane)) - first[lane]
        self.num_episodes += new
        while self.num_episodes.max(initial=0) > self._episodes["end"].shape[1]:
            self._episodes = {k: np.hstack([v, v]) for k, v in self._episodes.items()}
        for name, column in self._episodes.items():
            column[lane, place] = getattr(episodes, name)[order]

    def _collect(self, name: str, sums: NDArray[Any], counts: NDArray[Any]) -> None:
        if name not in self._sums:
            self._sums[name] = np.zeros(len(self.num_episodes))
            self._counts[name] = np.zeros(len(self.num_episodes))
        self._sums[name] += sums
        self._counts[name] += counts

    def episodes(self, lane: int) -> list[Episode]:
        """A lane's finished episodes."""
        count = self.num_episodes[lane]
        columns = (values[lane, :count].tolist() for values in self._episodes.values())
        return [Episode(*row) for row in zip(*columns, strict=True)]

    def score(self, lane: int, env_steps: int, share: float) -> float | None:
        """The step-weighted return as if the lane had ended after `env_steps`."""
        ends = self._episodes["end"][lane, : self.num_episodes[lane]]
        last = int(np.searchsorted(ends, env_steps, side="right"))
        ends = ends[:last]
        reach = int(ends.searchsorted(env_steps * (1 - share), side="right"))
        latest = int(ends.searchsorted(ends[-1])) if last else 0
        window = slice(min(reach, latest), last)
        columns = (values[lane, window].tolist() for values in self._episodes.values())
        episodes = [Episode(*row) for row in zip(*columns, strict=True)]
        return step_weighted_return(episodes, env_steps, share, self._num_envs)

    def close_row(self, lane: int, env_steps: int) -> None:
        """Ends a row of a lane's curves."""
        means = {
            name: float(self._sums[name][lane] / counts[lane])
            for name, counts in self._counts.items()
            if counts[lane]
        }
        for values in (*self._sums.values(), *self._counts.values()):
            values[lane] = 0.0
        means["train/episodes"] = float(self.num_episodes[lane])
        self.rows[lane].append((env_steps, means))

    def pending(self, lane: int) -> dict[str, list[float]]:
        """What the next row of a lane will be the mean of."""
        return {
            name: [float(self._sums[name][lane] / counts[lane])] * int(counts[lane])
            for name, counts in self._counts.items()
            if counts[lane]
        }

    def begin(
        self,
        lane: int,
        episodes: Sequence[Episode] = (),
        rows: Sequence[Row] = (),
        pending: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Gives a lane to another agent, which may have been trained before."""
        self.num_episodes[lane] = 0
        for values in (*self._sums.values(), *self._counts.values()):
            values[lane] = 0.0
        self.rows[lane] = list(rows)
        if episodes:
            end, length, total = (np.array(column) for column in zip(*episodes, strict=True))
            self._append(EpisodeTable(np.full(len(end), lane), end, length, total))
        for name, waiting in (pending or {}).items():
            alone = np.zeros(len(self.num_episodes))
            alone[lane] = 1.0
            self._collect(name, alone * sum(waiting), alone * len(waiting))

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self.num_episodes = self.num_episodes[kept]
        self._episodes = {name: values[kept] for name, values in self._episodes.items()}
        self._sums = {name: values[kept] for name, values in self._sums.items()}
        self._counts = {name: values[kept] for name, values in self._counts.items()}
        self.rows = [self.rows[lane] for lane in kept]
