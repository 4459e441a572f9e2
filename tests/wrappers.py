"""Wrappers that a config can name."""

from __future__ import annotations

import os
import signal

import gymnasium as gym


class Insisted(gym.Wrapper):
    """Sends this process the same signal twice, in its 350th step."""

    steps = 0

    def step(self, action):
        type(self).steps += 1
        if type(self).steps == 350:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return self.env.step(action)
