"""Q networks with dueling streams, distributions of the return, and noisy layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from sweeprl.errors import ConfigError
from sweeprl.networks.mlp import MLP, activation_named
from sweeprl.networks.noisy import NoisyLinear

__all__ = ["DistributionalQNet", "DuelingQNet"]


class _Dueling(nn.Module):
    """The value of a state and the advantages of actions, apart up to their sum.

    Wang et al. 2016, Dueling Network Architectures, equation 9, https://arxiv.org/abs/1511.06581.

    Args:
        state_dim: length of the observation.
        hidden: width of each hidden layer; each stream has the last one of its own, what comes
            before is shared.
        action_num: number of actions, A.
        atom_num: numbers for each action, K.
        activation: name of an activation in `torch.nn`.
        layer: builds a layer.
    """

    def __init__(
        self,
        state_dim: int,
        hidden: Sequence[int],
        action_num: int,
        atom_num: int,
        activation: str,
        layer: Callable[[int, int], nn.Module],
    ) -> None:
        super().__init__()
        if not hidden:
            raise ConfigError("`hidden` must hold a width for the dueling streams, but is empty.")
        shared, width = [state_dim, *hidden[:-1]], hidden[-1]
        self.shape = (action_num, atom_num)
        self.trunk = MLP(shared, activation, layer=layer)
        if self.trunk:
            self.trunk.append(activation_named(activation)())
        self.value = MLP([shared[-1], width, atom_num], activation, layer=layer)
        self.advantage = MLP([shared[-1], width, action_num * atom_num], activation, layer=layer)

    def forward(self, state: Tensor) -> Tensor:
        """Returns `(B, A, K)`."""
        shared = self.trunk(state)
        advantage = self.advantage(shared).unflatten(-1, self.shape)
        combined: Tensor = self.value(shared).unsqueeze(-2) + (
            advantage - advantage.mean(-2, keepdim=True)
        )
        return combined


def _layer(noisy: bool) -> Callable[[int, int], nn.Module]:
    return NoisyLinear if noisy else nn.Linear


class DuelingQNet(nn.Module):
    """Action values `(B, A)` of a state, from a stream for its value and one for advantages.

    Args:
        state_dim: length of the observation.
        action_num: number of actions.
        hidden: width of each hidden layer; each stream has the last one of its own.
        activation: name of an activation in `torch.nn`.
        noisy: whether weights carry noise while training, see `NoisyLinear`.
    """

    def __init__(
        self,
        state_dim: int,
        action_num: int,
        hidden: Sequence[int] = (64, 64),
        activation: str = "ReLU",
        noisy: bool = False,
    ) -> None:
        super().__init__()
        self.layers = _Dueling(state_dim, hidden, action_num, 1, activation, _layer(noisy))

    def forward(self, state: Tensor) -> Tensor:
        """Returns `(B, A)`."""
        values: Tensor = self.layers(state).squeeze(-1)
        return values


class DistributionalQNet(nn.Module):
    """For each action a distribution `(B, A, K)` over K atoms of the return.

    Args:
        state_dim: length of the observation.
        action_num: number of actions.
        atom_num: number of atoms.
        hidden: width of each hidden layer; each stream has the last one of its own.
        activation: name of an activation in `torch.nn`.
        dueling: whether there is a stream for the state and one for the actions.
        noisy: whether weights carry noise while training, see `NoisyLinear`.
    """

    def __init__(
        self,
        state_dim: int,
        action_num: int,
        atom_num: int = 51,
        hidden: Sequence[int] = (64, 64),
        activation: str = "ReLU",
        dueling: bool = True,
        noisy: bool = False,
    ) -> None:
        super().__init__()
        self.shape, layer = (action_num, atom_num), _layer(noisy)
        self.layers: nn.Module
        if dueling:
            self.layers = _Dueling(state_dim, hidden, action_num, atom_num, activation, layer)
        else:
            self.layers = MLP([state_dim, *hidden, action_num * atom_num], activation, layer=layer)

    def forward(self, state: Tensor) -> Tensor:
        """Returns probabilities `(B, A, K)`."""
        logits: Tensor = self.layers(state).reshape(*state.shape[:-1], *self.shape)
        return logits.softmax(-1)
