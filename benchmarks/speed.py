"""Environment steps per second of one trial, beside stable-baselines3, on one thread or one GPU.

    python benchmarks/speed.py [--case dqn] [--repeats 5] [--gpu]

Each repeat runs stable-baselines3, the bare engine (learner and dataset, no Lightning) and the
whole launcher one after the other on the same case; ratios are taken within a repeat, so that a
machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import sweeprl
from sweeprl import registry
from sweeprl.config import TrialConfig
from sweeprl.launcher import build_learner, build_module

RESULTS = Path(__file__).parent / "results"

CASES: dict[str, dict[str, Any]] = {
    "dqn": dict(
        what="DQN, CartPole-v1, 2x64, batch 100, one update per step", env="CartPole-v1", steps=6000, num_envs=1,
        frame="DQN", frame_config=dict(mode="fixed_target", warmup_steps=200, replay_size=50_000),
        sb3=dict(batch_size=100, learning_starts=200, train_freq=1, gradient_steps=1, buffer_size=50_000,
                 tau=0.005, target_update_interval=1, policy_kwargs=dict(net_arch=[64, 64])),
    ),
    "ppo": dict(
        what="PPO, CartPole-v1, 8 environments, 2x64, 256 steps, batch 64, 10 epochs", env="CartPole-v1", steps=24_576, num_envs=8,
        frame="PPO", frame_config=dict(rollout_steps=256, batch_size=64, actor_update_times=10, critic_update_times=10,
                                       gradient_max=0.5, gae_lambda=0.95),
        sb3=dict(n_steps=256, batch_size=64, n_epochs=10),
    ),
    "sac": dict(
        what="SAC, Pendulum-v1, 2x64, batch 100, one update per step", env="Pendulum-v1", steps=2500, num_envs=1,
        frame="SAC", frame_config=dict(batch_size=100, warmup_steps=100, replay_size=50_000,
                                       model_kwargs=[dict(hidden=[64, 64])] * 5),
        sb3=dict(batch_size=100, learning_starts=100, buffer_size=50_000, policy_kwargs=dict(net_arch=[64, 64])),
    ),
    "sac-256": dict(
        what="SAC, Pendulum-v1, 2x256, batch 256, one update per step", env="Pendulum-v1", steps=1500, num_envs=1,
        frame="SAC", frame_config=dict(batch_size=256, warmup_steps=100, replay_size=50_000),
        sb3=dict(batch_size=256, learning_starts=100, buffer_size=50_000),
    ),
    "a2c": dict(
        what="A2C, CartPole-v1, 8 environments, 2x64, 5 steps", env="CartPole-v1", steps=60_000, num_envs=8,
        frame="A2C", frame_config=dict(rollout_steps=5, batch_size=40, actor_update_times=1, critic_update_times=1,
                                       gradient_max=0.5, gae_lambda=1.0, normalize_advantage=False, optimizer="RMSprop"),
        sb3=dict(n_steps=5),
    ),
    "trpo": dict(
        what="TRPO, CartPole-v1, 2 environments, 2x64, 512 steps, 15 conjugate steps", env="CartPole-v1", steps=20_480, num_envs=2,
        frame="TRPO", frame_config=dict(rollout_steps=512, batch_size=128, gae_lambda=0.95, actor_update_times=1,
                                        critic_update_times=10, conjugate_iterations=15, value_weight=1.0),
        sb3=dict(n_steps=512, batch_size=128, n_critic_updates=10),
    ),
    "ars": dict(
        what="ARS, Pendulum-v1, linear, 8 directions", env="Pendulum-v1", steps=32_000, num_envs=16,
        frame="ARS", frame_config=dict(rollout_num=8, used_rollout_num=8, normalize_state=False, optimizer="SGD"),
        sb3=dict(n_delta=8), sb3_num_envs=1, policy="LinearPolicy",
    ),
    "ddpg": dict(
        what="DDPG, Pendulum-v1, 2x64, batch 100, one update per step", env="Pendulum-v1", steps=4000, num_envs=1,
        frame="DDPG", frame_config=dict(batch_size=100, warmup_steps=100, replay_size=50_000,
                                       model_kwargs=[dict(hidden=[64, 64])] * 4),
        sb3=dict(batch_size=100, learning_starts=100, train_freq=1, gradient_steps=1, buffer_size=50_000,
                 policy_kwargs=dict(net_arch=[64, 64])),
    ),
    "td3": dict(
        what="TD3, Pendulum-v1, 2x64, batch 100, one update per step", env="Pendulum-v1", steps=4000, num_envs=1,
        frame="TD3", frame_config=dict(batch_size=100, warmup_steps=100, replay_size=50_000,
                                       model_kwargs=[dict(hidden=[64, 64])] * 6),
        sb3=dict(batch_size=100, learning_starts=100, train_freq=1, gradient_steps=1, buffer_size=50_000,
                 policy_kwargs=dict(net_arch=[64, 64])),
    ),
}  # fmt: skip


def config_of(case: dict[str, Any], root_dir: str) -> dict[str, Any]:
    """The case as a config without evaluation, videos and TensorBoard; SB3 has none of them either."""
    config = sweeprl.generate_algorithm_config(case["frame"])
    config["frame_config"].update(case["frame_config"])
    config = sweeprl.generate_env_config(
        "gymnasium", config, env_name=case["env"], render_every_episode=0
    )
    return sweeprl.generate_training_config(
        root_dir=root_dir,
        config=config,
        max_env_steps=case["steps"],
        num_envs=case["num_envs"],
        vectorization=case.get("vectorization", "sync"),
        evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1),
        logger=["csv"],
        gpus=case.get("gpus"),
    )


def run_sb3(case: dict[str, Any]) -> float:
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env(case["env"], n_envs=case.get("sb3_num_envs", case["num_envs"]), seed=0)
    library = stable_baselines3 if hasattr(stable_baselines3, case["frame"]) else sb3_contrib
    algorithm = getattr(library, case["frame"])
    policy = case.get("policy", "MlpPolicy")
    device = "cuda" if case.get("gpus") else "cpu"
    model = algorithm(policy, env, seed=0, device=device, **case["sb3"])
    started = time.perf_counter()
    model.learn(case["steps"])
    return model.num_timesteps / (time.perf_counter() - started)


def run_engine(case: dict[str, Any]) -> float:
    config = TrialConfig.of(config_of(case, tempfile.mkdtemp()))
    extension = registry.envs.get(config.env)()
    module = build_module(config, extension, build_learner(config, extension))
    started = time.perf_counter()
    for result in module.train_data:
        module.learner.store(result.transitions)
        module.learner.update()
    return module.train_data.env_steps / (time.perf_counter() - started)


def run_launcher(case: dict[str, Any]) -> float:
    """Counts what `fit` took: start-up and the final test are measured elsewhere."""
    from pytorch_lightning.callbacks import Callback

    class Clock(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.started = time.perf_counter()

        def on_train_batch_end(self, *_: Any) -> None:
            self.ended = time.perf_counter()

    clock = Clock()
    record = sweeprl.launch(config_of(case, tempfile.mkdtemp()), [clock], view="none")
    return record.env_steps / (clock.ended - clock.started)


RUNNERS: dict[str, Callable[[dict[str, Any]], float]] = {
    "sb3": run_sb3,
    "engine": run_engine,
    "launcher": run_launcher,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--gpu", action="store_true", help="both libraries on the GPU")
    parser.add_argument("--save", action="store_true", help="write a file in results/")
    parser.add_argument("--results", type=Path, default=RESULTS, help="another folder for it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = {}
    for name in arguments.case or CASES:
        case = CASES[name] | ({"gpus": [0]} if arguments.gpu else {})
        rates: dict[str, list[float]] = {key: [] for key in RUNNERS}
        for _ in range(arguments.repeats):
            for key, runner in RUNNERS.items():
                rates[key].append(runner(case))
        ratios = [
            ours / theirs for ours, theirs in zip(rates["launcher"], rates["sb3"], strict=True)
        ]
        costs = [
            1 - whole / bare for whole, bare in zip(rates["launcher"], rates["engine"], strict=True)
        ]
        row = {key: round(statistics.median(values)) for key, values in rates.items()}
        row |= {
            "ratio": [round(f(ratios), 2) for f in (min, statistics.median, max)],
            "launcher_cost": [round(f(costs), 3) for f in (min, statistics.median, max)],
        }
        table[name] = {"what": case["what"], **row}
        print(name, json.dumps(row))
    if arguments.save:
        found = {"versions": sweeprl.launcher.record.versions(), "cases": table}
        if arguments.gpu:
            found = {"gpu": torch.cuda.get_device_name(), **found}
        name = "speed_gpu.json" if arguments.gpu else "speed.json"
        (arguments.results / name).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
