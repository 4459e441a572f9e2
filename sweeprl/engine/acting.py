"""Acting for L agents, whether they learn or are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.config import Discrete
from sweeprl.engine.lanes import Lanes
from sweeprl.engine.memory import ActingMemory
from sweeprl.engine.normalizer import ObservationNormalizer
from sweeprl.engine.search import Search
from sweeprl.engine.streams import LaneStreams
from sweeprl.frames._base import Frame, SearchFrame

__all__ = ["Acting"]

_GREEDY = {"greedy": True}


class Acting:
    """What learners and judges share; they fill in the attributes."""

    frame: Frame
    num_envs: int
    device: torch.device
    env_steps: NDArray[np.int64]
    """Environment steps that each lane has stored, `(L,)`."""
    _lanes: Lanes
    _observation: ObservationNormalizer | None
    _streams: LaneStreams
    _search: Search | None = None
    _is_judged = False
    _memory: ActingMemory | None = None
    """Of the environments that agents learn in."""
    _memory_of_judged: ActingMemory | None = None

    @property
    def num_lanes(self) -> int:
        """How many agents there are."""
        return self._lanes.num

    @torch.no_grad()
    def act(
        self,
        states: NDArray[np.float32],
        ahead: int = 0,
        is_judged: bool = False,
        begins: NDArray[np.bool_] | None = None,
        **act_kwargs: Any,
    ) -> NDArray[Any]:
        """Chooses an action for each environment.

        Args:
            states: observations, `(N, D)`, lane after lane; N may differ from training when acting
                greedily.
            ahead: steps that each environment has made since the last `store`.
            is_judged: whether this is an evaluation; it has random streams of its own.
            begins: where an episode begins, `(N,)`; None is nowhere.
            **act_kwargs: keyword arguments of the frame's `act`.

        Returns:
            `(N,)` int64 for one discrete choice, `(N, K)` int64 for several, `(N, A)` float32 for
            reals.
        """
        if is_judged != self._is_judged:
            self._is_judged = is_judged
            self._lanes.set_training(not is_judged)
        state = torch.from_numpy(states).view(self.num_lanes, -1, states.shape[-1]).to(self.device)
        noise = self.action_noise(state.shape[1], is_judged, act_kwargs)
        step = torch.from_numpy(self.env_steps + ahead * self.num_envs).float().to(self.device)
        starts = None
        if begins is not None and self.frame.action_memory:
            starts = torch.from_numpy(begins).view(state.shape[:2]).to(self.device)
        action = self.act_on(state, noise, step, act_kwargs, starts)
        shape = (
            (len(states),) if isinstance(self.frame.spec.action, Discrete) else (len(states), -1)
        )
        return action.reshape(shape).cpu().numpy()

    def act_on(
        self,
        state: Tensor,
        noise: Tensor,
        step: Tensor,
        act_kwargs: Mapping[str, Any],
        begins: Tensor | None = None,
    ) -> Tensor:
        """Chooses actions where everything lies on the agents' device already.

        Args:
            state: observations, `(L, E, D)`.
            noise: from `action_noise`, `(L, E, K)`.
            step: environment steps of each lane so far, `(L,)` float32.
            act_kwargs: keyword arguments of the frame's `act`.
            begins: where an episode begins, `(L, E)` bool; None is nowhere.

        Returns:
            `(L, E)` int64, `(L, E, K)` int64 or `(L, E, A)` float32; without L where it is 1.
        """
        frame, lanes = self.frame, self._lanes
        if self._observation is not None:
            state = self._observation(state)
        if isinstance(frame, SearchFrame) and dict(act_kwargs) != _GREEDY:
            return self._act_each(frame, state, noise, step, act_kwargs)
        if frame.action_memory:
            noise = torch.cat([noise, self._carried(noise, act_kwargs, begins)], -1)
        action: Tensor = lanes.apply(
            ("act", repr(sorted(act_kwargs.items()))),
            lambda networks, hp, *args: frame.act(
                networks, args[0], args[1], hp, args[2], **act_kwargs
            ),
            lanes.enter(state),
            lanes.enter(noise),
            lanes.enter(step),
        )
        return action

    def _act_each(
        self,
        frame: SearchFrame,
        state: Tensor,
        offsets: Tensor,
        step: Tensor,
        act_kwargs: Mapping[str, Any],
    ) -> Tensor:
        """Lets each environment act with parameters of its own, moved by `offsets` `(L, E, P)`."""
        lanes = self._lanes
        action: Tensor = lanes.apply_moved(
            ("act", repr(sorted(act_kwargs.items()))),
            lambda networks, hp, state, step: frame.act(
                networks, state, state, hp, step, **act_kwargs
            ),
            lanes.stacks[0],
            lanes.enter(offsets),
            lanes.enter(state),
            lanes.enter(step),
        )
        return action

    def _carried(
        self, noise: Tensor, act_kwargs: Mapping[str, Any], begins: Tensor | None
    ) -> Tensor:
        """Moves on what acting carries from step to step, `(L, E, M)`."""
        memory = self._memory_for(noise.shape[1])
        carried = self.frame.carry(memory.since(begins), noise, act_kwargs)
        memory.numbers.copy_(carried)
        return carried

    def _memory_for(self, num_envs: int) -> ActingMemory:
        """That of the learner's environments, or of those in which it is judged or asked."""
        own = self._memory
        if own is not None and own.num_envs == num_envs and not self._is_judged:
            return own
        if self._memory_of_judged is None or self._memory_of_judged.num_envs != num_envs:
            self._memory_of_judged = self._new_memory(num_envs)
        return self._memory_of_judged

    def _new_memory(self, num_envs: int) -> ActingMemory:
        return ActingMemory(self.num_lanes, num_envs, self.frame.action_memory, self.device)

    def action_noise(
        self, num_envs: int, is_judged: bool = False, act_kwargs: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Draws what acting once needs, standard normal numbers `(L, num_envs, K)`.

        For a frame that searches, it is what is added to the parameters, `(L, num_envs, P)`.
        """
        size, is_greedy = self.frame.action_noise, dict(act_kwargs or {}) == _GREEDY
        if isinstance(self.frame, SearchFrame) and not is_greedy:
            if self._search is not None and not is_judged:
                return self._search.offsets
            size, is_greedy = self._lanes.stacks[0].flat.shape[1], True
        if is_greedy:
            return torch.zeros(self.num_lanes, num_envs, size, device=self.device)
        return self._streams.take("noise/judged" if is_judged else "noise/act", num_envs, size)
