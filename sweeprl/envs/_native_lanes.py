"""An environment's own vectorised implementation, for L agents in lock-step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeprl.envs._copies import Copies
from sweeprl.envs._lanes import LaneAgents, LaneChunk, LaneEnvs, chunk_of
from sweeprl.errors import ConfigError

__all__ = ["NativeLanes"]


class NativeLanes(LaneEnvs):
    """Slices of one vectorised environment.

    It cannot be told to break off an episode, nor be seeded lane by lane: a lane that is given to
    another agent counts from the end of the episode that was running. What it raises ends all
    lanes.

    Args:
        copies: the environment.
        seeds: of each lane.
        num_envs: copies of each lane.
    """

    def __init__(self, copies: Copies, seeds: Sequence[int], num_envs: int) -> None:
        super().__init__(copies.spec, seeds, num_envs, is_judging=False)
        self._copies = copies
        self._slots = np.arange(copies.num)
        self._over = np.ones(copies.num, bool)
        self._waits = np.zeros(copies.num, bool)
        self._state: NDArray[np.float32] | None = None

    def collect(
        self, agents: LaneAgents, num_steps: int, act_kwargs: Mapping[str, Any]
    ) -> LaneChunk:
        """Plays `num_steps` steps in every copy."""
        steps = []
        for ahead in range(num_steps):
            if self._state is None or self._over.any():
                self._state = self._copies.restart(self._over)
            before = self._state
            actions = agents.act(
                before[self._slots], ahead=ahead, begins=self._over[self._slots], **act_kwargs
            )
            everyone = np.zeros((self._copies.num, *actions.shape[1:]), actions.dtype)
            everyone[self._slots] = actions
            step = self._copies.step(everyone)
            valid = step.valid & ~self._waits
            self._over = step.terminated | step.truncated
            self._waits &= ~self._over
            row = [step.reward, step.state, step.terminated, step.truncated, valid]
            row += [] if step.agent_rewards is None else [step.agent_rewards]
            chosen = actions.reshape(len(actions), -1)
            steps.append((before[self._slots], chosen, *(part[self._slots] for part in row)))
            self._state = step.state
        return chunk_of(steps)

    def play_once(self, agents: LaneAgents, act_kwargs: Mapping[str, Any]) -> NDArray[np.float64]:
        """Refuses: evaluations need seeds of their own."""
        raise ConfigError("A native vector environment must not judge: it cannot be seeded singly.")

    def begin(self, lane: int, seed: int) -> None:
        """Gives a lane to another agent once its running episodes are over."""
        self.seeds[lane] = seed
        mine = self._slots[lane * self.num_envs : (lane + 1) * self.num_envs]
        self._waits[mine] = ~self._over[mine]

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only; the others' copies run idle."""
        places = [lane * self.num_envs + env for lane in kept for env in range(self.num_envs)]
        self.seeds = [self.seeds[lane] for lane in kept]
        self._slots = self._slots[places]

    def state_dict(self, lane: int) -> dict[str, Any]:
        """Returns the observations, by which nothing can be put back: new episodes begin then."""
        copies = {"episodes": [0] * self.num_envs, "actions": [[]] * self.num_envs}
        mine = self._slots[lane * self.num_envs : (lane + 1) * self.num_envs]
        state = None if self._state is None else self._state[mine].tolist()
        return {"copies": copies, "state": state, "over": None}

    def load_state_dict(self, lane: int, state: Mapping[str, Any]) -> bool:
        """Begins new episodes."""
        self.begin(lane, self.seeds[lane])
        return state["state"] is None

    def close(self) -> None:
        """Closes the environment."""
        self._copies.close()
