"""A single agent whose rules are recorded learns as one whose rules are called, bit for bit."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.engine import Learner, lanes
from sweeprl.networks import QNet
from tests.engine.agents import SPECS, assert_same_lane, chunk, frame_of


def trained(name, monkeypatch, num_few, num=4, **settings):
    """A learner after some rounds, whose rules are recorded from the call after `num_few` on."""
    monkeypatch.setattr(lanes, "_FEW", num_few)
    learner = Learner([frame_of(name, **settings)], [0])
    actions = []
    for seed in range(num):
        data = chunk(name, 1, seed)
        actions += [
            torch.from_numpy(learner.act(state, at)) for at, state in enumerate(data["state"])
        ]
        learner.store(data)
        learner.update()
    return learner, torch.stack(actions)


def records_of(learner):
    return {name for name, *_ in learner._lanes._records}


@pytest.mark.parametrize("normalize", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("name", SPECS)
def test_a_record_is_what_was_recorded(name, normalize, monkeypatch):
    settings = {"normalize_observation": normalize, "gradient_max": 0.5}
    called, actions = trained(name, monkeypatch, 10**9, **settings)
    assert not [one for one in records_of(called) if one[0] != "moved"]
    for few in (0, 5):
        recorded, same_actions = trained(name, monkeypatch, few, **settings)
        assert records_of(recorded)
        assert_same_lane(recorded, 0, called, atol=0)
        assert torch.equal(same_actions, actions)


NOISY = {"model_kwargs": [{"hidden": [16], "noisy": True}] * 2}
"""Networks that draw from torch's global generator."""


def test_making_a_record_draws_nothing(monkeypatch):
    torch.manual_seed(0)
    called, actions = trained("RAINBOW", monkeypatch, 10**9, **NOISY)
    torch.manual_seed(0)
    recorded, same_actions = trained("RAINBOW", monkeypatch, 5, **NOISY)
    assert records_of(recorded)
    assert_same_lane(recorded, 0, called, atol=0)
    assert torch.equal(same_actions, actions)


def test_an_agent_that_is_placed_in_a_recorded_lane_learns_as_alone(monkeypatch):
    used, _ = trained("DQN", monkeypatch, 0, num=2)
    frame = frame_of("DQN", learning_rate=0.02, discount=0.9)
    used.place(0, frame, 7)
    monkeypatch.setattr(lanes, "_FEW", 10**9)
    alone = Learner([frame], [7])
    for seed in range(4):
        for learner in (used, alone):
            learner.store(chunk("DQN", 1, seed))
            learner.update()
            learner.adjust(0, frame_of("DQN", learning_rate=0.01 * (seed + 1), discount=0.9))
    assert_same_lane(used, 0, alone, atol=0)


@pytest.mark.parametrize("settings", [{}, NOISY], ids=["plain", "noisy"])
def test_training_goes_on_in_a_record_as_it_began(settings, monkeypatch):
    torch.manual_seed(0)
    whole, _ = trained("RAINBOW", monkeypatch, 3, num=6, **settings)
    torch.manual_seed(0)
    begun, _ = trained("RAINBOW", monkeypatch, 3, num=3, **settings)
    again = Learner([frame_of("RAINBOW", **settings)], [0])
    again.load_state_dict(begun.state_dict())
    for seed in range(3, 6):
        data = chunk("RAINBOW", 1, seed)
        for at, state in enumerate(data["state"]):
            again.act(state, at)
        again.store(data)
        again.update()
    assert_same_lane(again, 0, whole, atol=0)


class Counting(QNet):
    calls = 0

    def forward(self, state):
        Counting.calls += 1
        return super().forward(state)


class Huber(nn.HuberLoss):
    pass


class Squared:
    """A criterion that is no module."""

    def __call__(self, value, target):
        return (value - target).square()


class OwnDQN(registry.frames.get("DQN")):
    pass


def own_network():
    return frame_of("DQN", models=[Counting, Counting])


def own_criterion():
    return frame_of("DQN", criterion=Huber)


def own_callable():
    return frame_of("DQN", criterion=Squared)


def own_criterion_inside():
    return frame_of("GAIL", criterion=Huber)


def own_frame():
    return OwnDQN(frame_of("DQN").config, SPECS["DQN"])


@pytest.mark.parametrize(
    "build", [own_network, own_criterion, own_callable, own_criterion_inside, own_frame]
)
def test_code_of_the_users_is_called_every_time(build, monkeypatch):
    monkeypatch.setattr(lanes, "_FEW", 0)
    frame = build()
    learner = Learner([frame], [0])
    for seed in range(3):
        learner.store(chunk("GAIL" if build is own_criterion_inside else "DQN", 1, seed))
        before = Counting.calls
        learner.update()
        assert build is not own_network or Counting.calls > before
    assert not records_of(learner)


@pytest.mark.parametrize("num", [1, 3])
def test_without_torchscript_a_record_is_the_same(num, monkeypatch):
    def updated():
        monkeypatch.setattr(lanes, "_FEW", 0)
        learner = Learner([frame_of("SAC")] * num, list(range(num)))
        learner.store(chunk("SAC", num))
        learner.update()
        return learner

    interpreted = updated()
    monkeypatch.delattr(torch._C, "_create_graph_by_tracing")
    in_python = updated()
    for lane in range(num):
        assert_same_lane(in_python, lane, interpreted, lane, atol=0)


def test_recording_warns_of_nothing(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained("DQN", monkeypatch, 0, num=1)


class Layered(nn.Module):
    """Layers whose gradients TorchScript cannot take from a record."""

    def __init__(self, state_dim, action_num):
        super().__init__()
        self.convolution = nn.Conv1d(1, 4, 3, padding=1)
        self.norm, self.layer = nn.LayerNorm(state_dim), nn.Linear(4 * state_dim, action_num)

    def forward(self, state):
        return self.layer(self.convolution(self.norm(state).unsqueeze(-2)).flatten(-2))


def test_what_torchscript_does_not_know_is_recorded_all_the_same():
    frame = frame_of("DQN", models=[Layered, Layered], model_kwargs=[{}, {}])
    together = Learner([frame] * 2, [0, 1])
    alone = Learner([frame], [1])
    data = chunk("DQN", 2)
    together.store(data)
    alone.store({key: value[:, 1:] for key, value in data.items()})
    for learner in (together, alone):
        learner.update()
    assert_same_lane(together, 1, alone)


def test_fields_are_told_apart_by_their_names(monkeypatch):
    called, recorded = (Learner([frame_of("PPO")], [0]) for _ in range(2))
    for seed in range(3):
        data = chunk("PPO", 1, seed)
        turned = dict(reversed(data.items())) if seed == 1 else data
        for learner, few in ((called, 10**9), (recorded, 0)):
            monkeypatch.setattr(lanes, "_FEW", few)
            learner.store(turned)
            learner.update()
    assert_same_lane(recorded, 0, called, atol=0)
