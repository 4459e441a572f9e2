"""The engine: trains L agents in lock-step; one is the special case without vmap."""

from sweeprl.engine.judge import AgentRows, Judge
from sweeprl.engine.lanes import Lanes, Stack
from sweeprl.engine.learner import LANES_COLLECT_STEPS, Learner
from sweeprl.engine.memory import ActingMemory
from sweeprl.engine.normalizer import ObservationNormalizer, RewardNormalizer, RunningMoments
from sweeprl.engine.optimizer import LaneOptimizer
from sweeprl.engine.replay import FieldLayout, ReplayBuffer
from sweeprl.engine.rows import keep_rows, kept_after_dropping
from sweeprl.engine.streams import LaneStreams

__all__ = [
    "LANES_COLLECT_STEPS",
    "ActingMemory",
    "AgentRows",
    "FieldLayout",
    "Judge",
    "LaneOptimizer",
    "LaneStreams",
    "Lanes",
    "Learner",
    "ObservationNormalizer",
    "ReplayBuffer",
    "RewardNormalizer",
    "RunningMoments",
    "Stack",
    "keep_rows",
    "kept_after_dropping",
]
