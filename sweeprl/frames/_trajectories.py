"""Trajectories: what an agent did in whole episodes, in one file.

The file is `torch.save`'s, and `torch.load(path, weights_only=True)` reads it: a dictionary with
the tensors of `Trajectories` by name, and `env`, `observation_size` and `action_space`, which say
what they fit.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.config import ActionSpec, EnvSpec, Transitions
from sweeprl.errors import ConfigError

__all__ = ["Trajectories"]

_FACTS = ("env", "observation_size", "action_space")
_REMEDY = "Write one with: sweeprl evaluate TRIAL --episodes 10 --save-trajectories FILE"


@dataclass(frozen=True)
class Trajectories:
    """The transitions of E episodes, one after the other, N in all; all but `end` float32."""

    state: Tensor
    """Observations as the environment gave them, `(N, D)`"""
    action: Tensor
    """As the agent chose it: the number of a choice, or reals in units of [-1, 1], `(N, A)`"""
    reward: Tensor
    """`(N,)`"""
    next_state: Tensor
    """`(N, D)`"""
    terminated: Tensor
    """`(N,)`, 1 where the environment reached a terminal state"""
    truncated: Tensor
    """`(N,)`, 1 where the episode was cut short"""
    end: Tensor
    """`(E,)` int64, the place after the last transition of each episode"""

    @classmethod
    def of(cls, episodes: Sequence[Transitions]) -> Trajectories:
        """Joins episodes, each the transitions of one environment from its reset to its end."""
        played = [{k: torch.from_numpy(_rows(v, e)) for k, v in e.items()} for e in episodes]
        names = [field.name for field in fields(cls) if field.name != "end"]
        joined = {name: torch.cat([episode[name] for episode in played]) for name in names}
        lengths = torch.tensor([len(episode["reward"]) for episode in played])
        return cls(**joined, end=lengths.cumsum(0))

    def save(self, file: Path | BinaryIO, spec: EnvSpec) -> None:
        """Writes them for the environment `spec`."""
        facts = (spec.name, spec.observation_size, _plain(spec.action))
        torch.save({**asdict(self), **dict(zip(_FACTS, facts, strict=True))}, file)

    @classmethod
    def load(cls, path: Path, spec: EnvSpec, key: str) -> Trajectories:
        """Reads a file.

        Args:
            path: of the file.
            spec: the environment in which they are to be of use.
            key: the setting that names the file, for error messages.

        Raises:
            ConfigError: it is missing, cannot be read, holds nothing or does not fit `spec`.
        """
        content = _read(path, key)
        found = (content["observation_size"], content["action_space"])
        if found != (spec.observation_size, _plain(spec.action)):
            raise ConfigError(
                f"{key} must hold trajectories that fit {spec.name}, with observations of size "
                f"{spec.observation_size} and actions {_plain(spec.action)}, but those in '{path}' "
                f"are of {content['env']}, with observations of size {found[0]} and actions "
                f"{found[1]}. {_REMEDY}"
            )
        if not len(content["state"]):
            raise ConfigError(f"{key} must hold transitions, but '{path}' has none. {_REMEDY}")
        return cls(**{field.name: content[field.name] for field in fields(cls)})


def _rows(values: Any, episode: Transitions) -> NDArray[np.float32]:
    """What is a transition of `(T, 1, ...)`, `(N, ...)`."""
    rows: NDArray[np.float32] = np.asarray(values, np.float32)[episode["weight"] > 0]
    return rows


def _read(path: Path, key: str) -> dict[str, Any]:
    rule = f"{key} must be a file of trajectories, but"
    if not path.is_file():
        raise ConfigError(f"{rule} '{path.absolute()}' is none. {_REMEDY}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{rule} '{path}' cannot be read: {reason} {_REMEDY}") from error
    known = [*(field.name for field in fields(Trajectories)), *_FACTS]
    lacking = [name for name in known if not isinstance(content, dict) or name not in content]
    if lacking:
        raise ConfigError(f"{rule} '{path}' lacks {', '.join(lacking)}. {_REMEDY}")
    found: dict[str, Any] = content
    return found


def _plain(action: ActionSpec) -> list[Any]:
    """An action space in plain values: its kind, then how many choices or reals there are."""
    return [type(action).__name__, *getattr(action, "nums", [action.num_outputs])]
