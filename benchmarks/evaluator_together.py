"""The episodes of `evaluator.py`, played side by side: the same returns, for one call a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from evaluator import FIRST_EVALUATION_SEED


def evaluate_together(
    policy: Callable[[np.ndarray], Any], env_id: str, episodes: int = 100
) -> list[float]:
    """Plays `episodes` episodes with `policy` and returns their undiscounted returns.

    Args:
        policy: maps observations `(episodes, D)` to as many actions in the environment's own units.
        env_id: a registered Gymnasium id.
        episodes: how many; episode `i` is reset with seed `FIRST_EVALUATION_SEED + i`.
    """
    envs = [gym.make(env_id) for _ in range(episodes)]
    seeds = range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + episodes)
    observations = np.stack([env.reset(seed=s)[0] for env, s in zip(envs, seeds, strict=True)])
    returns, active = [0.0] * episodes, list(range(episodes))
    while active:
        actions = policy(observations)
        for i in active.copy():
            observations[i], reward, terminated, truncated, _ = envs[i].step(actions[i])
            returns[i] += float(reward)
            if terminated or truncated:
                active.remove(i)
    for env in envs:
        env.close()
    return returns
