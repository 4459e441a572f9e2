from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import tensor

from sweeprl.config import Continuous, Discrete, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.frames.ddpgper import DDPGPer
from sweeprl.testing import random_transitions

SPEC = EnvSpec(2, Continuous(1))
SMALL = dict(batch_size=16, warmup_steps=0, replay_size=256, model_kwargs=[{"hidden": [16]}] * 4)


def frame_of(spec=SPEC, **settings):
    return DDPGPer(build(DDPGPer.Config, {**SMALL, **settings}), spec)


def test_the_loss_is_weighted_and_tells_the_priorities():
    frame = frame_of(discount=0.5)
    hp = {name: tensor(value) for name, value in frame.hyperparameters().items()}
    networks = SimpleNamespace(
        critic=lambda state, action: action,
        critic_target=lambda state, action: 4 + action,
        actor_target=lambda state: torch.ones(2, 1),
    )
    batch = {
        "state": torch.zeros(2, 2),
        "action": tensor([[0.5], [-0.5]]),
        "reward": tensor([1.0, -3.0]),
        "next_state": torch.zeros(2, 2),
        "terminated": tensor([0.0, 1.0]),
        "weight": torch.ones(2),
        "importance": tensor([1.0, 0.5]),
    }
    loss, logs = frame.critic_loss(networks, batch, hp)
    # Targets 1 + 0.5 * 5 and -3: errors 3 and -2.5.
    torch.testing.assert_close(logs["priority"], tensor([3.0, 2.5]))
    assert float(loss) == pytest.approx((9 + 0.5 * 6.25) / 2)


@pytest.mark.parametrize("spec", [SPEC, EnvSpec(2, Discrete(3))])
def test_what_surprises_is_drawn_more_often(spec):
    learner = Learner([frame_of(spec, priority_alpha=1.0, critic_learning_rate=1e-9)], [0])
    data = random_transitions(spec, 128, 1)
    data["reward"][:], data["terminated"][:] = 0.0, 1.0
    data["reward"][7] = 100.0
    learner.store(data)
    learner.update()
    priorities = learner.state_dict()["replay"]["priorities"].numpy()
    assert priorities.argmax() == 7
    assert priorities[7] / np.median(priorities) > 10
