"""What each frame is tried on: found from what it serves, so that a new frame needs no entry."""

from __future__ import annotations

from sweeprl import registry
from sweeprl.config import Continuous


def _environment(frame: str) -> tuple[str, str]:
    """Extension and environment."""
    kind = registry.frames.get(frame)
    if kind.needs_agents:
        return "pettingzoo", "mpe2.simple_spread_v3"
    return "gymnasium", "Pendulum-v1" if kind.actions[0] is Continuous else "CartPole-v1"


_FOUND = {frame: _environment(frame) for frame in registry.frames.names()}
EXTENSIONS = {frame: found for frame, (found, _) in _FOUND.items() if found != "gymnasium"}
"""Of frames whose environment is none of Gymnasium's."""
ENVS = {frame: env for frame, (_, env) in _FOUND.items()}
