"""Environments: extensions, found through `sweeprl.registry.envs`, and the datasets they feed."""

from sweeprl.envs._copies import Copies, NativeCopies, SingleCopy, Step, VectorCopies
from sweeprl.envs._dataset import Agent, DatasetResult, Episode, EvaluationDataset, RLDataset
from sweeprl.envs._extension import EnvExtension, Stage

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
