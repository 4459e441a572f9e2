"""What agents must share to be trained together."""

from __future__ import annotations

from typing import Any

from sweeprl.config.frame import FrameConfig
from sweeprl.config.ranges import masked, traced

__all__ = ["structure_of"]


def structure_of(config: FrameConfig) -> dict[str, Any]:
    """Returns what shapes and control flow depend on: all but the traced and masked numbers.

    Of those, it matters whether they are set at all.
    """
    own = (*traced(type(config)), *masked(type(config)))
    is_set = {f"{name} is set": getattr(config, name) is not None for name in own}
    return {**config.model_dump(exclude=set(own)), **is_set}
