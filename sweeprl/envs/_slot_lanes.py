"""Environments that are Python objects, one in a slot, for L agents in lock-step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from sweeprl.envs._copies import episode_seed, packed_actions, unpacked_actions
from sweeprl.envs._lanes import LaneAgents, LaneChunk, LaneEnvs, chunk_of, episode_of
from sweeprl.envs._spaces import ActionAdapter, describe
from sweeprl.errors import EnvironmentRaised

__all__ = ["SlotLanes"]


def _built(make: Callable[[], gym.Env[Any, Any]], num: int) -> list[gym.Env[Any, Any]]:
    """Builds `num` environments, or leaves none behind where one cannot be built."""
    envs: list[gym.Env[Any, Any]] = []
    try:
        for _ in range(num):
            envs.append(make())
    except BaseException:
        for env in envs:
            env.close()
        raise
    return envs


def _close(env: gym.Env[Any, Any]) -> None:
    """Closes an environment; one that has crashed may not be able to, and is gone anyway."""
    with suppress(Exception):
        env.close()


class SlotLanes(LaneEnvs):
    """Environments in slots, stepped in turn; one that raises stops its own lane only.

    Args:
        make: builds one environment, with vector observations.
        name: how messages call it.
        seeds: of each lane.
        num_envs: slots of each lane.
        stage: number of the stage, which decides the episodes' seeds.
        is_judging: see `LaneEnvs`.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        name: str,
        seeds: Sequence[int],
        num_envs: int,
        stage: int,
        is_judging: bool = False,
    ) -> None:
        self._make, self._name, self._stage = make, name, stage
        self._envs = _built(make, len(seeds) * num_envs)
        self._adapt = ActionAdapter(self._envs[0].action_space, name)
        super().__init__(describe(self._envs[0], name), seeds, num_envs, is_judging)
        num, size = len(self._envs), self.spec.observation_size
        self._state = np.zeros((num, size), np.float32)
        self._over = np.ones(num, bool)
        self._episodes = np.full(num, -1)
        self._actions: list[list[Any]] = [[] for _ in range(num)]

    def collect(
        self, agents: LaneAgents, num_steps: int, act_kwargs: Mapping[str, Any]
    ) -> LaneChunk:
        """Plays `num_steps` steps in every slot."""
        steps = []
        for ahead in range(num_steps):
            begins = self._over.copy()
            self._restart(np.flatnonzero(begins))
            state = self._state.copy()
            actions = agents.act(state, ahead=ahead, begins=begins, **act_kwargs)
            steps.append((state, actions.reshape(len(state), -1), *self._step(actions)))
        return chunk_of(steps)

    def play_once(self, agents: LaneAgents, act_kwargs: Mapping[str, Any]) -> NDArray[np.float64]:
        """Plays one episode in every slot."""
        self._over[:], self._episodes[:] = True, -1
        self._restart(np.arange(len(self._envs)))
        totals, is_running = np.zeros(len(self._envs)), ~self._over
        begins = np.ones(len(self._envs), bool)
        while is_running.any():
            state = self._state.copy()
            actions = agents.act(state, is_judged=True, begins=begins.copy(), **act_kwargs)
            begins[:] = False
            reward, _, _, _, valid, *_ = self._step(actions, is_running)
            totals += reward * valid
            is_running &= ~self._over
        return totals.reshape(self.num_lanes, self.num_envs)

    def _restart(self, slots: NDArray[np.int_]) -> None:
        for slot in slots:
            lane, env = divmod(int(slot), self.num_envs)
            if lane in self.faults:
                continue
            self._episodes[slot] += 1
            self._actions[slot] = []
            place = episode_of(self.is_judging, env, int(self._episodes[slot]))
            seed = episode_seed(self.seeds[lane], self._stage, *place)
            try:
                self._state[slot] = self._envs[slot].reset(seed=seed)[0]
                self._over[slot] = False
            except Exception as error:  # whatever it is, it ends this lane only
                self._note(lane, "reset", error)

    def _step(self, actions: NDArray[Any], takes_part: NDArray[np.bool_] | None = None) -> Any:
        """Steps the slots whose episode runs; returns the columns of a chunk."""
        num = len(self._envs)
        reward, valid = np.zeros(num, np.float32), np.zeros(num, bool)
        terminated, truncated = np.zeros(num, bool), np.zeros(num, bool)
        of_agents = np.zeros((num, len(self.spec.agents)), np.float32)
        adapted = self._adapt(actions)
        is_running = ~self._over if takes_part is None else takes_part & ~self._over
        state, over, envs = self._state, self._over, self._envs
        for slot in np.flatnonzero(is_running).tolist():
            self._actions[slot].append(actions[slot])
            try:
                state[slot], reward[slot], terminal, cut, info = envs[slot].step(adapted[slot])
                if self.spec.agents:
                    of_agents[slot] = info["agent_rewards"]
            except Exception as error:  # whatever it is, it ends this lane only
                self._note(slot // self.num_envs, "step", error)
                continue
            terminated[slot], truncated[slot], valid[slot] = terminal, cut, True
            over[slot] |= terminal or cut  # it is over already where a slot of its lane raised
        columns = (reward, state.copy(), terminated, truncated, valid)
        return (*columns, of_agents) if self.spec.agents else columns

    def _note(self, lane: int, what: str, error: Exception) -> None:
        message = f"The environment's {what} raised {type(error).__name__}: {error}"
        self.faults.setdefault(lane, EnvironmentRaised(message))
        self._over[self._slots(lane)] = True

    def _slots(self, lane: int) -> slice:
        return slice(lane * self.num_envs, (lane + 1) * self.num_envs)

    def begin(self, lane: int, seed: int) -> None:
        """Builds a lane's environments anew: a wrapper may remember what was before."""
        self.seeds[lane] = seed
        self.faults.pop(lane, None)
        slots = self._slots(lane)
        self._over[slots], self._episodes[slots] = True, -1
        for slot in range(slots.start, slots.stop):
            _close(self._envs[slot])
            try:
                self._envs[slot], self._actions[slot] = self._make(), []
            except Exception as error:  # whatever it is, it ends this lane only
                self._note(lane, "constructor", error)

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only, and closes the others' environments."""
        slots = [lane * self.num_envs + env for lane in kept for env in range(self.num_envs)]
        for slot in set(range(len(self._envs))) - set(slots):
            _close(self._envs[slot])
        self.seeds = [self.seeds[lane] for lane in kept]
        self.faults = {kept.index(k): fault for k, fault in self.faults.items() if k in kept}
        self._envs = [self._envs[slot] for slot in slots]
        self._actions = [self._actions[slot] for slot in slots]
        self._state, self._over = self._state[slots], self._over[slots]
        self._episodes = self._episodes[slots]

    def state_dict(self, lane: int) -> dict[str, Any]:
        """Returns episodes, what was done in them, and the observations."""
        slots = self._slots(lane)
        actions = [packed_actions(done) for done in self._actions[slots]]
        copies = {"episodes": self._episodes[slots].tolist(), "actions": actions}
        over, has_begun = self._over[slots], (self._episodes[slots] >= 0).all()
        return {
            "copies": copies,
            "state": self._state[slots].tolist() if has_begun else None,
            "over": over.tolist() if has_begun and over.any() else None,
        }

    def load_state_dict(self, lane: int, state: Mapping[str, Any]) -> bool:
        """Plays a lane's running episodes again up to where `state` was taken."""
        self.begin(lane, self.seeds[lane])
        if state["state"] is None:
            return True
        slots = self._slots(lane)
        self._episodes[slots] = np.asarray(state["copies"]["episodes"]) - 1
        self._restart(np.arange(slots.start, slots.stop))
        for slot, done in enumerate(state["copies"]["actions"], slots.start):
            self._replay(slot, done)
        is_there = np.array_equal(self._state[slots], np.asarray(state["state"], np.float32))
        went_on = is_there and lane not in self.faults
        self._over[slots] = (state["over"] or False) if went_on else True
        return went_on

    def _replay(self, slot: int, done: Sequence[Any]) -> None:
        """Repeats what was done in a slot's episode."""
        lane = slot // self.num_envs
        for action in unpacked_actions(done):
            if lane in self.faults:
                return
            self._actions[slot].append(action)
            try:
                self._state[slot] = self._envs[slot].step(self._adapt(action[None])[0])[0]
            except Exception as error:  # whatever it is, it ends this lane only
                self._note(lane, "step", error)

    def close(self) -> None:
        """Closes the environments."""
        for env in self._envs:
            _close(env)
