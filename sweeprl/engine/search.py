"""Which parameters each environment plays with, where agents learn from returns alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.functional import normal_at, stream_key

__all__ = ["Search"]

_PURPOSE = zlib.crc32(b"noise/search")
_NONE = -1


class Search:
    """The episodes of L lanes: two for each direction between two updates, forwards and backwards.

    An environment whose episode ends plays the next one that nobody has begun. Where there is none
    left it plays with the parameters as they are, until an episode of its ends after the update.

    Args:
        seeds: of each lane; its directions are theirs.
        num_envs: environments of each lane, E.
        num: directions between two updates, N.
        size: parameters that are moved, P.
        settings: of each lane, `(L,)`; `noise_std_dev` is read anew each time.
        device: where the agents learn.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        num_envs: int,
        num: int,
        size: int,
        settings: Mapping[str, Tensor],
        device: torch.device,
    ) -> None:
        self._num, self._size, self._settings, self._device = num, size, settings, device
        lanes = len(seeds)
        self.offsets = torch.zeros(lanes, num_envs, size, device=device)
        """What is added to the parameters in each environment, `(L, E, P)`."""
        self._keys = torch.zeros(lanes, 1, dtype=torch.int64, device=device)
        self._state = {
            "slot": np.full((lanes, num_envs), _NONE, np.int64),  # 2 k, or 2 k + 1 for backwards
            "total": np.zeros((lanes, num_envs)),  # of the episode so far
            "is_fresh": np.ones((lanes, num_envs), bool),  # no step of the episode is made yet
            "returns": np.zeros((lanes, 2 * num)),
            "played": np.zeros((lanes, 1), np.int64),
            "begun": np.zeros((lanes, 1), np.int64),
            "round": np.zeros((lanes, 1), np.int64),
        }
        for lane, seed in enumerate(seeds):
            self.begin(lane, seed)

    @property
    def is_complete(self) -> NDArray[np.bool_]:
        """Whose episodes are all played, `(L,)`."""
        complete: NDArray[np.bool_] = self._state["played"][:, 0] == 2 * self._num
        return complete

    def begin(self, lane: int, seed: int) -> None:
        """Gives a lane to another agent, with its own directions."""
        self._keys[lane] = stream_key(seed, _PURPOSE)
        for name, values in self._state.items():
            values[lane] = {"slot": _NONE, "is_fresh": True}.get(name, 0)
        self._hand_out([lane])
        self._move([(lane, env) for env in range(self.offsets.shape[1])])

    def store(self, reward: Tensor, over: Tensor, weight: Tensor) -> None:
        """Takes in steps, each `(L, T, E)`; what has weight 0 does not count."""
        columns = [value.double().cpu().numpy().swapaxes(0, 1) for value in (reward, over, weight)]
        for gain, end, counts in zip(*columns, strict=True):
            self._advance(gain, end > 0, counts > 0)

    def _advance(
        self, gain: NDArray[Any], over: NDArray[np.bool_], counts: NDArray[np.bool_]
    ) -> None:
        state, ended = self._state, over & counts
        state["total"] += np.where(counts, gain, 0.0)
        state["is_fresh"] &= ~counts
        if not ended.any():
            return
        lanes, envs = np.nonzero(ended)
        slots = state["slot"][lanes, envs]
        plays = slots != _NONE
        state["returns"][lanes[plays], slots[plays]] = state["total"][lanes, envs][plays]
        np.add.at(state["played"], (lanes[plays], 0), 1)
        state["total"][ended], state["is_fresh"][ended], state["slot"][ended] = 0.0, True, _NONE
        self._hand_out(np.unique(lanes).tolist())
        self._move(list(zip(lanes.tolist(), envs.tolist(), strict=True)))

    def _hand_out(self, lanes: Sequence[int]) -> list[tuple[int, int]]:
        """Gives episodes that nobody has begun to environments that have none."""
        slot, begun = self._state["slot"], self._state["begun"]
        given = []
        for lane in lanes:
            is_free = self._state["is_fresh"][lane] & (slot[lane] == _NONE)
            for env in np.flatnonzero(is_free)[: 2 * self._num - begun[lane, 0]].tolist():
                slot[lane, env] = begun[lane, 0]
                begun[lane] += 1
                given.append((lane, env))
        return given

    def _move(self, places: Sequence[tuple[int, int]]) -> None:
        """Makes the offsets of some environments, by lane and number, what their slots say."""
        if not places:
            return
        lanes, envs = (np.array(column) for column in zip(*places, strict=True))
        slots = self._state["slot"][lanes, envs]
        signs = np.where(slots == _NONE, 0.0, 1.0 - 2.0 * (slots % 2))
        lengths = self._settings["noise_std_dev"][lanes] * self._tensor(signs.astype(np.float32))
        noise = self._noise(self._keys[lanes], self._state["round"][lanes], slots[:, None] // 2)
        self.offsets[lanes, envs] = lengths.unsqueeze(1) * noise

    def _noise(self, keys: Tensor, rounds: NDArray[Any], directions: NDArray[Any]) -> Tensor:
        """Directions by their numbers `(K, M)`, in the streams of keys `(K, 1)`: `(K, M * P)`."""
        first = self._tensor((rounds * self._num + np.maximum(directions, 0)) * self._size)
        places = first.unsqueeze(2) + torch.arange(self._size, device=self._device)
        return normal_at(keys, places.flatten(1))

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self._device)

    def batch(self) -> dict[str, Tensor]:
        """Returns the directions `(L, N, P)` of all lanes, and their returns `(L, N, 2)`."""
        num, lanes = self._num, len(self._keys)
        directions = np.broadcast_to(np.arange(num), (lanes, num))
        noise = self._noise(self._keys, self._state["round"], directions)
        returns = self._tensor(self._state["returns"].astype(np.float32))
        return {"noise": noise.view(lanes, num, -1), "reward": returns.view(lanes, num, 2)}

    def go_on(self, lanes: Sequence[int]) -> None:
        """Begins the next episodes of some lanes, after their update."""
        state = self._state
        state["round"][lanes] += 1
        state["played"][lanes] = state["begun"][lanes] = 0
        state["returns"][lanes] = 0.0
        self._move(self._hand_out(lanes))

    def begin_episodes(self, lane: int) -> None:
        """Lets every environment of a lane play its episode from the beginning."""
        self._state["total"][lane], self._state["is_fresh"][lane] = 0.0, True
        self._move(self._hand_out([lane]))

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only; their settings have been kept before."""
        place = list(kept)
        self._state = {name: values[place] for name, values in self._state.items()}
        self._keys, self.offsets = self._keys[place], self.offsets[place]

    def state_dict(self, lane: int) -> dict[str, Any]:
        """Returns what a lane's environments play, and what has come of it."""
        state = {name: values[lane].tolist() for name, values in self._state.items()}
        return {"key": int(self._keys[lane, 0]), **state}

    def load_state_dict(self, state: Mapping[str, Any], lane: int) -> None:
        """Goes on where `state` was taken; the settings are those of that lane."""
        self._keys[lane] = state["key"]
        for name, values in self._state.items():
            values[lane] = state[name]
        self._move([(lane, env) for env in range(self.offsets.shape[1])])
