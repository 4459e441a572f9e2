"""Trains stable-baselines3 on one case of the learning table and appends a row to the results.

    python benchmarks/learning_sb3.py --case dqn-cartpole --seed 0

The settings are rl_zoo3's published ones. Where rl_zoo3 uses something that only one of the two
libraries has (state-dependent exploration, a clip range that decays), it is left out on both sides.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evaluator import evaluate
from sb3_contrib import ARS, TRPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import VecNormalize

RESULTS = Path(__file__).parent / "results" / "learning.jsonl"


def linear(initial: float) -> Callable[[float], float]:
    """A schedule from `initial` to 0 over the run, as rl_zoo3's `lin_` prefix."""
    return lambda progress_remaining: progress_remaining * initial


DETERMINISTIC: dict[str, Any] = dict(
    env="Pendulum-v1", steps=20_000, num_envs=1, gamma=0.98, buffer_size=200_000,
    learning_starts=10_000, learning_rate=1e-3, train_freq=1, gradient_steps=1,
    action_noise=NormalActionNoise(np.zeros(1), np.full(1, 0.1)),
    policy_kwargs=dict(net_arch=[400, 300]),
)  # fmt: skip
"""Of both frames with a deterministic actor."""

CHEETAH: dict[str, Any] = dict(
    steps=100_000, num_envs=1, learning_rate=1e-3, batch_size=100, buffer_size=100_000,
    learning_starts=10_000, train_freq=1, gradient_steps=1, policy_kwargs=dict(net_arch=[256, 256]),
)  # fmt: skip

CASES: dict[str, dict[str, Any]] = {
    "dqn-cartpole": dict(
        algorithm=DQN, env="CartPole-v1", steps=50_000, num_envs=1,
        learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1000, gamma=0.99,
        target_update_interval=10, train_freq=256, gradient_steps=128, exploration_fraction=0.16,
        exploration_final_eps=0.04, policy_kwargs=dict(net_arch=[256, 256]),
    ),
    "dqn-lunarlander": dict(
        algorithm=DQN, env="LunarLander-v3", steps=100_000, num_envs=1,
        learning_rate=6.3e-4, batch_size=128, buffer_size=50_000, learning_starts=0, gamma=0.99,
        target_update_interval=250, train_freq=4, gradient_steps=-1, exploration_fraction=0.12,
        exploration_final_eps=0.1, policy_kwargs=dict(net_arch=[256, 256]),
    ),
    # SB3's defaults.
    "a2c-cartpole": dict(
        algorithm=A2C, env="CartPole-v1", steps=200_000, num_envs=8, ent_coef=0.0,
    ),
    "a2c-acrobot": dict(
        algorithm=A2C, env="Acrobot-v1", steps=300_000, num_envs=16, ent_coef=0.0, is_normalized=True,
    ),
    "a2c-pendulum": dict(
        algorithm=A2C, env="Pendulum-v1", steps=1_000_000, num_envs=8, ent_coef=0.0, n_steps=8,
        gae_lambda=0.9, gamma=0.9, vf_coef=0.4, learning_rate=linear(7e-4), is_normalized=True,
    ),
    "ars-cartpole": dict(
        algorithm=ARS, policy="LinearPolicy", env="CartPole-v1", steps=50_000, num_envs=1, n_delta=2,
    ),
    "ars-acrobot": dict(
        algorithm=ARS, policy="LinearPolicy", env="Acrobot-v1", steps=300_000, num_envs=1,
        n_delta=8, n_top=4, delta_std=0.1, learning_rate=0.02,
    ),
    "ppo-cartpole": dict(
        algorithm=PPO, env="CartPole-v1", steps=100_000, num_envs=8,
        n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, ent_coef=0.0,
        learning_rate=linear(1e-3), clip_range=0.2,
    ),
    "ppo-pendulum": dict(
        algorithm=PPO, env="Pendulum-v1", steps=100_000, num_envs=4,
        n_steps=1024, gae_lambda=0.95, gamma=0.9, n_epochs=10, ent_coef=0.0,
        learning_rate=1e-3, clip_range=0.2,
    ),
    "ppo-lunarlander": dict(
        algorithm=PPO, env="LunarLander-v3", steps=1_000_000, num_envs=16,
        n_steps=1024, batch_size=64, gae_lambda=0.98, gamma=0.999, n_epochs=4, ent_coef=0.01,
    ),
    # TRPO's and ARS's settings are chosen here, not rl_zoo3's.
    "trpo-cartpole": dict(
        algorithm=TRPO, env="CartPole-v1", steps=100_000, num_envs=2,
        n_steps=512, batch_size=512, cg_damping=0.1, gae_lambda=0.98, gamma=0.99,
        learning_rate=1e-3, n_critic_updates=20,
    ),
    "trpo-acrobot": dict(
        algorithm=TRPO, env="Acrobot-v1", steps=200_000, num_envs=2,
        n_steps=1024, cg_damping=0.1, gae_lambda=0.95, gamma=0.99,
    ),
    "trpo-pendulum": dict(
        algorithm=TRPO, env="Pendulum-v1", steps=100_000, num_envs=2,
        n_steps=1024, cg_damping=0.1, gae_lambda=0.95, gamma=0.9,
        learning_rate=1e-3, n_critic_updates=15,
    ),
    "ddpg-pendulum": dict(algorithm=DDPG, **DETERMINISTIC),
    "td3-pendulum": dict(algorithm=TD3, **DETERMINISTIC),
    "sac-pendulum": dict(
        algorithm=SAC, env="Pendulum-v1", steps=20_000, num_envs=1, learning_rate=1e-3,
    ),
    "td3-mountaincar": dict(
        algorithm=TD3, env="MountainCarContinuous-v0", steps=50_000, num_envs=1, learning_starts=100,
        buffer_size=50_000, policy_kwargs=dict(net_arch=[64, 64]),
        action_noise=OrnsteinUhlenbeckActionNoise(np.zeros(1), np.full(1, 0.5)),
    ),
    "sac-mountaincar": dict(
        algorithm=SAC, env="MountainCarContinuous-v0", steps=50_000, num_envs=1, learning_starts=10_000,
        buffer_size=50_000, gamma=0.9999, tau=0.01, train_freq=32, gradient_steps=32,
        policy_kwargs=dict(net_arch=[64, 64]),
    ),
    "td3-halfcheetah": dict(
        algorithm=TD3, env="HalfCheetah-v5", **CHEETAH,
        action_noise=NormalActionNoise(np.zeros(6), np.full(6, 0.1)),
    ),
    "sac-halfcheetah": dict(algorithm=SAC, env="HalfCheetah-v5", **CHEETAH),
}  # fmt: skip


def main() -> None:
    """Trains one case on one seed and appends its row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = dict(CASES[arguments.case])
    algorithm, env_id = settings.pop("algorithm"), settings.pop("env")
    policy = settings.pop("policy", "MlpPolicy")
    steps, num_envs = settings.pop("steps"), settings.pop("num_envs")
    env = make_vec_env(env_id, n_envs=num_envs, seed=arguments.seed)
    is_normalized = settings.pop("is_normalized", False)
    if is_normalized:
        env = VecNormalize(env, gamma=settings.get("gamma", 0.99))
    started = time.perf_counter()
    model = algorithm(policy, env, seed=arguments.seed, device="cpu", **settings).learn(steps)
    seconds = time.perf_counter() - started

    def act(observation: np.ndarray) -> Any:
        seen = env.normalize_obs(observation) if is_normalized else observation
        return model.predict(seen, deterministic=True)[0]

    returns = evaluate(act, env_id)
    row = dict(
        case=arguments.case, library="sb3", seed=arguments.seed, seconds=round(seconds, 1),
        env_steps=model.num_timesteps, returns=[round(value, 3) for value in returns],
    )  # fmt: skip
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(arguments.case, arguments.seed, sum(returns) / len(returns), f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
