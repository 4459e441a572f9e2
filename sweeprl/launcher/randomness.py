"""The global random generators, on which an environment may draw."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

__all__ = ["global_rng", "seed_everything", "set_global_rng"]


def global_rng() -> dict[str, Any]:
    """State of the global generators of Python, NumPy and torch."""
    kind, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state(),
    }


def seed_everything(seed: int) -> None:
    """Starts the global generators from `seed`."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def set_global_rng(state: dict[str, Any]) -> None:
    """Puts the generators back to where `global_rng` saw them."""
    random.setstate(state["python"])
    torch.set_rng_state(state["torch"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
