"""The way back: a copy of what is trained, from before it stopped being finite."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sweeprl.config import Transitions
from sweeprl.engine.lanes import Stack
from sweeprl.engine.optimizer import LaneOptimizer
from sweeprl.errors import Diverged

__all__ = ["SNAPSHOT_UPDATES", "Snapshot", "check_losses", "check_transitions"]

SNAPSHOT_UPDATES = 1000
"""Updates between two snapshots; rounds may have a single update, and a copy costs as much."""


class Snapshot:
    """A copy of parameters and optimizers that were all finite, renewed now and then.

    Args:
        stacks: the parameters.
        optimizers: what moves them.
    """

    def __init__(self, stacks: Sequence[Stack], optimizers: Sequence[LaneOptimizer]) -> None:
        self._stacks, self._optimizers = stacks, optimizers
        self._taken_at: int | None = None
        self._flats: list[Tensor] = []
        self._states: list[dict[str, Any]] = []

    @contextmanager
    def guard(self, updates: int) -> Iterator[None]:
        """Goes back to the copy where the body, or a check before it, raises Diverged.

        Args:
            updates: how many were made so far.
        """
        try:
            if self._taken_at is None or updates - self._taken_at >= SNAPSHOT_UPDATES:
                self._take(updates)
            yield
        except Diverged:
            self._go_back()
            raise

    def _take(self, updates: int) -> None:
        for stack in self._stacks:
            if not bool(torch.isfinite(stack.flat).all()):
                raise Diverged(
                    f"The parameters of {', '.join(stack.roles)} must be finite, but are not after "
                    f"{updates} updates. Lower the learning rate or set gradient_max."
                )
        self._flats = [stack.flat.clone() for stack in self._stacks]
        self._states = [copy.deepcopy(optimizer.state_dict()) for optimizer in self._optimizers]
        self._taken_at = updates

    @torch.no_grad()
    def _go_back(self) -> None:
        if self._taken_at is None:
            return
        for stack, flat in zip(self._stacks, self._flats, strict=True):
            stack.flat.copy_(flat)
        for optimizer, state in zip(self._optimizers, self._states, strict=True):
            optimizer.load_state_dict(copy.deepcopy(state))


def check_losses(logs: Mapping[str, Tensor]) -> None:
    """Refuses losses that are not finite.

    Raises:
        Diverged: naming the loss.
    """
    for name, values in logs.items():
        if not bool(torch.isfinite(values).all()):
            raise Diverged(
                f"{name} must be finite, but is {values.tolist()}. "
                "Lower the learning rate or set gradient_max."
            )


def check_transitions(transitions: Transitions) -> None:
    """Refuses experience that is not finite.

    Raises:
        Diverged: saying what is not.
    """
    for key, what in (
        ("reward", "rewards"),
        ("state", "observations"),
        ("next_state", "observations"),
    ):
        values = transitions[key]  # type: ignore[literal-required]
        if not np.isfinite(values).all():
            bad = values[~np.isfinite(values)][0]
            raise Diverged(f"The environment's {what} must be finite, but one is {bad}.")
    if not np.isfinite(transitions["action"]).all():
        raise Diverged(
            "The policy's actions must be finite, but one is not. Lower the learning rate."
        )
