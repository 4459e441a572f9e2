"""Small environments whose every step is known."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Counter(gym.Env):
    """Counts its steps: observes (number of the episode, steps, last action), pays the action.

    Terminates at `length` if `terminates`, is truncated there otherwise.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, length=3, terminates=True, raises_at=None, space=None, render_mode=None):
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = space or spaces.Discrete(5)
        self.length, self.terminates, self.raises_at = length, terminates, raises_at
        self.render_mode = render_mode
        self.closed = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.raises_at == 0:
            raise ZeroDivisionError("broken reset")
        self.steps, self.last = 0, -1.0
        self.secret = float(self.np_random.integers(1000))
        return self._observation(), {}

    def step(self, action):
        self.steps += 1
        if self.steps == self.raises_at:
            raise ZeroDivisionError("broken step")
        self.last = float(np.sum(action))
        over = self.steps >= self.length
        ends = (over and self.terminates, over and not self.terminates)
        return self._observation(), self.last, *ends, {}

    def _observation(self):
        return np.array([self.secret, self.steps, self.last], np.float32)

    def render(self):
        return np.full((32, 32, 3), 8 * self.steps, np.uint8)

    def close(self):
        self.closed = True


def seed_of(copy: int, episode: int) -> int:
    return 100 * copy + episode


class ScriptedAgent:
    """Chooses (last observation's step count + copy) mod `num`; remembers what it was asked."""

    def __init__(self, collect_steps=None, num=5):
        self.collect_steps, self.num = collect_steps, num
        self.calls: list[tuple[np.ndarray, int, dict]] = []
        self.begins: list[np.ndarray | None] = []

    def act(self, states, ahead=0, is_judged=False, begins=None, **act_kwargs):
        self.calls.append((states.copy(), ahead, act_kwargs))
        self.begins.append(begins)
        return (states[:, 1].astype(np.int64) + np.arange(len(states))) % self.num


class Blind(Counter):
    """Has no way to be rendered."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self):
        super().__init__()
