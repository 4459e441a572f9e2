"""MountainCar-v0: `gymnasium/envs/classic_control/mountain_car.py`."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeprl.config import Discrete, EnvSpec
from sweeprl.envs._dynamics.base import Dynamics, between

__all__ = ["MountainCar"]

_FORCE = 0.001  # per step, as all velocities
_GRAVITY = 0.0025
_MIN_POSITION, _MAX_POSITION = -1.2, 0.6
_MAX_VELOCITY = 0.07
_GOAL = 0.5


class MountainCar(Dynamics):
    """Drive a car out of a valley, with less force than the slope has.

    Moore 1990, Efficient Memory-based Learning for Robot Control,
    https://www.cl.cam.ac.uk/techreports/UCAM-CL-TR-209.pdf. A state is position and velocity.

    Args:
        goal_velocity: that the car must have at the goal, or more.
    """

    spec = EnvSpec(2, Discrete(3), "MountainCar-v0")
    state_size = 2
    max_episode_steps = 200
    initial_numbers = 1

    def __init__(self, *, goal_velocity: float = 0) -> None:
        self._goal_velocity = goal_velocity

    def initial(self, uniform: Tensor) -> Tensor:
        """The car stands still at a position uniform in [-0.6, -0.4)."""
        position = between(-0.6, -0.4, uniform)
        return torch.cat((position, torch.zeros_like(position)), -1)

    def observe(self, state: Tensor) -> Tensor:
        """Observes the state."""
        return state.float()

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A push left, none or one right; a car that meets the left wall stops."""
        position, velocity = state.unbind(-1)
        push = (action - 1).double() * _FORCE + (3 * position).cos() * -_GRAVITY
        velocity = (velocity + push).clamp(-_MAX_VELOCITY, _MAX_VELOCITY)
        position = (position + velocity).clamp(_MIN_POSITION, _MAX_POSITION)
        velocity = velocity.masked_fill((position == _MIN_POSITION) & (velocity < 0), 0.0)
        terminated = (position >= _GOAL) & (velocity >= self._goal_velocity)
        reward = torch.full_like(terminated, -1.0, dtype=torch.float32)
        return torch.stack((position, velocity), -1), reward, terminated
