import pytest
import torch
from torch import nn

from sweeprl.engine import Lanes

NUM = 3


class Net(nn.Module):
    """A layer and an activation, on inputs of any number of dimensions."""

    def __init__(self, activation=torch.tanh, bias=True):
        super().__init__()
        self.layer, self.activation = nn.Linear(4, 5, bias=bias), activation

    def forward(self, state):
        return self.activation(self.layer(state))


def found_and_expected(build, state, is_shared=False):
    """Values and gradients of lanes, and of each network alone."""
    nets = [build() for _ in range(NUM)]
    copies = [build() for _ in range(NUM)]
    for copy, net in zip(copies, nets, strict=True):
        copy.load_state_dict(net.state_dict())
    lanes = Lanes([{"net": net} for net in nets], [["net"]], {}, torch.device("cpu"))

    def loss(networks, hp, given):
        value = networks.net(state=state if is_shared else given)
        return value.square().sum(), {"mean": value.detach().mean()}

    given = torch.stack([state * (lane + 1) for lane in range(NUM)])
    values, logs = lanes.descend("loss", loss, lanes.stacks[0], given)
    expected = []
    for lane, net in enumerate(copies):
        value = net(state=state if is_shared else given[lane])
        gradients = torch.autograd.grad(value.square().sum(), list(net.parameters()))
        expected.append(
            (
                value.square().sum().detach(),
                value.detach().mean(),
                torch.cat([g.reshape(-1) for g in gradients]),
            )
        )
    found = values, logs["mean"], lanes.stacks[0].grad
    return found, tuple(torch.stack(column) for column in zip(*expected, strict=True))


@pytest.mark.parametrize("shape", [(4,), (7, 4), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [torch.tanh, torch.Tensor.tanh, nn.Tanh(), torch.relu])
@pytest.mark.parametrize("is_shared", [True, False], ids=["shared input", "own input"])
def test_lifted_layers_have_the_values_and_gradients_of_torchs(shape, bias, activation, is_shared):
    torch.manual_seed(0)
    found, expected = found_and_expected(
        lambda: Net(activation, bias), torch.randn(shape), is_shared
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, state):
        return self.last(torch.tanh(self.first(state)))


def test_gradients_go_through_layers():
    torch.manual_seed(0)
    found, expected = found_and_expected(Deep, torch.randn(6, 4))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


class SlopeNet(nn.Module):
    """Needs the gradient in its input, as a deterministic policy gradient does."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, state):
        return torch.func.grad(lambda s: torch.tanh(self.layer(s)).sum())(state)


def test_gradients_of_gradients():
    torch.manual_seed(0)
    found, expected = found_and_expected(SlopeNet, torch.randn(6, 4))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(7))

    def forward(self, state):
        return torch.tanh(self.factor * state)


def test_tanh_saturates_where_torchs_does():
    values = torch.tensor([-200.0, -20.0, -1e-4, 0.0, 1e-4, 20.0, 200.0])
    found, expected = found_and_expected(Scale, values)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
