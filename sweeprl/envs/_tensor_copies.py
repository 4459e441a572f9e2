"""N copies of an environment in tensors, whose every change a CUDA graph can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sweeprl.envs._dynamics import Dynamics
from sweeprl.functional import uniform_at

__all__ = ["TensorCopies"]

_SAVED = ("keys", "episode", "elapsed", "state", "observation")


class TensorCopies:
    """N copies of an environment, stepped together, whose episodes start and end one by one.

    As in `Copies`, the end of an episode and the start of the next are two calls. The initial state
    of an episode is a function of the copy's key and the episode's number, whatever N and the
    device are. All tensors stay where they are for life and are changed in place.

    Args:
        dynamics: what the environment is.
        num: N.
        device: where the tensors lie.
    """

    keys: Tensor
    """Stream keys, int64, `(N,)`; whoever owns a copy sets its key before its first episode."""
    episode: Tensor
    """Numbers of the running episodes, int64, `(N,)`; -1 before the first."""
    elapsed: Tensor
    """Environment steps of the running episodes, int64, `(N,)`."""
    state: Tensor
    """float64, `(N, S)`."""
    observation: Tensor
    """Of the current states, float32, `(N, D)`."""

    def __init__(self, dynamics: Dynamics, num: int, device: torch.device) -> None:
        self.dynamics, self.num = dynamics, num
        self.keys = torch.zeros(num, dtype=torch.int64, device=device)
        self.episode = torch.full_like(self.keys, -1)
        self.elapsed = torch.zeros_like(self.keys)
        sizes = dynamics.state_size, dynamics.spec.observation_size
        self.state = torch.zeros(num, sizes[0], dtype=torch.float64, device=device)
        self.observation = torch.zeros(num, sizes[1], dtype=torch.float32, device=device)
        self._numbers = torch.arange(dynamics.initial_numbers, device=device)

    def set_keys(self, rows: slice | Tensor, keys: Sequence[int]) -> None:
        """Gives copies their streams.

        Args:
            rows: which copies, as a slice or as indices, int64.
            keys: one for each of them, as `stream_key` returns them.
        """
        self.keys[rows] = torch.tensor(keys, dtype=torch.int64, device=self.keys.device)

    def restart(self, over: Tensor) -> None:
        """Begins the next episode in some copies.

        Args:
            over: in which, bool, `(N,)`.
        """
        self.episode += over
        self.elapsed.masked_fill_(over, 0)
        places = self.episode.unsqueeze(1) * len(self._numbers) + self._numbers
        initial = self.dynamics.initial(uniform_at(self.keys.unsqueeze(1), places))
        rows = over.unsqueeze(1)
        torch.where(rows, initial, self.state, out=self.state)
        seen = self.dynamics.observe(self.state)
        torch.where(rows, seen, self.observation, out=self.observation)

    def step(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Steps every copy; where an episode ended, `restart` is the caller's to call.

        Args:
            action: as frames choose it: int64, `(N,)`, or reals in [-1, 1], `(N, A)`.

        Returns:
            The observations reached, `(N, D)`, which a restart leaves as they are, rewards `(N,)`,
            and which episodes terminated and which met the time limit, `(N,)`: both, where both
            happened at once, as Gymnasium's TimeLimit says it.
        """
        state, reward, terminated = self.dynamics.step(self.state, action)
        observation = self.dynamics.observe(state)
        self.state.copy_(state)
        self.observation.copy_(observation)
        self.elapsed += 1
        truncated = self.elapsed >= self.dynamics.max_episode_steps
        return observation, reward, terminated, truncated

    def state_dict(self, rows: slice) -> dict[str, Tensor]:
        """Returns a copy, on the CPU, of what `load_state_dict` needs to go on with `rows`."""
        return {name: getattr(self, name)[rows].to("cpu", copy=True) for name in _SAVED}

    def load_state_dict(self, rows: slice, state: Mapping[str, Tensor]) -> None:
        """Goes on in `rows` where `state` was taken."""
        for name in _SAVED:
            getattr(self, name)[rows].copy_(state[name])
