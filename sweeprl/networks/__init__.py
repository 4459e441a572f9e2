"""Default networks for each role, and the look-up of the user's own."""

from sweeprl.networks.linear import LinearActor
from sweeprl.networks.mlp import (
    MLP,
    CategoricalActor,
    DeterministicActor,
    Discriminator,
    GaussianActor,
    ProbabilityActor,
    QCritic,
    QNet,
    SquashedGaussianActor,
    ValueCritic,
)
from sweeprl.networks.noisy import NoisyLinear
from sweeprl.networks.rainbow import DistributionalQNet, DuelingQNet
from sweeprl.networks.resolve import Resolver, caller_globals

__all__ = [
    "MLP",
    "CategoricalActor",
    "DeterministicActor",
    "Discriminator",
    "DistributionalQNet",
    "DuelingQNet",
    "GaussianActor",
    "LinearActor",
    "NoisyLinear",
    "ProbabilityActor",
    "QCritic",
    "QNet",
    "Resolver",
    "SquashedGaussianActor",
    "ValueCritic",
    "caller_globals",
]
