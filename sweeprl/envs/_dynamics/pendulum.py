"""Pendulum-v1: `gymnasium/envs/classic_control/pendulum.py`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sweeprl.config import Continuous, EnvSpec
from sweeprl.envs._dynamics.base import Dynamics, between, rescaled

__all__ = ["Pendulum"]

_MAX_TORQUE = 2.0  # N m
_MAX_SPIN = 8  # rad / s
_SECONDS = 0.05  # of a step


class Pendulum(Dynamics):
    """Swing up a pendulum of 1 kg and 1 m, and hold it there; an episode is only ever truncated.

    A state is the angle (rad, 0 stands upright, not wrapped) and the angular velocity (rad/s).

    Args:
        g: acceleration of gravity, in m/s^2.
    """

    spec = EnvSpec(3, Continuous(1), "Pendulum-v1")
    state_size = 2
    max_episode_steps = 200
    initial_numbers = 2

    def __init__(self, *, g: float = 10.0) -> None:
        self._pull = 3 * g / 2

    def initial(self, uniform: Tensor) -> Tensor:
        """The angle is uniform in [-pi, pi), the angular velocity in [-1, 1)."""
        angle, spin = uniform.unbind(-1)
        return torch.stack((between(-math.pi, math.pi, angle), between(-1, 1, spin)), -1)

    def observe(self, state: Tensor) -> Tensor:
        """Observes cosine and sine of the angle, and the angular velocity."""
        angle, spin = state.unbind(-1)
        return torch.stack((angle.cos(), angle.sin(), spin), -1).float()

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of the semi-implicit Euler method; the reward is that of the state left."""
        angle, spin = state.unbind(-1)
        torque = rescaled(action, _MAX_TORQUE).squeeze(-1)
        push = self._pull * angle.sin() + 3.0 * torque  # the torque's part is float32 in Gymnasium
        next_spin = (spin + push * _SECONDS).clamp(-_MAX_SPIN, _MAX_SPIN)
        state = torch.stack((angle + next_spin * _SECONDS, next_spin), -1)
        terminated = torch.zeros_like(torque, dtype=torch.bool)
        return state, _reward(angle, spin, torque), terminated


def _reward(angle: Tensor, spin: Tensor, torque: Tensor) -> Tensor:
    upright = (angle + math.pi).remainder(2 * math.pi) - math.pi
    costs = upright.square() + 0.1 * spin.square() + 0.001 * torque.square()
    return -costs.float()
