"""What tests of lanes share: agents whose every action is known, and what lanes experienced."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from sweeprl.envs._copies import episode_seed
from sweeprl.envs._dataset import RLDataset
from sweeprl.envs._lanes_dataset import LanesDataset
from tests.envs.environments import Counter, ScriptedAgent


class Uneven(Counter):
    """Counts, in episodes of one to eight steps; the even ones terminate."""

    def reset(self, *, seed=None, options=None):
        seen = super().reset(seed=seed)
        self.length = int(self.np_random.integers(1, 9))
        self.terminates = self.length % 2 == 0
        return seen


class ScriptedLanes:
    """Chooses for each lane what `ScriptedAgent` would choose for it alone."""

    def __init__(self, num_envs=1, collect_steps=7, num=5):
        self.num_envs, self.collect_steps, self.num = num_envs, collect_steps, num
        self.calls: list[tuple[int, bool, dict]] = []
        self.begins: list[np.ndarray | None] = []

    def act(self, states, ahead=0, is_judged=False, begins=None, **act_kwargs):
        self.calls.append((ahead, is_judged, act_kwargs))
        self.begins.append(begins)
        lanes = states.reshape(-1, self.num_envs, states.shape[-1])
        one = ScriptedAgent(num=self.num)
        return np.concatenate([one.act(lane) for lane in lanes])


class Clockwork:
    """Chooses by the count of environment steps and the number of the environment, in tensors.

    As a learner it knows how many were stored when a chunk began; `watch` tells it of what.
    """

    def __init__(self, num_envs, action, collect_steps=7, device="cpu"):
        self.device = device
        self.num_envs, self.action, self.collect_steps = num_envs, action, collect_steps
        self.data, self._stored = None, None
        self.begins: list[torch.Tensor | None] = []

    def watch(self, data):
        self.data = data
        return data

    @property
    def env_steps(self):
        return np.atleast_1d(np.asarray(self.data.env_steps, np.int64))

    def action_noise(self, num_envs, is_judged=False, act_kwargs=None):
        return torch.zeros(len(self.env_steps), num_envs, 1, device=self.device)

    def act_on(self, state, noise, step, act_kwargs, begins=None):
        self.begins.append(None if begins is None else begins.clone())
        env = torch.arange(state.shape[1], device=state.device)
        number = step.unsqueeze(1) / self.num_envs + env + act_kwargs.get("offset", 0)
        if hasattr(self.action, "num"):
            return (number % self.action.num).long()
        return (number * 0.7).sin().unsqueeze(2).expand(-1, -1, self.action.size)

    def act(self, states, ahead=0, is_judged=False, begins=None, **act_kwargs):
        if ahead == 0:
            self._stored = self.env_steps.copy()
        step = torch.from_numpy(self._stored + ahead * self.num_envs).float()
        state = torch.from_numpy(states).view(len(step), -1, states.shape[-1])
        return self.act_on(state, torch.empty(0), step, act_kwargs).flatten(0, 1).numpy()


class Experience(NamedTuple):
    """What one agent went through."""

    episodes: list[tuple[int, int, float]]
    """End, length and total of each."""
    transitions: dict[str, np.ndarray]
    """Those that count, `(R, ...)`."""


def seed_of(seed, stage=0):
    return partial(episode_seed, seed, stage)


def alone(data: RLDataset, num_chunks=None) -> Experience:
    """Plays a single agent's dataset, to the end of its budget if need be."""
    episodes, chunks = [], []
    for result in data:
        episodes += [tuple(episode) for episode in result.episodes]
        chunks.append(_counting(result.transitions, slice(None)))
        if len(chunks) == num_chunks:
            break
    return Experience(episodes, _joined(chunks))


def of_lanes(data: LanesDataset, num_chunks=None) -> list[Experience]:
    """Plays the dataset of lanes; returns what each went through."""
    num, size = data.envs.num_lanes, data.envs.num_envs
    episodes, chunks = [[] for _ in range(num)], [[] for _ in range(num)]
    for result in data:
        table = result.episodes
        rows = zip(table.lane, table.end, table.length, table.total, strict=True)
        for lane, end, length, total in rows:
            episodes[lane].append((int(end), int(length), float(total)))
        for lane in range(num):
            envs = slice(lane * size, (lane + 1) * size)
            chunks[lane].append(_counting(result.transitions, envs))
        if len(chunks[0]) == num_chunks:
            break
    return [Experience(e, _joined(c)) for e, c in zip(episodes, chunks, strict=True)]


def joined(first: Experience, second: Experience) -> Experience:
    return Experience(
        first.episodes + second.episodes, _joined([first.transitions, second.transitions])
    )


def _counting(transitions, envs):
    counts = np.asarray(transitions["weight"])[:, envs] == 1
    assert (counts | (np.asarray(transitions["weight"])[:, envs] == 0)).all()
    return {
        key: torch.as_tensor(value).cpu().numpy()[:, envs][counts].copy()
        for key, value in transitions.items()
    }


def _joined(chunks):
    if not chunks:
        return {}
    return {key: np.concatenate([chunk[key] for chunk in chunks if chunk]) for key in chunks[0]}


def assert_same(found: Experience, expected: Experience, **tolerance) -> None:
    """The same transitions and episodes; bit for bit, but where a tolerance is given."""
    assert [one[:2] for one in found.episodes] == [one[:2] for one in expected.episodes]
    totals = [[one[2] for one in each.episodes] for each in (found, expected)]
    np.testing.assert_allclose(*totals, **{"rtol": 1e-12, "atol": 1e-12, **tolerance})
    assert found.transitions.keys() == expected.transitions.keys()
    for key, value in found.transitions.items():
        assert value.dtype == expected.transitions[key].dtype == np.float32, key
        np.testing.assert_allclose(
            value, expected.transitions[key], **{"rtol": 0, "atol": 0, **tolerance}, err_msg=key
        )
