from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Normal

from sweeprl.errors import ConfigError
from sweeprl.networks import (
    MLP,
    CategoricalActor,
    DeterministicActor,
    GaussianActor,
    ProbabilityActor,
    QCritic,
    QNet,
    SquashedGaussianActor,
    ValueCritic,
)

B, D = 5, 4
STATE = torch.linspace(-1, 1, B * D).reshape(B, D)
ACTORS = {
    "categorical": (lambda: CategoricalActor(D, 3), (B,), 1),
    "multi-categorical": (lambda: CategoricalActor(D, [2, 3, 4]), (B, 3), 3),
    "gaussian": (lambda: GaussianActor(D, 2), (B, 2), 2),
    "squashed": (lambda: SquashedGaussianActor(D, 2, [16]), (B, 2), 2),
}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(params=ACTORS)
def actor_case(request):
    build, shape, size = ACTORS[request.param]
    actor = build()
    with torch.no_grad():  # as after some training, so that states matter
        for parameter in actor.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return actor, shape, size


def test_layers_and_activations_alternate():
    network = MLP([3, 8, 5, 2], "Tanh")
    assert [type(layer) for layer in network] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert [tuple(layer.weight.shape) for layer in list(network)[::2]] == [(8, 3), (5, 8), (2, 5)]


def test_no_hidden_layer_is_linear():
    assert len(MLP([3, 2], "ReLU")) == 1


def test_a_gain_initialises_orthogonally():
    network = MLP([8, 8, 8], "Tanh", gain=0.01)
    for layer, gain in zip(list(network)[::2], [math.sqrt(2), 0.01], strict=True):
        torch.testing.assert_close(layer.weight @ layer.weight.T, gain**2 * torch.eye(8))
        assert layer.bias.eq(0).all()


@pytest.mark.parametrize(
    "name, hint", [("Relu", "Did you mean 'ReLU'"), ("zebra", "No activation")]
)
def test_an_unknown_activation_is_refused(name, hint):
    with pytest.raises(
        ConfigError, match=f"No activation named '{name}' in torch.nn.*{hint}|{hint}"
    ):
        QNet(D, 2, activation=name)


@pytest.mark.parametrize(
    "network, inputs, shape",
    [
        (QNet(D, 3, [8]), {"state": STATE}, (B, 3)),
        (ValueCritic(D, [8]), {"state": STATE}, (B, 1)),
        (QCritic(D, 2, [8]), {"state": STATE, "action": torch.zeros(B, 2)}, (B, 1)),
    ],
    ids=lambda case: type(case).__name__,
)
def test_values_have_the_shape_of_their_role(network, inputs, shape):
    assert network(**inputs).shape == shape


def test_a_critic_sees_the_action():
    critic = QCritic(D, 2, [8])
    one, other = critic(STATE, torch.zeros(B, 2)), critic(STATE, torch.ones(B, 2))
    assert not torch.allclose(one, other)


def test_shapes_of_an_actor(actor_case):
    actor, shape, _ = actor_case
    action, log_prob, entropy = actor(state=STATE)
    assert action.shape == shape
    assert log_prob.shape == entropy.shape == (B,)


def test_equal_noise_draws_equal_actions(actor_case):
    actor, _, size = actor_case
    noise = torch.randn(B, size)
    first, second = actor(STATE, noise=noise), actor(STATE, noise=noise)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)
    draws = torch.stack([actor(STATE, noise=torch.randn(B, size))[0] for _ in range(20)])
    assert (draws != draws[0]).any()


def test_each_row_uses_its_own_noise(actor_case):
    actor, _, size = actor_case
    noise = torch.randn(B, size)
    together = actor(STATE, noise=noise)[0]
    alone = [actor(STATE[i : i + 1], noise=noise[i : i + 1])[0] for i in range(B)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_greedy_action_is_always_the_same_and_the_likeliest(actor_case):
    actor, _, size = actor_case
    action, log_prob, _ = actor(STATE, greedy=True)
    assert torch.equal(action, actor(STATE, greedy=True)[0])
    if isinstance(actor, SquashedGaussianActor):
        return  # tanh moves the mode of the density
    for _ in range(20):
        assert (actor(STATE, noise=torch.randn(B, size))[1] <= log_prob + 1e-6).all()


def test_the_probability_of_a_given_action_is_that_of_drawing_it(actor_case):
    actor, _, size = actor_case
    drawn, log_prob, entropy = actor(STATE, noise=torch.randn(B, size))
    given, again, entropy_again = actor(STATE, action=drawn)
    assert torch.equal(given, drawn)
    torch.testing.assert_close(again, log_prob, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(entropy_again, entropy, atol=1e-3, rtol=1e-3)


def test_categorical_frequencies_are_its_probabilities():
    actor = CategoricalActor(D, 3, [])
    with torch.no_grad():
        actor.layers[0].weight.zero_()
        actor.layers[0].bias.copy_(torch.tensor([0.2, 0.5, 0.3]).log())
    action, log_prob, entropy = actor(torch.zeros(20_000, D))
    counts = torch.bincount(action, minlength=3) / len(action)
    torch.testing.assert_close(counts, torch.tensor([0.2, 0.5, 0.3]), atol=0.015, rtol=0)
    reference = Categorical(torch.tensor([0.2, 0.5, 0.3]))
    torch.testing.assert_close(log_prob, reference.log_prob(action))
    torch.testing.assert_close(entropy[0], reference.entropy())


def test_independent_choices_add_up():
    actor = CategoricalActor(D, [2, 3])
    action, log_prob, entropy = actor(STATE)
    parts = [Categorical(logits=logits) for logits in actor.layers(STATE).split([2, 3], -1)]
    expected = [part.log_prob(a) for part, a in zip(parts, action.unbind(-1), strict=True)]
    torch.testing.assert_close(log_prob, sum(expected))
    torch.testing.assert_close(entropy, sum(part.entropy() for part in parts))


def test_one_choice_in_a_list_stays_a_vector():
    assert CategoricalActor(D, [3])(STATE)[0].shape == (B, 1)


def test_gaussian_density():
    actor = GaussianActor(D, 2, log_std=-0.5)
    action, log_prob, entropy = actor(STATE, noise=torch.ones(B, 2))
    reference = Normal(actor.layers(STATE), math.exp(-0.5))
    torch.testing.assert_close(action, reference.mean + math.exp(-0.5))
    torch.testing.assert_close(log_prob, reference.log_prob(action).sum(-1))
    torch.testing.assert_close(entropy, reference.entropy().sum(-1))
    assert torch.equal(actor(STATE, greedy=True)[0], reference.mean)


def test_squashed_actions_and_their_density():
    actor = SquashedGaussianActor(D, 2, [8])
    noise = torch.randn(B, 2)
    action, log_prob, entropy = actor(STATE, noise=noise)
    mean, log_std = actor.layers(STATE).chunk(2, -1)
    pre_tanh = mean + log_std.exp() * noise
    torch.testing.assert_close(action, pre_tanh.tanh())
    density = Normal(mean, log_std.exp()).log_prob(pre_tanh) - (1 - action**2).log()
    torch.testing.assert_close(log_prob, density.sum(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(entropy, -log_prob)
    assert torch.equal(actor(STATE, greedy=True)[0], mean.tanh())


def test_actions_at_the_edge_have_a_finite_density():
    actor = SquashedGaussianActor(D, 2)
    assert actor(STATE, action=torch.ones(B, 2))[1].isfinite().all()


def test_the_deviation_is_clamped():
    actor = SquashedGaussianActor(D, 1, [], log_std_bounds=[-1, 0])
    with torch.no_grad():
        actor.layers[0].bias.copy_(torch.tensor([0.0, 50.0]))
    action = actor(torch.zeros(1, D), noise=torch.full((1, 1), 0.5))[0]
    torch.testing.assert_close(action, torch.full((1, 1), 0.5).tanh())


def test_a_deterministic_actor_stays_inside_its_bounds():
    actor = DeterministicActor(D, 2, [16])
    action = actor(state=1e3 * STATE)
    assert action.shape == (B, 2)
    assert action.abs().max() <= 1
    torch.testing.assert_close(actor(state=STATE), torch.tanh(actor.layers(STATE)))


def test_a_probability_actor_returns_probabilities():
    p = ProbabilityActor(D, 3, [16])(state=STATE)
    assert p.shape == (B, 3)
    assert (p > 0).all()
    torch.testing.assert_close(p.sum(-1), torch.ones(B))
