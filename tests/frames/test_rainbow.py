from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn, tensor

import sweeprl
from sweeprl import registry
from sweeprl.config import Discrete, EnvSpec, TrialConfig, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError
from sweeprl.frames.rainbow import RAINBOW
from sweeprl.launcher import build_learner, build_module
from sweeprl.networks import DistributionalQNet, QNet
from sweeprl.testing import random_transitions

SPEC = EnvSpec(4, Discrete(2))
SMALL = dict(batch_size=16, warmup_steps=0, replay_size=512)


def rainbow(**settings):
    return RAINBOW(build(RAINBOW.Config, {**SMALL, **settings}), SPEC)


class Fixed(nn.Module):
    """Returns the same probabilities of three atoms for both actions of every state."""

    def __init__(self, first, second):
        super().__init__()
        self.p = nn.Parameter(tensor([first, second]))

    def forward(self, state):
        return self.p.expand(len(state), 2, 3)


ONLINE = Fixed([0.2, 0.6, 0.2], [0.1, 0.1, 0.8])  # means 0 and 0.7
TARGET = Fixed([0.1, 0.2, 0.7], [0.5, 0.5, 0.0])  # means 0.6 and -0.5
NETWORKS = SimpleNamespace(qnet=ONLINE, qnet_target=TARGET)


def hp_of(frame):
    return {name: tensor(value) for name, value in frame.hyperparameters().items()}


@pytest.mark.parametrize(
    "mode, expected",
    [
        ("vanilla", [0.1, 0.1, 0.8]),
        ("fixed_target", [0.1, 0.2, 0.7]),
        ("double", [0.5, 0.5, 0.0]),
    ],
)
def test_the_mode_says_whose_distribution_is_reached(mode, expected):
    frame = rainbow(mode=mode)
    reached = frame.reached(NETWORKS, torch.zeros(1, 4), hp_of(frame))
    torch.testing.assert_close(reached, tensor([expected]))


def test_the_loss_worked_by_hand():
    frame = rainbow(mode="fixed_target", discount=0.5)
    batch = {
        "state": torch.zeros(2, 4),
        "action": tensor([1, 0]),
        "reward": tensor([[0.25, 0.5, 0.0], [-0.5, 0.0, 0.0]]),
        "num_steps": tensor([2.0, 1.0]),
        "terminated": tensor([0.0, 1.0]),
        "next_state": torch.zeros(2, 4),
        "weight": torch.ones(2),
        "importance": tensor([1.0, 0.5]),
    }
    loss, logs = frame.q_loss(NETWORKS, batch, hp_of(frame))
    # Row 1: 0.25 + 0.5 * 0.5 = 0.5, and 0.25 of each atom: 0.25, 0.5, 0.75 with 0.1, 0.2, 0.7.
    target = tensor([0.0, 0.1 * 0.75 + 0.2 * 0.5 + 0.7 * 0.25, 0.1 * 0.25 + 0.2 * 0.5 + 0.7 * 0.75])
    first = -(target * tensor([0.1, 0.1, 0.8]).log()).sum()
    # Row 2: all at -0.5, half on -1 and half on 0.
    second = -(0.5 * tensor(0.2).log() + 0.5 * tensor(0.6).log())
    torch.testing.assert_close(loss, (first + 0.5 * second) / 2)
    entropies = tensor([-(target[1:] * target[1:].log()).sum(), tensor(2.0).log()])
    torch.testing.assert_close(logs["priority"], torch.stack([first, second]) - entropies)
    torch.testing.assert_close(logs["q_value"], tensor(0.35))


def test_it_acts_on_mean_returns():
    frame = rainbow()
    noise, step = torch.zeros(3, 2), tensor(1e6)
    action = frame.act(NETWORKS, torch.zeros(3, 4), noise, hp_of(frame), step, greedy=True)
    assert action.tolist() == [1, 1, 1]


class Logits(DistributionalQNet):
    def forward(self, state):
        return 2 * super().forward(state)


@pytest.mark.parametrize("model", [QNet, Logits])
def test_what_returns_no_distributions_is_refused(model):
    message = r"does not fit .* must take `state` \(B, 4\) and return probabilities \(B, 2, K\)"
    with pytest.raises(ConfigError, match=message):
        rainbow(models=[model, model]).networks()


def test_the_number_of_atoms_is_the_networks():
    networks = rainbow(model_kwargs=[{"atom_num": 11}] * 2).networks()
    assert networks["qnet"](state=torch.zeros(1, 4)).shape == (1, 2, 11)


@pytest.mark.parametrize("num_lanes", [1, 3])
def test_noisy_networks_learn_in_lanes_and_are_plain_when_judged(num_lanes):
    frames = [rainbow(model_kwargs=[{"noisy": True, "hidden": [16]}] * 2) for _ in range(num_lanes)]
    learner = Learner(frames, range(num_lanes))
    before = learner.weights()["networks"]["qnet"]
    for seed in range(2):
        learner.store(random_transitions(SPEC, 16, num_lanes, seed))
        learner.update()
    after = learner.weights()["networks"]["qnet"]
    assert any("sigma" in name for name in before)
    assert all(not torch.equal(value, after[name]) for name, value in before.items())
    states = random_transitions(SPEC, 1, 50 * num_lanes)["state"][0]
    judged = [learner.act(states, is_judged=True, greedy=True).tolist() for _ in range(2)]
    assert judged[0] == judged[1]


def test_a_chain_learns_the_distribution_of_its_return():
    # Every episode is one step; its reward is 0 or 1, each with probability 1/2.
    frame = rainbow(
        value_min=0.0, value_max=1.0, learning_rate=0.01, model_kwargs=[{"atom_num": 3}] * 2
    )
    learner = Learner([frame], [0])
    for seed in range(4):
        data = random_transitions(SPEC, 128, 1, seed)
        data["reward"] = (data["reward"] > 0).astype("float32")
        data["terminated"][:], data["state"][:] = 1.0, 0.0
        learner.store(data)
        learner.update()
    p = learner._lanes.apply("p", lambda networks, hp: networks.qnet(state=torch.zeros(1, 4)))
    torch.testing.assert_close(p.detach()[0, 0], tensor([0.5, 0.0, 0.5]), atol=0.12, rtol=0)


@pytest.mark.parametrize("env", ["gymnasium", "torch"])
def test_a_step_begins_where_the_one_before_ended_unless_the_episode_did(env, tmp_path):
    """By that the engine tells which steps are in a row."""
    config = sweeprl.generate_algorithm_config("RAINBOW")
    config["frame_config"] |= {"warmup_steps": 10**6, "collect_steps": 37}
    config = sweeprl.generate_env_config(
        env, config, env_name="CartPole-v1", render_every_episode=0
    )
    config = TrialConfig.of(
        sweeprl.generate_training_config(
            root_dir=str(tmp_path), config=config, max_env_steps=600, num_envs=3, gpus=None
        )
    )
    extension = registry.envs.get(env)()
    module = build_module(config, extension, build_learner(config, extension))
    chunks = [result.transitions for result in module.train_data]
    data = {key: np.concatenate([chunk[key] for chunk in chunks]) for key in chunks[0]}
    goes_on = (data["state"][1:] == data["next_state"][:-1]).all(-1)
    over = (data["terminated"] + data["truncated"])[:-1] > 0
    assert over.sum() > 5
    np.testing.assert_array_equal(goes_on, ~over)
