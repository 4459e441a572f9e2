"""The way back: a copy of what is trained, from before it stopped being finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.config import Transitions
from sweeprl.engine.lanes import Stack
from sweeprl.engine.optimizer import LaneOptimizer
from sweeprl.errors import Diverged

__all__ = ["SNAPSHOT_UPDATES", "Faults", "Snapshot", "faults_of_losses", "faults_of_transitions"]

SNAPSHOT_UPDATES = 1000
"""Updates between two snapshots; rounds may have a single update, and a copy costs as much."""

Faults = dict[int, Diverged]
"""Why lanes cannot go on, by lane."""


class Snapshot:
    """A copy of parameters and optimizers that were all finite, renewed now and then.

    Args:
        stacks: the parameters.
        optimizers: what moves them.
    """

    def __init__(self, stacks: Sequence[Stack], optimizers: Sequence[LaneOptimizer]) -> None:
        self._stacks, self._optimizers = stacks, optimizers
        self._age: int | None = None
        self._flats: list[Tensor] = []
        self._moments: list[Any] = []
        self._updates = np.zeros(0, np.int64)

    def grow_old(self, updates: int) -> None:
        """Counts the updates made since the copy."""
        self._age = None if self._age is None else self._age + updates

    def renew(self, updates: NDArray[np.int64]) -> Faults:
        """Makes a new copy if it is time.

        Args:
            updates: of each lane so far, `(L,)`; those of a lane that goes back go back too.

        Returns:
            Lanes whose parameters are not finite; they are back where the old copy was made.
        """
        if self._age is not None and self._age < SNAPSHOT_UPDATES:
            return {}
        faults: Faults = {}
        for stack in self._stacks:
            for lane in _lanes_not_finite(stack.flat):
                faults[lane] = Diverged(
                    f"The parameters of {', '.join(stack.roles)} must be finite, but are not. "
                    "Lower the learning rate or set gradient_max."
                )
        for lane in faults:
            self.go_back(lane, updates)
        self.take(updates)
        return faults

    def take(self, updates: NDArray[np.int64]) -> None:
        """Makes a new copy of lanes that have made `updates` `(L,)`."""
        self._flats = [stack.flat.clone() for stack in self._stacks]
        self._moments = [optimizer.copy() for optimizer in self._optimizers]
        self._updates, self._age = updates.copy(), 0

    @torch.no_grad()
    def begin(self, lane: int) -> None:
        """Takes a lane into the copy anew, after it was given to another agent."""
        for stack, flat in zip(self._stacks, self._flats, strict=False):
            flat[lane] = stack.flat[lane]
        for optimizer, moments in zip(self._optimizers, self._moments, strict=False):
            optimizer.copy_lane(moments, lane)
        if self._flats:
            self._updates[lane] = 0

    def expire(self) -> None:
        """Drops the copy, after lanes have gone."""
        self._age, self._flats, self._moments = None, [], []

    @torch.no_grad()
    def go_back(self, lane: int, updates: NDArray[np.int64]) -> None:
        """Puts a lane, and its count of updates, back to where the copy was made."""
        if not self._flats:
            return
        updates[lane] = self._updates[lane]
        for stack, flat in zip(self._stacks, self._flats, strict=False):
            stack.flat[lane] = flat[lane]
        for optimizer, moments in zip(self._optimizers, self._moments, strict=False):
            optimizer.restore(moments, lane)


def _lanes_not_finite(values: Tensor) -> list[int]:
    # A sum is not finite where one of its terms is not.
    bad: list[int] = (~torch.isfinite(values.sum(1))).nonzero().flatten().tolist()
    return bad


def faults_of_losses(logs: Mapping[str, Tensor]) -> Faults:
    """Finds losses `(L,)` that are not finite, by lane."""
    if not logs or bool(torch.isfinite(torch.stack(list(logs.values()))).all()):
        return {}
    faults: Faults = {}
    for name, values in logs.items():
        for lane, value in enumerate(values.tolist()):
            if not np.isfinite(value):
                faults[lane] = Diverged(
                    f"{name} must be finite, but is {value}. "
                    "Lower the learning rate or set gradient_max."
                )
    return faults


def faults_of_transitions(transitions: Transitions, num_lanes: int) -> Faults:
    """Finds experience that is not finite, by lane."""
    faults: Faults = {}
    for key, what in _CHECKED.items():
        values = torch.as_tensor(transitions[key])  # type: ignore[literal-required]
        if bool(torch.isfinite(values).all()):
            continue
        by_lane = values.cpu().numpy().reshape(len(values), num_lanes, -1)
        for lane in np.flatnonzero(~np.isfinite(by_lane).all((0, 2))):
            faults[int(lane)] = Diverged(_message(what, by_lane[:, lane]))
    return faults


_CHECKED = {
    "next_state": "observations",
    "state": "observations",
    "reward": "rewards",
    "action": "actions",
}


def _message(what: str, values: NDArray[Any]) -> str:
    if what == "actions":
        return "The policy's actions must be finite, but one is not. Lower the learning rate."
    bad = values[~np.isfinite(values)][0]
    return f"The environment's {what} must be finite, but one is {bad}."
