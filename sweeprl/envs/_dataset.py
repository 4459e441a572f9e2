"""The data of reinforcement learning: a dataset whose next element is what the agent does next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from sweeprl.config import Transitions
from sweeprl.envs._copies import Copies, Mark, Step

__all__ = ["Actor", "Agent", "DatasetResult", "Episode", "EvaluationDataset", "RLDataset"]


class Actor(Protocol):
    """What acts in environments."""

    def act(
        self,
        states: NDArray[np.float32],
        ahead: int = 0,
        is_judged: bool = False,
        begins: NDArray[np.bool_] | None = None,
        **act_kwargs: Any,
    ) -> NDArray[Any]:
        """Chooses an action for each observation `(N, D)`.

        Args:
            states: the observations.
            ahead: steps into the chunk.
            is_judged: whether this is an evaluation, which must leave the training as it would be.
            begins: where an episode begins with this action, `(N,)`; None is nowhere.
            **act_kwargs: of the environment's config.
        """


class Agent(Actor, Protocol):
    """What a dataset needs of a learner."""

    @property
    def collect_steps(self) -> int | None:
        """Steps of each environment in one chunk; None is one whole episode."""


class Episode(NamedTuple):
    """A finished episode."""

    end: int
    """Environment steps of the whole trial when it ended."""
    length: int
    """Its environment steps."""
    total: float
    """Its undiscounted return."""


@dataclass
class DatasetResult:
    """What was collected: one episode, or a chunk of steps."""

    transitions: Transitions
    episodes: list[Episode]
    """Those that ended in it."""
    logs: dict[str, float] = field(default_factory=dict)
    """Whatever else an extension wants in the curves."""


class RLDataset(IterableDataset[DatasetResult]):
    """Experience in N copies of an environment, until the budget is spent.

    Args:
        copies: the environments.
        agent: chooses the actions.
        act_kwargs: passed to the agent's `act`.
        max_env_steps: budget in environment steps; None sets no limit. It is kept to the step.
        max_episodes: budget in finished episodes; None sets no limit.
    """

    is_judged = False
    """Whether this is an evaluation."""

    def __init__(
        self,
        copies: Copies,
        agent: Agent,
        act_kwargs: Mapping[str, Any] | None = None,
        max_env_steps: int | None = None,
        max_episodes: int | None = None,
    ) -> None:
        self.copies, self.agent = copies, agent
        self.act_kwargs = dict(act_kwargs or {})
        self.max_env_steps, self.max_episodes = max_env_steps, max_episodes
        self.env_steps = self.num_episodes = 0
        self._state: NDArray[np.float32] | None = None
        self._over: NDArray[np.bool_] | None = None  # whose episode ended in the last step
        self._begins: NDArray[np.bool_] | None = None  # whose episode begins in the next one
        self._lengths = np.zeros(copies.num, int)
        self._returns = np.zeros(copies.num)
        self._begin: _Place | None = None

    @property
    def is_exhausted(self) -> bool:
        """Whether the budget is spent."""
        out_of_steps = self.max_env_steps is not None and self.env_steps >= self.max_env_steps
        return out_of_steps or (
            self.max_episodes is not None and self.num_episodes >= self.max_episodes
        )

    def __iter__(self) -> Iterator[DatasetResult]:
        return self

    def __next__(self) -> DatasetResult:
        if self.is_exhausted:
            raise StopIteration
        return self.collect(self.agent.collect_steps)

    def collect(self, num_steps: int | None) -> DatasetResult:
        """Plays `num_steps` steps of each environment, or one whole episode."""
        if self._state is None:
            self._state = self._reset()
        self._begin = self._place()
        chunk = _Chunk()
        episodes: list[Episode] = []
        while not self.is_exhausted and len(chunk) != num_steps:
            ended = self._advance(chunk)
            episodes += ended
            if ended and num_steps is None:
                break
        self._begin = None
        return DatasetResult(chunk.transitions(), episodes)

    def _reset(self) -> NDArray[np.float32]:
        self._begins = np.ones(self.copies.num, bool)
        return self.copies.reset()

    def _place(self) -> _Place:
        return _Place(
            (self.env_steps, self.num_episodes),
            self._lengths.copy(),
            self._returns.copy(),
            self.copies.mark(),
            self._state,
            self._over,
        )

    def _advance(self, chunk: _Chunk) -> list[Episode]:
        if self._over is not None:
            self._state, self._begins = self.copies.restart(self._over), self._over
            self._over = None
        assert self._state is not None
        actions = self.agent.act(
            self._state,
            ahead=len(chunk),
            is_judged=self.is_judged,
            begins=self._begins,
            **self.act_kwargs,
        )
        self._begins = None
        step = self._within_budget(self.copies.step(actions))
        chunk.append(self._state, actions, step)
        self.env_steps += int(step.valid.sum())
        self._lengths += step.valid
        self._returns += step.reward * step.valid
        over = step.terminated | step.truncated
        self._state = step.state
        return self._finish(over, step.valid) if over.any() else []

    def _within_budget(self, step: Step) -> Step:
        """Unmarks transitions beyond the budget, where it ends within a step of all copies."""
        if self.max_env_steps is None:
            return step
        left = self.max_env_steps - self.env_steps
        if left >= len(step.valid):
            return step
        return step._replace(valid=step.valid & (np.cumsum(step.valid) <= left))

    def _finish(self, over: NDArray[np.bool_], valid: NDArray[np.bool_]) -> list[Episode]:
        ended = []
        for copy in np.flatnonzero(over):
            length, total = int(self._lengths[copy]), float(self._returns[copy])
            if valid[copy]:
                ended.append(Episode(self.env_steps, length, total))
            self._lengths[copy], self._returns[copy] = 0, 0.0
        self.num_episodes += len(ended)
        self._over = over
        return ended

    def state_dict(self) -> dict[str, Any]:
        """Returns counts, running episodes and the environments' state as far as it can be told.

        Where a chunk was broken off by an error, all are those of its beginning.
        """
        place = self._begin or self._place()
        return {
            "counts": place.counts,
            "lengths": place.lengths.tolist(),
            "returns": place.returns.tolist(),
            "copies": self.copies.state_dict(place.mark),
            "state": None if place.state is None else place.state.tolist(),
            "over": None if place.over is None else place.over.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> bool:
        """Goes on where `state` was taken.

        Returns:
            Whether the environments are where they were; otherwise new episodes began in them.
        """
        self.env_steps, self.num_episodes = state["counts"]
        if state["state"] is None:
            return True
        self._state = self.copies.load_state_dict(state["copies"])
        saved = np.asarray(state["state"], np.float32)
        if self._state is not None and np.array_equal(self._state, saved):
            self._lengths = np.asarray(state["lengths"])
            self._returns = np.asarray(state["returns"])
            self._over = None if state["over"] is None else np.asarray(state["over"])
            return True
        self._state = self._reset()
        return False


class _Place(NamedTuple):
    """Where a dataset stands between two chunks."""

    counts: tuple[int, int]
    lengths: NDArray[np.int_]
    returns: NDArray[np.float64]
    mark: Mark
    state: NDArray[np.float32] | None
    over: NDArray[np.bool_] | None


class _Chunk:
    """Transitions step by step."""

    def __init__(self) -> None:
        self._steps: list[tuple[NDArray[np.float32], NDArray[Any], Step]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def append(self, state: NDArray[np.float32], action: NDArray[Any], step: Step) -> None:
        self._steps.append((state, action, step))

    def transitions(self) -> Transitions:
        states, actions, steps = zip(*self._steps, strict=True)
        next_states, rewards, terminated, truncated, valid, of_agents = zip(*steps, strict=True)
        action = np.asarray(actions, np.float32)
        transitions = Transitions(
            state=np.asarray(states),
            action=action.reshape(*action.shape[:2], -1),
            reward=np.asarray(rewards),
            next_state=np.asarray(next_states),
            terminated=np.asarray(terminated, np.float32),
            truncated=np.asarray(truncated, np.float32),
            weight=np.asarray(valid, np.float32),
        )
        if of_agents[0] is not None:
            transitions["agent_rewards"] = np.asarray(of_agents)
        return transitions


class EvaluationDataset(RLDataset):
    """A fixed number of episodes, each an element; every pass plays the same reset seeds.

    Args:
        copies: one environment.
        agent: chooses the actions.
        act_kwargs: passed to the agent's `act`; it acts greedily unless they say otherwise.
        num_episodes: how many.
    """

    is_judged = True

    def __init__(
        self,
        copies: Copies,
        agent: Agent,
        act_kwargs: Mapping[str, Any] | None = None,
        num_episodes: int = 5,
    ) -> None:
        super().__init__(copies, agent, {"greedy": True, **(act_kwargs or {})})
        self._length = num_episodes
        self._left = num_episodes

    def __len__(self) -> int:
        return self._length

    def cut_short(self) -> None:
        """Leaves out the episodes that are left in this pass."""
        self._left = 0

    def __iter__(self) -> Iterator[DatasetResult]:
        self._left = self._length
        self.copies.rewind()
        self._state = self._over = None
        return self

    def __next__(self) -> DatasetResult:
        if not self._left:
            raise StopIteration
        self._left -= 1
        return self.collect(None)
