"""The engine: trains L agents in lock-step; one is the special case without vmap."""

from sweeprl.engine.lanes import Lanes, Stack
from sweeprl.engine.learner import Learner
from sweeprl.engine.normalizer import ObservationNormalizer, RewardNormalizer, RunningMoments
from sweeprl.engine.optimizer import LaneOptimizer
from sweeprl.engine.replay import FieldLayout, ReplayBuffer
from sweeprl.engine.streams import LaneStreams

__all__ = [
    "FieldLayout",
    "LaneOptimizer",
    "LaneStreams",
    "Lanes",
    "Learner",
    "ObservationNormalizer",
    "ReplayBuffer",
    "RewardNormalizer",
    "RunningMoments",
    "Stack",
]
