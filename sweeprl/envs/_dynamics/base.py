"""What an environment on tensors is, and what several of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from sweeprl.config import EnvSpec

__all__ = ["Dynamics", "between", "rescaled"]


class Dynamics(ABC):
    """One kind of environment, as pure functions of the states of N copies.

    They compute what Gymnasium's class does, in its order and precision, up to the last bit of a
    sine or cosine (and on a GPU of a quotient). No function waits for the device or branches on a
    number, so that a CUDA graph can hold them.
    """

    spec: EnvSpec
    """What frames know of it."""
    state_size: int
    """S, how many numbers are a state; they are float64, as Gymnasium's are."""
    max_episode_steps: int
    """Environment steps after which Gymnasium truncates the episode."""
    initial_numbers: int
    """K, how many uniform numbers decide an initial state."""

    @abstractmethod
    def initial(self, uniform: Tensor) -> Tensor:
        """Returns initial states `(N, S)`, distributed as those of Gymnasium's reset.

        Args:
            uniform: numbers in [0, 1), float32, `(N, K)`.
        """

    @abstractmethod
    def observe(self, state: Tensor) -> Tensor:
        """Returns observations, float32, `(N, D)`, in memory of their own.

        Args:
            state: `(N, S)`.
        """

    @abstractmethod
    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns next states `(N, S)`, rewards `(N,)`, float32, and who terminated `(N,)`, bool.

        Args:
            state: `(N, S)`.
            action: as frames choose it: int64, `(N,)`, or reals in [-1, 1], `(N, A)`.
        """


def between(low: float, high: float, uniform: Tensor) -> Tensor:
    """Returns numbers uniform in [low, high), float64, as `numpy.random.Generator.uniform` does.

    Args:
        low: the lower bound.
        high: the upper bound.
        uniform: numbers in [0, 1).
    """
    return uniform.double() * (high - low) + low


def rescaled(action: Tensor, bound: float) -> Tensor:
    """Returns reals in [-bound, bound], float32; `ActionAdapter` in `_spaces.py` does the same.

    Args:
        action: reals in [-1, 1]; what lies beyond is clipped.
        bound: of the action space.
    """
    return (action.clamp(-1, 1) * bound).float()
