"""An environment of one's own: follow a target that wanders over the unit square.

    sweeprl run --config examples/tracking/config.json

The config names it as `"env": "tracking:Tracking"`; this file lies beside the config, so it is
found. `Follow` is an ordinary gymnasium.Env and knows nothing of sweeprl. `Tracking` is the
extension around it. Of its four parts, the dataset class and its creator are the base class's;
`generate_env_config` and `launch` add something of their own here, and could be left out as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sweeprl.config import EnvConfig, TrialConfig
from sweeprl.envs import EnvExtension

__all__ = ["Follow", "Tracking", "TrackingConfig", "random_return"]

Observation = NDArray[np.float32]

_MOVES = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float64)


class Follow(gym.Env[Observation, np.int64]):
    """A walker that is to stay close to a wandering target.

    Observations are the way to the target and the target's velocity, each `(x, y)`. Actions are to
    stay or to take a step in one of four directions. The reward of a step is minus the distance
    that is left.

    Args:
        target_speed: distance that the target covers in a step.
        walker_speed: distance that the walker covers in a step.
        num_steps: length of an episode, in environment steps.
    """

    def __init__(self, target_speed: float, walker_speed: float, num_steps: int) -> None:
        self.observation_space = gym.spaces.Box(-2.0, 2.0, (4,), np.float32)
        self.action_space = gym.spaces.Discrete(len(_MOVES))
        self._target_speed, self._walker_speed = target_speed, walker_speed
        self._num_steps = num_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Puts walker and target at random places."""
        super().reset(seed=seed)
        self._walker, self._target = self.np_random.random((2, 2))
        self._heading = self.np_random.uniform(-np.pi, np.pi)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Moves both; the time limit is a truncation, so the value of the last state survives."""
        self._walker = np.clip(self._walker + self._walker_speed * _MOVES[action], 0, 1)
        self._move_target()
        self._steps += 1
        reward = -float(np.linalg.norm(self._target - self._walker))
        return self._observe(), reward, False, self._steps >= self._num_steps, {}

    def _move_target(self) -> None:
        self._heading += self.np_random.normal(0, 0.2)
        ahead = self._target + self._velocity()
        if ((ahead < 0) | (ahead > 1)).any():
            self._heading += np.pi
            ahead = self._target + self._velocity()
        self._target = np.clip(ahead, 0, 1)

    def _velocity(self) -> NDArray[np.float64]:
        return self._target_speed * np.array([np.cos(self._heading), np.sin(self._heading)])

    def _observe(self) -> Observation:
        return np.concatenate([self._target - self._walker, self._velocity()], dtype=np.float32)


class TrackingConfig(EnvConfig):
    """What `train_env_config` and `test_env_config` may hold."""

    target_speed: Annotated[float, Field(ge=0, le=0.2)] = 0.03
    """Distance that the target covers in a step."""
    walker_speed: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    """Distance that the walker covers in a step."""
    num_steps: Annotated[int, Field(gt=0)] = 50
    """Length of an episode, in environment steps."""


class Tracking(EnvExtension):
    """Follow a target that wanders over the unit square."""

    Config = TrackingConfig

    def make(self, config: TrackingConfig, render_mode: str | None = None) -> Follow:
        """Builds one environment; it draws nothing, so `render_mode` is of no use to it."""
        return Follow(config.target_speed, config.walker_speed, config.num_steps)

    def generate_env_config(self, config: dict[str, Any]) -> dict[str, Any]:
        """As the base class does, with test episodes twice as long as the ones trained on."""
        generated = super().generate_env_config(config)
        chosen = config.get("test_env_config", {})
        num_steps = 2 * generated["train_env_config"]["num_steps"]
        test = {**generated["test_env_config"], "num_steps": num_steps, **chosen}
        return {**generated, "test_env_config": test}

    def launch(
        self, config: TrialConfig, pl_callbacks: Sequence[Any], fit: Callable[..., Any]
    ) -> Any:
        """Trains, and says on standard error what a random policy gets in the test environment."""
        record = fit(config, pl_callbacks)
        section = config.test_env_config
        assert isinstance(section, TrackingConfig)
        baseline = random_return(self.make(section), config.evaluation.final_episodes)
        sys.stderr.write(f"a random policy's test return: {baseline:.1f}\n")
        return record


def random_return(env: gym.Env[Any, Any], num_episodes: int) -> float:
    """Mean return of uniformly random actions."""
    env.action_space.seed(0)
    total = 0.0
    for episode in range(num_episodes):
        env.reset(seed=episode)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            total += float(reward)
            over = terminated or truncated
    return total / num_episodes
