"""One neutral judge for every library: 100 greedy episodes on seeds that no training used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

FIRST_EVALUATION_SEED = 1_000_000


def evaluate(
    policy: Callable[[np.ndarray], Any], env_id: str | Callable[[], Any], episodes: int = 100
) -> list[float]:
    """Plays `episodes` episodes with `policy` and returns their undiscounted returns.

    Args:
        policy: maps one observation `(D,)` to an action in the environment's own units.
        env_id: a registered Gymnasium id, or what builds the environment.
        episodes: how many; episode `i` is reset with seed `FIRST_EVALUATION_SEED + i`.
    """
    env = gym.make(env_id) if isinstance(env_id, str) else env_id()
    returns = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=FIRST_EVALUATION_SEED + episode)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    env.close()
    return returns


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half (Agarwal et al. 2021, arXiv:2108.13264, section 4.3)."""
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def bootstrap_interval(
    per_seed: np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 10_000
) -> tuple[float, float]:
    """The percentile 95 % interval of `statistic` when training seeds are drawn again.

    Args:
        per_seed: one number for each training seed, `(S,)`.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(len(per_seed), size=(resamples, len(per_seed)))
    values = [statistic(per_seed[draw]) for draw in draws]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
