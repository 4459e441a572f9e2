from __future__ import annotations

import importlib.util
import math

import gymnasium as gym
import numpy as np
import pytest

from sweeprl import TrialConfig, registry
from sweeprl.config import Continuous, Discrete, EnvSpec
from sweeprl.envs import NativeCopies, SingleCopy, VectorCopies
from sweeprl.envs.gymnasium import Gymnasium, GymnasiumConfig
from sweeprl.errors import ConfigError, MissingDependencyError, UnknownNameError

CLASSIC = {
    "CartPole-v1": EnvSpec(4, Discrete(2), "CartPole-v1"),
    "MountainCar-v0": EnvSpec(2, Discrete(3), "MountainCar-v0"),
    "MountainCarContinuous-v0": EnvSpec(2, Continuous(1), "MountainCarContinuous-v0"),
    "Pendulum-v1": EnvSpec(3, Continuous(1), "Pendulum-v1"),
    "Acrobot-v1": EnvSpec(6, Discrete(3), "Acrobot-v1"),
}
TOY = {
    "FrozenLake-v1": EnvSpec(16, Discrete(4), "FrozenLake-v1"),
    "Blackjack-v1": EnvSpec(32 + 11 + 2, Discrete(2), "Blackjack-v1"),
    "CliffWalking-v1": EnvSpec(48, Discrete(4), "CliffWalking-v1"),
    "Taxi-v4": EnvSpec(500, Discrete(6), "Taxi-v4"),
}
needs_box2d = pytest.mark.skipif(
    importlib.util.find_spec("Box2D") is None, reason="the extra box2d is not installed"
)


class Agent:
    collect_steps = 8

    def __init__(self, spec):
        self.spec = spec

    def act(self, states, ahead=0, is_judged=False, **act_kwargs):
        if isinstance(self.spec.action, Continuous):
            return np.full((len(states), self.spec.action.size), 0.5, np.float32)
        return np.arange(len(states)) % self.spec.action.num


def make(**settings):
    return Gymnasium().make(GymnasiumConfig(**settings))


def trial(tmp_path, **settings):
    section = settings.pop("section", {})
    section = {"render_every_episode": 0, **section}
    sections = {"train_env_config": section, "test_env_config": section}
    frame = "SAC" if section.get("env_name", "").startswith("Pendulum") else "DQN"
    return TrialConfig.of({"frame": frame, "root_dir": str(tmp_path), **sections, **settings})


def dataset(config, stage="train"):
    extension = Gymnasium()
    agent = Agent(extension.spec(config.train_env_config))
    return extension.create_dataset(agent, config, stage)


def test_it_is_found_by_name():
    assert registry.envs.get("gymnasium") is Gymnasium
    assert registry.envs.get("openai_gym") is Gymnasium


def test_every_environment_of_classic_control_is_among_these():
    current = {
        name
        for name, spec in gym.registry.items()
        if "classic_control" in str(spec.entry_point) and "CartPole-v0" != name  # deprecated
    }
    assert current == set(CLASSIC)


@pytest.mark.parametrize("env_name", [*CLASSIC, *TOY])
def test_what_a_frame_needs_to_know(env_name):
    config = GymnasiumConfig(env_name=env_name)
    assert Gymnasium().spec(config) == (CLASSIC | TOY)[env_name]


@pytest.mark.parametrize("env_name", [*CLASSIC, *TOY])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_experience_in_every_environment(env_name, num_envs, tmp_path):
    config = trial(tmp_path, section={"env_name": env_name}, num_envs=num_envs, max_env_steps=20)
    data = dataset(config)
    results = list(data)
    data.copies.close()
    spec = (CLASSIC | TOY)[env_name]
    assert data.env_steps == 20
    for result in results:
        transitions = result.transitions
        num = len(transitions["reward"])
        assert transitions["state"].shape == (num, num_envs, spec.observation_size)
        assert transitions["action"].shape == (num, num_envs, spec.action.size)
        assert all(np.isfinite(values).all() for values in transitions.values())


@needs_box2d
def test_lunar_lander(tmp_path):
    config = trial(tmp_path, section={"env_name": "LunarLander-v3"}, max_env_steps=20)
    data = dataset(config)
    list(data)
    data.copies.close()
    assert data.copies.spec == EnvSpec(8, Discrete(4), "LunarLander-v3")
    assert Gymnasium().spec(
        GymnasiumConfig(env_name="LunarLander-v3", env_kwargs={"continuous": True})
    ).action == Continuous(2)


def test_a_missing_package_is_answered_with_its_pip_command(monkeypatch):
    def absent(*args, **kwargs):
        raise gym.error.DependencyNotInstalled("Box2D is not installed")

    monkeypatch.setattr(gym, "make", absent)
    with pytest.raises(MissingDependencyError, match=r"pip install 'sweeprl\[box2d\]'"):
        make(env_name="CartPole-v1")


@pytest.mark.parametrize(
    "env_name, message",
    [
        ("CartPol-v1", r"No Gymnasium environment 'CartPol-v1': .*Did you mean: `CartPole`\?"),
        ("CartPole", r"No Gymnasium environment 'CartPole': .* Did you mean 'CartPole-v1'\?"),
        ("CartPole-v9", r"No Gymnasium environment 'CartPole-v9'"),
        ("LunarLander-v2", r"Please use `LunarLander-v3` instead"),
        ("Nowhere/Env-v0", r"No Gymnasium environment 'Nowhere/Env-v0'.*'module:id'"),
        ("no_such_module:Env-v0", r"No Gymnasium environment 'no_such_module:Env-v0'"),
        ("", r"No Gymnasium environment ''"),
    ],
)
def test_an_unknown_id_is_refused(env_name, message):
    with pytest.raises(UnknownNameError, match=message):
        make(env_name=env_name)


def test_a_module_that_registers_is_imported_first(tmp_path, monkeypatch):
    (tmp_path / "gymnasium_test_envs.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('sweeprl-test/Pole-v0', "
        "'gymnasium.envs.classic_control.cartpole:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make(env_name="gymnasium_test_envs:sweeprl-test/Pole-v0")
    assert env.observation_space.shape == (4,)
    del gym.registry["sweeprl-test/Pole-v0"]


def test_constructor_arguments_are_passed():
    assert make(env_name="Pendulum-v1", env_kwargs={"g": 3.0}).unwrapped.g == 3.0
    assert make(env_kwargs={"max_episode_steps": 7}).spec.max_episode_steps == 7


@pytest.mark.parametrize(
    "env_name, env_kwargs, reason",
    [
        ("CartPole-v1", {"gravty": 1}, "TypeError: .*gravty"),
        ("FrozenLake-v1", {"map_name": "9x9"}, "KeyError: '9x9'"),
        ("CartPole-v1", {"max_episode_steps": -5}, ""),
    ],
)
def test_constructor_arguments_that_it_refuses_are_refused(env_name, env_kwargs, reason):
    with pytest.raises(
        ConfigError, match=f"{env_name} must be buildable with env_kwargs .* but {reason}"
    ):
        make(env_name=env_name, env_kwargs=env_kwargs)


@pytest.mark.parametrize(
    "wrapper",
    [
        {"name": "TimeLimit", "kwargs": {"max_episode_steps": 5}},
        {"name": "gymnasium.wrappers.TimeLimit", "kwargs": {"max_episode_steps": 5}},
    ],
)
def test_a_wrapper_with_arguments(wrapper):
    env = make(wrappers=[wrapper])
    env.reset(seed=0)
    assert [env.step(step % 2)[3] for step in range(5)] == [False] * 4 + [True]


def test_wrappers_go_from_the_inside_out():
    scale = {
        "name": "gymnasium.wrappers.RescaleObservation",
        "kwargs": {"min_obs": 0, "max_obs": 1},
    }
    env = make(env_name="Pendulum-v1", wrappers=[scale, "TimeAwareObservation"])
    assert type(env).__name__ == "TimeAwareObservation"
    assert type(env.env).__name__ == "RescaleObservation"
    assert (
        Gymnasium()
        .spec(GymnasiumConfig(env_name="Pendulum-v1", wrappers=[scale, "TimeAwareObservation"]))
        .observation_size
        == 4
    )


@pytest.mark.parametrize(
    "wrapper, reason",
    [
        ("NoSuchWrapper", "has no attribute 'NoSuchWrapper'"),
        ("no_such_module.Wrapper", "No module named 'no_such_module'"),
        ({"name": "TimeLimit"}, "missing 1 required positional argument"),
        ({"name": "TimeLimit", "kwargs": {"steps": 5}}, "unexpected keyword argument 'steps'"),
    ],
)
def test_a_wrong_wrapper_is_refused(wrapper, reason):
    with pytest.raises(ConfigError, match=f"Wrapper '.*' must be an importable .*{reason}"):
        make(wrappers=[wrapper])


@pytest.mark.parametrize(
    "num_envs, vectorization, kind",
    [
        (1, "sync", SingleCopy),
        (1, "async", SingleCopy),
        (2, "sync", VectorCopies),
        (2, "async", VectorCopies),
        (2, "native", NativeCopies),
        (1, "native", NativeCopies),
    ],
)
def test_copies_run_as_the_config_says(num_envs, vectorization, kind, tmp_path):
    config = trial(tmp_path, num_envs=num_envs, vectorization=vectorization)
    copies = Gymnasium().create_copies(config, "train")
    assert isinstance(copies, kind)
    assert copies.num == num_envs
    assert copies.reset().shape == (num_envs, 4)
    copies.close()


@pytest.mark.parametrize(
    "section", [{"env_name": "Acrobot-v1"}, {"wrappers": ["TimeAwareObservation"]}]
)
def test_native_needs_an_implementation(section, tmp_path):
    config = trial(tmp_path, num_envs=2, vectorization="native", section=section)
    with pytest.raises(
        ConfigError, match='vectorization "native" needs .* Write "sync" or "async"'
    ):
        Gymnasium().create_copies(config, "train")


def test_native_gets_the_constructor_arguments(tmp_path):
    section = {"env_kwargs": {"sutton_barto_reward": True}}
    config = trial(tmp_path, num_envs=2, vectorization="native", section=section, max_env_steps=40)
    data = dataset(config)
    rewards = {float(r) for result in data for r in result.transitions["reward"].ravel()}
    data.copies.close()
    assert rewards == {0.0, -1.0}


@pytest.mark.parametrize("stage", ["evaluation", "test"])
def test_evaluation_has_one_environment_of_its_own(stage, tmp_path):
    evaluation = {"episodes": 2, "final_episodes": 3}
    config = trial(tmp_path, num_envs=4, vectorization="native", evaluation=evaluation)
    data = dataset(config, stage)
    assert data.copies.num == 1
    assert len(list(data)) == {"evaluation": 2, "test": 3}[stage]
    data.copies.close()


def test_every_stage_and_seed_has_reset_seeds_of_its_own(tmp_path):
    def first_states(seed, stage, num_envs=1):
        copies = Gymnasium().create_copies(trial(tmp_path, seed=seed, num_envs=num_envs), stage)
        states = copies.reset()
        copies.close()
        return states

    seen = [first_states(seed, s) for seed in (0, 1) for s in ("train", "evaluation", "test")]
    assert len(np.unique(np.concatenate(seen), axis=0)) == 6
    assert len(np.unique(first_states(0, "train", 4), axis=0)) == 4
    np.testing.assert_array_equal(first_states(0, "train"), seen[0])


def test_actions_reach_the_bounds_of_the_space(tmp_path):
    config = trial(tmp_path, section={"env_name": "Pendulum-v1"})
    copies = Gymnasium().create_copies(config, "train")
    copies.reset()
    copies.step(np.array([[0.5]], np.float32))
    assert copies._env.unwrapped.last_u == 1.0  # half of the torque's bound
    copies.step(np.array([[-7.0]], np.float32))
    assert copies._env.unwrapped.last_u == -2.0
    copies.close()


def videos(folder):
    return sorted(path.name for path in (folder / "videos").glob("*.mp4"))


def test_a_video_is_written_every_so_many_episodes(tmp_path):
    section = {"env_kwargs": {"max_episode_steps": 3}, "render_every_episode": 2}
    data = dataset(trial(tmp_path, section=section, max_episodes=4))
    list(data)
    data.copies.close()
    assert videos(tmp_path) == ["train-episode-0.mp4", "train-episode-2.mp4"]
    assert all(path.stat().st_size > 500 for path in (tmp_path / "videos").glob("*.mp4"))


def test_the_final_test_films_its_first_episode(tmp_path):
    section = {"env_kwargs": {"max_episode_steps": 3}, "render_every_episode": 100}
    data = dataset(trial(tmp_path, section=section, evaluation={"final_episodes": 2}), "test")
    list(data)
    data.copies.close()
    assert videos(tmp_path) == ["test-episode-0.mp4"]


@pytest.mark.parametrize("never", [0, None])
def test_no_video_is_written_where_none_is_wanted(never, tmp_path):
    section = {"env_kwargs": {"max_episode_steps": 3}, "render_every_episode": never}
    data = dataset(trial(tmp_path, section=section, max_episodes=2))
    list(data)
    data.copies.close()
    assert videos(tmp_path) == []


def test_an_environment_that_cannot_be_filmed_runs_all_the_same(tmp_path):
    gym.register("sweeprl-test/Blind-v0", "tests.envs.environments:Blind")
    section = {"env_name": "sweeprl-test/Blind-v0", "render_every_episode": 1}
    data = dataset(trial(tmp_path, section=section, max_env_steps=6))
    list(data)
    data.copies.close()
    del gym.registry["sweeprl-test/Blind-v0"]
    assert data.env_steps == 6
    assert videos(tmp_path) == []


def test_rewards_are_the_environments(tmp_path):
    data = dataset(trial(tmp_path, section={"env_name": "Pendulum-v1"}, max_env_steps=5))
    reference = gym.make("Pendulum-v1")
    reference.reset(seed=data.copies._seed_of(0, 0))
    expected = [reference.step(np.array([1.0], np.float32))[1] for _ in range(5)]
    (result,) = list(data)
    data.copies.close()
    np.testing.assert_allclose(result.transitions["reward"].ravel(), expected, rtol=1e-5)
    assert not math.isclose(expected[0], 0)
