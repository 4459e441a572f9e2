"""The engine on a GPU, where updates of lanes run as CUDA graphs."""

from __future__ import annotations

import pytest
import torch

from sweeprl import registry
from sweeprl.config import AgentSpec, Continuous, Discrete, EnvSpec, build
from sweeprl.engine import Learner, parts
from sweeprl.networks import QNet
from sweeprl.testing import random_transitions
from tests.engine.agents import expert_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SPECS = {
    "A2C": EnvSpec(4, Discrete(3)),
    "ARS": EnvSpec(4, Discrete(3)),
    "DQN": EnvSpec(4, Discrete(3)),
    "DQNPer": EnvSpec(4, Discrete(3)),
    "RAINBOW": EnvSpec(4, Discrete(3)),
    "PPO": EnvSpec(4, Discrete(3)),
    "GAIL": EnvSpec(4, Discrete(3)),
    "TRPO": EnvSpec(4, Discrete(3)),
    "DDPG": EnvSpec(3, Continuous(2)),
    "TD3": EnvSpec(3, Continuous(2)),
    "DDPGPer": EnvSpec(3, Continuous(2)),
    "HDDPG": EnvSpec(3, Continuous(2)),
    "SAC": EnvSpec(3, Continuous(2)),
    "MADDPG": EnvSpec(
        3,
        Continuous(3),
        agents=(AgentSpec("one", 2, Continuous(2)), AgentSpec("two", 1, Continuous(1))),
    ),
}
SMALL = {
    "A2C": dict(batch_size=8, rollout_steps=16),
    "ARS": dict(rollout_num=2, used_rollout_num=1),
    "DQN": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "DQNPer": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "RAINBOW": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "PPO": dict(batch_size=8, rollout_steps=16),
    "GAIL": dict(
        batch_size=8,
        expert_trajectory_path=str(expert_of(SPECS["GAIL"])),
        PPO_config=dict(batch_size=8, rollout_steps=16),
    ),
    "TRPO": dict(batch_size=8, rollout_steps=16),
    "DDPG": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "TD3": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "DDPGPer": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "HDDPG": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "SAC": dict(batch_size=8, warmup_steps=0, replay_size=512),
    "MADDPG": dict(batch_size=8, warmup_steps=0, replay_size=512, sub_policy_num=1),
}
REPLAY = [name for name, settings in SMALL.items() if "replay_size" in settings]
LANES = 5


VARIED = {"ARS": ("noise_std_dev", 0.9), "GAIL": ("discriminator_learning_rate", 1e-3)}
"""What lanes differ in, where it is not the discount."""


def learner(name, device, num=LANES, **settings):
    frame = registry.frames.get(name)
    key, value = VARIED.get(name, ("discount", 0.9))
    own = {**SMALL[name], **settings}
    frames = [
        frame(build(frame.Config, {**own, key: value * (1 + 0.01 * lane)}), SPECS[name])
        for lane in range(num)
    ]
    return Learner(frames, range(num), device=device, replay_device=device, is_tolerant=True)


def train(one, name, rounds):
    logs = []
    for seed in range(rounds):
        steps = 64 if name == "ARS" else 16  # some episodes have to end in them
        one.store(random_transitions(SPECS[name], steps, one.num_lanes, seed))
        logs.append({key: value.cpu() for key, value in one.update().items()})
    return logs


def close_share(one, other):
    mine, theirs = one.weights()["networks"], other.weights()["networks"]
    pairs = [(v, theirs[role][k]) for role, named in mine.items() for k, v in named.items()]
    close = [torch.isclose(a, b, rtol=1e-3, atol=1e-4).flatten() for a, b in pairs]
    return float(torch.cat(close).float().mean())


@pytest.mark.parametrize("name", SPECS)
def test_lanes_learn_on_a_gpu_what_they_learn_on_a_cpu(name):
    gpu, cpu = learner(name, "cuda"), learner(name, "cpu")
    logs = train(gpu, name, 2), train(cpu, name, 2)  # enough updates for graphs to be replayed
    assert close_share(gpu, cpu) > 0.98
    for key, value in logs[0][0].items():
        torch.testing.assert_close(value, logs[1][0][key], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", SPECS)
def test_a_single_agent_learns_in_graphs_what_it_learns_on_a_cpu(name):
    gpu, cpu = learner(name, "cuda", 1), learner(name, "cpu", 1)
    for one in (gpu, cpu):
        train(one, name, 4)
    assert any(update._graph is not None for update in gpu._updates.values())
    assert close_share(gpu, cpu) > 0.97
    again = learner(name, "cuda", 1)
    again.load_state_dict(gpu.state_dict())
    assert close_share(again, gpu) == 1.0


class Own(QNet):
    pass


def test_networks_of_the_users_are_not_called_from_a_graph():
    one = learner("DQN", "cuda", 1, models=[Own, Own])
    train(one, "DQN", 2)
    assert not one._updates


@pytest.mark.parametrize("name", SPECS)
def test_a_lane_given_to_another_agent_learns_as_one_of_its_own(name):
    gpu, cpu = learner(name, "cuda"), learner(name, "cpu")
    for one in (gpu, cpu):
        train(one, name, 1)
        frame = one.frames[2]
        one.place(2, frame, 77)
        train(one, name, 2)
    assert close_share(gpu, cpu) > 0.97


@pytest.mark.parametrize("launch", [0.0, parts._LAUNCH["cuda"]], ids=["in parts", "at once"])
@pytest.mark.parametrize("name", REPLAY)
def test_masked_lanes_agree_with_the_cpu(name, launch, monkeypatch):
    monkeypatch.setitem(parts._LAUNCH, "cuda", launch)
    gpu, cpu = learner(name, "cuda"), learner(name, "cpu")
    for one in (gpu, cpu):
        frame = type(one.frame)
        config = one.frame.config.model_copy(update=dict(batch_size=4, updates_per_step=0.5))
        one.place(1, frame(config, SPECS[name]), 5)
        train(one, name, 2)
        one.place(1, one.frames[0], 6)
        one.place(3, frame(config, SPECS[name]), 7)  # as many in each part, but others
        train(one, name, 1)
    assert any(parts for one in gpu._divisions for parts in one._kept.values()) is (launch == 0.0)
    assert gpu.updates.tolist() == cpu.updates.tolist()
    assert close_share(gpu, cpu) > 0.97


def test_lanes_that_go_leave_the_others_learning():
    gpu, cpu = learner("DQN", "cuda"), learner("DQN", "cpu")
    for one in (gpu, cpu):
        train(one, "DQN", 1)
        one.keep([0, 4, 2])
        train(one, "DQN", 1)
    assert gpu.num_lanes == 3
    assert close_share(gpu, cpu) > 0.98
