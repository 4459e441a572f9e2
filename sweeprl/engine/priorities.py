"""Which of its transitions a replay buffer draws, where it draws by priority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sweeprl.engine.rows import keep_rows
from sweeprl.engine.sum_tree import SumTree
from sweeprl.functional import annealed, importance_weights

__all__ = ["Priorities"]


class Priorities:
    """The priorities of all transitions of L lanes, raised to their exponent.

    Schaul et al. 2016, Prioritized Experience Replay, algorithm 1 with proportional priorities,
    https://arxiv.org/abs/1511.05952.

    Args:
        num_lanes: L.
        size: most transitions kept for each lane.
        device: where they are kept.
        settings: of each lane, `(L,)`, by their names in `PrioritizedConfig`; read anew each time.
    """

    def __init__(
        self, num_lanes: int, size: int, device: torch.device, settings: Mapping[str, Tensor]
    ) -> None:
        self._tree = SumTree(num_lanes, size, device)
        self._device, self._settings = device, settings
        self._highest = torch.ones(num_lanes, 1, device=device)
        self._drawn = torch.zeros(num_lanes, 0, dtype=torch.int64, device=device)
        self._is_beyond = torch.zeros(num_lanes, 0, dtype=torch.bool, device=device)

    def begin(self, places: Tensor, weight: Tensor) -> None:
        """Gives new transitions the highest priority there has been in their lane.

        Args:
            places: of the transitions, those of all lanes counted through, `(K,)` int64.
            weight: `(K,)`; what has weight 0 is not drawn.
        """
        leaves = self._tree.leaves
        lanes, places = places // leaves.shape[1], places % leaves.shape[1]
        leaves[lanes, places] = self._highest[lanes, 0] * (weight > 0)
        self._tree.renew()

    def draw(self, quantiles: Tensor, sizes: Tensor) -> Tensor:
        """Draws a batch, one transition from each of as many equal shares of the total priority.

        Args:
            quantiles: uniform numbers in [0, 1), `(L, B)`.
            sizes: of each lane's batch, `(L, 1)` int64; what is beyond is arbitrary.

        Returns:
            Places, `(L, B)` int64.
        """
        numbers = torch.arange(quantiles.shape[1], device=self._device)
        sizes = sizes.to(self._device)
        self._is_beyond = numbers >= sizes
        self._drawn = self._tree.find((numbers + quantiles.to(self._device)) / sizes)
        return self._drawn

    def importance(self, env_steps: Tensor) -> Tensor:
        """Returns the importance weights of the last batch drawn, `(L, B)`.

        Args:
            env_steps: of each lane so far, `(L, 1)` float32.
        """
        chance = self._tree.leaves.gather(1, self._drawn).clamp_min(1e-30)
        start, total = self._setting("priority_beta"), self._setting("priority_beta_steps")
        beta = annealed(start, env_steps.to(self._device), total)
        return importance_weights(chance.masked_fill(self._is_beyond, torch.inf), beta)

    def learn(self, priority: Tensor, active: Tensor | None) -> None:
        """Gives the last batch drawn its new priorities.

        Args:
            priority: `(L, B)`, not negative; what is not finite leaves the old one.
            active: which lanes were updated, `(L, 1)`; None is all.
        """
        raised = (priority.to(self._device) + self._setting("priority_epsilon")) ** (
            self._setting("priority_alpha")
        )
        old = self._tree.leaves.gather(1, self._drawn)
        is_new = torch.isfinite(raised) & (old > 0)
        if active is not None:
            is_new &= active.to(self._device)
        values = torch.where(is_new, raised, old)
        # What is beyond a lane's batch repeats its first transition.
        values = torch.where(self._is_beyond, values[:, :1], values)
        places = torch.where(self._is_beyond, self._drawn[:, :1], self._drawn)
        self._tree.set(places, values)
        self._highest = torch.maximum(self._highest, values.amax(1, keepdim=True))

    def _setting(self, name: str) -> Tensor:
        return self._settings[name].unsqueeze(1).to(self._device)

    def reset(self, lane: int) -> None:
        """Forgets a lane's priorities."""
        self._tree.reset(lane)
        self._highest[lane] = 1.0

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self._tree.keep(kept)
        self._highest = keep_rows(self._highest, kept)

    def state_dict(self, lane: int, places: Tensor) -> dict[str, Any]:
        """Returns a lane's priorities at `places`, and the highest there has been."""
        highest = self._highest[lane, 0].clone()
        return {"priorities": self._tree.leaves[lane, places], "highest": highest}

    def load_state_dict(self, state: Mapping[str, Any], lane: int, places: Tensor) -> None:
        """Goes on where `state` was taken, with its latest priorities at `places`."""
        self._tree.reset(lane)
        values = state["priorities"][len(state["priorities"]) - len(places) :]
        self._tree.leaves[lane, places] = values.to(self._device)
        self._tree.renew()
        self._highest[lane] = state["highest"]
