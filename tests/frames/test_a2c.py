import torch
from torch import nn, tensor

from sweeprl import registry
from sweeprl.config import Discrete, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.testing import random_transitions

SPEC = EnvSpec(1, Discrete(2))


class Logit(nn.Module):
    """Chooses action 1 with probability sigmoid(w * state)."""

    def __init__(self, weight=0.0):
        super().__init__()
        self.weight = nn.Parameter(tensor(float(weight)))

    def forward(self, state, action=None):
        dist = torch.distributions.Bernoulli(logits=self.weight * state.squeeze(-1))
        action = dist.sample() if action is None else action.squeeze(-1).float()
        return action.long(), dist.log_prob(action), dist.entropy()


def a2c(**settings):
    frame = registry.frames.get("A2C")
    config = {"models": [Logit, "Critic"], "normalize_advantage": False, **settings}
    return frame(build(frame.Config, config), SPEC)


def batch():
    return {
        "state": tensor([[1.0], [2.0]]),
        "action": tensor([[1], [0]]),
        "advantage": tensor([3.0, -1.0]),
        "weight": torch.ones(2),
    }


def loss_and_gradient(frame, **fields):
    actor = Logit()
    networks = type("Networks", (), {"actor": actor})
    hp = {name: tensor(value) for name, value in frame.hyperparameters().items()}
    loss, logs = frame.actor_loss(networks, {**batch(), **fields}, hp)
    (gradient,) = torch.autograd.grad(loss, actor.weight)
    return loss, gradient, logs


def test_actor_descends_the_policy_gradient():
    loss, gradient, logs = loss_and_gradient(a2c())
    # log pi is log 1/2 for both; d log pi / dw = (a - 1/2) s: 1/2 and -1
    torch.testing.assert_close(loss, tensor(0.5).log() * -(3 - 1) / 2)
    torch.testing.assert_close(gradient, tensor(-(3 * 0.5 + -1 * -1.0) / 2))
    torch.testing.assert_close(logs["entropy"], tensor(2.0).log())


def test_steps_of_weight_zero_do_not_count():
    _, gradient, _ = loss_and_gradient(a2c(), weight=tensor([1.0, 0.0]))
    torch.testing.assert_close(gradient, tensor(-1.5))


def test_advantages_are_normalised_unless_told_otherwise():
    _, gradient, _ = loss_and_gradient(a2c(normalize_advantage=True))
    torch.testing.assert_close(gradient, tensor(-(1 * 0.5 + -1 * -1.0) / 2))


def test_entropy_is_part_of_the_loss_where_it_has_a_weight():
    plain, _, _ = loss_and_gradient(a2c())
    loss, _, _ = loss_and_gradient(a2c(entropy_weight=0.1))
    torch.testing.assert_close(loss, plain - 0.1 * tensor(2.0).log())


def test_one_pass_in_one_batch_is_one_step_of_each_network():
    frame = a2c(actor_update_times=1, critic_update_times=1, rollout_steps=16, batch_size=16)
    learner = Learner([frame], [0])
    learner.store(random_transitions(SPEC, 16, 1))
    logs = learner.update()
    assert learner.updates.tolist() == [1]
    assert set(logs) == {"loss", "actor_loss", "critic_loss", "entropy"}
