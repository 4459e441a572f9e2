import pytest

import sweeprl
from sweeprl.config import Discrete, EnvSpec
from tests.engine.agents import expert_of
from tests.frame_environments import ENVS, EXTENSIONS

REPLAY = dict(warmup_steps=100, batch_size=16, updates_per_step=0.25)
SMALL = {
    "DQN": REPLAY,
    "DQNPer": dict(**REPLAY, replay_size=300),
    "RAINBOW": dict(**REPLAY, replay_size=300),
    "ARS": dict(rollout_num=2, used_rollout_num=1),
    "A2C": dict(rollout_steps=64, batch_size=32, actor_update_times=2, critic_update_times=2),
    "TRPO": dict(rollout_steps=64, batch_size=32, critic_update_times=2),
    "PPO": dict(rollout_steps=64, batch_size=32, actor_update_times=2, critic_update_times=2),
    "GAIL": dict(
        batch_size=32,
        expert_trajectory_path=str(expert_of(EnvSpec(4, Discrete(2)))),
        PPO_config=dict(
            rollout_steps=64, batch_size=32, actor_update_times=2, critic_update_times=2
        ),
    ),
    "DDPG": dict(
        **REPLAY,
        model_kwargs=[dict(hidden=[16, 16])] * 4,
    ),
    "TD3": dict(
        **REPLAY,
        model_kwargs=[dict(hidden=[16, 16])] * 6,
    ),
    "DDPGPer": dict(
        **REPLAY,
        replay_size=300,
        model_kwargs=[dict(hidden=[16, 16])] * 4,
    ),
    "HDDPG": dict(
        **REPLAY,
        model_kwargs=[dict(hidden=[16, 16])] * 4,
    ),
    "SAC": dict(
        **REPLAY,
        model_kwargs=[dict(hidden=[16, 16])] * 5,
    ),
    "MADDPG": dict(
        warmup_steps=100,
        batch_size=16,
        updates_per_step=0.05,
        model_kwargs=[dict(hidden=[16])] * 4,
    ),
}


@pytest.fixture
def small(tmp_path):
    """Builds a config that trains in seconds: `small("DQN", seed=1, frame_config={...})`."""

    def build(frame="DQN", frame_config=(), env_config=(), **settings):
        config = sweeprl.generate_algorithm_config(frame)
        config["frame_config"].update({**SMALL[frame], **dict(frame_config)})
        env_settings = {"env_name": ENVS[frame], "render_every_episode": 0, **dict(env_config)}
        config = sweeprl.generate_env_config(
            EXTENSIONS.get(frame, "gymnasium"), config, **env_settings
        )
        defaults = dict(
            root_dir=str(tmp_path / "trial"),
            max_env_steps=800,
            report_every_env_steps=100,
            evaluation=dict(episodes=1, every_env_steps=400, final_episodes=2),
            logger=["csv"],
            gpus=None,
        )
        return sweeprl.generate_training_config(config=config, **{**defaults, **settings})

    return build
