"""Environments: extensions, found through `sweeprl.registry.envs`, and the datasets they feed."""

from sweeprl.envs._copies import Copies, NativeCopies, SingleCopy, Step, VectorCopies
from sweeprl.envs._dataset import Agent, DatasetResult, Episode, EvaluationDataset, RLDataset
from sweeprl.envs._extension import EnvExtension, Stage
from sweeprl.envs._lanes import LaneChunk, LaneEnvs
from sweeprl.envs._lanes_dataset import Budget, EpisodeTable, LanesDataset, LanesResult
from sweeprl.envs._native_lanes import NativeLanes
from sweeprl.envs._slot_lanes import SlotLanes
from sweeprl.envs._tensor_lanes import TensorLanes

__all__ = [
    "Agent",
    "Budget",
    "Copies",
    "DatasetResult",
    "EnvExtension",
    "Episode",
    "EpisodeTable",
    "EvaluationDataset",
    "LaneChunk",
    "LaneEnvs",
    "LanesDataset",
    "LanesResult",
    "NativeCopies",
    "NativeLanes",
    "RLDataset",
    "SingleCopy",
    "SlotLanes",
    "Stage",
    "Step",
    "TensorLanes",
    "VectorCopies",
]
