"""Whether a lane learns what a single trial learns: final scores of 20 lanes and of 20 single runs.

    python benchmarks/lane_learning.py [--case dqn] [--runs 20] [--processes 2] [--save]

Both get the same config but for the seed (lanes from 100 on, single runs from 0 on); single runs go
through `sweeprl.launch`, lanes through the executor. The score is `final`. Intervals are 95 %
bootstrap intervals of the mean; the distributions are compared with a two-sample Kolmogorov-Smirnov
test, whose p-value comes from permutations.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from typing import Any

import numpy as np
import torch
from rows import show

import sweeprl
from sweeprl.config import TrialConfig
from sweeprl.executors import LanesExecutor
from sweeprl.launcher import versions
from sweeprl.trials import MemoryReporter, Trial

CASES: dict[str, dict[str, Any]] = {
    "dqn": dict(frame="DQN", env="CartPole-v1", steps=12_000, num_envs=1, hidden=[64, 64],
                frame_config=dict(collect_steps=64, warmup_steps=500, exploration_steps=4000, learning_rate=1e-3)),
    "ppo": dict(frame="PPO", env="CartPole-v1", steps=40_000, num_envs=8, hidden=[64, 64],
                frame_config=dict(rollout_steps=128, batch_size=64, actor_update_times=4, critic_update_times=4,
                                  actor_learning_rate=1e-3, critic_learning_rate=1e-3, gae_lambda=0.95)),
    "sac": dict(frame="SAC", env="Pendulum-v1", steps=6000, num_envs=1, hidden=[64, 64],
                frame_config=dict(collect_steps=64, batch_size=64, warmup_steps=500, update_rate=0.01,
                                  actor_learning_rate=1e-3, critic_learning_rate=1e-3)),
}  # fmt: skip


def config_of(case: dict[str, Any], seed: int, folder: str) -> TrialConfig:
    config = sweeprl.generate_algorithm_config(case["frame"])
    roles = len(config["frame_config"]["models"])
    config["frame_config"].update(
        case["frame_config"], model_kwargs=[dict(hidden=case["hidden"])] * roles
    )
    config = sweeprl.generate_env_config(
        "gymnasium", config, env_name=case["env"], render_every_episode=0
    )
    plain = sweeprl.generate_training_config(
        root_dir=f"{folder}/{seed}", config=config, seed=seed, max_env_steps=case["steps"], num_envs=case["num_envs"],
        evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1), logger=[], gpus=None,
    )  # fmt: skip
    return TrialConfig.of(plain)


def single(job: tuple[dict[str, Any], int, str]) -> float:
    torch.set_num_threads(1)
    score = sweeprl.launch(config_of(*job), view="none").score
    assert score is not None
    return score


def lanes(case: dict[str, Any], folder: str, runs: int) -> list[float]:
    reporters = [MemoryReporter() for _ in range(runs)]
    trials = [Trial(config_of(case, 100 + n, folder), r) for n, r in enumerate(reporters)]
    LanesExecutor().run(trials)
    outcomes = [reporter.outcome for reporter in reporters]
    return [o.score for o in outcomes if o is not None and o.score is not None]


def summary(scores: list[float]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    means = rng.choice(scores, (10_000, len(scores))).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return dict(mean=round(float(np.mean(scores)), 1), interval=[round(low, 1), round(high, 1)],
                median=round(float(np.median(scores)), 1))  # fmt: skip


def kolmogorov_smirnov(one: list[float], other: list[float]) -> float:
    """The p-value for equal distributions."""
    pooled, rng = np.array(one + other), np.random.default_rng(0)
    places = np.sort(pooled)

    def distance(values: Any) -> float:
        a, b = np.sort(values[: len(one)]), np.sort(values[len(one) :])
        gaps = np.searchsorted(a, places, "right") / len(a) - np.searchsorted(
            b, places, "right"
        ) / len(b)
        return float(np.abs(gaps).max())

    seen = distance(pooled)
    return float(np.mean([distance(rng.permutation(pooled)) >= seen - 1e-12 for _ in range(2000)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--save", action="store_true", help="append to results/lane_learning.jsonl")
    arguments = parser.parse_args()
    for name in arguments.case or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            jobs = [(case, seed, folder) for seed in range(arguments.runs)]
            with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
                alone = pool.map(single, jobs, chunksize=1)
            together = lanes(case, folder, arguments.runs)
        row = dict(
            case=name, env=case["env"], steps=case["steps"], runs=arguments.runs, single=summary(alone), lanes=summary(together),
            p_value=round(kolmogorov_smirnov(alone, together), 3), single_scores=[round(s, 1) for s in alone],
            lane_scores=[round(s, 1) for s in together], versions=versions(),
        )  # fmt: skip
        show(row, "lane_learning", arguments.save)


if __name__ == "__main__":
    main()
