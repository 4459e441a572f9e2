from __future__ import annotations

import math

import pytest
from torch import nn

from sweeprl import registry
from sweeprl.config import (
    ReplayConfig,
    RolloutConfig,
    SearchConfig,
    TransitionConfig,
    build,
    inert,
)
from sweeprl.errors import ConfigError

FRAMES = list(registry.frames.names())
OF_TRANSITIONS = [
    name for name in FRAMES if issubclass(registry.frames.get(name).Config, TransitionConfig)
]
REPLAY = [name for name in FRAMES if issubclass(registry.frames.get(name).Config, ReplayConfig)]


def config_of(frame, **settings):
    return build(registry.frames.get(frame).Config, settings, "frame_config")


OTHERS = {
    "visualize": True,
    "visualize_dir": "somewhere",
    "use_jit": False,
    "pool_type": "process",
    "pool_size": 4,
    "noise_size": 4,
    "noise_seed": 4,
    "sample_seed": 4,
    "criterion": "L1Loss",
    "criterion_args": [1],
    "criterion_kwargs": {"beta": 1},
}


@pytest.mark.parametrize(
    "frame, name", [(f, n) for f in FRAMES for n in inert(registry.frames.get(f).Config)]
)
def test_a_setting_without_effect_says_so(frame, name):
    with pytest.warns(UserWarning, match=rf"frame_config\.{name}=.* has no effect.*Leave it out"):
        config_of(frame, **{name: OTHERS[name]})


@pytest.mark.parametrize("frame", FRAMES)
def test_every_default_of_the_specification_is_kept(frame, frame_defaults):
    config = config_of(frame).model_dump(mode="json")
    assert_kept(config, frame_defaults[frame])


def assert_kept(config, defaults):
    for key, value in defaults.items():
        if isinstance(value, dict) and value:
            assert_kept(config[key], value)
        else:
            assert config[key] == value, key


@pytest.mark.parametrize("frame", FRAMES)
def test_every_field_has_a_description_and_a_default(frame):
    for name, field in registry.frames.get(frame).Config.model_fields.items():
        assert not field.is_required(), name
        # What a frame overrides only in its default inherits the words of the base class.
        owners = registry.frames.get(frame).Config.__mro__
        words = [
            c.model_fields[name].description
            for c in owners
            if hasattr(c, "model_fields") and name in c.model_fields
        ]
        assert any(words), name


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"optimiser": 1}, r"Unknown key 'optimiser'\. Did you mean 'optimizer'\?"),
        ({"gradient_max": 0}, r"gradient_max: .*greater than 0, but got 0"),
        ({"optimizer": 3}, r"optimizer.*: .*but got 3"),
        (
            {"models": ["Net"] * 9},
            r"`models` must have \d elements, one for each network, .*has 9\.",
        ),
        ({"models": "QNet"}, r"models: .*valid list, but got 'QNet'"),
        ({"model_args": []}, r"`model_args` must have \d elements.*has 0"),
        ({"model_kwargs": [{}] * 9}, r"`model_kwargs` must have \d elements.*has 9"),
        (
            {"lr_scheduler_args": [3]},
            r"`lr_scheduler_args` and `lr_scheduler_kwargs` need an `lr_scheduler`, but it is null",
        ),
        ({"lr_scheduler_kwargs": {"step_size": 3}}, r"need an `lr_scheduler`"),
    ],
)
def test_a_wrong_setting_is_refused(frame, settings, message):
    with pytest.raises(ConfigError, match=f"^frame_config.*{message}"):
        config_of(frame, **settings)


@pytest.mark.parametrize("frame", OF_TRANSITIONS)
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"batchsize": 1}, r"Unknown key 'batchsize'\. Did you mean 'batch_size'\?"),
        ({"discount": 1.5}, r"discount: .*less than or equal to 1, but got 1\.5"),
        ({"discount": -0.1}, r"discount: .*greater than or equal to 0, but got -0\.1"),
        ({"discount": math.nan}, r"discount: .*but got nan"),
        ({"batch_size": 0}, r"batch_size: .*greater than 0, but got 0"),
        ({"batch_size": 2.5}, r"batch_size: .*valid integer.*but got 2\.5"),
        ({"batch_size": True}, r"batch_size: Must not be a truth value"),
        ({"replay_size": "many"}, r"replay_size: .*valid integer.*but got 'many'"),
        ({"replay_buffer": "mine"}, r"replay_buffer: Input should be None, but got 'mine'"),
        ({"normalize_reward": "maybe"}, r"normalize_reward: .*boolean.*but got 'maybe'"),
    ],
)
def test_a_wrong_setting_of_what_learns_from_transitions_is_refused(frame, settings, message):
    with pytest.raises(ConfigError, match=f"^frame_config.*{message}"):
        config_of(frame, **settings)


@pytest.mark.parametrize(
    "frame, settings, message",
    [
        ("DQN", {"mode": "dubble"}, r"mode: .*'vanilla', 'fixed_target' or 'double', .*'dubble'"),
        ("DQN", {"lerning_rate": 1}, r"Did you mean 'learning_rate'"),
        ("DQN", {"learning_rate": 0}, r"learning_rate: .*greater than 0, but got 0"),
        ("DQN", {"learning_rate": -1e-3}, r"learning_rate: .*but got -0\.001"),
        ("DQN", {"learning_rate": math.inf}, r"learning_rate: .*finite number, but got inf"),
        ("DQN", {"epsilon_decay": 1.1}, r"epsilon_decay: .*but got 1\.1"),
        ("DQN", {"epsilon_end": -0.1}, r"epsilon_end: .*but got -0\.1"),
        ("DQN", {"exploration_steps": 0}, r"exploration_steps: .*but got 0"),
        ("DQN", {"priority_alpha": 0.5}, r"Unknown key 'priority_alpha'"),
        ("DQNPer", {"priority_alpha": 1.1}, r"priority_alpha: .*but got 1\.1"),
        ("DQNPer", {"priority_beta": -0.1}, r"priority_beta: .*but got -0\.1"),
        ("DQNPer", {"priority_beta_steps": 0}, r"priority_beta_steps: .*but got 0"),
        ("DQNPer", {"priority_epsilon": 0}, r"priority_epsilon: .*but got 0"),
        (
            "RAINBOW",
            {"value_min": 1.0},
            r"`value_min < value_max` must hold, but got value_min=1\.0, value_max=1\.0\.",
        ),
        ("RAINBOW", {"value_max": math.inf}, r"value_max: .*finite number, but got inf"),
        ("RAINBOW", {"reward_future_steps": 0}, r"reward_future_steps: .*but got 0"),
        ("PPO", {"learning_rate": 1e-3}, r"Unknown key 'learning_rate'\. Did you mean '"),
        ("PPO", {"gae_lambda": 1.1}, r"gae_lambda: .*but got 1\.1"),
        ("PPO", {"surrogate_loss_clip": 0}, r"surrogate_loss_clip: .*but got 0"),
        ("PPO", {"entropy_weight": -1}, r"entropy_weight: .*but got -1"),
        ("PPO", {"actor_update_times": 0}, r"actor_update_times: .*but got 0"),
        ("PPO", {"update_rate": 0.1}, r"Unknown key 'update_rate'"),
        ("TRPO", {"kl_max_delta": 0}, r"kl_max_delta: .*greater than 0, but got 0"),
        ("TRPO", {"damping": -0.1}, r"damping: .*but got -0\.1"),
        ("TRPO", {"line_search_backtracks": 0}, r"line_search_backtracks: .*but got 0"),
        ("TRPO", {"hv_mode": "fisher"}, r"hv_mode: .*'fim' or 'direct', .*'fisher'"),
        ("A2C", {"surrogate_loss_clip": 0.2}, r"Unknown key 'surrogate_loss_clip'"),
        ("ARS", {"discount": 0.9}, r"Unknown key 'discount'"),
        ("ARS", {"noise_std_dev": 0}, r"noise_std_dev: .*greater than 0, but got 0"),
        ("ARS", {"rollout_num": 0}, r"rollout_num: .*but got 0"),
        (
            "ARS",
            {"rollout_num": 4},
            r"`used_rollout_num <= rollout_num` must hold, .*used_rollout_num=32, rollout_num=4\.",
        ),
        ("GAIL", {"PPO_config": {"discount": 2}}, r"PPO_config\.discount: .*but got 2"),
        ("GAIL", {"TRPO_config": {"disount": 1}}, r"TRPO_config: Unknown key .*'discount'"),
        (
            "GAIL",
            {"constrained_policy_optimization": "A2C"},
            r"constrained_policy_optimization: .*'PPO' or 'TRPO', but got 'A2C'",
        ),
        (
            "GAIL",
            {"PPO_config": {"normalize_reward": True}},
            r"`PPO_config\.normalize_reward` must be false, but got true",
        ),
        ("DDPG", {"actor_learning_rate": 0}, r"actor_learning_rate: .*but got 0"),
        ("DDPG", {"q_increase_rate": 1.0}, r"Unknown key 'q_increase_rate'"),
        ("TD3", {"policy_delay": 0}, r"policy_delay: .*but got 0"),
        ("TD3", {"target_noise": -0.1}, r"target_noise: .*but got -0\.1"),
        ("TD3", {"target_noise_clip": -0.1}, r"target_noise_clip: .*but got -0\.1"),
        ("HDDPG", {"q_increase_rate": -1}, r"q_increase_rate: .*but got -1"),
        ("HDDPG", {"q_decrease_rate": -1}, r"q_decrease_rate: .*but got -1"),
        ("DDPGPer", {"priority_beta": 1.1}, r"priority_beta: .*but got 1\.1"),
        ("MADDPG", {"sub_policy_num": -1}, r"sub_policy_num: .*but got -1"),
        ("SAC", {"initial_entropy_alpha": 0}, r"initial_entropy_alpha: .*but got 0"),
        ("SAC", {"target_entropy": math.nan}, r"target_entropy: .*finite number, but got nan"),
        ("SAC", {"mode": "double"}, r"Unknown key 'mode'"),
    ],
)
def test_a_wrong_setting_of_one_frame_is_refused(frame, settings, message):
    with pytest.raises(ConfigError, match=message):
        config_of(frame, **settings)


@pytest.mark.parametrize("frame", REPLAY)
@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"update_rate": 0.1, "update_steps": 5},
            r"xactly one of update_rate and update_steps must be set, "
            r"but got update_rate=0\.1, update_steps=5\. Set the other one to null\.",
        ),
        ({"update_steps": 5}, r"xactly one of update_rate and update_steps must be set"),
        ({"update_rate": None}, r"but got update_rate=None, update_steps=None"),
        ({"update_rate": 0}, r"update_rate: .*greater than 0"),
        ({"update_rate": 1.01}, r"update_rate: .*less than or equal to 1"),
        ({"update_rate": None, "update_steps": 0}, r"update_steps: .*greater than 0"),
        ({"updates_per_step": 0}, r"updates_per_step: .*greater than 0"),
        ({"collect_steps": 0}, r"collect_steps: .*greater than 0"),
        ({"warmup_steps": -1}, r"warmup_steps: .*greater than or equal to 0"),
        (
            {"batch_size": 101, "replay_size": 100},
            r"`batch_size <= replay_size` must hold, but got batch_size=101, replay_size=100",
        ),
    ],
)
def test_a_wrong_setting_of_a_replay_frame_is_refused(frame, settings, message):
    with pytest.raises(ConfigError, match=message):
        config_of(frame, **settings)


@pytest.mark.parametrize("frame", REPLAY)
def test_target_networks_follow_by_copies_instead(frame):
    config = config_of(frame, update_rate=None, update_steps=100)
    assert (config.update_rate, config.update_steps) == (None, 100)


def test_a_rollout_holds_a_batch_and_fits_into_the_memory():
    config = config_of("PPO", rollout_steps=16, batch_size=64, replay_size=128)
    config.check(num_envs=4)
    config.check(num_envs=8)
    rule = r"`batch_size <= rollout_steps \* num_envs <= replay_size` must hold, but got "
    with pytest.raises(ValueError, match=f"{rule}batch_size=64, rollout_steps=16, num_envs=3"):
        config.check(num_envs=3)
    with pytest.raises(ValueError, match=f"{rule}.*num_envs=9, replay_size=128"):
        config.check(num_envs=9)


def test_a_nested_config_that_is_used_is_checked():
    small = {"rollout_steps": 16, "batch_size": 64}
    idle = config_of("GAIL", TRPO_config=small)
    idle.check(num_envs=1)
    used = config_of("GAIL", TRPO_config=small, constrained_policy_optimization="TRPO")
    rule = (
        r"TRPO_config: `batch_size <= rollout_steps \* num_envs .*batch_size=64, rollout_steps=16"
    )
    with pytest.raises(ValueError, match=rule):
        used.check(num_envs=1)
    used.check(num_envs=8)
    with pytest.raises(
        ValueError,
        match=r"`batch_size <= TRPO_config\.rollout_steps \* num_envs` .*batch_size=100, .*=16",
    ):
        used.check(num_envs=4)


def test_gradients_are_not_clipped_by_default():
    assert config_of("DQN").gradient_max == math.inf


def test_classes_are_dumped_by_importable_name():
    plain = config_of("DQN", optimizer=nn.Linear).model_dump(mode="json")
    assert plain["optimizer"] == "torch.nn.modules.linear.Linear"
    assert config_of("DQN", optimizer=nn.Linear).optimizer is nn.Linear


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_extend_one_of_three_kinds(frame):
    kinds = (ReplayConfig, RolloutConfig, SearchConfig)
    assert sum(isinstance(config_of(frame).experience, kind) for kind in kinds) == 1


def test_no_environment_of_a_search_is_without_an_episode():
    config = config_of("ARS", rollout_num=4, used_rollout_num=2)
    config.check(num_envs=8)
    with pytest.raises(ValueError, match=r"`num_envs <= 2 \* rollout_num` must hold.*num_envs=9"):
        config.check(num_envs=9)
