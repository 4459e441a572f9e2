from __future__ import annotations

import math

import pytest
from torch import nn

from sweeprl import TrialConfig, merge
from sweeprl.errors import ConfigError, UnknownNameError


@pytest.fixture
def config(small_config):
    return TrialConfig.of(small_config())


def test_a_bare_name_is_a_key_of_the_frame_config(config):
    assert merge(config, {"learning_rate": 0.5}).frame_config.learning_rate == 0.5


def test_a_bare_name_of_the_trial_is_the_trials(config):
    merged = merge(config, {"seed": 7, "num_envs": 3, "gpus": [1]})
    assert (merged.seed, merged.num_envs, merged.gpus) == (7, 3, [1])


@pytest.mark.parametrize(
    "path, value",
    [
        ("frame_config.learning_rate", 0.25),
        ("frame_config.model_kwargs.0.hidden", [8, 8]),
        ("train_env_config.env_name", "Acrobot-v1"),
        ("evaluation.episodes", 9),
        ("frame_config.models.1", "other.QNet"),
        ("frame_config.gradient_max", math.inf),
        ("logger", []),
        ("logger.0", "tensorboard"),
    ],
)
def test_a_dotted_path_leads_to_its_field(config, path, value):
    found = merge(config, {path: value}).model_dump()
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    assert found == value


def test_only_what_is_named_changes(config):
    merged = merge(config, {"learning_rate": 0.5})
    before, after = config.to_dict(), merged.to_dict()
    assert after.pop("frame_config") == before.pop("frame_config") | {"learning_rate": 0.5}
    assert after == before


def test_a_star_is_every_element(config):
    kwargs = merge(config, {"frame_config.model_kwargs.*.hidden": [5]}).frame_config.model_kwargs
    assert kwargs == [{"hidden": [5]}, {"hidden": [5]}]
    assert merge(config, {"frame_config.models.*": "m.Net"}).frame_config.models == ["m.Net"] * 2


def test_constructor_arguments_may_be_new(config):
    merged = merge(config, {"frame_config.model_kwargs.*.activation": "Tanh", "seed": 1})
    assert merged.frame_config.model_kwargs[1] == {"hidden": [16], "activation": "Tanh"}
    merged = merge(config, {"train_env_config.env_kwargs.sutton_barto_reward": True})
    assert merged.train_env_config.env_kwargs == {"sutton_barto_reward": True}
    merged = merge(config, {"frame_config.optimizer_kwargs.weight_decay": 0.1})
    assert merged.frame_config.optimizer_kwargs == {"weight_decay": 0.1}


def test_the_config_is_left_alone_and_shares_nothing(config):
    before = config.to_dict()
    hidden = [5]
    merged = merge(config, {"frame_config.model_kwargs.*.hidden": hidden})
    hidden.append(6)
    assert merged.frame_config.model_kwargs[0]["hidden"] == [5]
    merged.frame_config.model_kwargs[0]["hidden"].append(7)
    assert config.to_dict() == before


def test_nothing_to_merge_is_the_same_config(config):
    assert merge(config, {}) == config


def test_classes_stay_classes(config):
    merged = merge(config, {"optimizer": nn.Linear})
    assert merged.frame_config.optimizer is nn.Linear
    assert merge(merged, {"seed": 1}).frame_config.optimizer is nn.Linear


def test_several_changes_are_validated_together(config):
    merged = merge(config, {"update_rate": None, "update_steps": 50})
    assert merged.frame_config.update_steps == 50


@pytest.mark.parametrize(
    "params, message",
    [
        ({"lerning_rate": 1}, r"Unknown key 'lerning_rate'\. Did you mean 'learning_rate'\?"),
        ({"max_env_step": 1}, r"Unknown key 'max_env_step'\. Did you mean 'max_env_steps'\?"),
        (
            {"frame_config.lerning_rate": 1},
            r"frame_config\.lerning_rate: Unknown key 'lerning_rate'\. .* 'learning_rate'\?",
        ),
        ({"frame_confg.x": 1}, r"Unknown key 'frame_confg'\. Did you mean 'frame_config'\?"),
        ({"evaluation.episods": 1}, r"evaluation\.episods: .*Did you mean 'episodes'\?"),
        ({"frame_config.models.2": "x"}, r"'2' must be '\*' or an index below 2"),
        ({"frame_config.models.first": "x"}, r"'first' must be '\*' or an index below 2"),
        ({"frame_config.models.0.x": "x"}, r"'x' must lie in a section, but what is there is"),
        ({"seed.x": 1}, r"seed\.x: 'x' must lie in a section, but what is there is 0"),
        ({"learning_rate": -1}, r"frame_config\.learning_rate: .*greater than 0, but got -1"),
        ({"seed": "x"}, r"seed: .*but got 'x'"),
        ({"update_steps": 5}, r"xactly one of update_rate and update_steps must be set"),
        ({"batch_size": 20_000}, r"`batch_size <= replay_size` must hold"),
        ({"frame": "PPO"}, r"frame_config: Unknown key "),
        ({"": 1}, r"Unknown key ''"),
    ],
)
def test_a_wrong_change_is_refused(config, params, message):
    with pytest.raises(ConfigError, match=message):
        merge(config, params)


def test_an_unknown_frame_is_refused(config):
    with pytest.raises(UnknownNameError, match="Did you mean 'DQN'"):
        merge(config, {"frame": "DQM"})
