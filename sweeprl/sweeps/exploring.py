"""Changing the settings of an agent a little."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.coding import decoded, encoded, latents_of
from sweeprl.search_spaces.latents import Label, Latent, Real, Whole

__all__ = ["explored"]

_FACTORS = (0.8, 1.2)
_DRAWN_ANEW = 0.25
"""Chance that a value is drawn anew instead of being changed."""


def explored(space: SearchSpace, values: Mapping[str, Any], rng: random.Random) -> dict[str, Any]:
    """Returns values beside the given ones: each times 0.8 or 1.2, or drawn anew.

    Jaderberg et al. 2017, section 4.1.1, https://arxiv.org/abs/1711.09846. A number is changed as
    the space searches it: `1 - discount`, the exponent of a power of two. Labels stay, unless they
    are drawn anew.

    Args:
        space: that the values lie in; no choice in it has branches.
        values: by dotted path; one outside its range counts as the nearest inside.
        rng: decides.
    """
    known = encoded(space.parameters, values, nearest=True)
    latents = dict(latents_of(space.parameters))
    return decoded(space.parameters, {k: _beside(latents[k], v, rng) for k, v in known.items()})


def _beside(latent: Latent, value: Any, rng: random.Random) -> Any:
    if rng.random() < _DRAWN_ANEW:
        return latent.draw(rng)
    factor = rng.choice(_FACTORS)
    match latent:
        case Label():
            return value
        case Real(step=None):
            return latent.clip(value * factor)
        case Real(step=float(step)) | Whole(step=step):
            move = round(value * (factor - 1) / step) or (1 if factor > 1 else -1)
            return latent.clip(value + step * move)
