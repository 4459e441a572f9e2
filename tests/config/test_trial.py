from __future__ import annotations

import pytest
from pydantic import ValidationError

from sweeprl import TrialConfig
from sweeprl.config import Evaluation
from sweeprl.envs.gymnasium import GymnasiumConfig
from sweeprl.errors import ConfigError, UnknownNameError
from sweeprl.frames.dqn import DQNConfig
from sweeprl.frames.ppo import PPOConfig


def test_an_empty_config_is_a_whole_trial():
    config = TrialConfig.of({})
    assert config.frame == "DQN"
    assert config.env == "gymnasium"
    assert isinstance(config.frame_config, DQNConfig)
    assert isinstance(config.train_env_config, GymnasiumConfig)
    assert config.evaluation == Evaluation()


def test_sections_have_the_classes_that_frame_and_env_name():
    config = TrialConfig.of({"frame": "ppo", "env": "openai_gym"})
    assert (config.frame, config.env) == ("PPO", "gymnasium")
    assert isinstance(config.frame_config, PPOConfig)


def test_it_is_frozen_at_every_depth(small_config):
    config = TrialConfig.of(small_config())
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.frame_config.batch_size = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.train_env_config.env_name = "Pendulum-v1"
    with pytest.raises(ValidationError, match="frozen"):
        config.evaluation.episodes = 1


def test_a_validated_config_is_taken_as_it_is(small_config):
    config = TrialConfig.of(small_config())
    assert TrialConfig.of(config) is config


def test_validation_leaves_the_dictionary_alone(small_config):
    plain = small_config() | {"env": "openai_gym"}
    before = {**plain, "frame_config": dict(plain["frame_config"])}
    TrialConfig.of(plain)
    assert plain == before


@pytest.mark.parametrize("frame", ["DQN", "PPO", "SAC"])
def test_plain_values_make_the_same_config_again(frame, small_config):
    config = TrialConfig.of(small_config(frame))
    assert TrialConfig.of(config.to_dict()) == config


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"max_envsteps": 1}, r"^Unknown key 'max_envsteps'\. Did you mean 'max_env_steps'\?"),
        ({"evaluation": {"episods": 1}}, r"^evaluation: Unknown key 'episods'. .* 'episodes'\?"),
        ({"evaluation": {"episodes": 0}}, r"^evaluation\.episodes: .*greater than 0, but got 0\.$"),
        ({"evaluation": {"every_env_steps": -1}}, r"^evaluation\.every_env_steps: .*but got -1"),
        (
            {"train_env_config": {"env_nam": "x"}},
            r"^train_env_config: Unknown key 'env_nam'\. Did you mean 'env_name'\?",
        ),
        (
            {"test_env_config": {"render_every_episode": -1}},
            r"^test_env_config\.render_every_episode: .*but got -1",
        ),
        ({"train_env_config": {"env_kwargs": 3}}, r"^train_env_config\.env_kwargs: .*but got 3"),
        (
            {"train_env_config": {"wrappers": [{"nam": "ClipReward"}]}},
            r"train_env_config\.wrappers\.0.*: Unknown key 'nam'\. Did you mean 'name'\?",
        ),
        ({"train_env_config": {"wrappers": [3]}}, r"train_env_config\.wrappers\.0.*but got 3"),
        ({"train_env_config": "CartPole-v1"}, r"^train_env_config: .*but got 'CartPole-v1'"),
        (
            {"frame_config": {"lerning_rate": 1}},
            r"^frame_config: Unknown key 'lerning_rate'\. Did you mean 'learning_rate'\?",
        ),
        ({"frame_config": None}, r"^frame_config: .*but got None"),
        ({"num_envs": 0}, r"^num_envs: .*greater than 0, but got 0\. The default is 1\.$"),
        ({"num_envs": 1.5}, r"^num_envs: .*but got 1\.5"),
        ({"num_envs": True}, r"^num_envs: Must not be a truth value, but got True"),
        (
            {"vectorization": "snyc"},
            r"^vectorization: .*'sync', 'async', 'native' or 'envpool'.*'snyc'",
        ),
        ({"seed": -1}, r"^seed: .*greater than or equal to 0, but got -1"),
        ({"seed": 2**32}, r"^seed: .*less than 4294967296"),
        ({"seed": None}, r"^seed: .*but got None"),
        ({"max_env_steps": 0}, r"^max_env_steps: .*but got 0"),
        ({"max_episodes": 0}, r"^max_episodes: .*but got 0"),
        ({"max_episodes": None}, r"^max_episodes: .*but got None"),
        ({"episode_per_epoch": 0}, r"^episode_per_epoch: .*but got 0"),
        ({"early_stopping_patience": 0}, r"^early_stopping_patience: .*but got 0"),
        ({"report_every_env_steps": 0}, r"^report_every_env_steps: .*but got 0"),
        ({"score": "best"}, r"^score: .*'final', 'auc' or 'eval', but got 'best'"),
        ({"gpus": 1.5}, r"gpus.*but got 1\.5"),
        ({"num_threads": 0}, r"^num_threads: .*but got 0"),
        ({"logger": ["cvs"]}, r"^logger\.0: .*'csv' or 'tensorboard', but got 'cvs'"),
        ({"logger": "csv"}, r"^logger: .*valid list, but got 'csv'"),
        ({"checkpoint_every_seconds": 0}, r"^checkpoint_every_seconds: .*but got 0"),
        ({"root_dir": 3}, r"^root_dir: .*valid string, but got 3"),
        (
            {"num_nodes": 2},
            r"^num_nodes: Must be 1 for a single-machine frame, but got 2\. Run several trials",
        ),
        ({"num_processes": 0}, r"^num_processes: Must be 1 .*but got 0"),
        (
            {"frame": "PPO", "frame_config": {"rollout_steps": 50}},
            r"^`batch_size <= rollout_steps \* num_envs <= replay_size` must hold, but got "
            r"batch_size=100, rollout_steps=50, num_envs=1",
        ),
    ],
)
def test_what_is_wrong_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        TrialConfig.of(changes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"frame": "DQM"}, r"No frame named 'DQM'\. Did you mean 'DQN'\?"),
        ({"frame": 3}, r"No frame named '3'"),
        ({"env": "gymnasum"}, r"No environment named 'gymnasum'\. Did you mean 'gymnasium'\?"),
        ({"frame": "no_such_module:X"}, r"'no_such_module:X' must be an importable frame"),
    ],
)
def test_unknown_names_are_refused(changes, message):
    with pytest.raises(UnknownNameError, match=message):
        TrialConfig.of(changes)


@pytest.mark.parametrize("name", ["json:loads", "sweeprl.envs.gymnasium:Gymnasium"])
def test_a_frame_must_have_a_config_of_its_kind(name):
    with pytest.raises(ConfigError, match="must be a frame class whose Config extends FrameConfig"):
        TrialConfig.of({"frame": name})


def test_what_is_no_mapping_is_refused():
    with pytest.raises(ConfigError, match="The config: .*but got 3"):
        TrialConfig.of(3)


def test_several_mistakes_are_told_together():
    with pytest.raises(ConfigError) as error:
        TrialConfig.of({"seed": -1, "num_envs": 0})
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        "num_envs",
        "seed",
    ]


@pytest.mark.parametrize("gpus", ["auto", None, 0, 1, [0], [0, 1], "0", "0,1"])
def test_gpus_in_every_spelling_of_the_specification(gpus):
    assert TrialConfig.of({"gpus": gpus}).gpus == gpus


@pytest.mark.parametrize("wrapper", ["ClipReward", {"name": "ClipReward", "kwargs": {"x": 1}}])
def test_wrappers_in_both_spellings(wrapper):
    config = TrialConfig.of({"train_env_config": {"wrappers": [wrapper]}})
    assert config.to_dict()["train_env_config"]["wrappers"] == [wrapper]


# ---- the schedule

TWICE = [
    {"env_steps": 100, "settings": {"discount": 0.5, "gae_lambda": 0.8}},
    {"env_steps": 300, "settings": {"discount": 0.7}},
]


def test_a_schedule_says_which_settings_are_in_force(small_config):
    config = TrialConfig.of(small_config("PPO") | {"schedule": TWICE})
    found = [config.at(steps).frame_config for steps in (0, 99, 100, 299, 300)]
    assert [one.discount for one in found] == [0.99, 0.99, 0.5, 0.5, 0.7]
    assert found[-1].gae_lambda == 0.8
    assert [config.num_changes(steps) for steps in (99, 100, 10**9)] == [0, 1, 2]
    assert TrialConfig.of(config.to_dict()) == config


@pytest.mark.parametrize(
    "schedule, message",
    [
        ([{"env_steps": 1, "settings": {"discont": 1}}], "'discont' cannot.*mean 'discount'"),
        ([{"env_steps": 1, "settings": {"batch_size": 8}}], "'batch_size' cannot"),
        ([{"env_steps": 1, "settings": {"discount": 2}}], r"schedule\.discount: .*but got 2"),
        ([{"env_steps": 1, "settings": {}}], r"schedule\.0\.settings: .*at least 1"),
        ([{"env_steps": 1, "settings": {"entropy_weight": 0.1}}], "'entropy_weight' is null"),
        (TWICE[::-1], "in the order of `env_steps`.*100 follows 300"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(schedule, message, small_config):
    with pytest.raises(ConfigError, match=message):
        TrialConfig.of(small_config("PPO") | {"schedule": schedule})
