"""What L agents in lock-step experience, each until its own budget is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from sweeprl.config import Transitions
from sweeprl.envs._dataset import Agent
from sweeprl.envs._lanes import LaneAgents, LaneChunk, LaneEnvs

__all__ = ["Budget", "EpisodeTable", "LanesDataset", "LanesResult"]

_NO_LIMIT = np.iinfo(np.int64).max


class Budget(NamedTuple):
    """How long an agent is trained; whichever limit is met first ends it, to the step."""

    max_env_steps: int | None
    """Environment steps over all its environments; None sets no limit."""
    max_episodes: int | None
    """Finished episodes; None sets no limit."""


@dataclass
class EpisodeTable:
    """Finished episodes, one a row."""

    lane: NDArray[np.int64]
    """Who played it."""
    end: NDArray[np.int64]
    """Environment steps of its agent when it ended."""
    length: NDArray[np.int64]
    """Its environment steps."""
    total: NDArray[np.float64]
    """Its undiscounted return."""


@dataclass
class LanesResult:
    """A chunk of all lanes."""

    transitions: Transitions
    episodes: EpisodeTable
    """Those that ended in it, in the order of their end for each lane."""


class _Agents(LaneAgents, Agent, Protocol):
    """Lanes that learn."""


class LanesDataset(IterableDataset[LanesResult]):
    """Experience of L agents, a chunk at a time.

    Args:
        envs: the environments.
        agents: choose the actions.
        act_kwargs: passed to the agents' `act`.
        budgets: of each lane.
    """

    def __init__(
        self,
        envs: LaneEnvs,
        agents: _Agents,
        act_kwargs: Mapping[str, Any],
        budgets: Sequence[Budget],
    ) -> None:
        self.envs, self.agents, self.act_kwargs = envs, agents, dict(act_kwargs)
        self.env_steps = np.zeros(envs.num_lanes, np.int64)
        """Of each lane, `(L,)`."""
        self.num_episodes = np.zeros(envs.num_lanes, np.int64)
        """Finished ones of each lane, `(L,)`."""
        limits = np.array([_limits(budget) for budget in budgets])
        self._max_env_steps, self._max_episodes = limits[:, 0].copy(), limits[:, 1].copy()
        self._lengths = np.zeros(envs.num_lanes * envs.num_envs, np.int64)
        self._returns = np.zeros(envs.num_lanes * envs.num_envs)
        self._is_beyond = np.zeros(envs.num_lanes, bool)  # played on with its budget spent

    @property
    def exhausted(self) -> NDArray[np.bool_]:
        """Whose budget is spent, `(L,)`."""
        spent: NDArray[np.bool_] = (self.env_steps >= self._max_env_steps) | (
            self.num_episodes >= self._max_episodes
        )
        return spent

    def __iter__(self) -> Iterator[LanesResult]:
        return self

    def __next__(self) -> LanesResult:
        if self.exhausted.all():
            raise StopIteration
        chunk = self.envs.collect(self.agents, self._num_steps(), self.act_kwargs)
        weight = self._counted(chunk)
        episodes = self._finished(chunk, weight)
        self.env_steps += self._by_lane(weight).sum((0, 2))
        self.num_episodes += np.bincount(episodes.lane, minlength=self.envs.num_lanes)
        for lane in self.envs.faults:
            self.stop(lane)
        self._is_beyond |= self.exhausted & ~self._by_lane(weight)[-1].any(1)
        return LanesResult(_transitions(chunk, weight), episodes)

    def _num_steps(self) -> int:
        """A chunk's steps, fewer where no lane's budget holds as many."""
        most = self.agents.collect_steps
        assert most is not None
        left = (self._max_env_steps - self.env_steps)[~self.exhausted].max()
        return int(min(most, -(-left // self.envs.num_envs)))

    def _by_lane(self, values: NDArray[Any]) -> NDArray[Any]:
        """`(T, L * E)` to `(T, L, E)`."""
        return values.reshape(len(values), self.envs.num_lanes, self.envs.num_envs)

    def _counted(self, chunk: LaneChunk) -> NDArray[np.bool_]:
        """Which steps count, `(T, N)`: those inside the budget of their lane."""
        valid = self._by_lane(chunk.valid)
        by_lane = valid.swapaxes(0, 1).reshape(self.envs.num_lanes, -1)
        left = (self._max_env_steps - self.env_steps)[:, None]
        inside = (by_lane.cumsum(1) <= left) & by_lane
        inside = inside.reshape(self.envs.num_lanes, -1, self.envs.num_envs).swapaxes(0, 1)
        ended = (self._by_lane(chunk.over) & inside).sum(2)
        before = ended.cumsum(0) - ended  # episodes that ended in earlier steps
        has_episodes_left = before < self._max_episodes - self.num_episodes
        counted: NDArray[np.bool_] = inside & has_episodes_left[:, :, None]
        return counted.reshape(chunk.valid.shape)

    @np.errstate(invalid="ignore")  # of an infinite reward, for which the learner ends the lane
    def _finished(self, chunk: LaneChunk, weight: NDArray[np.bool_]) -> EpisodeTable:
        """Finds the episodes that ended, and carries the running ones over to the next chunk."""
        lengths = self._lengths + weight.cumsum(0)
        gain = np.where(weight, chunk.gain, 0)
        returns = self._returns + gain.cumsum(0, dtype=np.float64)
        env, time = np.nonzero(chunk.over.T)
        length, total = _since_last(lengths[time, env], env), _since_last(returns[time, env], env)
        self._lengths = lengths[-1] - _at_last_end(lengths, time, env)
        self._returns = returns[-1] - _at_last_end(returns, time, env)
        steps = self.env_steps + self._by_lane(weight).sum(2).cumsum(0)
        lane = env // self.envs.num_envs
        in_order = np.lexsort((env, time))
        rows = in_order[weight[time, env][in_order]]  # an end beyond the budget does not count
        return EpisodeTable(lane[rows], steps[time, lane][rows], length[rows], total[rows])

    def begin(self, lane: int, seed: int, budget: Budget) -> None:
        """Gives a lane to another agent."""
        self.envs.begin(lane, seed)
        self.env_steps[lane] = self.num_episodes[lane] = 0
        self._max_env_steps[lane], self._max_episodes[lane] = _limits(budget)
        slots = self._slots(lane)
        self._lengths[slots], self._returns[slots] = 0, 0.0
        self._is_beyond[lane] = False

    def _slots(self, lane: int) -> slice:
        return slice(lane * self.envs.num_envs, (lane + 1) * self.envs.num_envs)

    def stop(self, lane: int) -> None:
        """Counts nothing more of a lane."""
        self._max_env_steps[lane] = self.env_steps[lane]

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only, in that order."""
        kept = list(kept)
        slots = [lane * self.envs.num_envs + e for lane in kept for e in range(self.envs.num_envs)]
        self.envs.keep(kept)
        self.env_steps, self.num_episodes = self.env_steps[kept], self.num_episodes[kept]
        self._max_env_steps = self._max_env_steps[kept]
        self._max_episodes = self._max_episodes[kept]
        self._lengths, self._returns = self._lengths[slots], self._returns[slots]
        self._is_beyond = self._is_beyond[kept]

    def state_dict(self, lane: int) -> dict[str, Any]:
        """Returns where a lane stands, in the shape of `RLDataset.state_dict`.

        Where it was played on with its budget spent, new episodes begin from there.
        """
        slots = self._slots(lane)
        state = {
            "counts": (int(self.env_steps[lane]), int(self.num_episodes[lane])),
            "lengths": self._lengths[slots].tolist(),
            "returns": self._returns[slots].tolist(),
            **self.envs.state_dict(lane),
        }
        if self._is_beyond[lane] and state["state"] is not None:
            num = self.envs.num_envs
            state |= {"lengths": [0] * num, "returns": [0.0] * num, "over": [True] * num}
        return state

    def load_state_dict(self, lane: int, state: Mapping[str, Any]) -> bool:
        """Goes on where `state` was taken; returns whether the environments could."""
        self.env_steps[lane], self.num_episodes[lane] = state["counts"]
        went_on = self.envs.load_state_dict(lane, state)
        slots = self._slots(lane)
        self._is_beyond[lane] = False
        self._lengths[slots] = state["lengths"] if went_on else 0
        self._returns[slots] = state["returns"] if went_on else 0.0
        return went_on


def _limits(budget: Budget) -> tuple[int, int]:
    steps, episodes = budget
    return (
        _NO_LIMIT if steps is None else steps,
        _NO_LIMIT if episodes is None else episodes,
    )


def _since_last(values: NDArray[Any], env: NDArray[np.int_]) -> NDArray[Any]:
    """What running sums, sorted by `env` and time, have grown by since the one before."""
    before = np.where(np.diff(env, prepend=-1) == 0, np.roll(values, 1), 0)
    grown: NDArray[Any] = values - before
    return grown


def _at_last_end(sums: NDArray[Any], time: NDArray[np.int_], env: NDArray[np.int_]) -> NDArray[Any]:
    """The running sums `(T, N)` of each environment when its last episode ended, 0 without one."""
    last = np.zeros(sums.shape[1], sums.dtype)
    last[env] = sums[time, env]  # of several ends the last one is written last
    return last


def _transitions(chunk: LaneChunk, weight: NDArray[np.bool_]) -> Transitions:
    transitions = Transitions(
        state=chunk.state,
        action=chunk.action,
        reward=chunk.reward,
        next_state=chunk.next_state,
        terminated=_float(chunk.terminated),
        truncated=_float(chunk.truncated),
        weight=weight.astype(np.float32),
    )
    if chunk.agent_rewards is not None:
        transitions["agent_rewards"] = chunk.agent_rewards
    return transitions


def _float(values: Any) -> Any:
    return values.astype(np.float32) if isinstance(values, np.ndarray) else values.float()
