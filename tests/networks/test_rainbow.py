import pytest
import torch
from torch import nn

from sweeprl.errors import ConfigError
from sweeprl.networks import DistributionalQNet, DuelingQNet, NoisyLinear

STATE = torch.linspace(-1, 1, 20).view(5, 4)


def layers_of(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("hidden", [(8,), (8, 6), (8, 6, 4)])
def test_dueling_streams_share_all_but_their_last_hidden_layer(hidden):
    network = DuelingQNet(4, 3, hidden)
    assert network(STATE).shape == (5, 3)
    assert len(layers_of(network.layers.trunk, nn.Linear)) == len(hidden) - 1
    assert len(layers_of(network, nn.ReLU)) == len(hidden) + 1


def test_advantages_have_mean_zero_beside_the_value():
    network = DuelingQNet(4, 3, (8, 6))
    value = network.layers.value(network.layers.trunk(STATE))
    torch.testing.assert_close(network(STATE).mean(-1, keepdim=True), value)


def test_streams_without_a_hidden_layer_are_refused():
    with pytest.raises(ConfigError, match="`hidden` must hold a width for the dueling streams"):
        DuelingQNet(4, 3, ())


@pytest.mark.parametrize("dueling", [True, False])
@pytest.mark.parametrize("noisy", [True, False])
def test_there_is_a_distribution_for_each_action(dueling, noisy):
    network = DistributionalQNet(4, 3, 7, (8, 6), dueling=dueling, noisy=noisy)
    p = network(STATE)
    assert p.shape == (5, 3, 7)
    torch.testing.assert_close(p.sum(-1), torch.ones(5, 3))
    kinds = {type(layer) for layer in layers_of(network, (nn.Linear, NoisyLinear))}
    assert kinds == {NoisyLinear if noisy else nn.Linear}


def test_a_noisy_layer_is_plain_while_it_is_judged():
    layer = NoisyLinear(4, 3).eval()
    expected = nn.functional.linear(STATE, layer.weight, layer.bias)
    assert torch.equal(layer(STATE), expected)
    layer.train()
    assert not torch.equal(layer(STATE), layer(STATE))


def test_noise_has_the_deviation_of_the_paper():
    torch.manual_seed(0)
    layer = NoisyLinear(16, 2)
    with torch.no_grad():
        drawn = torch.stack([layer(torch.eye(16)) - layer.bias for _ in range(4000)])
    # sigma is 0.5 / sqrt(16). Each factor of the noise squared is a normal number's magnitude, with
    # mean sqrt(2 / pi); a weight's noise has two such factors, the bias's one.
    variance = 0.125**2 * (2 / torch.pi + (2 / torch.pi) ** 0.5)
    assert drawn.var(0).mean().item() == pytest.approx(variance, rel=0.05)
    torch.testing.assert_close(drawn.mean(0).T, layer.weight, atol=0.015, rtol=0)


def test_noise_differs_from_lane_to_lane():
    layer = NoisyLinear(4, 3)
    parameters = {name: value.expand(2, *value.shape) for name, value in layer.named_parameters()}
    call = torch.func.vmap(
        lambda own: torch.func.functional_call(layer, own, (STATE,)), randomness="different"
    )
    one, other = call(parameters)
    assert not torch.allclose(one, other)


def test_gradients_reach_the_deviation():
    layer = NoisyLinear(4, 3)
    layer(STATE).sum().backward()
    assert layer.weight_sigma.grad.abs().sum() > 0
    assert layer.bias_sigma.grad.abs().sum() > 0
