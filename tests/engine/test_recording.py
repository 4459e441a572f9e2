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
    monkeypatch.setitem(lanes._FEW, "cpu", num_few)
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


def test_training_goes_on_in_a_record_as_it_began(monkeypatch):
    whole, _ = trained("DQN", monkeypatch, 3, num=6)
    begun, _ = trained("DQN", monkeypatch, 3, num=3)
    again = Learner([frame_of("DQN")], [0])
    again.load_state_dict(begun.state_dict())
    for seed in range(3, 6):
        data = chunk("DQN", 1, seed)
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


class OwnDQN(registry.frames.get("DQN")):
    pass


def own_network():
    return frame_of("DQN", models=[Counting, Counting])


def own_criterion():
    return frame_of("DQN", criterion=Huber)


def own_frame():
    return OwnDQN(frame_of("DQN").config, SPECS["DQN"])


@pytest.mark.parametrize("build", [own_network, own_criterion, own_frame])
def test_code_of_the_users_is_called_every_time(build, monkeypatch):
    monkeypatch.setitem(lanes._FEW, "cpu", 0)
    learner = Learner([build()], [0])
    for seed in range(3):
        learner.store(chunk("DQN", 1, seed))
        before = Counting.calls
        learner.update()
        assert build is not own_network or Counting.calls > before
    assert not records_of(learner)


@pytest.mark.parametrize("num", [1, 3])
def test_without_torchscript_a_record_is_the_same(num, monkeypatch):
    def updated():
        monkeypatch.setitem(lanes._FEW, "cpu", 0)
        learner = Learner([frame_of("SAC")] * num, list(range(num)))
        learner.store(chunk("SAC", num))
        learner.update()
        return learner

    interpreted = updated()
    monkeypatch.delattr(torch.jit, "trace")
    in_python = updated()
    for lane in range(num):
        assert_same_lane(in_python, lane, interpreted, lane, atol=0)


def test_recording_warns_of_nothing(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained("DQN", monkeypatch, 0, num=1)
