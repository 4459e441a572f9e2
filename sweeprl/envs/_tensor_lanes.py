"""Environments that are tensors, for L agents in lock-step: on a GPU nothing leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.envs._dynamics import Dynamics
from sweeprl.envs._lanes import LaneAgents, LaneChunk, LaneEnvs
from sweeprl.envs._tensor_copies import TensorCopies
from sweeprl.functional import Captured, stream_key

__all__ = ["TensorLanes"]

_BETWEEN_LOOKS = 50
"""Steps of an evaluation between two looks at whether all episodes are over."""


class TensorLanes(LaneEnvs):
    """Environments in tensors; acting, stepping and restarting are one CUDA graph on a GPU.

    Args:
        dynamics: what the environment is.
        seeds: of each lane.
        num_envs: environments of each lane.
        stage: number of the stage, which decides the episodes' initial states.
        device: where the agents learn.
        is_judging: see `LaneEnvs`.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        seeds: Sequence[int],
        num_envs: int,
        stage: int,
        device: torch.device,
        is_judging: bool = False,
    ) -> None:
        super().__init__(dynamics.spec, seeds, num_envs, is_judging)
        self._dynamics, self._stage, self._device = dynamics, stage, device
        self._make(len(seeds))
        for lane, seed in enumerate(seeds):
            self.begin(lane, seed)

    def _make(self, num_lanes: int) -> None:
        num = num_lanes * self.num_envs
        self._copies = TensorCopies(self._dynamics, num, self._device)
        self._over = torch.ones(num, dtype=torch.bool, device=self._device)
        self._time = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._steps = torch.zeros(num_lanes, device=self._device)
        self._columns: list[Tensor] = []
        self._step: Captured | None = None
        self._asked: Any = None

    def _slots(self, lane: int) -> slice:
        return slice(lane * self.num_envs, (lane + 1) * self.num_envs)

    def begin(self, lane: int, seed: int) -> None:
        """Gives a lane fresh episodes."""
        self.seeds[lane], slots = seed, self._slots(lane)
        copies = [0] * self.num_envs if self.is_judging else list(range(self.num_envs))
        self._copies.set_keys(slots, [stream_key(seed, self._stage, copy) for copy in copies])
        first = torch.arange(self.num_envs) if self.is_judging else torch.zeros(self.num_envs)
        self._copies.episode[slots] = first.to(self._device, torch.int64) - 1
        self._over[slots] = True

    def collect(
        self, agents: LaneAgents, num_steps: int, act_kwargs: Mapping[str, Any]
    ) -> LaneChunk:
        """Plays `num_steps` steps in every environment."""
        self._make_room(num_steps)
        step = self._advancing(agents, act_kwargs)
        self._time.zero_()
        self._steps.copy_(torch.from_numpy(agents.env_steps))
        with torch.no_grad():
            for _ in range(num_steps):
                step(agents.action_noise(self.num_envs, False, act_kwargs))
        state, action, reward, next_state, terminated, truncated = (
            column[:num_steps] for column in self._columns
        )
        gain, over = reward.cpu().numpy(), (terminated | truncated).cpu().numpy()
        valid = np.ones(gain.shape, bool)
        return LaneChunk(
            state, action, reward, next_state, terminated, truncated, gain, over, valid
        )

    def _make_room(self, num_steps: int) -> None:
        if self._columns and len(self._columns[0]) >= num_steps:
            return
        num, size = self._copies.num, self.spec.observation_size
        widths = [(size,), (self.spec.action.size,), (), (size,), (), ()]
        dtypes = [torch.float32] * 4 + [torch.bool] * 2
        self._columns = [
            torch.empty(num_steps, num, *width, dtype=dtype, device=self._device)
            for width, dtype in zip(widths, dtypes, strict=True)
        ]
        self._step = None

    def _advancing(self, agents: LaneAgents, act_kwargs: Mapping[str, Any]) -> Captured:
        asked = (agents, dict(act_kwargs))
        if self._step is None or asked != self._asked:
            self._step = Captured(lambda noise: self._advance(*asked, noise), self._device)
            self._asked = asked
        return self._step

    def _advance(self, agents: LaneAgents, act_kwargs: Mapping[str, Any], noise: Tensor) -> None:
        """Begins episodes where they are over, acts, steps, and writes the row of this time."""
        copies = self._copies
        copies.restart(self._over)
        before = copies.observation.clone()
        action, (after, reward, terminated, truncated) = self._act(
            agents, act_kwargs, noise, self._over
        )
        row = (before, action.float(), reward, after, terminated, truncated)
        for column, values in zip(self._columns, row, strict=True):
            column.index_copy_(0, self._time, values.unsqueeze(0))
        torch.logical_or(terminated, truncated, out=self._over)
        self._time += 1
        self._steps += self.num_envs

    def _act(
        self, agents: LaneAgents, act_kwargs: Mapping[str, Any], noise: Tensor, begins: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Steps every copy once; returns actions `(N, A)` and what `TensorCopies.step` does."""
        state = self._copies.observation.view(self.num_lanes, self.num_envs, -1)
        starts = begins.view(self.num_lanes, self.num_envs)
        action = agents.act_on(state, noise, self._steps, act_kwargs, starts)
        action = action.reshape(len(self._over), -1)
        return action, self._copies.step(
            action if action.is_floating_point() else action.squeeze(1)
        )

    def play_once(self, agents: LaneAgents, act_kwargs: Mapping[str, Any]) -> NDArray[np.float64]:
        """Plays one episode in every environment."""
        copies = self._copies
        for lane, seed in enumerate(self.seeds):
            self.begin(lane, seed)
        copies.restart(self._over)
        running = torch.ones(copies.num, dtype=torch.bool, device=self._device)
        begins = running.clone()
        totals = torch.zeros(copies.num, dtype=torch.float64, device=self._device)
        self._steps.copy_(torch.from_numpy(agents.env_steps))

        def advance(noise: Tensor) -> None:
            _, (_, reward, terminated, truncated) = self._act(agents, act_kwargs, noise, begins)
            begins.zero_()
            totals.add_(torch.where(running, reward, 0.0))
            running.logical_and_(~(terminated | truncated))

        step = Captured(advance, self._device)
        with torch.no_grad():
            while bool(running.any()):
                for _ in range(_BETWEEN_LOOKS):
                    step(agents.action_noise(self.num_envs, True, act_kwargs))
        return totals.cpu().numpy().reshape(self.num_lanes, self.num_envs)

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        states = [self._copies.state_dict(self._slots(lane)) for lane in kept]
        over = [self._over[self._slots(lane)].clone() for lane in kept]
        self.seeds = [self.seeds[lane] for lane in kept]
        self._make(len(kept))
        for lane, (state, is_over) in enumerate(zip(states, over, strict=True)):
            self._copies.load_state_dict(self._slots(lane), state)
            self._over[self._slots(lane)] = is_over

    def state_dict(self, lane: int) -> dict[str, Any]:
        """Returns a lane's copies, which hold all there is."""
        slots = self._slots(lane)
        copies = self._copies.state_dict(slots)
        over = self._over[slots].tolist()
        return {
            "copies": copies,
            "state": copies["observation"].tolist(),
            "over": over if any(over) else None,
        }

    def load_state_dict(self, lane: int, state: Mapping[str, Any]) -> bool:
        """Goes on where `state` was taken."""
        self.begin(lane, self.seeds[lane])
        if state["state"] is not None:
            self._copies.load_state_dict(self._slots(lane), state["copies"])
            over = state["over"] or [False] * self.num_envs
            self._over[self._slots(lane)] = torch.tensor(over, device=self._device)
        return True

    def close(self) -> None:
        """Frees nothing: tensors free themselves."""
