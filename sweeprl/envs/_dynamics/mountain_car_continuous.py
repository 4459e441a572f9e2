"""MountainCarContinuous-v0: `gymnasium/envs/classic_control/continuous_mountain_car.py`."""

from __future__ import annotations

import torch
from torch import Tensor

from sweeprl.config import Continuous, EnvSpec
from sweeprl.envs._dynamics.base import Dynamics, between, rescaled

__all__ = ["MountainCarContinuous"]

_POWER = 0.0015  # per step, as all velocities
_GRAVITY = 0.0025
_MIN_POSITION, _MAX_POSITION = -1.2, 0.6
_MAX_VELOCITY = 0.07
_MAX_FORCE = 1.0
_GOAL = 0.45


class MountainCarContinuous(Dynamics):
    """Drive a car out of a valley with forces of any size, and pay for them.

    Moore 1990, Efficient Memory-based Learning for Robot Control,
    https://www.cl.cam.ac.uk/techreports/UCAM-CL-TR-209.pdf. A state is position, velocity and
    whether the car has moved: Gymnasium begins an episode in float64 and, as it stores every later
    state as float32, goes on in float32 (under NumPy 2; earlier NumPy promotes otherwise).

    Args:
        goal_velocity: that the car must have at the goal, or more.
    """

    spec = EnvSpec(2, Continuous(1), "MountainCarContinuous-v0")
    state_size = 3
    max_episode_steps = 999
    initial_numbers = 1

    def __init__(self, *, goal_velocity: float = 0) -> None:
        self._goal_velocity = goal_velocity

    def initial(self, uniform: Tensor) -> Tensor:
        """The car stands still at a position uniform in [-0.6, -0.4)."""
        position = between(-0.6, -0.4, uniform)
        zero = torch.zeros_like(position)
        return torch.cat((position, zero, zero), -1)

    def observe(self, state: Tensor) -> Tensor:
        """Observes position and velocity."""
        return state[:, :2].float()

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A push by the action; a car that meets the left wall stops."""
        position, velocity, has_moved = state.unbind(-1)
        force = rescaled(action, _MAX_FORCE).squeeze(-1)
        push = force * _POWER - _slope(position, has_moved)
        velocity = (velocity + push).float().clamp(-_MAX_VELOCITY, _MAX_VELOCITY)
        position = (position + velocity).float().clamp(_MIN_POSITION, _MAX_POSITION)
        velocity = velocity.masked_fill((position == _MIN_POSITION) & (velocity < 0), 0.0)
        terminated = (position >= _GOAL) & (velocity >= self._goal_velocity)
        state = torch.stack((position, velocity, torch.ones_like(velocity)), -1).double()
        return state, _reward(force, terminated), terminated


def _slope(position: Tensor, has_moved: Tensor) -> Tensor:
    triple = 3 * position
    triple = torch.where(has_moved > 0, triple.float().double(), triple)
    return (_GRAVITY * triple.cos()).float()


def _reward(force: Tensor, terminated: Tensor) -> Tensor:
    return (100.0 * terminated.double() - force.double().square() * 0.1).float()
