"""CartPole-v1: `gymnasium/envs/classic_control/cartpole.py`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sweeprl.config import Discrete, EnvSpec
from sweeprl.envs._dynamics.base import Dynamics, between

__all__ = ["CartPole"]

_GRAVITY = 9.8  # m / s^2
_POLE = 0.1  # kg
_TOTAL = _POLE + 1.0  # kg, with the cart
_HALF_LENGTH = 0.5  # m, of the pole
_MOMENT = _POLE * _HALF_LENGTH  # kg m
_FORCE = 10.0  # N
_SECONDS = 0.02  # of a step
_MAX_POSITION = 2.4  # m
_MAX_ANGLE = 12 * 2 * math.pi / 360  # rad


class CartPole(Dynamics):
    """Keep a pole upright on a cart that is pushed left or right.

    Barto, Sutton and Anderson 1983, Neuronlike Adaptive Elements That Can Solve Difficult Learning
    Control Problems, https://doi.org/10.1109/TSMC.1983.6313077; the equations are those of Florian
    2005, Correct Equations for the Dynamics of the Cart-Pole System, 23 and 24 without friction,
    https://coneural.org/florian/papers/05_cart_pole.pdf. A state is position (m), velocity, angle
    (rad) and angular velocity.

    Args:
        sutton_barto_reward: pay 0 a step and -1 for falling, instead of 1 a step.
    """

    spec = EnvSpec(4, Discrete(2), "CartPole-v1")
    state_size = 4
    max_episode_steps = 500
    initial_numbers = 4

    def __init__(self, *, sutton_barto_reward: bool = False) -> None:
        self._sutton_barto_reward = sutton_barto_reward

    def initial(self, uniform: Tensor) -> Tensor:
        """All four are uniform in [-0.05, 0.05)."""
        return between(-0.05, 0.05, uniform)

    def observe(self, state: Tensor) -> Tensor:
        """Observes the state."""
        return state.float()

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of Euler's method."""
        state = state + _SECONDS * _derivative(state, action)
        position, _, angle, _ = state.unbind(-1)
        terminated = (position.abs() > _MAX_POSITION) | (angle.abs() > _MAX_ANGLE)
        return state, self._reward(terminated), terminated

    def _reward(self, terminated: Tensor) -> Tensor:
        if self._sutton_barto_reward:
            return -terminated.float()
        return torch.ones_like(terminated, dtype=torch.float32)


def _derivative(state: Tensor, action: Tensor) -> Tensor:
    _, velocity, angle, spin = state.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    force = (2 * action - 1).double() * _FORCE
    push = (force + _MOMENT * spin.square() * sin) / _TOTAL
    inertia = _HALF_LENGTH * (4.0 / 3.0 - _POLE * cos.square() / _TOTAL)
    angular = (_GRAVITY * sin - cos * push) / inertia
    linear = push - _MOMENT * angular * cos / _TOTAL
    return torch.stack((velocity, linear, spin, angular), -1)
