from __future__ import annotations

import copy
import itertools

import pytest

from sweeprl import (
    TrialConfig,
    generate_algorithm_config,
    generate_env_config,
    generate_training_config,
    registry,
)
from sweeprl.errors import ConfigError, UnknownNameError

FRAMES = list(registry.frames.names())
STEPS = {
    "algorithm": lambda config: generate_algorithm_config("PPO", config),
    "env": lambda config: generate_env_config("openai_gym", config),
    "training": lambda config: generate_training_config(
        root_dir="there", episode_per_epoch=7, max_episodes=70, config=config
    ),
}


@pytest.mark.parametrize("frame", FRAMES)
def test_every_default_of_the_specification_is_generated(frame, frame_defaults):
    section = generate_algorithm_config(frame)["frame_config"]
    assert kept(section, frame_defaults[frame]) == frame_defaults[frame]


def kept(ours, theirs):
    """Our value of what the specification has, in its sections too."""
    if not isinstance(theirs, dict) or not theirs:
        return ours
    return {key: kept(ours[key], value) for key, value in theirs.items()}


def test_the_algorithm_config_of_the_specification():
    config = generate_algorithm_config("DQN")
    assert config.keys() == {"frame", "frame_config", "gpus"}
    assert config["frame"] == "DQN"
    assert config["gpus"] == "auto"


def test_the_env_config_of_the_specification():
    config = generate_env_config("openai_gym", {"frame": "DQN"})
    assert config["frame"] == "DQN"
    assert config["env"] == "gymnasium"
    for section in ("train_env_config", "test_env_config"):
        expected = {"act_kwargs": {}, "env_name": "CartPole-v1", "render_every_episode": 100}
        assert expected.items() <= config[section].items()


def test_the_training_config_of_the_specification():
    config = generate_training_config(
        root_dir=".trial", episode_per_epoch=10, max_episodes=10000, config={"frame": "DQN"}
    )
    expected = {"root_dir": ".trial", "episode_per_epoch": 10, "max_episodes": 10000}
    assert (expected | {"frame": "DQN"}).items() <= config.items()


def test_the_config_of_the_specification_has_no_key_that_is_not_generated(specification_config):
    config = generate_training_config(
        config=generate_env_config("openai_gym", generate_algorithm_config("DQN"))
    )
    assert specification_config.keys() <= config.keys()
    for section in ("frame_config", "train_env_config", "test_env_config"):
        assert specification_config[section].keys() <= config[section].keys()
    assert config["frame_config"] == specification_config["frame_config"] | config["frame_config"]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_generated_config_is_valid(frame):
    config = generate_training_config(
        config=generate_env_config("gymnasium", generate_algorithm_config(frame))
    )
    assert TrialConfig.of(config).to_dict() == config


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids="-".join)
def test_the_steps_chain_in_any_order(order):
    config: dict = {}
    for name in order:
        config = STEPS[name](config)
    reference = STEPS["training"](STEPS["env"](STEPS["algorithm"]({})))
    assert config == reference
    TrialConfig.of(config)


USERS = {
    "frame": "PPO",
    "frame_config": {"discount": 0.5, "model_kwargs": [{"hidden": [3]}, {}]},
    "train_env_config": {"env_name": "Acrobot-v1"},
    "test_env_config": {"act_kwargs": {"greedy": False}},
    "evaluation": {"episodes": 3},
    "seed": 11,
    "gpus": None,
    "root_dir": "mine",
    "max_env_steps": 123,
    "early_stopping_patience": 5,
}


def contains(config, part) -> bool:
    if isinstance(part, dict):
        return all(key in config and contains(config[key], part[key]) for key in part)
    return config == part


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids="-".join)
def test_what_the_user_set_is_never_lost(order):
    """Whatever was set before the first step, or between two steps, is there after the last."""
    steps = STEPS | {"training": lambda config: generate_training_config(config=config)}
    for edited_after in range(len(order)):
        config: dict = {}
        for index, name in enumerate(order):
            if index == edited_after:
                for key, value in copy.deepcopy(USERS).items():
                    is_section = isinstance(value, dict)
                    config[key] = {**config.get(key, {}), **value} if is_section else value
            config = steps[name](config)
        assert contains(config, USERS)
        TrialConfig.of(config)


@pytest.mark.parametrize("name", STEPS)
def test_the_input_is_left_alone(name):
    before = copy.deepcopy(USERS)
    given = copy.deepcopy(USERS)
    made = STEPS[name](given)
    assert given == before
    made["frame_config"]["model_kwargs"][0]["hidden"].append(4)
    made["train_env_config"]["env_name"] = "x"
    made["evaluation"]["episodes"] = 99
    assert given == before


def test_two_generated_configs_share_nothing():
    first, second = generate_algorithm_config("DQN"), generate_algorithm_config("DQN")
    first["frame_config"]["model_kwargs"][0]["hidden"] = [3]
    assert second["frame_config"]["model_kwargs"] == [{}, {}]
    third = generate_algorithm_config("DQN")
    assert third["frame_config"]["model_kwargs"] == [{}, {}]


def test_another_frame_brings_its_own_defaults_and_keeps_what_was_chosen():
    config = generate_algorithm_config("DQN")
    config["frame_config"]["discount"] = 0.9
    config = generate_algorithm_config("SAC", config)
    assert config["frame"] == "SAC"
    assert config["frame_config"]["discount"] == 0.9
    assert config["frame_config"]["update_rate"] == 0.001
    assert "learning_rate" not in config["frame_config"]
    TrialConfig.of(config)


def test_what_another_frame_does_not_know_is_refused_and_not_dropped():
    config = generate_algorithm_config("DQN")
    config["frame_config"]["epsilon_decay"] = 0.9
    config = generate_algorithm_config("SAC", config)
    with pytest.raises(ConfigError, match="Unknown key 'epsilon_decay'"):
        TrialConfig.of(config)


def test_settings_by_keyword():
    config = generate_env_config("gymnasium", env_name="Pendulum-v1", env_kwargs={"g": 9.0})
    for section in ("train_env_config", "test_env_config"):
        assert config[section]["env_name"] == "Pendulum-v1"
        assert config[section]["env_kwargs"] == {"g": 9.0}
    assert generate_training_config(seed=3, gpus=None)["seed"] == 3


def test_an_argument_replaces_what_was_set():
    config = generate_training_config(root_dir="new", config={"root_dir": "old", "max_episodes": 5})
    assert (config["root_dir"], config["max_episodes"]) == ("new", 5)


def test_unknown_names_are_refused_at_once():
    with pytest.raises(UnknownNameError, match="No frame named 'DQM'. Did you mean 'DQN'?"):
        generate_algorithm_config("DQM")
    with pytest.raises(UnknownNameError, match="Did you mean 'openai_gym'?"):
        generate_env_config("openai_gyn")
