"""Acrobot-v1: `gymnasium/envs/classic_control/acrobot.py`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sweeprl.config import Discrete, EnvSpec
from sweeprl.envs._dynamics.base import Dynamics, between

__all__ = ["Acrobot", "wrapped"]

_GRAVITY = 9.8  # m / s^2
_SECONDS = 0.2  # of a step
_MAX_SPIN_1, _MAX_SPIN_2 = 4 * math.pi, 9 * math.pi  # rad / s


class Acrobot(Dynamics):
    """Swing the end of two links above a line, with a torque at the joint between them.

    Sutton 1996, Generalization in Reinforcement Learning: Successful Examples Using Sparse Coarse
    Coding, https://papers.nips.cc/paper/1995/hash/8f1d43620bc6bb580df6e80b0dc05c48-Abstract.html,
    with the equations of Sutton and Barto's book, http://incompleteideas.net/book/11/node4.html. A
    state is the angle of the first link (rad, 0 hangs down), that of the second to the first, and
    their angular velocities (rad/s). The links are 1 m long, weigh 1 kg, have their centres of mass
    halfway, and a moment of inertia of 1 kg m^2.
    """

    spec = EnvSpec(6, Discrete(3), "Acrobot-v1")
    state_size = 4
    max_episode_steps = 500
    initial_numbers = 4

    def initial(self, uniform: Tensor) -> Tensor:
        """All four are uniform in [-0.1, 0.1), rounded to float32."""
        return between(-0.1, 0.1, uniform).float().double()

    def observe(self, state: Tensor) -> Tensor:
        """Observes cosine and sine of each angle, and the angular velocities."""
        angles, spins = state[:, :2], state[:, 2:]
        turns = torch.stack((angles.cos(), angles.sin()), -1).flatten(1)
        return torch.cat((turns, spins), -1).float()

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of Runge and Kutta's method of fourth order."""
        first, second, spin_1, spin_2 = _integrated(state, (action - 1).double()).unbind(-1)
        first, second = wrapped(first), wrapped(second)
        spin_1 = spin_1.clamp(-_MAX_SPIN_1, _MAX_SPIN_1)
        spin_2 = spin_2.clamp(-_MAX_SPIN_2, _MAX_SPIN_2)
        terminated = -first.cos() - (second + first).cos() > 1.0
        state = torch.stack((first, second, spin_1, spin_2), -1)
        return state, terminated.float() - 1.0, terminated


def wrapped(angle: Tensor) -> Tensor:
    """Returns angles in [-pi, pi]: Gymnasium's loop, with all its turns taken at once.

    Args:
        angle: of any number of turns, in rad.
    """
    turn = 2 * math.pi
    return angle - turn * (angle / turn).round()


def _integrated(state: Tensor, torque: Tensor) -> Tensor:
    half = _SECONDS / 2.0
    slope_1 = _derivative(state, torque)
    slope_2 = _derivative(state + half * slope_1, torque)
    slope_3 = _derivative(state + half * slope_2, torque)
    slope_4 = _derivative(state + _SECONDS * slope_3, torque)
    return state + _SECONDS / 6.0 * (slope_1 + 2 * slope_2 + 2 * slope_3 + slope_4)


def _derivative(state: Tensor, torque: Tensor) -> Tensor:
    """Gymnasium's `_dsdt`, where lengths and masses of 1 are left out and 0.5 ** 2 is 0.25."""
    first, second, spin_1, spin_2 = state.unbind(-1)
    cos, sin = second.cos(), second.sin()
    d1 = 0.25 + (1.25 + cos) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cos + 1.0
    phi2 = 0.5 * _GRAVITY * (first + second - math.pi / 2).cos()
    swing = -0.5 * spin_2.square() * sin - spin_2 * spin_1 * sin
    phi1 = swing + 1.5 * _GRAVITY * (first - math.pi / 2).cos() + phi2
    forces = torque + d2 / d1 * phi1 - 0.5 * spin_1.square() * sin - phi2
    angular_2 = forces / (1.25 - d2.square() / d1)
    angular_1 = -(d2 * angular_2 + phi1) / d1
    return torch.stack((spin_1, spin_2, angular_1, angular_2), -1)
