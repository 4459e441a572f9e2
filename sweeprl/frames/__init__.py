"""The algorithms, one public file each; found by name through `sweeprl.registry.frames`."""

from sweeprl.frames._base import Batch, Frame, Loss, ReplayFrame, Role, RolloutFrame, SearchFrame
from sweeprl.frames._trajectories import Trajectories

__all__ = [
    "Batch",
    "Frame",
    "Loss",
    "ReplayFrame",
    "Role",
    "RolloutFrame",
    "SearchFrame",
    "Trajectories",
]
