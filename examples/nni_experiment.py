"""Tunes DQN with NNI from Python, with a trial of one's own: this file is both.

python examples/nni_experiment.py --trials 4 --max-env-steps 5000

As a program: init NNI with a search space; while NNI has the next parameters p, start a trial with
p and report its performance. The loop is NNI's: it starts this file anew for every p.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import yaml

import sweeprl
from sweeprl.nni import create, watch, write_experiment
from sweeprl.trials.backend import detect_backend


def base_config(max_env_steps: int) -> sweeprl.TrialConfig:
    """What the proposals are put into."""
    config = sweeprl.generate_algorithm_config("DQN")
    config = sweeprl.generate_env_config(
        "gymnasium", config, env_name="CartPole-v1", render_every_episode=0
    )
    config = sweeprl.generate_training_config(config=config, max_env_steps=max_env_steps)
    return sweeprl.TrialConfig.of(config)


def tune(arguments: argparse.Namespace) -> None:
    """Writes an experiment whose trial command is this file, and runs it to its end."""
    base = base_config(arguments.max_env_steps)
    space = sweeprl.SearchSpace.of_config(base).only("learning_rate", "discount", "batch_size")
    files = write_experiment(base, arguments.output, space, trials=arguments.trials)
    content = yaml.safe_load(files.config.read_text())
    content["trialCommand"] = shlex.join(
        [sys.executable, __file__, "--max-env-steps", str(arguments.max_env_steps)]
    )
    files.config.write_text(yaml.safe_dump(content))
    outcome = watch(create(arguments.output))
    print(f"{outcome.status}: {outcome.trials}")


def main() -> None:
    """Is the experiment, or one of its trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--max-env-steps", type=int, default=5000)
    parser.add_argument("--output", default="experiment")
    arguments = parser.parse_args()

    backend = detect_backend()
    if backend is None:
        tune(arguments)
        return

    from sweeprl.trials.proposed import train_and_end  # which imports torch

    train_and_end(base_config(arguments.max_env_steps), backend, Path.cwd())


if __name__ == "__main__":
    main()
