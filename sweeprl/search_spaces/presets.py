"""Spaces from the literature, in our names.

Each says where its ranges come from. What the source searches and we do not have (prioritised
replay, clipped values) is left out; an end that our configs refuse, such as a gradient norm of 0,
is moved inwards.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sweeprl import registry
from sweeprl.config.ranges import Choice, Float, Int, OneMinus, PowerOfTwo
from sweeprl.errors import UnknownNameError, did_you_mean
from sweeprl.search_spaces.parameters import Branch, Nested
from sweeprl.search_spaces.space import SearchSpace

__all__ = ["preset", "presets"]

_RL_ZOO3 = "rl_zoo3 2.9, rl_zoo3/hyperparams_opt.py, https://github.com/DLR-RM/rl-baselines3-zoo"
_ARLBENCH = "ARLBench, runscripts/configs/search_space/{}, https://github.com/automl/arlbench"


class _Preset(NamedTuple):
    source: str
    parameters: dict[str, Any]


def preset(frame: str, name: str) -> SearchSpace:
    """Returns the space of a frame under a preset's name.

    Raises:
        UnknownNameError: there is no such frame, or it has no such preset.
    """
    frame = registry.frames.resolve(frame)
    known = _PRESETS.get(frame, {})
    if name not in known:
        listed = ", ".join(known) or "none"
        raise UnknownNameError(
            f"No preset named '{name}' for {frame}.{did_you_mean(name, known)} Known: {listed}."
        )
    return SearchSpace(parameters=known[name].parameters)


def presets(frame: str) -> dict[str, str]:
    """Returns the names of a frame's presets, each with its source in one line.

    Raises:
        UnknownNameError: there is no such frame.
    """
    known = _PRESETS.get(registry.frames.resolve(frame), {})
    return {name: one.source for name, one in known.items()}


_HIDDEN = Choice(([64, 64], [256, 256], [400, 300]))
_LEARNING_RATE = Float(1e-5, 2e-3, log=True)
_WIDE_LEARNING_RATE = Float(1e-6, 0.1, log=True)
_DISCOUNT = OneMinus(1e-4, 3e-2)

_DQN = {
    "rl_zoo3": _Preset(
        f"{_RL_ZOO3}; its exploration fraction is of the 50,000 steps it spends on CartPole-v1, "
        "its target interval is counted in updates",
        {
            "learning_rate": _LEARNING_RATE,
            "discount": _DISCOUNT,
            "batch_size": PowerOfTwo(2, 11),
            "collect_steps": Int(1, 10),
            "updates_per_step": Choice((0.125, 0.25, 0.5, 1.0)),
            "update_rate": Choice((None,)),
            "update_steps": Int(1, 20_000, log=True),
            "exploration_steps": Int(1, 25_000),
            "epsilon_end": Float(0.0, 0.2),
            "model_kwargs.*.hidden": _HIDDEN,
        },
    ),
    "arlbench": _Preset(
        f"{_ARLBENCH.format('dqn_cc.yaml')}; its target network either copies or averages here",
        {
            "learning_rate": _WIDE_LEARNING_RATE,
            "batch_size": Choice((64, 128, 256)),
            "replay_size": Int(1024, 100_000),
            "collect_steps": Int(1, 128),
            "warmup_steps": Int(0, 1024),
            "epsilon_end": Float(0.005, 0.5),
            "target": Nested(
                branches={
                    "averages": Branch(parameters={"update_rate": Float(0.01, 1.0)}),
                    "copies": Branch(
                        parameters={"update_rate": Choice((None,)), "update_steps": Int(1, 1000)}
                    ),
                }
            ),
        },
    ),
}

_PPO = {
    "rl_zoo3": _Preset(
        f"{_RL_ZOO3}; actor and critic have a learning rate and a number of epochs each",
        {
            "actor_learning_rate": _LEARNING_RATE,
            "critic_learning_rate": _LEARNING_RATE,
            "discount": _DISCOUNT,
            "gae_lambda": OneMinus(1e-4, 0.1),
            "rollout_steps": PowerOfTwo(5, 12),
            "batch_size": PowerOfTwo(2, 10),
            "actor_update_times": Choice((1, 5, 10, 20)),
            "critic_update_times": Choice((1, 5, 10, 20)),
            "entropy_weight": Float(1e-8, 0.1, log=True),
            "surrogate_loss_clip": Choice((0.1, 0.2, 0.3, 0.4)),
            "gradient_max": Float(0.3, 2.0),
            "model_kwargs.*.hidden": Choice(([64], [64, 64], [256, 256])),
            "model_kwargs.*.activation": Choice(("Tanh", "ReLU")),
        },
    ),
    "arlbench": _Preset(
        f"{_ARLBENCH.format('ppo.yaml')}; ends of 0 are 0.01 here, and a rollout holds the least "
        "batch",
        {
            "actor_learning_rate": _WIDE_LEARNING_RATE,
            "critic_learning_rate": _WIDE_LEARNING_RATE,
            "discount": Float(0.8, 1.0),
            "gae_lambda": Float(0.8, 1.0),
            "rollout_steps": Int(4, 4096),
            "batch_size": Int(4, 4096),
            "actor_update_times": Int(1, 32),
            "critic_update_times": Int(1, 32),
            "entropy_weight": Float(0.0, 0.5),
            "surrogate_loss_clip": Float(0.01, 0.5),
            "value_weight": Float(0.01, 1.0),
            "gradient_max": Float(0.01, 1.0),
            "normalize_advantage": Choice((True, False)),
            "normalize_observation": Choice((True, False)),
        },
    ),
}

_SAC = {
    "rl_zoo3": _Preset(
        f"{_RL_ZOO3}; actor, critics and temperature have a learning rate each",
        {
            "actor_learning_rate": _LEARNING_RATE,
            "critic_learning_rate": _LEARNING_RATE,
            "alpha_learning_rate": _LEARNING_RATE,
            "discount": _DISCOUNT,
            "batch_size": PowerOfTwo(2, 11),
            "collect_steps": Int(1, 10),
            "update_rate": Float(1e-3, 0.08, log=True),
            "model_kwargs.*.hidden": _HIDDEN,
        },
    ),
    "arlbench": _Preset(
        f"{_ARLBENCH.format('sac_cc.yaml')}; actor, critics and temperature have a learning rate "
        "each",
        {
            "actor_learning_rate": _WIDE_LEARNING_RATE,
            "critic_learning_rate": _WIDE_LEARNING_RATE,
            "alpha_learning_rate": _WIDE_LEARNING_RATE,
            "batch_size": Choice((256, 512, 1024)),
            "replay_size": Int(1024, 120_000),
            "warmup_steps": Int(0, 8192),
            "update_rate": Float(0.01, 1.0),
        },
    ),
}

_PRESETS = {"DQN": _DQN, "PPO": _PPO, "SAC": _SAC}
