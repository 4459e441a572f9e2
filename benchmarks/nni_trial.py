"""A trial as a user of NNI writes it: stable-baselines3's DQN, and NNI's own functions.

`nni_speed.py` and `nni_faults.py` let NNI start it. What it was really given, and how it ended, it
writes to `truth.json` in its folder, to be compared with what NNI says of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import nni
import numpy as np
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor


class Report(BaseCallback):
    """Reports the mean of the last ten episodes to NNI."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every

    def score(self) -> float:
        """Mean return of the last ten episodes."""
        return float(
            np.mean([info["r"] for info in list(self.model.ep_info_buffer)[-10:]] or [0.0])
        )

    def _on_step(self) -> bool:
        if self.num_timesteps % self.every == 0:
            nni.report_intermediate_result(self.score())
            note(reports=self.num_timesteps // self.every)
        return True


def note(**facts: Any) -> None:
    """Adds to what is known of this trial."""
    path = Path(os.environ["NNI_OUTPUT_DIR"], "truth.json")
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--report-every", type=int, required=True)
    parser.add_argument("--replay-size", type=int, default=10**6)
    options = parser.parse_args()
    sys.path.insert(0, os.getcwd())  # where the environment of its own lies
    params = nni.get_next_parameter()
    note(params=params)
    if options.replay_size < 32:
        raise ValueError("the replay must hold a batch")
    model = DQN(
        "MlpPolicy",
        Monitor(gym.make(options.env)),
        learning_rate=params["learning_rate"],
        gamma=1 - params["1 - discount"],
        exploration_final_eps=params["epsilon_end"],
        buffer_size=options.replay_size,
    )
    report = Report(options.report_every)
    model.learn(options.steps, callback=report)
    note(final=report.score())
    nni.report_final_result(report.score())


if __name__ == "__main__":
    main()
