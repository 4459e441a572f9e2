import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError
from sweeprl.testing import random_transitions

SPECS = {
    "discrete": EnvSpec(3, Discrete(3)),
    "multi-discrete": EnvSpec(3, MultiDiscrete((2, 3))),
    "continuous": EnvSpec(3, Continuous(2)),
}
SMALL = {"model_kwargs": [{"hidden": [4]}, {"hidden": [4]}], "rollout_steps": 64, "batch_size": 32}


def trpo(spec="discrete", **settings):
    frame = registry.frames.get("TRPO")
    return frame(build(frame.Config, {**SMALL, **settings}), SPECS[spec])


def learner_of(frame):
    learner = Learner([frame], [3])
    with torch.no_grad():  # the default's last layer begins close to 0, where all is flat
        learner._lanes.stacks[0].flat.add_(0.3)
    return learner


def updated(frame, seed=0):
    """Parameters of the actor before and after a round, what it learned from, and the logs."""
    learner = learner_of(frame)
    before = learner._lanes.stacks[0].flat[0].detach().clone()
    learner.store(random_transitions(frame.spec, 64, 1, seed))
    rollout = {key: value[0] for key, value in learner._prepared_rollout().items()}
    logs = {name: float(value[0]) for name, value in learner.update().items()}
    return learner, before, rollout, logs


def networks_at(learner):
    stack = learner._lanes.stacks[0]
    return lambda flat: learner._lanes._bound(
        {**learner._lanes.parameters, **stack.unflatten(flat)}
    )


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("hv_mode", ["fim", "direct"])
def test_the_step_goes_along_the_natural_gradient(spec, hv_mode):
    settings = {"conjugate_iterations": 60, "conjugate_res_threshold": 0.0, "damping": 0.2}
    frame = trpo(spec, actor_update_times=1, hv_mode=hv_mode, **settings)
    learner, before, rollout, logs = updated(frame)
    at, hp = networks_at(learner), learner._lanes.hyperparameters

    def description(flat):
        return at(flat).actor(state=rollout["state"], distribution=True)

    old = description(before)
    hessian = torch.autograd.functional.hessian(
        lambda flat: frame.divergence(old, description(flat)).mean(), before
    )
    gradient = torch.func.grad(lambda flat: frame.actor_loss(at(flat), rollout, hp)[0])(before)
    damped = hessian + 0.2 * torch.eye(len(before))
    direction = -torch.linalg.solve(damped, gradient)
    longest = (0.02 / (direction @ damped @ direction)).sqrt() * direction
    step = learner._lanes.stacks[0].flat[0].detach() - before
    torch.testing.assert_close(step, logs["step_share"] * longest, atol=1e-4, rtol=1e-2)


@pytest.mark.parametrize("spec", SPECS)
def test_a_step_improves_and_stays_in_the_trust_region(spec):
    frame = trpo(spec, actor_update_times=1, kl_max_delta=0.05, damping=0.0)
    learner, before, rollout, logs = updated(frame)
    at, hp = networks_at(learner), learner._lanes.hyperparameters
    after = learner._lanes.stacks[0].flat[0].detach()
    old, new = (at(p).actor(state=rollout["state"], distribution=True) for p in (before, after))
    divergence = float(frame.divergence(old, new).mean())
    assert 0.002 < divergence <= 0.05
    assert logs["kl"] == pytest.approx(divergence, rel=1e-3)
    losses = [float(frame.actor_loss(at(p), rollout, hp)[0]) for p in (before, after)]
    assert losses[1] < losses[0]


def test_no_step_is_taken_where_none_passes():
    settings = {"line_search_backtracks": 1, "kl_max_delta": 5.0, "damping": 0.0}  # far too long
    frame = trpo("continuous", actor_update_times=1, **settings)
    learner, before, _, logs = updated(frame)
    assert logs["step_share"] == logs["kl"] == 0.0
    assert torch.equal(learner._lanes.stacks[0].flat[0], before)


def test_the_actor_steps_on_the_whole_rollout_and_the_critic_on_minibatches():
    learner, *_, logs = updated(trpo(actor_update_times=3, critic_update_times=2))
    assert learner.updates.tolist() == [3 + 2 * 64 // 32]
    assert set(logs) == {"actor_loss", "critic_loss", "entropy", "kl", "step_share"}


def test_curves_are_means_over_the_updates_that_have_them():
    """The actor makes one update of nine; its entropy is not a ninth of what it was."""
    frame = trpo(actor_update_times=1, critic_update_times=4)
    learner, before, rollout, logs = updated(frame)
    _, _, entropy = networks_at(learner)(before).actor(
        state=rollout["state"], action=rollout["action"]
    )
    assert logs["entropy"] == pytest.approx(float(entropy.mean()), rel=1e-5)


class Plain(nn.Module):
    """An actor that PPO could use."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, state, action=None):
        dist = torch.distributions.Categorical(logits=self.layer(state))
        action = dist.sample() if action is None else action
        return action, dist.log_prob(action), dist.entropy()


class Mistaken(Plain):
    """It returns probabilities of too few actions."""

    def forward(self, state, action=None, distribution=False):
        return torch.zeros(len(state), 2) if distribution else super().forward(state, action)


@pytest.mark.parametrize("actor", [Plain, Mistaken])
def test_an_actor_has_to_describe_its_distribution(actor):
    frame = trpo(models=[actor, "Critic"], model_kwargs=[{}, {}])
    message = r"With `distribution` True it must return log-probabilities of all actions .*\(B, 3\)"
    with pytest.raises(ConfigError, match=message):
        frame.networks()
