"""A trial's budget, and how much of it passes before it learns."""

from __future__ import annotations

from sweeprl.config import ReplayConfig, RolloutConfig, TrialConfig
from sweeprl.errors import ConfigError

__all__ = ["budget_of", "learning_starts"]


def budget_of(config: TrialConfig) -> int:
    """Returns the environment steps of every trial; trials of equal budgets can be compared.

    Raises:
        ConfigError: the config sets no such limit.
    """
    if config.max_env_steps is None:
        raise ConfigError(
            "max_env_steps must be set where trials are compared, so that all have the same "
            "budget, but it is null. Set it, 50000 for example."
        )
    return config.max_env_steps


def learning_starts(config: TrialConfig) -> int:
    """Returns the environment steps before the first update."""
    experience = config.frame_config.experience
    if isinstance(experience, ReplayConfig):
        return experience.warmup_steps
    if isinstance(experience, RolloutConfig):
        return experience.rollout_steps * config.num_envs
    return 0
