"""Many trials from start to ranked scores in one process, in wall-clock seconds.

    python benchmarks/population.py --trials 1024 --steps 50000 [--save]

DQN on CartPole-v1 (environment extension `torch`), learning rate, discount, target update rate,
exploration and gradient clipping drawn at random. The clock runs from the start of the program to
the printed ranking: imports, checks, training, an evaluation every 10,000 steps, the final test of
every trial, and all files. The ten best are then judged anew on 100 episodes of Gymnasium's own
CartPole-v1.
"""

# ruff: noqa: E402 (the clock starts before the imports)
from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse
import shutil
import statistics
from pathlib import Path

import numpy as np
import torch
from rows import show

import sweeprl
from sweeprl.config import TrialConfig
from sweeprl.executors import LanesExecutor
from sweeprl.launcher import TrialFolder, versions
from sweeprl.trials import MemoryReporter, Trial


def base(steps: int, root: Path) -> TrialConfig:
    config = sweeprl.generate_algorithm_config("DQN")
    config["frame_config"].update(batch_size=100, replay_size=50_000, mode="double")
    config = sweeprl.generate_env_config("torch", config, env_name="CartPole-v1")
    plain = sweeprl.generate_training_config(
        root_dir=str(root), config=config, max_env_steps=steps, logger=["csv"],
        evaluation=dict(episodes=5, every_env_steps=10_000, final_episodes=20),
    )  # fmt: skip
    return TrialConfig.of(plain)


def proposal(config: TrialConfig, number: int) -> TrialConfig:
    """Random search; validated as a whole, as a sweep's merge does."""
    rng = np.random.default_rng(number)
    drawn = dict(
        learning_rate=float(10 ** rng.uniform(-4.5, -2)),
        discount=float(1 - 10 ** rng.uniform(-3, -1.3)),
        update_rate=float(10 ** rng.uniform(-3, -1)),
        epsilon_decay=float(1 - 10 ** rng.uniform(-4, -2.5)),
        gradient_max=float(10 ** rng.uniform(-0.5, 1)),
    )
    frame_config = type(config.frame_config)(**{**config.frame_config.model_dump(), **drawn})
    root = str(Path(config.root_dir) / f"trial-{number:04}")
    return config.model_copy(update=dict(frame_config=frame_config, root_dir=root, seed=number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--lanes", type=int)
    parser.add_argument("--folder", type=Path, default=Path("trial/population"))
    parser.add_argument("--judged", type=int, default=10, help="how many of the best to judge anew")
    parser.add_argument("--episodes", type=int, default=100, help="episodes of each judgement")
    parser.add_argument("--save", action="store_true", help="append to results/population.jsonl")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.folder, ignore_errors=True)
    config = base(arguments.steps, arguments.folder)
    reporters = [MemoryReporter() for _ in range(arguments.trials)]
    trials = (Trial(proposal(config, n), reporter) for n, reporter in enumerate(reporters))
    LanesExecutor(num_lanes=arguments.lanes).run(trials)
    outcomes = [(r.outcome.score or 0.0, n) for n, r in enumerate(reporters) if r.outcome]
    ranking = sorted(outcomes, reverse=True)
    seconds = time.perf_counter() - STARTED
    for score, number in ranking[:10]:
        print(f"trial {number}: {score:.1f}")
    judged = [
        judge(arguments.folder / f"trial-{number:04}", arguments.episodes)
        for _, number in ranking[: arguments.judged]
    ]
    statuses = [r.outcome.status for r in reporters if r.outcome]
    row = dict(
        device=torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
        trials=arguments.trials, steps=arguments.steps, seconds=round(seconds, 1),
        lane_steps_per_second=round(arguments.trials * arguments.steps / seconds),
        finished=statuses.count("finished"), failed=statuses.count("failed"),
        solved=sum(score >= 475 for score, _ in ranking),
        best_scores=[round(score, 1) for score, _ in ranking[:10]],
        best_judged=[round(mean, 1) for mean in judged], versions=versions(),
    )  # fmt: skip
    show(row, "population", arguments.save)


def judge(folder: Path, episodes: int) -> float:
    """Mean return of the best checkpoint in episodes of Gymnasium's environment."""
    assert TrialFolder(folder).best.exists()
    return statistics.fmean(sweeprl.evaluate(folder, episodes=episodes)[0])


if __name__ == "__main__":
    main()
