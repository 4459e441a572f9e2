"""Time from `sweeprl run` to the first environment step, and where it goes.

    python benchmarks/startup.py [--repeats 5] [--save]

Runs the real command in a fresh process each time; a wrapper that the config names takes the time of the
first step. The stages before it are fresh interpreters that import so much and no more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sweeprl

RESULTS = Path(__file__).parent / "results" / "startup.json"

PROBE = '''
import os, time
import gymnasium as gym

class FirstStep(gym.Wrapper):
    """Writes down when the first step comes."""

    def step(self, action):
        path = os.environ["FIRST_STEP"]
        if not os.path.exists(path):
            open(path, "w").write(repr(time.time()))
        return self.env.step(action)
'''


def write_config(folder: Path) -> Path:
    config = sweeprl.generate_algorithm_config("DQN")
    config = sweeprl.generate_env_config(
        "gymnasium", config, render_every_episode=0, wrappers=["probe.FirstStep"]
    )
    config = sweeprl.generate_training_config(
        root_dir=str(folder / "trial"), config=config, max_env_steps=20, logger=["csv"]
    )
    sweeprl.save_config(config, folder / "config.json")
    (folder / "probe.py").write_text(PROBE)
    return folder / "config.json"


def first_step_after() -> float:
    """Seconds from the start of the process to the first step."""
    folder = Path(tempfile.mkdtemp())
    config, mark = write_config(folder), folder / "first_step"
    command = [sys.executable, "-m", "sweeprl", "run", "--config", str(config), "--quiet"]
    started = time.time()
    subprocess.run(command, check=True, env={**os.environ, "FIRST_STEP": str(mark)})
    return float(mark.read_text()) - started


def seconds_of(code: str) -> float:
    """Seconds that a fresh interpreter takes for `code`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


STAGES = {
    "the interpreter": "pass",
    "import torch": "import torch",
    "import torch, pytorch_lightning": "import torch, pytorch_lightning",
    "import torch, pytorch_lightning, gymnasium, pydantic": (
        "import torch, pytorch_lightning, gymnasium, pydantic"
    ),
    "import all that `sweeprl run` imports": "from sweeprl.launcher import launch; import sweeprl.frames.dqn, sweeprl.envs.gymnasium",
    "sweeprl list": "import sys; sys.argv = ['sweeprl', 'list']; from sweeprl.cli import main; main()",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    timings: dict[str, list[float]] = {stage: [] for stage in STAGES}
    timings["from `sweeprl run` to the first step"] = []
    for _ in range(arguments.repeats):
        for stage, code in STAGES.items():
            timings[stage].append(seconds_of(code))
        timings["from `sweeprl run` to the first step"].append(first_step_after())
    table: dict[str, Any] = {
        stage: [round(f(values), 2) for f in (min, statistics.median, max)]
        for stage, values in timings.items()
    }
    print(json.dumps(table, indent=2))
    if arguments.save:
        RESULTS.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
