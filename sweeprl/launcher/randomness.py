"""The global random generators, on which an environment may draw."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

__all__ = ["global_rng", "set_global_rng"]


def global_rng() -> dict[str, Any]:
    """State of Python's and NumPy's global generators."""
    kind, keys, *rest = np.random.get_state()
    return {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def set_global_rng(state: dict[str, Any]) -> None:
    """Puts the generators back to where `global_rng` saw them."""
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
