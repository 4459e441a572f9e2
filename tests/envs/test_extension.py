from __future__ import annotations

from typing import ClassVar

import pytest
import torch

import sweeprl
from sweeprl import TrialConfig, generate_algorithm_config, generate_env_config
from sweeprl.config import Discrete, EnvConfig, EnvSpec
from sweeprl.envs import EnvExtension, EvaluationDataset, RLDataset
from sweeprl.envs._native_lanes import NativeLanes
from sweeprl.envs._slot_lanes import SlotLanes
from sweeprl.envs.gymnasium import Gymnasium
from sweeprl.errors import ConfigError, UnsupportedSpaceError
from tests.envs.environments import Counter, ScriptedAgent
from tests.envs.lanes import ScriptedLanes

NAME = f"{__name__}:Counting"


class CountingConfig(EnvConfig):
    length: int = 4
    """Steps of an episode."""


class Counting(EnvExtension):
    """The least that an extension needs."""

    Config = CountingConfig

    def make(self, config, render_mode=None):
        return Counter(length=config.length)


class Filmed(EnvExtension):
    """Renders, but for itself only."""

    class Config(EnvConfig):
        render_every_episode: int = 1

    def make(self, config, render_mode=None):
        return Counter(render_mode=render_mode)


class Whole(Counting):
    """Replaces each of the four parts."""

    launched: ClassVar[list] = []

    class Data(RLDataset):
        def collect(self, num_steps):
            result = super().collect(num_steps)
            result.logs["collected"] = float(len(result.transitions["reward"]))
            return result

    dataset_class = Data

    def generate_env_config(self, config):
        return {**super().generate_env_config(config), "max_env_steps": 150}

    def create_dataset(self, agent, config, stage):
        dataset = super().create_dataset(agent, config, stage)
        dataset.stage = stage
        return dataset

    def launch(self, config, pl_callbacks, fit):
        self.launched.append(config)
        return fit(config, pl_callbacks)


def trial(name=NAME, **settings):
    return TrialConfig.of({"env": name, **settings})


def test_config_and_make_are_enough_for_a_dataset():
    config = trial(max_env_steps=10, train_env_config={"length": 3})
    extension = Counting()
    assert extension.spec(config.train_env_config) == EnvSpec(3, Discrete(5), "Counting")
    data = extension.create_dataset(ScriptedAgent(), config, "train")
    assert type(data) is RLDataset
    lengths = [len(result.transitions["reward"]) for result in data]
    assert lengths == [3, 3, 3, 1]


def test_evaluation_and_test_come_for_free():
    config = trial(evaluation={"episodes": 2, "final_episodes": 3})
    for stage, num in (("evaluation", 2), ("test", 3)):
        data = Counting().create_dataset(ScriptedAgent(), config, stage)
        assert isinstance(data, EvaluationDataset)
        assert [result.episodes[0].length for result in data] == [4] * num


def test_its_settings_are_validated_by_its_config():
    with pytest.raises(ConfigError, match="train_env_config: Unknown key 'lenght'. Did you mean"):
        trial(train_env_config={"lenght": 3})
    with pytest.raises(ConfigError, match=r"test_env_config\.length: .*but got 'x'"):
        trial(test_env_config={"length": "x"})


def test_it_is_generated_by_name():
    config = generate_env_config(NAME, generate_algorithm_config("DQN"), length=6)
    assert config["env"] == NAME
    assert config["train_env_config"] == {"act_kwargs": {}, "length": 6}
    assert TrialConfig.of(config).test_env_config == CountingConfig(length=6)


def test_what_is_set_is_kept_when_it_is_generated():
    config = generate_env_config(NAME, {"train_env_config": {"length": 9}})
    assert config["train_env_config"] == {"act_kwargs": {}, "length": 9}
    assert config["test_env_config"] == {"act_kwargs": {}, "length": 4}


def test_another_environment_brings_its_own_defaults():
    config = {"train_env_config": {"act_kwargs": {"epsilon": 1}}}
    config = generate_env_config("gymnasium", config, render_every_episode=100)
    config = generate_env_config(NAME, config)
    assert config["train_env_config"] == {"act_kwargs": {"epsilon": 1}, "length": 4}
    assert config["test_env_config"] == {"act_kwargs": {}, "length": 4}


def test_without_an_own_vectorised_implementation_native_is_refused():
    config = trial(vectorization="native", num_envs=2)
    with pytest.raises(ConfigError, match='"native" needs an own .* but Counting has none'):
        Counting().create_copies(config, "train")


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_several_copies_come_for_free(vectorization):
    copies = Counting().create_copies(trial(vectorization=vectorization, num_envs=3), "train")
    assert copies.reset().shape == (3, 3)
    copies.close()


def test_an_environment_that_renders_is_filmed(tmp_path):
    config = trial(f"{__name__}:Filmed", root_dir=str(tmp_path), max_episodes=2)
    data = Filmed().create_dataset(ScriptedAgent(), config, "train")
    list(data)
    data.copies.close()
    assert len(list((tmp_path / "videos").glob("train-*.mp4"))) == 2


def test_an_extension_without_make_cannot_be_built():
    class Nothing(EnvExtension):
        Config = CountingConfig

    with pytest.raises(TypeError, match="make"):
        Nothing()


def plain(name, tmp_path, frame="DQN"):
    config = generate_env_config(name, generate_algorithm_config(frame))
    small = {"model_kwargs": [{"hidden": [8]}] * 2, "warmup_steps": 40, "batch_size": 8}
    config["frame_config"] |= small if frame == "DQN" else {}
    settings = {"max_env_steps": 100, "gpus": None, "logger": ["csv"]} | config
    evaluation = {"episodes": 1, "final_episodes": 2}
    return settings | {"root_dir": str(tmp_path / "trial"), "evaluation": evaluation}


def test_a_trial_in_the_least_extension(tmp_path):
    record = sweeprl.launch(plain(NAME, tmp_path), view="none")
    assert (record.status, record.env_steps, record.episodes) == ("finished", 100, 25)
    assert len(record.test_returns) == 2


def test_each_of_the_four_parts_can_be_replaced(tmp_path):
    name = f"{__name__}:Whole"
    config = plain(name, tmp_path)
    assert config["max_env_steps"] == 150
    assert sweeprl.launch(config, view="none").env_steps == 150
    assert [one.env for one in Whole.launched] == [name]
    data = Whole().create_dataset(ScriptedAgent(), TrialConfig.of(config), "train")
    assert (data.stage, next(data).logs) == ("train", {"collected": 4.0})


def test_a_frame_that_cannot_serve_it_is_refused(tmp_path):
    with pytest.raises(UnsupportedSpaceError, match="SAC needs continuous actions, but Counting"):
        sweeprl.launch(plain(NAME, tmp_path, "SAC"), view="none")


@pytest.mark.parametrize("stage, num_envs", [("train", 3), ("evaluation", 2), ("test", 4)])
def test_lanes_come_for_free(stage, num_envs):
    config = trial(num_envs=3, evaluation={"episodes": 2, "final_episodes": 4})
    envs = Counting().create_lanes(config, [5, 6], stage, torch.device("cpu"))
    assert isinstance(envs, SlotLanes)
    assert (envs.seeds, envs.num_envs) == ([5, 6], num_envs)
    assert envs.num_envs == Counting().num_lane_envs(config, stage)
    assert envs.is_judging == (stage != "train")
    assert envs.spec == EnvSpec(3, Discrete(5), "Counting")


def test_lanes_play_the_episodes_of_single_trials():
    config = trial(num_envs=2, evaluation={"episodes": 2}, seed=6)
    for stage in ("train", "evaluation"):
        envs = Counting().create_lanes(config, [5, 6], stage, torch.device("cpu"))
        agents = ScriptedLanes(envs.num_envs)
        if stage == "train":
            copies = Counting().create_copies(config, stage)
            expected = copies.reset()
            found = envs.collect(agents, 1, {}).state[0, 2:]
            assert found.tolist() == expected.tolist()
        else:
            data = Counting().create_dataset(ScriptedAgent(), config, stage)
            expected = [result.episodes[0].total for result in data]
            found = envs.play_once(ScriptedLanes(), {"greedy": True})
            assert found[1].tolist() == expected


def test_native_lanes_are_slices_of_one_vector():
    config = TrialConfig.of({"vectorization": "native", "num_envs": 2})
    envs = Gymnasium().create_lanes(config, [5, 6, 7], "train", torch.device("cpu"))
    assert isinstance(envs, NativeLanes)
    assert (envs.num_lanes, envs.num_envs) == (3, 2)
    envs.close()
    judges = Gymnasium().create_lanes(config, [5, 6, 7], "evaluation", torch.device("cpu"))
    assert isinstance(judges, SlotLanes)


def test_processes_cannot_be_lanes():
    config = trial(vectorization="async", num_envs=2)
    with pytest.raises(ConfigError, match='vectorization must not be "async"'):
        Counting().create_lanes(config, [5, 6], "train", torch.device("cpu"))


def test_what_an_extension_builds_itself_is_not_passed_over():
    class Copied(Counting):
        def create_copies(self, config, stage):
            return super().create_copies(config, stage)

    class Classed(Counting):
        dataset_class = Whole.Data

    device = torch.device("cpu")
    for kind, name in (
        (Whole, "dataset_class"),
        (Classed, "dataset_class"),
        (Copied, "create_cop"),
    ):
        for stage in ("train", "evaluation"):
            with pytest.raises(ConfigError, match=f"a {name}.* but {kind.__name__} has no create"):
                kind().create_lanes(trial(), [5, 6], stage, device)
