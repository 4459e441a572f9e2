from __future__ import annotations

import numpy as np
import pytest
import torch

from sweeprl import TrialConfig
from sweeprl.envs import RLDataset
from sweeprl.envs._dynamics import dynamics
from sweeprl.envs._lanes_dataset import Budget, LanesDataset
from sweeprl.envs._tensor_lanes import TensorLanes
from sweeprl.envs.torch import Torch, TorchConfig
from sweeprl.functional import stream_key, uniform_at
from tests.envs.classic import NAMES
from tests.envs.lanes import Clockwork, alone, assert_same, joined, of_lanes

CPU = torch.device("cpu")
LAST_BITS = {"rtol": 1e-5, "atol": 1e-5}
"""How far the cosines of few and of many numbers at once may lead episodes apart."""


def lanes(
    name="CartPole-v1", seeds=(3, 4, 5), num_envs=1, budgets=None, collect_steps=7, device=CPU
):
    kind = dynamics(name, {})
    envs = TensorLanes(kind, seeds, num_envs, stage=0, device=device)
    agent = Clockwork(num_envs, kind.spec.action, collect_steps, device)
    budgets = budgets or [Budget(60 * num_envs, None)] * len(seeds)
    return agent.watch(LanesDataset(envs, agent, {}, budgets))


def single(seed, name="CartPole-v1", num_envs=1, budget=None, collect_steps=7):
    config = _trial(name, seed, num_envs)
    copies = Torch().create_copies(config, "train")
    agent = Clockwork(num_envs, copies.spec.action, collect_steps)
    return agent.watch(RLDataset(copies, agent, None, *(budget or Budget(60 * num_envs, None))))


def _trial(name, seed, num_envs):
    frame = "DQN" if hasattr(dynamics(name, {}).spec.action, "num") else "SAC"
    section = TorchConfig(env_name=name).model_dump()
    sections = {"train_env_config": section, "test_env_config": section}
    return TrialConfig.of(
        {"frame": frame, "env": "torch", "seed": seed, "num_envs": num_envs, **sections}
    )


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("collect_steps", [1, 7, 64])
def test_a_lane_experiences_what_a_single_agent_does(num_envs, collect_steps):
    budgets = [Budget(200, None), Budget(None, 5), Budget(123, 4)]
    found = of_lanes(lanes(num_envs=num_envs, budgets=budgets, collect_steps=collect_steps))
    for lane, budget in enumerate(budgets):
        expected = single(3 + lane, num_envs=num_envs, budget=budget, collect_steps=collect_steps)
        assert_same(found[lane], alone(expected), **LAST_BITS)
        assert found[lane].episodes


def test_agents_are_told_where_an_episode_begins():
    data = lanes(num_envs=2)
    over = [np.ones((1, 6), bool)]
    for result in data:
        t = result.transitions
        over.append((t["terminated"] + t["truncated"]).numpy() > 0)
    told = np.stack([begins.flatten().numpy() for begins in data.agents.begins])
    assert np.array_equal(told, np.concatenate(over)[: len(told)])
    assert told[1:].any()


@pytest.mark.parametrize("name", NAMES)
def test_every_environment_can_be_lanes(name):
    found = of_lanes(lanes(name, num_envs=2))
    for lane in range(3):
        assert_same(found[lane], alone(single(3 + lane, name, num_envs=2)), **LAST_BITS)


def test_a_lane_does_not_notice_the_others():
    alone_with_one = of_lanes(lanes(seeds=[4, 8], num_envs=3))[0]
    among_many = of_lanes(lanes(seeds=[*range(10, 30), 4], num_envs=3))[20]
    assert_same(alone_with_one, among_many, **LAST_BITS)


def test_a_lane_given_to_another_agent_begins_fresh():
    data = lanes(num_envs=2)
    before = of_lanes(data, 2)
    data.begin(0, 11, Budget(100, None))
    after = of_lanes(data)
    expected = single(11, num_envs=2, budget=Budget(100, None))
    assert_same(after[0], alone(expected), **LAST_BITS)
    assert_same(joined(before[1], after[1]), alone(single(4, num_envs=2)), **LAST_BITS)


@pytest.mark.parametrize("kept", [[2, 0], [1], [0, 1, 2]], ids=str)
def test_kept_lanes_go_on(kept):
    data = lanes(num_envs=2)
    before = of_lanes(data, 3)
    data.keep(kept)
    after = of_lanes(data)
    for place, lane in enumerate(kept):
        expected = alone(single(3 + lane, num_envs=2))
        assert_same(joined(before[lane], after[place]), expected, **LAST_BITS)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_a_lane_goes_on_as_a_single_agent(num_envs, chunks, tmp_path):
    data = lanes(num_envs=num_envs)
    if chunks:
        of_lanes(data, chunks)
    torch.save(data.state_dict(1), tmp_path / "lane.pt")
    state = torch.load(tmp_path / "lane.pt", weights_only=True)
    resumed = single(4, num_envs=num_envs)
    assert resumed.load_state_dict(state)
    assert_state(resumed.state_dict(), state)
    assert_same(alone(resumed), of_lanes(data)[1], **LAST_BITS)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("chunks", [0, 1, 5])
def test_a_single_agent_goes_on_as_a_lane(num_envs, chunks):
    original = single(4, num_envs=num_envs)
    if chunks:
        alone(original, chunks)
    state = original.state_dict()
    data = lanes(num_envs=num_envs)
    before = of_lanes(data, 2)
    assert data.load_state_dict(1, state)
    if chunks:
        assert_state(data.state_dict(1), state)
    after = of_lanes(data)
    assert_same(after[1], alone(original), **LAST_BITS)
    assert_same(joined(before[0], after[0]), alone(single(3, num_envs=num_envs)), **LAST_BITS)


def assert_state(found, expected):
    assert found.keys() == expected.keys()
    for key in ("counts", "lengths", "returns", "state", "over"):
        assert found[key] == expected[key], key
    assert found["copies"].keys() == expected["copies"].keys()
    for key, value in found["copies"].items():
        assert value.equal(expected["copies"][key]), key


def test_episodes_begin_where_their_streams_say():
    t = next(lanes(num_envs=2)).transitions
    kind = dynamics("CartPole-v1", {})
    for lane, seed in enumerate((3, 4, 5)):
        for env in range(2):
            key = torch.tensor(stream_key(seed, 0, env))
            initial = kind.initial(uniform_at(key, torch.arange(4)).unsqueeze(0))
            assert t["state"][0, 2 * lane + env].equal(initial[0].float())


def test_other_settings_of_acting_are_heeded():
    data = lanes()
    first = next(data).transitions["action"].clone()
    data.act_kwargs = {"offset": 1}
    second = next(data).transitions["action"]
    steps = torch.arange(7).view(7, 1, 1).expand(7, 3, 1)
    assert first.equal((steps % 2).float())
    assert second.equal(((steps + 7 + 1) % 2).float())


class Judge:
    """Pushes the cart one way until the pole falls; remembers what it was asked."""

    def __init__(self, num_lanes):
        self.env_steps = np.zeros(num_lanes, np.int64)
        self.asked, self.begins = [], []

    def action_noise(self, num_envs, is_judged=False, act_kwargs=None):
        self.asked.append((is_judged, act_kwargs))
        return torch.zeros(len(self.env_steps), num_envs, 1)

    def act_on(self, state, noise, step, act_kwargs, begins=None):
        self.begins.append(begins.clone())
        return torch.full(state.shape[:2], act_kwargs["push"])


def test_an_evaluation_plays_the_episodes_of_the_first_copy():
    kind = dynamics("CartPole-v1", {})
    envs = TensorLanes(kind, [3, 4], 5, stage=1, device=CPU, is_judging=True)
    agent, kwargs = Judge(2), {"push": 1}
    found = envs.play_once(agent, kwargs)
    assert (found.shape, found.dtype) == ((2, 5), np.float64)
    assert set(map(str, agent.asked)) == {str((True, kwargs))}
    assert [bool(b.all()) for b in agent.begins] == [True] + [False] * (len(agent.begins) - 1)
    assert not any(bool(begins.any()) for begins in agent.begins[1:])
    assert found.tolist() == [[pushed(seed, episode) for episode in range(5)] for seed in (3, 4)]
    assert envs.play_once(agent, kwargs).tolist() == found.tolist()  # every pass plays the same
    envs.begin(0, 9)
    envs.keep([1, 0])
    agent = Judge(2)
    again = envs.play_once(agent, kwargs).tolist()
    assert again == [found[1].tolist(), [pushed(9, episode) for episode in range(5)]]


def pushed(seed, episode) -> int:
    """Steps until the pole falls."""
    kind = dynamics("CartPole-v1", {})
    key = torch.tensor(stream_key(seed, 1, 0))
    state = kind.initial(uniform_at(key, 4 * episode + torch.arange(4)).unsqueeze(0))
    for step in range(1, 500):
        state, _, terminated = kind.step(state, torch.ones(1, dtype=torch.int64))
        if terminated:
            return step
    raise AssertionError("it did not fall")


def test_an_evaluation_ends_with_its_longest_episode():
    kind = dynamics("Pendulum-v1", {})
    envs = TensorLanes(kind, [3, 4], 2, stage=1, device=CPU, is_judging=True)
    agent = Clockwork(1, kind.spec.action)
    agent.watch(LanesDataset(envs, agent, {}, [Budget(1, None)] * 2))
    found = envs.play_once(agent, {})
    assert (found < 0).all()
    assert envs._copies.elapsed.tolist() == [200] * 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_graphs_on_a_gpu_play_what_the_cpu_plays(name):
    budgets = [Budget(120, None), Budget(90, None), Budget(90, None)]
    device = torch.device("cuda")
    found, expected = (lanes(name, num_envs=2, budgets=budgets, device=d) for d in (device, CPU))
    close = {"rtol": 1e-3, "atol": 1e-3}
    for one, other in zip(of_lanes(found, 3), of_lanes(expected, 3), strict=True):
        assert_same(one, other, **close)
    for data in (found, expected):
        data.begin(1, 11, Budget(80, None))
        data.keep([1, 0])
    for one, other in zip(of_lanes(found), of_lanes(expected), strict=True):
        assert_same(one, other, **close)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_graph_on_a_gpu_judges_as_the_cpu_does():
    kind, returns = dynamics("Pendulum-v1", {}), []
    for device in (torch.device("cuda"), CPU):
        envs = TensorLanes(kind, [3, 4], 2, stage=1, device=device, is_judging=True)
        agent = Clockwork(1, kind.spec.action, device=device)
        agent.watch(LanesDataset(envs, agent, {}, [Budget(1, None)] * 2))
        returns.append(envs.play_once(agent, {}))
        np.testing.assert_array_equal(envs.play_once(agent, {}), returns[-1])
    np.testing.assert_allclose(*returns, rtol=0.05)
