from types import SimpleNamespace

import pytest
import torch
from torch import tensor

from sweeprl.config import Continuous, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.frames.ddpg import DDPG
from sweeprl.frames.hddpg import HDDPG
from sweeprl.testing import random_transitions

SPEC = EnvSpec(2, Continuous(1))
SMALL = dict(batch_size=16, warmup_steps=0, replay_size=512, model_kwargs=[{"hidden": [16]}] * 4)


def frame_of(kind=HDDPG, **settings):
    return kind(build(kind.Config, {**SMALL, **settings}), SPEC)


def test_good_news_counts_more_than_bad():
    frame = frame_of(discount=0.0, q_increase_rate=0.5, q_decrease_rate=0.1)
    hp = {name: tensor(value) for name, value in frame.hyperparameters().items()}
    q = tensor([1.0, 1.0], requires_grad=True)
    networks = SimpleNamespace(
        critic=lambda state, action: q.unsqueeze(-1),
        critic_target=lambda state, action: torch.zeros(2, 1),
        actor_target=lambda state: torch.zeros(2, 1),
    )
    batch = {
        "state": torch.zeros(2, 2),
        "action": torch.zeros(2, 1),
        "reward": tensor([3.0, -3.0]),
        "next_state": torch.zeros(2, 2),
        "terminated": torch.zeros(2),
        "weight": torch.ones(2),
    }
    loss, _ = frame.critic_loss(networks, batch, hp)
    assert float(loss.detach()) == pytest.approx(((0.5 * 2) ** 2 + (0.1 * 4) ** 2) / 2)
    # Half a mean squared error's gradient is the error: 0.5 * 2 up and 0.1 * 4 down.
    (gradient,) = torch.autograd.grad(loss, q)
    torch.testing.assert_close(gradient, tensor([-1.0, 0.4]))


def test_with_both_rates_one_it_is_ddpg():
    learners = [Learner([frame_of(kind)], [0]) for kind in (HDDPG, DDPG)]
    for learner in learners:
        for seed in range(2):
            learner.store(random_transitions(SPEC, 16, 1, seed))
            learner.update()
    mine, theirs = (learner.weights()["networks"] for learner in learners)
    for role, named in theirs.items():
        for name, value in named.items():
            torch.testing.assert_close(mine[role][name], value, atol=1e-6, rtol=1e-5)


def test_a_critic_slow_to_believe_bad_news_is_optimistic():
    def value(**rates):
        settings = dict(discount=0.0, critic_learning_rate=0.01, optimizer="SGD")
        learner = Learner([frame_of(**settings, **rates)], [0])
        for seed in range(6):
            data = random_transitions(SPEC, 128, 1, seed)
            data["state"][:], data["action"][:] = 0.0, 0.0
            data["reward"] = (data["reward"] > 0).astype("float32")
            learner.store(data)
            learner.update()
        zeros = torch.zeros(1, 2), torch.zeros(1, 1)
        judge = learner._lanes._networks.critic
        return float(judge(state=zeros[0], action=zeros[1]).detach())

    assert value() == pytest.approx(0.5, abs=0.1)
    # Where a rise counts 9 times a fall, they balance at 9 / 10.
    assert value(q_decrease_rate=1 / 9) == pytest.approx(0.9, abs=0.1)
