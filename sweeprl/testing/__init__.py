"""Contract suites for authors of extensions."""

from sweeprl.testing.frames import FRAME_CHECKS, random_trajectories, random_transitions

__all__ = ["FRAME_CHECKS", "random_trajectories", "random_transitions"]
