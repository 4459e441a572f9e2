"""How many lanes a machine holds, and on which device."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from sweeprl.config import PrioritizedConfig, ReplayConfig, SearchConfig, TrialConfig
from sweeprl.engine import FieldLayout
from sweeprl.frames import Frame

__all__ = [
    "bytes_per_lane",
    "free_bytes",
    "lanes_in_memory",
    "num_cores",
    "num_lanes_for",
    "replay_rows",
]

_FILLS = {"cpu": 64, "cuda": 2048}
"""Lanes from which on four times as many 2x64 networks raise the rate by less than a third.

Measured, see benchmarks/results/lanes.md; smaller networks would gain more from more lanes.
"""

_FEWEST = 16
"""Lanes that each of many processes trains at least, where memory allows: fewer are overhead."""

_SHARE = 0.6
"""Share of the free memory that lanes may take; updates need room beside them."""

_COPIES = 8
"""Parameters, gradients, moments, the snapshot of both, the best weights and work space."""

_UNKNOWN = 4 * 2**30
"""Free bytes where the system does not tell."""


def num_cores() -> int:
    """Returns how many CPU cores this process may use; a scheduler may have given it a few."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_lanes_for(
    frame: Frame, config: TrialConfig, device: torch.device, num_processes: int = 1
) -> int:
    """Returns how many lanes fill a device, as far as its memory holds them.

    Args:
        frame: of the trials.
        config: of one of them.
        device: where they are to be trained.
        num_processes: that share the device; the lanes are those of one of them.
    """
    room = lanes_in_memory(frame, config, device) // num_processes
    return max(1, min(max(_FEWEST, _FILLS[device.type] // num_processes), room))


def lanes_in_memory(frame: Frame, config: TrialConfig, device: torch.device) -> int:
    """Returns how many lanes a device's memory holds, at least one."""
    return max(1, int(_SHARE * free_bytes(device) // bytes_per_lane(frame, config)))


def replay_rows(config: TrialConfig) -> int:
    """Transitions that a trial's replay buffer can come to hold; 0 for an on-policy frame."""
    if not isinstance(config.frame_config, ReplayConfig):
        return 0
    return min(config.frame_config.replay_size, config.max_env_steps or 10**18)


def bytes_per_lane(frame: Frame, config: TrialConfig) -> int:
    """Returns the memory of one lane in bytes, most of which is its replay buffer."""
    width = FieldLayout.of(frame.spec).width
    frame_config = config.frame_config.experience
    networks = frame.networks().values()
    parameters = [parameter for network in networks for parameter in network.parameters()]
    widest = max(max(parameter.shape, default=1) for parameter in parameters)
    rollout = getattr(frame_config, "rollout_steps", 0) * config.num_envs
    batch = getattr(frame_config, "batch_size", 0)
    work = rollout * (4 * width + 3 * widest) + batch * (8 * width + 10 * widest)
    if isinstance(frame_config, SearchConfig):  # directions, and what each environment plays with
        work += (frame_config.rollout_num + config.num_envs) * sum(p.numel() for p in parameters)
    row = width + isinstance(frame_config, PrioritizedConfig)
    kept = row * replay_rows(config) + _COPIES * sum(p.numel() for p in parameters)
    return 4 * (kept + work)


def free_bytes(device: torch.device) -> float:
    """Returns the free memory of a device in bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return _UNKNOWN
    sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines)}
    return min(1024 * int(sizes["MemAvailable"]), _left_to_container())


def _left_to_container() -> float:
    """What a container may still take, where it has a limit."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{n}").read_text()) for n in ("max", "current"))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return math.inf
    return limit - used
