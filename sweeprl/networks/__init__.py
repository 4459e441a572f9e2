"""Default networks for each role, and the look-up of the user's own."""

from sweeprl.networks.mlp import (
    MLP,
    CategoricalActor,
    GaussianActor,
    QCritic,
    QNet,
    SquashedGaussianActor,
    ValueCritic,
)
from sweeprl.networks.resolve import Resolver, caller_globals

__all__ = [
    "MLP",
    "CategoricalActor",
    "GaussianActor",
    "QCritic",
    "QNet",
    "Resolver",
    "SquashedGaussianActor",
    "ValueCritic",
    "caller_globals",
]
