"""EnvPool's environments: the same as Gymnasium's, and trained in like any other."""

from __future__ import annotations

import importlib.util

import gymnasium as gym
import numpy as np
import pytest

import sweeprl
from sweeprl import TrialConfig
from sweeprl.envs import NativeCopies
from sweeprl.envs._native_lanes import NativeLanes
from sweeprl.envs._pool import Pool
from sweeprl.envs.gymnasium import Gymnasium
from sweeprl.errors import ConfigError, MissingDependencyError
from sweeprl.executors import LanesExecutor
from sweeprl.trials import MemoryReporter, Trial

needs_envpool = pytest.mark.skipif(
    importlib.util.find_spec("envpool") is None, reason="the extra envpool is not installed"
)


def angles(observation):
    return [float(np.arctan2(observation[1], observation[0]))]


STATES = {
    "CartPole-v1": lambda o: o,
    "MountainCar-v0": lambda o: o,
    "MountainCarContinuous-v0": lambda o: o,
    "Pendulum-v1": lambda o: [*angles(o), o[2]],
    "Acrobot-v1": lambda o: [*angles(o[:2]), *angles(o[2:4]), o[4], o[5]],
}
"""The state of Gymnasium's environment that an observation stands for."""


def trial(root, env_name="CartPole-v1", frame="DQN", **settings) -> TrialConfig:
    config = sweeprl.generate_algorithm_config(frame)
    config["frame_config"]["model_kwargs"] = [{"hidden": [16]}] * 2
    config = sweeprl.generate_env_config("gymnasium", config, env_name=env_name)
    defaults = dict(root_dir=str(root), gpus=None, num_envs=3, vectorization="envpool")
    plain = sweeprl.generate_training_config(config=config, **{**defaults, **settings})
    plain["train_env_config"]["render_every_episode"] = 0
    return TrialConfig.of(plain)


@needs_envpool
@pytest.mark.parametrize("env_id", STATES)
def test_transitions_are_gymnasiums(env_id):
    pool, alone = Pool(env_id, {}, [5, 6, 7, 8]), gym.make(env_id)
    assert pool.spec is None
    alone.reset(seed=0)
    alone.action_space.seed(0)
    before, _ = pool.reset()
    is_over = np.zeros(4, bool)
    num_ends = num_compared = 0
    num_steps = alone.spec.max_episode_steps + 30
    for _ in range(num_steps):
        actions = np.stack([alone.action_space.sample() for _ in range(4)])
        after, reward, terminated, truncated, _ = pool.step(actions)
        for copy in np.flatnonzero(~is_over):
            alone.unwrapped.state = np.array(STATES[env_id](before[copy].astype(float)))
            alone.unwrapped.steps_beyond_terminated = None
            expected, gain, ends, _, _ = alone.unwrapped.step(actions[copy])
            # EnvPool's pendulum turns by the speed that it would have without the limit of 8.
            is_at_limit = env_id == "Pendulum-v1" and abs(expected[2]) == 8.0
            if not is_at_limit:
                np.testing.assert_allclose(after[copy], expected, atol=2e-4)
            assert reward[copy] == pytest.approx(float(gain), abs=1e-3)
            assert terminated[copy] == ends
            num_compared += 1
        is_over = terminated | truncated
        num_ends += int(is_over.sum())
        before = np.array(after)
    pool.close()
    assert num_ends >= 4
    assert num_compared == 4 * num_steps - num_ends + int(is_over.sum())


@needs_envpool
def test_each_copy_has_its_own_seed_and_limits_are_truncations():
    pool, other = Pool("Pendulum-v1", {}, [3, 2**31 + 4]), Pool("Pendulum-v1", {}, [3, 5])
    first, second = pool.reset()[0], other.reset()[0]
    assert (first[0] == second[0]).all()
    assert (first[1] != second[1]).any()
    ends = [pool.step(np.zeros((2, 1)))[2:4] for _ in range(200)]
    assert not any(terminated.any() for terminated, _ in ends)
    assert [truncated.all() for _, truncated in ends] == [False] * 199 + [True]
    pool.close()
    other.close()


@needs_envpool
def test_a_trial_trains_in_it_and_is_judged_by_gymnasium(tmp_path):
    config = trial(tmp_path / "trial", max_env_steps=600)
    copies = Gymnasium().create_copies(config, "train")
    assert isinstance(copies, NativeCopies)
    copies.close()
    record = sweeprl.launch(config, view="none")
    assert (record.status, record.env_steps) == ("finished", 600)
    assert record.test_return is not None


@needs_envpool
@pytest.mark.parametrize("frame, env_name", [("DQN", "Acrobot-v1"), ("PPO", "Pendulum-v1")])
def test_lanes_share_one_pool(frame, env_name, tmp_path):
    configs = [
        trial(tmp_path / f"{seed}", env_name, frame, seed=seed, max_env_steps=3000)
        for seed in range(3)
    ]
    lanes = Gymnasium().create_lanes(configs[0], [0, 1, 2], "train", "cpu")
    assert isinstance(lanes, NativeLanes)
    lanes.close()
    reporters = [MemoryReporter() for _ in configs]
    lines = []
    trials = zip(configs, reporters, strict=True)
    LanesExecutor(3, num_threads=1, say=lines.append).run(Trial(c, r) for c, r in trials)
    assert lines == [f"3 lanes of {frame} on cpu."]
    for reporter in reporters:
        (record,) = reporter.outcome.records
        assert (record.status, record.env_steps) == ("finished", 3000)


@needs_envpool
@pytest.mark.parametrize(
    "change, message",
    [
        (dict(env_name="Taxi-v4"), "no 'Taxi-v4'"),
        (dict(wrappers=["TimeAwareObservation"]), "without wrappers"),
        (dict(env_kwargs={"nonsense": 1}), "must be buildable with env_kwargs {'nonsense': 1}"),
    ],
)
def test_what_envpool_does_not_have_is_refused(change, message, tmp_path):
    plain = trial(tmp_path).to_dict()
    for section in ("train_env_config", "test_env_config"):
        plain[section].update(change)
    with pytest.raises(ConfigError, match=message):
        Gymnasium().create_copies(TrialConfig.of(plain), "train")


def test_without_envpool_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "envpool", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'sweeprl\[envpool\]'"):
        Pool("CartPole-v1", {}, [0])
