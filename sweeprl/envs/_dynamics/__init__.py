"""Environments as pure functions of tensors: Gymnasium's classic control, step for step."""

from sweeprl.envs._dynamics.base import Dynamics
from sweeprl.envs._dynamics.lookup import dynamics

__all__ = ["Dynamics", "dynamics"]
