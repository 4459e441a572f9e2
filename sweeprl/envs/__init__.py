"""Environments: extensions found by name through `sweeprl.registry.envs`, and the datasets they feed."""

from sweeprl.envs.copies import Copies, NativeCopies, SingleCopy, Step, VectorCopies
from sweeprl.envs.dataset import Agent, DatasetResult, Episode, EvaluationDataset, RLDataset
from sweeprl.envs.extension import EnvExtension, Stage

__all__ = [
    "Agent",
    "Copies",
    "DatasetResult",
    "EnvExtension",
    "Episode",
    "EvaluationDataset",
    "NativeCopies",
    "RLDataset",
    "SingleCopy",
    "Stage",
    "Step",
    "VectorCopies",
]
