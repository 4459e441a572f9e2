"""Agents that only act: copies of some lanes, to be judged while the others learn on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.engine.acting import Acting
from sweeprl.engine.building import groups_of_roles, seeded_networks
from sweeprl.engine.lanes import Lanes
from sweeprl.engine.normalizer import ObservationNormalizer
from sweeprl.engine.streams import LaneStreams
from sweeprl.frames._base import Frame

__all__ = ["AgentRows", "Judge", "read_rows", "write_rows"]


@dataclass
class AgentRows:
    """All that acting depends on, for some agents: a row each."""

    tensors: dict[str, Tensor]
    """Parameters, settings and moments by name, each `(K, ...)`."""
    seeds: NDArray[np.int64]
    """`(K,)`"""
    env_steps: NDArray[np.int64]
    """`(K,)`"""

    def take(self, rows: Sequence[int]) -> AgentRows:
        """Returns a copy of some rows."""
        place = list(rows)
        tensors = {name: value[place] for name, value in self.tensors.items()}
        return AgentRows(tensors, self.seeds[place], self.env_steps[place])

    def put(self, rows: Sequence[int], other: AgentRows) -> None:
        """Overwrites some rows with those of `other`."""
        place = list(rows)
        for name, value in self.tensors.items():
            value[place] = other.tensors[name]
        self.seeds[place], self.env_steps[place] = other.seeds, other.env_steps


class Judge(Acting):
    """K agents that act, on random streams of their own.

    Args:
        frame: the algorithm of all of them, but for traced settings.
        rows: who they are.
        device: where they act.
    """

    def __init__(self, frame: Frame, rows: AgentRows, device: torch.device) -> None:
        self.frame, self.device, self.num_envs = frame, device, 0
        modules = seeded_networks(frame, 0)
        online, followers = groups_of_roles(frame)
        num = len(rows.seeds)
        settings = {k: torch.zeros(num, device=device) for k in frame.hyperparameters()}
        self._lanes = Lanes([modules] * num, [*online, *followers.values()], settings, device)
        self._lanes.set_training(False)
        self._is_judged = True
        self._observation = None
        if frame.normalizes_observation:
            size = frame.spec.observation_size
            self._observation = ObservationNormalizer(num, size, device)
        self.env_steps = rows.env_steps
        self._streams = LaneStreams(rows.seeds.tolist(), self.device)
        write_rows(self._lanes, self._observation, rows.tensors)


def read_rows(lanes: Lanes, observation: ObservationNormalizer | None) -> dict[str, Tensor]:
    """Returns the tensors, each `(L, ...)`, that acting depends on; they are the live ones."""
    rows = {f"parameters/{i}": stack.flat for i, stack in enumerate(lanes.stacks)}
    rows |= {f"settings/{name}": value for name, value in lanes.settings.items()}
    if observation is not None:
        moments = observation.moments
        rows |= {"mean": moments.mean, "variance": moments.variance, "count": moments.count}
    return rows


@torch.no_grad()
def write_rows(
    lanes: Lanes, observation: ObservationNormalizer | None, rows: dict[str, Tensor]
) -> None:
    """Overwrites all that acting depends on."""
    for name, value in read_rows(lanes, observation).items():
        value.copy_(rows[name])
    if observation is not None:
        observation.read()
