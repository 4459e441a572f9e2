"""Whether trials can be lanes, tried on a small scale before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_leaves

from sweeprl.config import (
    Continuous,
    Discrete,
    EnvSpec,
    FrameConfig,
    ReplayConfig,
    SearchConfig,
    Transitions,
    TrialConfig,
)
from sweeprl.engine import Learner
from sweeprl.envs import EnvExtension
from sweeprl.frames import Frame

__all__ = ["why_not_lanes"]

_SEEDS = (0, 1)
_STEPS = 4


def why_not_lanes(frame: Frame, config: TrialConfig, extension: EnvExtension) -> str | None:
    """Returns why trials like this one cannot be lanes of one engine; None where they can.

    Args:
        frame: of the trial.
        config: the trial.
        extension: builds its environments.
    """
    if config.vectorization == "async":
        return (
            "environments in processes of their own (vectorization async) are not stepped in lanes"
        )
    normalizes = frame.normalizes_observation or frame.normalizes_reward
    if config.vectorization in ("native", "envpool") and normalizes:
        return "a native environment's steps between two agents would enter the normalization"
    return (
        _why_not_environments(config, extension)
        or _why_not_networks(frame)
        or _why_not_rules(frame, config)
    )


def _why_not_environments(config: TrialConfig, extension: EnvExtension) -> str | None:
    """Two copies have to live side by side."""
    try:
        envs = extension.create_lanes(config, _SEEDS, "train", torch.device("cpu"))
        try:
            envs.collect(_Idle(len(_SEEDS) * config.num_envs, envs.spec), 2, {})
        finally:
            envs.close()
        for fault in envs.faults.values():
            raise fault
    except Exception as error:  # whatever it is, it says that this is no environment for lanes
        return f"two copies of the environment cannot live side by side ({_told(error)})"
    return None


def _why_not_networks(frame: Frame) -> str | None:
    """What a network computes is recorded once: it has to be the same in every call."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        networks = frame.networks()
        for network in networks.values():
            network.eval()
        for role in frame.roles:
            calls = []
            for _ in range(2):
                torch.manual_seed(0)
                state = frame.sample_states(role) + 1
                calls.append(tree_leaves(frame.play(SimpleNamespace(**networks), role, state)))
            if not all(torch.equal(one, other) for one, other in zip(*calls, strict=True)):
                kind = type(networks[role.name]).__name__
                return f"{kind} keeps state between calls, or draws numbers that are not torch's"
    return None


def _why_not_rules(frame: Frame, config: TrialConfig) -> str | None:
    """Acting and one round of updates, for two lanes on made-up experience."""
    tiny = type(frame)(_tiny(frame.config), frame.spec, frame.resolver)
    states = np.zeros((len(_SEEDS), frame.spec.observation_size), np.float32)
    try:
        learner = Learner([tiny, tiny], _SEEDS, replay_device="cpu", is_tolerant=True)
        for section in (config.train_env_config, config.test_env_config):
            learner.act(states, **section.act_kwargs)
        learner.store(_made_up(frame.spec, _STEPS))
        learner.update()
    except Exception as error:  # whatever it is, it says that this rule is none for lanes
        return f"its networks or losses cannot be lifted over lanes ({_told(error)})"
    return None


def _tiny(config: FrameConfig) -> FrameConfig:
    """Settings under which a round is a few updates."""
    small: dict[str, Any] = {"batch_size": _STEPS, "rollout_steps": _STEPS}
    if isinstance(config, SearchConfig):
        small = {"rollout_num": 1, "used_rollout_num": 1}
    if isinstance(config, ReplayConfig):
        small = {"warmup_steps": 0, "replay_size": 10**4, "updates_per_step": 1.0}
    sections = {name: _tiny(section) for name, section in config.sections.items()}
    return config.model_copy(update={**small, **sections})


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _made_up(spec: EnvSpec, steps: int) -> Transitions:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(steps + 1, 2, spec.observation_size)).astype(np.float32)
    zeros = np.zeros((steps, 2), np.float32)
    ends = zeros.copy()
    ends[1::2] = 1
    made_up = Transitions(
        state=states[:-1],
        action=np.zeros((steps, 2, spec.action.size), np.float32),
        reward=zeros,
        next_state=states[1:],
        terminated=ends,
        truncated=zeros,
        weight=zeros + 1,
    )
    if spec.agents:
        made_up["agent_rewards"] = np.zeros((steps, 2, len(spec.agents)), np.float32)
    return made_up


class _Idle:
    """Agents that always do the first thing."""

    collect_steps = 2

    def __init__(self, num: int, spec: EnvSpec) -> None:
        self._num, self._spec = num, spec
        self.env_steps = np.zeros(len(_SEEDS), np.int64)

    def act(
        self,
        states: NDArray[np.float32],
        ahead: int = 0,
        is_judged: bool = False,
        begins: NDArray[np.bool_] | None = None,
        **act_kwargs: Any,
    ) -> NDArray[Any]:
        action = self._spec.action
        if isinstance(action, Discrete):
            return np.zeros(self._num, np.int64)
        kind = np.float32 if isinstance(action, Continuous) else np.int64
        return np.zeros((self._num, action.size), kind)

    def act_on(
        self,
        state: Tensor,
        noise: Tensor,
        step: Tensor,
        act_kwargs: Mapping[str, Any],
        begins: Tensor | None = None,
    ) -> Tensor:
        actions = torch.as_tensor(self.act(np.zeros(0, np.float32)))
        return actions.view(len(_SEEDS), -1, *actions.shape[1:])

    def action_noise(
        self, num_envs: int, is_judged: bool = False, act_kwargs: Mapping[str, Any] | None = None
    ) -> Tensor:
        return torch.zeros(len(_SEEDS), num_envs, 1)
