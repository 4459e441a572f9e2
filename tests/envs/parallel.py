"""A parallel environment whose every step is known: importable as `tests.envs.parallel`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

KINDS = {
    "discrete": (spaces.Discrete(3), spaces.Discrete(2, start=1)),
    "continuous": (spaces.Box(0, 4, (2,)), spaces.Box(-1, 1, (1,))),
    "mixture": (spaces.Discrete(3), spaces.Box(-1, 1, (1,))),
    "several": (spaces.MultiDiscrete([2, 2]), spaces.MultiDiscrete([2, 2])),
}


class Pair(ParallelEnv):
    """Two agents, paid what they do: "left" sees a secret and the time, "right" the time only.

    Episodes have three steps, and are terminated at the end, or truncated.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, kind="discrete", leaves_at=None, terminates=False, render_mode=None):
        self.possible_agents = ["left", "right"]
        self.agents = []
        self.leaves_at, self.terminates, self.render_mode = leaves_at, terminates, render_mode
        self.action_spaces = dict(zip(self.possible_agents, KINDS[kind], strict=True))
        self.observation_spaces = {
            "left": spaces.Dict({"secret": spaces.Discrete(2), "time": spaces.Box(0, 9, (1,))}),
            "right": spaces.Box(0, 9, (1,)),
        }

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    def reset(self, seed=None, options=None):
        self.time, self.agents = 0, list(self.possible_agents)
        self.secret = int(np.random.default_rng(seed).integers(2))
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.time += 1
        over = self.time == 3
        who = list(self.agents)
        rewards = {agent: float(np.sum(actions[agent])) for agent in who}
        ends = [{agent: over and is_kind for agent in who} for is_kind in (self.terminates, True)]
        self.agents = [] if over else ["left"] if self.time == self.leaves_at else who
        return self._observations(), rewards, *ends, {agent: {} for agent in who}

    def _observations(self):
        time = np.array([self.time], np.float32)
        return {"left": {"secret": self.secret, "time": time}, "right": time}

    def render(self):
        return np.full((32, 32, 3), 8 * self.time, np.uint8)

    def close(self):
        pass


parallel_env = Pair
