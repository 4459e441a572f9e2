"""Trains sweeprl on the cases of the learning table, and prints the table of all results.

    python benchmarks/learning.py --case dqn-cartpole --seed 0     # train, append a row
    python benchmarks/learning.py --case maddpg-spread --seed 0 1 2 3 4   # seeds as lanes
    python benchmarks/learning.py --case maddpg-spread --random    # what random actions reach
    python benchmarks/learning.py --table                          # both libraries, with intervals

The cases have the settings of `learning_sb3.py`, mapped key by key; what follows says how. SB3
rescales no actions for PPO, so its initial deviation of 1 is log(1/2) here, where Pendulum's
torques of +-2 are +-1.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evaluator import bootstrap_interval, evaluate, interquartile_mean

import sweeprl
from sweeprl import registry
from sweeprl.config import TrialConfig
from sweeprl.executors import LanesExecutor
from sweeprl.launcher import TrialFolder, build_learner
from sweeprl.trials import MemoryReporter, Trial

RESULTS = Path(__file__).parent / "results" / "learning.jsonl"
TABLE = Path(__file__).parent / "results" / "learning.md"
ADAM_OF_SB3_PPO = dict(eps=1e-5)


def _deterministic(frame: str, num_networks: int, **more: Any) -> dict[str, Any]:
    """A frame with a deterministic actor on Pendulum, as rl_zoo3 sets it."""
    frame_config = dict(
        actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=256, replay_size=200_000,
        warmup_steps=10_000, discount=0.98, update_rate=0.005, collect_steps=1,
        model_kwargs=[dict(hidden=[400, 300])] * num_networks,
    )  # fmt: skip
    return dict(
        frame=frame, env="Pendulum-v1", steps=20_000, num_envs=1, frame_config=frame_config | more
    )


def _imitating(discriminator_learning_rate: float) -> dict[str, Any]:
    """GAIL of what ppo-cartpole's seed 0 did in 10 greedy episodes."""
    policy = dict(
        rollout_steps=64,
        batch_size=128,
        gae_lambda=0.95,
        discount=0.98,
        actor_update_times=10,
        critic_update_times=10,
        gradient_max=0.5,
        actor_learning_rate=1e-3,
        critic_learning_rate=1e-3,
    )
    frame_config = dict(
        batch_size=64,
        discriminator_learning_rate=discriminator_learning_rate,
        discriminator_update_times=5,
        PPO_config=policy,
    )
    return dict(
        frame="GAIL", env="CartPole-v1", steps=100_000, num_envs=8, expert="ppo-cartpole",
        frame_config=frame_config,
    )  # fmt: skip


def _swinging(priority_alpha: float) -> dict[str, Any]:
    """DQNPer on Acrobot."""
    frame_config = dict(
        learning_rate=1.575e-4, batch_size=128, replay_size=50_000, warmup_steps=1000, discount=0.99,
        update_rate=None, update_steps=250, collect_steps=64, updates_per_step=0.5, exploration_steps=12_000,
        epsilon_end=0.1, criterion="SmoothL1Loss", gradient_max=10.0, priority_beta_steps=40_000,
        priority_alpha=priority_alpha, model_kwargs=[dict(hidden=[256, 256])] * 2,
    )  # fmt: skip
    return dict(
        frame="DQNPer", env="Acrobot-v1", steps=40_000, num_envs=1, frame_config=frame_config
    )


_CHEETAH = dict(
    actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=100, replay_size=100_000,
    warmup_steps=10_000, discount=0.99, update_rate=0.005, collect_steps=1,
)  # fmt: skip

CASES: dict[str, dict[str, Any]] = {
    "dqn-cartpole": dict(
        frame="DQN", env="CartPole-v1", steps=50_000, num_envs=1,
        frame_config=dict(
            learning_rate=2.3e-3, batch_size=64, replay_size=100_000, warmup_steps=1000, discount=0.99,
            # SB3 copies every 10 steps, but updates only every 256: in effect every 128 updates
            update_rate=None, update_steps=128, collect_steps=256, updates_per_step=0.5, exploration_steps=8000,
            epsilon_end=0.04, mode="fixed_target", criterion="SmoothL1Loss", gradient_max=10.0,
            model_kwargs=[dict(hidden=[256, 256])] * 2,
        ),
    ),
    "dqn-lunarlander": dict(
        frame="DQN", env="LunarLander-v3", steps=100_000, num_envs=1,
        frame_config=dict(
            learning_rate=6.3e-4, batch_size=128, replay_size=50_000, warmup_steps=0, discount=0.99,
            update_rate=None, update_steps=250, collect_steps=4, updates_per_step=1.0, exploration_steps=12_000,
            epsilon_end=0.1, mode="fixed_target", criterion="SmoothL1Loss", gradient_max=10.0,
            model_kwargs=[dict(hidden=[256, 256])] * 2,
        ),
    ),
    # Neither is in stable-baselines3: the settings of dqn-cartpole with what these frames add, and a
    # smaller step size for the distributions. Returns discounted by 0.99 are at most 100.
    "dqnper-cartpole": dict(
        frame="DQNPer", env="CartPole-v1", steps=50_000, num_envs=1,
        frame_config=dict(
            learning_rate=2.3e-3, batch_size=64, replay_size=100_000, warmup_steps=1000, discount=0.99,
            update_rate=None, update_steps=128, collect_steps=256, updates_per_step=0.5, exploration_steps=8000,
            epsilon_end=0.04, criterion="SmoothL1Loss", gradient_max=10.0, priority_beta_steps=50_000,
            model_kwargs=[dict(hidden=[256, 256])] * 2,
        ),
    ),
    "rainbow-cartpole": dict(
        frame="RAINBOW", env="CartPole-v1", steps=50_000, num_envs=1,
        frame_config=dict(
            learning_rate=5e-4, batch_size=64, replay_size=100_000, warmup_steps=1000, discount=0.99,
            update_rate=None, update_steps=128, collect_steps=256, updates_per_step=0.5, exploration_steps=8000,
            epsilon_end=0.04, gradient_max=10.0, priority_beta_steps=50_000, value_min=0.0, value_max=100.0,
            model_kwargs=[dict(hidden=[128, 128])] * 2,
        ),
    ),
    # A quarter of the step size that these settings have without priorities, as Schaul et al. have it;
    # with an exponent of 0, the control, every transition is as likely.
    "dqnper-acrobot": _swinging(priority_alpha=0.6),
    "dqnper-acrobot-uniform": _swinging(priority_alpha=0.0),
    "rainbow-acrobot": dict(
        frame="RAINBOW", env="Acrobot-v1", steps=40_000, num_envs=1,
        frame_config=dict(
            learning_rate=5e-4, batch_size=128, replay_size=50_000, warmup_steps=1000, discount=0.99,
            update_rate=None, update_steps=250, collect_steps=64, updates_per_step=0.5, exploration_steps=12_000,
            epsilon_end=0.1, gradient_max=10.0, priority_beta_steps=40_000, value_min=-100.0, value_max=0.0,
            model_kwargs=[dict(hidden=[128, 128])] * 2,
        ),
    ),
    "a2c-cartpole": dict(
        frame="A2C", env="CartPole-v1", steps=200_000, num_envs=8,
        frame_config=dict(
            rollout_steps=5, batch_size=40, gae_lambda=1.0, discount=0.99, actor_update_times=1,
            critic_update_times=1, gradient_max=0.5, normalize_advantage=False, optimizer="RMSprop",
            optimizer_kwargs=dict(alpha=0.99, eps=1e-5), actor_learning_rate=7e-4, critic_learning_rate=7e-4,
        ),
    ),
    "a2c-acrobot": dict(
        frame="A2C", env="Acrobot-v1", steps=300_000, num_envs=16,
        frame_config=dict(
            rollout_steps=5, batch_size=80, gae_lambda=1.0, discount=0.99, actor_update_times=1,
            critic_update_times=1, gradient_max=0.5, normalize_advantage=False, optimizer="RMSprop",
            optimizer_kwargs=dict(alpha=0.99, eps=1e-5), actor_learning_rate=7e-4, critic_learning_rate=7e-4,
            normalize_observation=True, normalize_reward=True,
        ),
    ),
    "a2c-pendulum": dict(
        frame="A2C", env="Pendulum-v1", steps=1_000_000, num_envs=8,
        frame_config=dict(
            rollout_steps=8, batch_size=64, gae_lambda=0.9, discount=0.9, actor_update_times=1,
            critic_update_times=1, gradient_max=0.5, normalize_advantage=False, optimizer="RMSprop",
            optimizer_kwargs=dict(alpha=0.99, eps=1e-5), actor_learning_rate=7e-4, critic_learning_rate=7e-4,
            lr_scheduler="LinearLR",
            lr_scheduler_kwargs=dict(start_factor=1.0, end_factor=0.0, total_iters=15_625),
            normalize_observation=True, normalize_reward=True, model_kwargs=[dict(log_std=math.log(0.5)), {}],
        ),
    ),
    # sb3-contrib's defaults with two directions; environments play them side by side here.
    "ars-cartpole": dict(
        frame="ARS", env="CartPole-v1", steps=50_000, num_envs=4,
        frame_config=dict(
            rollout_num=2, used_rollout_num=2, noise_std_dev=0.05, learning_rate=0.02, optimizer="SGD",
            normalize_state=False,
        ),
    ),
    "ars-acrobot": dict(
        frame="ARS", env="Acrobot-v1", steps=300_000, num_envs=16,
        frame_config=dict(
            rollout_num=8, used_rollout_num=4, noise_std_dev=0.1, learning_rate=0.02, optimizer="SGD",
            normalize_state=False,
        ),
    ),
    "ars-pendulum": dict(
        frame="ARS", env="Pendulum-v1", steps=1_000_000, num_envs=32,
        frame_config=dict(
            rollout_num=16, used_rollout_num=8, noise_std_dev=0.5, learning_rate=1.0, optimizer="SGD",
            normalize_state=False, model_kwargs=[dict(hidden=[16], bias=True)],
        ),
    ),
    "ppo-cartpole": dict(
        frame="PPO", env="CartPole-v1", steps=100_000, num_envs=8,
        frame_config=dict(
            rollout_steps=32, batch_size=256, gae_lambda=0.8, discount=0.98, actor_update_times=20,
            critic_update_times=20, gradient_max=0.5, optimizer_kwargs=ADAM_OF_SB3_PPO,
            actor_learning_rate=1e-3, critic_learning_rate=1e-3, lr_scheduler="LinearLR",
            lr_scheduler_kwargs=dict(start_factor=1.0, end_factor=0.0, total_iters=391),
        ),
    ),
    "ppo-pendulum": dict(
        frame="PPO", env="Pendulum-v1", steps=100_000, num_envs=4,
        frame_config=dict(
            rollout_steps=1024, batch_size=64, gae_lambda=0.95, discount=0.9, actor_update_times=10,
            critic_update_times=10, gradient_max=0.5, optimizer_kwargs=ADAM_OF_SB3_PPO,
            actor_learning_rate=1e-3, critic_learning_rate=1e-3,
            model_kwargs=[dict(log_std=math.log(0.5)), {}],
        ),
    ),
    "ppo-lunarlander": dict(
        frame="PPO", env="LunarLander-v3", steps=1_000_000, num_envs=16,
        frame_config=dict(
            rollout_steps=1024, batch_size=64, gae_lambda=0.98, discount=0.999, actor_update_times=4,
            critic_update_times=4, entropy_weight=0.01, gradient_max=0.5, optimizer_kwargs=ADAM_OF_SB3_PPO,
            actor_learning_rate=3e-4, critic_learning_rate=3e-4,
        ),
    ),
    "gail-cartpole": _imitating(discriminator_learning_rate=1e-3),
    # Its control: a discriminator that does not learn rewards all that an agent does about equally.
    "gail-cartpole-blind": _imitating(discriminator_learning_rate=1e-12),
    # SB3 shortens a step by 0.8, this by 0.5, at most 10 times each.
    "trpo-cartpole": dict(
        frame="TRPO", env="CartPole-v1", steps=100_000, num_envs=2,
        frame_config=dict(
            rollout_steps=512, batch_size=512, gae_lambda=0.98, discount=0.99, actor_update_times=1,
            critic_update_times=20, critic_learning_rate=1e-3, conjugate_iterations=15, kl_max_delta=0.01,
            value_weight=1.0,
        ),
    ),
    "trpo-acrobot": dict(
        frame="TRPO", env="Acrobot-v1", steps=200_000, num_envs=2,
        frame_config=dict(
            rollout_steps=1024, batch_size=128, gae_lambda=0.95, discount=0.99, actor_update_times=1,
            critic_update_times=10, critic_learning_rate=1e-3, conjugate_iterations=15, kl_max_delta=0.01,
            value_weight=1.0,
        ),
    ),
    "trpo-pendulum": dict(
        frame="TRPO", env="Pendulum-v1", steps=100_000, num_envs=2,
        frame_config=dict(
            rollout_steps=1024, batch_size=128, gae_lambda=0.95, discount=0.9, actor_update_times=1,
            critic_update_times=15, critic_learning_rate=1e-3, conjugate_iterations=15, kl_max_delta=0.01,
            value_weight=1.0, model_kwargs=[dict(log_std=math.log(0.5)), {}],
        ),
    ),
    "ddpg-pendulum": _deterministic("DDPG", 4),
    "td3-pendulum": _deterministic("TD3", 6),
    # Neither is in stable-baselines3: the settings of ddpg-pendulum with what these frames add.
    "ddpgper-pendulum": _deterministic("DDPGPer", 4, priority_beta_steps=20_000),
    "hddpg-pendulum": _deterministic("HDDPG", 4, q_decrease_rate=0.5),
    # Of discrete actions the actor gives probabilities; stable-baselines3 has no such thing.
    "ddpg-cartpole": dict(
        frame="DDPG", env="CartPole-v1", steps=50_000, num_envs=1,
        frame_config=dict(
            actor_learning_rate=1e-4, critic_learning_rate=1e-3, batch_size=128, replay_size=50_000,
            warmup_steps=1000, update_rate=0.02, collect_steps=64, updates_per_step=0.5,
            model_kwargs=[dict(hidden=[64, 64])] * 4,
        ),
    ),
    "sac-pendulum": dict(
        frame="SAC", env="Pendulum-v1", steps=20_000, num_envs=1,
        frame_config=dict(
            actor_learning_rate=1e-3, critic_learning_rate=1e-3, alpha_learning_rate=1e-3, batch_size=256,
            replay_size=1_000_000, warmup_steps=100, update_rate=0.005, collect_steps=1,
        ),
    ),
    # Networks, discount, rate of target networks and length of episodes are the paper's; its authors'
    # code has step sizes of 0.01, an update of 1024 transitions every 100 steps, and 60,000 episodes.
    "maddpg-spread": dict(
        frame="MADDPG", extension="pettingzoo", env="mpe2.simple_spread_v3", steps=100_000, num_envs=1,
        env_kwargs=dict(N=3, max_cycles=25, continuous_actions=False),
        frame_config=dict(
            actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=256, replay_size=100_000,
            warmup_steps=1000, discount=0.95, update_rate=0.01, collect_steps=100, updates_per_step=0.05,
            gradient_max=0.5, model_kwargs=[dict(hidden=[64, 64])] * 4,
        ),
    ),
    # Small networks and, as rl_zoo3 has it, correlated noise: uniform exploration reaches no flag.
    "td3-mountaincar": dict(
        frame="TD3", env="MountainCarContinuous-v0", steps=50_000, num_envs=1,
        act_kwargs=dict(mode="ou", noise_param=dict(sigma=0.5, theta=0.15, dt=0.01)),
        frame_config=dict(
            actor_learning_rate=1e-3, critic_learning_rate=1e-3, batch_size=256, replay_size=50_000,
            warmup_steps=100, discount=0.99, update_rate=0.005, collect_steps=1,
            model_kwargs=[dict(hidden=[64, 64])] * 6,
        ),
    ),
    "sac-mountaincar": dict(
        frame="SAC", env="MountainCarContinuous-v0", steps=50_000, num_envs=1,
        frame_config=dict(
            actor_learning_rate=3e-4, critic_learning_rate=3e-4, alpha_learning_rate=3e-4, batch_size=256,
            replay_size=50_000, warmup_steps=10_000, discount=0.9999, update_rate=0.01, collect_steps=32,
            model_kwargs=[dict(hidden=[64, 64])] * 5,
        ),
    ),
    "td3-halfcheetah": dict(
        frame="TD3", env="HalfCheetah-v5", steps=100_000, num_envs=1,
        frame_config=_CHEETAH | dict(model_kwargs=[dict(hidden=[256, 256])] * 6),
    ),
    "sac-halfcheetah": dict(
        frame="SAC", env="HalfCheetah-v5", steps=100_000, num_envs=1,
        frame_config=_CHEETAH | dict(alpha_learning_rate=1e-3, model_kwargs=[dict(hidden=[256, 256])] * 5),
    ),
}  # fmt: skip


def config_of(name: str, seed: int, root_dir: str) -> dict[str, Any]:
    """A case as a config."""
    case = CASES[name]
    config = sweeprl.generate_algorithm_config(case["frame"])
    config["frame_config"].update(case["frame_config"])
    if "expert" in case:
        config["frame_config"]["expert_trajectory_path"] = str(expert_of(case["expert"]))
    config = sweeprl.generate_env_config(
        case.get("extension", "gymnasium"), config, env_name=case["env"], render_every_episode=0,
        env_kwargs=case.get("env_kwargs", {}),
    )  # fmt: skip
    config["train_env_config"]["act_kwargs"] = case.get("act_kwargs", {})
    return sweeprl.generate_training_config(
        root_dir=root_dir, config=config, seed=seed, max_env_steps=case["steps"], max_episodes=10**9,
        num_envs=case["num_envs"], logger=["csv"], gpus=None,
        evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1),
    )  # fmt: skip


def expert_of(name: str, episodes: int = 10) -> Path:
    """What the first seed of a case does when it is trained; kept where temporary files are."""
    path = Path(tempfile.gettempdir(), f"sweeprl-expert-{name}.data")
    if not path.exists():
        root_dir = tempfile.mkdtemp()
        sweeprl.launch(config_of(name, 0, root_dir), view="none")
        returns, _ = sweeprl.evaluate(root_dir, episodes, save_trajectories=path)
        print(f"the expert {name}: {np.mean(returns):.1f} over {episodes} episodes")
    return path


def train(name: str, seed: int) -> dict[str, Any]:
    """Trains one case; judges the last policy, as SB3's is, not the best one."""
    config = TrialConfig.of(config_of(name, seed, tempfile.mkdtemp()))
    return judged(name, config, sweeprl.launch(config, view="none"))


def train_lanes(name: str, seeds: list[int]) -> list[dict[str, Any]]:
    """Trains a case on several seeds in lock-step; seconds are those of all of them."""
    configs = [TrialConfig.of(config_of(name, seed, tempfile.mkdtemp())) for seed in seeds]
    reporters = [MemoryReporter() for _ in seeds]
    trials = (Trial(c, r) for c, r in zip(configs, reporters, strict=True))
    LanesExecutor(len(seeds), num_threads=1).run(trials)
    records = [reporter.outcome.records[0] for reporter in reporters]
    return [judged(name, c, record) for c, record in zip(configs, records, strict=True)]


def judged(name: str, config: TrialConfig, record: Any) -> dict[str, Any]:
    """The row of a trial."""
    seed, root_dir = config.seed, config.root_dir
    if record.status != "finished":
        raise SystemExit(f"{name} {seed} was {record.status}: {record.reason}; no row is written")
    extension = registry.envs.get(config.env)()
    learner = build_learner(config, extension)
    last = torch.load(TrialFolder(Path(root_dir)).last, weights_only=True)
    learner.load_weights(last["learner"]["weights"])
    adapt = extension.create_copies(config, "evaluation")._adapt

    def policy(observation: np.ndarray) -> Any:
        states = np.asarray(observation, np.float32)[None]
        return adapt(learner.act(states, greedy=True))[0]

    returns = evaluate(policy, partial(extension.make, config.test_env_config))
    agreement = {}
    if "expert" in CASES[name]:
        expert = torch.load(expert_of(CASES[name]["expert"]), weights_only=True)
        actions = learner.act(expert["state"].numpy(), greedy=True)
        agreement = dict(
            agreement=round(float((actions == expert["action"][:, 0].numpy()).mean()), 3)
        )
    return dict(
        case=name, library="sweeprl", seed=seed, seconds=round(record.seconds, 1),
        env_steps=record.env_steps, returns=[round(value, 3) for value in returns], **agreement,
    )  # fmt: skip


def play_randomly(name: str, seed: int) -> dict[str, Any]:
    """The row of uniformly random actions."""
    config = TrialConfig.of(config_of(name, seed, "unused"))
    make = partial(registry.envs.get(config.env)().make, config.test_env_config)
    env = make()
    env.action_space.seed(seed)
    returns = evaluate(lambda _: env.action_space.sample(), make)
    return dict(
        case=name, library="random", seed=seed, seconds=0.0, env_steps=0,
        returns=[round(value, 3) for value in returns],
    )  # fmt: skip


def table() -> str:
    """One line for each case and library: over seeds, of the mean of 100 greedy episodes."""
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    lines = [
        "| case | library | seeds | mean | 95 % interval | IQM | 95 % interval | not below SB3 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        intervals = {}
        for library in ("sb3", "random", "sweeprl"):
            mine = [row for row in rows if (row["case"], row["library"]) == (case, library)]
            if not mine:
                continue
            per_seed = np.array([np.mean(row["returns"]) for row in mine])
            mean, iqm = float(per_seed.mean()), interquartile_mean(per_seed)
            spans = [bootstrap_interval(per_seed, f) for f in (np.mean, interquartile_mean)]
            intervals[library] = spans[0]
            verdict = ""
            if library == "sweeprl" and "sb3" in intervals:
                verdict = "yes" if spans[0][1] >= intervals["sb3"][0] else "NO"
            texts = [f"{low:.1f} to {high:.1f}" for low, high in spans]
            seeds = ",".join(str(row["seed"]) for row in sorted(mine, key=lambda row: row["seed"]))
            lines.append(
                f"| {case} | {library} | {seeds} | {mean:.1f} | {texts[0]} | {iqm:.1f} | "
                f"{texts[1]} | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="several are lanes")
    parser.add_argument("--random", action="store_true", help="act at random instead of training")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--dry", action="store_true", help="print the row instead of appending it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.case:
        case, seeds = arguments.case, arguments.seed
        if arguments.random:
            rows = [play_randomly(case, seed) for seed in seeds]
        else:
            rows = [train(case, seeds[0])] if len(seeds) == 1 else train_lanes(case, seeds)
        for row in rows:
            if not arguments.dry:
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            mean = sum(row["returns"]) / len(row["returns"])
            print(row["case"], row["seed"], mean, row["seconds"], "s")
    if arguments.table:
        TABLE.write_text(table())
        print(table())


if __name__ == "__main__":
    main()
