"""The policy of random search: a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from sweeprl.networks.mlp import MLP

__all__ = ["LinearActor"]


class LinearActor(nn.Module):
    """A linear function of the state that begins at 0, without a bias.

    Mania, Guy and Recht 2018, Simple Random Search of Static Linear Policies is Competitive for
    Reinforcement Learning, section 3, https://arxiv.org/abs/1803.07055.

    Args:
        state_dim: length of the observation.
        action_num: number of discrete actions, a list of them for several independent choices, or
            length of the action.
        hidden: width of each hidden layer, if there are to be any.
        activation: name of an activation in `torch.nn`.
        bias: whether layers add one.
    """

    def __init__(
        self,
        state_dim: int,
        action_num: int | Sequence[int],
        hidden: Sequence[int] = (),
        activation: str = "Tanh",
        bias: bool = False,
    ) -> None:
        super().__init__()
        size = action_num if isinstance(action_num, int) else sum(action_num)
        layer = partial(nn.Linear, bias=bias)
        self.layers = MLP([state_dim, *hidden, size], activation, gain=0.0, layer=layer)

    def forward(self, state: Tensor) -> Tensor:
        """Returns scores of discrete actions, of several choices side by side, or an action."""
        output: Tensor = self.layers(state)
        return output
