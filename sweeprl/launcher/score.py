"""What a trial is worth: a measurement over many episodes, never the luck of one."""

from __future__ import annotations

from collections.abc import Sequence

from sweeprl.envs import Episode

__all__ = ["FINAL_SHARE", "share_of", "step_weighted_return"]

FINAL_SHARE = 0.1
"""Share of the environment steps that the score `final` looks at: the last tenth."""


def share_of(score: str) -> float:
    """Returns the share of the environment steps that a kind of score looks at.

    The score `eval` has no value before the final test; while a trial runs, `final` stands in.
    """
    return 1.0 if score == "auc" else FINAL_SHARE


def step_weighted_return(
    episodes: Sequence[Episode], env_steps: int, share: float, num_envs: int = 1
) -> float | None:
    """Mean return over the last environment steps, each step carrying its episode's return.

    Patterson et al. 2024, Empirical Design in Reinforcement Learning, section 2, https://arxiv.org/abs/2304.01315.

    Args:
        episodes: the finished ones, in any order. A running one counts for nothing: its return is
            not known.
        env_steps: of the whole trial.
        share: of the environment steps, in (0, 1]; 0.1 is the score `final`, 1 is `auc`.
        num_envs: environments that were stepped together.

    Returns:
        The mean; that of the last finished episode where none reaches into the window; None where
        none finished.

    >>> step_weighted_return([Episode(90, 90, 1.0), Episode(98, 8, 5.0)], 100, 0.1)
    5.0
    """
    if not episodes:
        return None
    start = env_steps * (1 - share)
    weights = [_steps_after(start, episode, num_envs) for episode in episodes]
    if not sum(weights):
        return max(episodes).total
    weighted = zip(weights, episodes, strict=True)
    return sum(weight * episode.total for weight, episode in weighted) / sum(weights)


def _steps_after(start: float, episode: Episode, num_envs: int) -> float:
    span = episode.length * num_envs
    inside = min(max(episode.end - start, 0.0), span)
    return inside / num_envs
