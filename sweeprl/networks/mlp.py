"""The networks that a generated config uses: multilayer perceptrons for each role.

Each takes `state` `(B, D)` and `action` by keyword. Constructor parameters named `state_dim`,
`action_dim` and `action_num` are filled in from the environment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.functional import (
    categorical_entropy,
    categorical_log_prob,
    categorical_sample,
    gaussian_entropy,
    gaussian_log_prob,
    squashed_gaussian_log_prob,
)

__all__ = [
    "MLP",
    "CategoricalActor",
    "DeterministicActor",
    "Discriminator",
    "GaussianActor",
    "ProbabilityActor",
    "QCritic",
    "QNet",
    "SquashedGaussianActor",
    "ValueCritic",
    "activation_named",
]

Stochastic = tuple[Tensor, Tensor, Tensor]
"""Action, log-probability `(B,)` and entropy `(B,)`."""


class MLP(nn.Sequential):
    """Linear layers with an activation between them.

    Args:
        sizes: width of the input, of each hidden layer and of the output.
        activation: name of an activation in `torch.nn`.
        gain: None leaves torch's initialisation; a number initialises orthogonally, hidden layers
            with gain sqrt(2) and the last one with this (Andrychowicz et al. 2021,
            https://arxiv.org/abs/2006.05990).
        layer: builds a layer from the widths of its input and output.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        gain: float | None = None,
        layer: Callable[[int, int], nn.Module] = nn.Linear,
    ) -> None:
        activation_class = activation_named(activation)
        layers: list[nn.Module] = []
        for index in range(len(sizes) - 1):
            linear: Any = layer(sizes[index], sizes[index + 1])
            is_last = index == len(sizes) - 2
            if gain is not None:
                nn.init.orthogonal_(linear.weight, gain if is_last else math.sqrt(2))
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)
            layers += [linear] if is_last else [linear, activation_class()]
        super().__init__(*layers)


def activation_named(name: str) -> type[nn.Module]:
    """Returns an activation of `torch.nn`.

    Raises:
        ConfigError: there is none of that name.
    """
    known = [key for key, value in vars(nn.modules.activation).items() if isinstance(value, type)]
    if name not in known:
        raise ConfigError(f"No activation named '{name}' in torch.nn.{did_you_mean(name, known)}")
    found: type[nn.Module] = getattr(nn, name)
    return found


class QNet(nn.Module):
    """Action values `(B, A)` of a state.

    Args:
        state_dim: length of the observation.
        action_num: number of actions.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self,
        state_dim: int,
        action_num: int,
        hidden: Sequence[int] = (64, 64),
        activation: str = "ReLU",
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim, *hidden, action_num], activation)

    def forward(self, state: Tensor) -> Tensor:
        """Returns `(B, A)`."""
        values: Tensor = self.layers(state)
        return values


class ValueCritic(nn.Module):
    """Value `(B, 1)` of a state.

    Args:
        state_dim: length of the observation.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self, state_dim: int, hidden: Sequence[int] = (64, 64), activation: str = "Tanh"
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim, *hidden, 1], activation, gain=1.0)

    def forward(self, state: Tensor) -> Tensor:
        """Returns `(B, 1)`."""
        value: Tensor = self.layers(state)
        return value


class QCritic(nn.Module):
    """Value `(B, 1)` of a state and a continuous action.

    Args:
        state_dim: length of the observation.
        action_dim: length of the action.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "ReLU",
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim + action_dim, *hidden, 1], activation)

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Returns `(B, 1)`."""
        value: Tensor = self.layers(torch.cat([state, action], -1))
        return value


class Discriminator(QCritic):
    """Log-odds `(B, 1)` that a state and an action, both reals, are an expert's.

    Args:
        state_dim: length of the observation.
        action_dim: length of the action, one number for each option of a choice.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden: Sequence[int] = (64, 64),
        activation: str = "Tanh",
    ) -> None:
        super().__init__(state_dim, action_dim, hidden, activation)


class DeterministicActor(nn.Module):
    """An action `(B, A)` in [-1, 1] for each state.

    Args:
        state_dim: length of the observation.
        action_dim: length of the action.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "ReLU",
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim, *hidden, action_dim], activation)

    def forward(self, state: Tensor) -> Tensor:
        """Returns `(B, A)`."""
        return torch.tanh(self.layers(state))


class ProbabilityActor(nn.Module):
    """Probabilities `(B, A)` of discrete actions in each state.

    Args:
        state_dim: length of the observation.
        action_num: number of actions.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self,
        state_dim: int,
        action_num: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "ReLU",
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim, *hidden, action_num], activation)

    def forward(self, state: Tensor) -> Tensor:
        """Returns `(B, A)`, each row summing to 1."""
        return torch.softmax(self.layers(state), -1)


class CategoricalActor(nn.Module):
    """A distribution over discrete actions.

    Args:
        state_dim: length of the observation.
        action_num: number of actions, or a list of them for several independent choices.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
    """

    def __init__(
        self,
        state_dim: int,
        action_num: int | Sequence[int],
        hidden: Sequence[int] = (64, 64),
        activation: str = "Tanh",
    ) -> None:
        super().__init__()
        self.is_single = isinstance(action_num, int)
        self.nums = [action_num] if isinstance(action_num, int) else list(action_num)
        self.layers = MLP([state_dim, *hidden, sum(self.nums)], activation, gain=0.01)

    def forward(
        self,
        state: Tensor,
        action: Tensor | None = None,
        noise: Tensor | None = None,
        greedy: bool = False,
        distribution: bool = False,
    ) -> Stochastic | Tensor:
        """Returns the action given or drawn, its log-probability and the entropy.

        Args:
            state: `(B, D)`.
            action: `(B,)`, or `(B, K)` for K choices, int64.
            noise: standard normal numbers that decide what is drawn, `(B, K)`.
            greedy: the likeliest action instead of a drawn one.
            distribution: return the log-probabilities of all actions instead, `(B, A)`; those of
                several choices side by side.
        """
        choices = [logits.log_softmax(-1) for logits in self.layers(state).split(self.nums, -1)]
        if distribution:
            return torch.cat(choices, -1)
        if action is not None:
            actions = action.reshape(-1, len(choices)).unbind(-1)
        elif greedy:
            actions = tuple(log_probs.argmax(-1) for log_probs in choices)
        else:
            if noise is None:
                noise = torch.randn(len(state), len(choices), device=state.device)
            actions = tuple(
                categorical_sample(log_probs, z)
                for log_probs, z in zip(choices, noise.unbind(-1), strict=True)
            )
        log_prob = _total(
            [categorical_log_prob(p, a) for p, a in zip(choices, actions, strict=True)]
        )
        entropy = _total([categorical_entropy(log_probs) for log_probs in choices])
        return actions[0] if self.is_single else torch.stack(actions, -1), log_prob, entropy


def _total(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


class GaussianActor(nn.Module):
    """A Gaussian over continuous actions, its deviation independent of the state.

    Args:
        state_dim: length of the observation.
        action_dim: length of the action.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
        log_std: initial log of the standard deviation; actions span [-1, 1].
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden: Sequence[int] = (64, 64),
        activation: str = "Tanh",
        log_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim, *hidden, action_dim], activation, gain=0.01)
        self.log_std = nn.Parameter(torch.full((action_dim,), float(log_std)))

    def forward(
        self,
        state: Tensor,
        action: Tensor | None = None,
        noise: Tensor | None = None,
        greedy: bool = False,
        distribution: bool = False,
    ) -> Stochastic | Tensor:
        """Returns the action given or drawn, its log-density and the entropy.

        Args:
            state: `(B, D)`.
            action: `(B, A)`.
            noise: standard normal numbers that decide what is drawn, `(B, A)`.
            greedy: the mean instead of a drawn action.
            distribution: return mean and log of the standard deviation instead, side by side,
                `(B, 2 A)`.
        """
        mean = self.layers(state)
        if distribution:
            return torch.cat([mean, self.log_std.expand_as(mean)], -1)
        if action is None and greedy:
            action = mean
        elif action is None:
            noise = torch.randn_like(mean) if noise is None else noise
            action = mean + torch.exp(self.log_std) * noise
        log_prob = gaussian_log_prob(action, mean, self.log_std)
        return action, log_prob, gaussian_entropy(self.log_std).expand_as(log_prob)


class SquashedGaussianActor(nn.Module):
    """A Gaussian over continuous actions, squashed into (-1, 1) by tanh.

    Args:
        state_dim: length of the observation.
        action_dim: length of the action.
        hidden: width of each hidden layer.
        activation: name of an activation in `torch.nn`.
        log_std_bounds: the log of the standard deviation is clamped to them.
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "ReLU",
        log_std_bounds: Sequence[float] = (-20.0, 2.0),
    ) -> None:
        super().__init__()
        self.layers = MLP([state_dim, *hidden, 2 * action_dim], activation)
        self.log_std_bounds = tuple(log_std_bounds)

    def forward(
        self,
        state: Tensor,
        action: Tensor | None = None,
        noise: Tensor | None = None,
        greedy: bool = False,
    ) -> Stochastic:
        """Returns the action given or drawn, its log-density, and a one-sample entropy estimate.

        Args:
            state: `(B, D)`.
            action: `(B, A)`, inside (-1, 1).
            noise: standard normal numbers that decide what is drawn, `(B, A)`.
            greedy: the squashed mean instead of a drawn action.
        """
        mean, log_std = self.layers(state).chunk(2, -1)
        log_std = log_std.clamp(*self.log_std_bounds)
        if action is not None:
            pre_tanh = torch.atanh(action.clamp(-1 + 1e-6, 1 - 1e-6))
        elif greedy:
            pre_tanh, action = mean, torch.tanh(mean)
        else:
            noise = torch.randn_like(mean) if noise is None else noise
            pre_tanh = mean + torch.exp(log_std) * noise
            action = torch.tanh(pre_tanh)
        log_prob = squashed_gaussian_log_prob(pre_tanh, mean, log_std)
        return action, log_prob, -log_prob
