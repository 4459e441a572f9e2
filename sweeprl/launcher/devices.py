"""From the config's `gpus` to a torch device."""

from __future__ import annotations

import torch

from sweeprl.errors import ConfigError

__all__ = ["choose_device"]


def choose_device(gpus: int | list[int] | str | None) -> torch.device:
    """Returns the device that a single-machine trial trains on.

    Args:
        gpus: "auto", a count, a list or a comma-separated string of indices, or None for the CPU.

    Raises:
        ConfigError: that GPU is not there, or more than one is asked for.

    >>> choose_device(None)
    device(type='cpu')
    """
    present = torch.cuda.device_count()
    if gpus == "auto":
        return torch.device("cuda", 0) if present else torch.device("cpu")
    indices = _indices(gpus)
    if not indices:
        return torch.device("cpu")
    if len(indices) > 1:
        raise ConfigError(
            f"gpus: a single-machine frame trains on one device, but got {gpus!r}. "
            "Run several trials side by side instead."
        )
    if not 0 <= indices[0] < present:
        raise ConfigError(
            f"gpus: GPU {indices[0]} must be visible, but this machine shows {present} GPUs. "
            'Write "gpus": null for the CPU, or "gpus": "auto" for whatever is there.'
        )
    return torch.device("cuda", indices[0])


def _indices(gpus: int | list[int] | str | None) -> list[int]:
    if gpus is None:
        return []
    if isinstance(gpus, int):
        if gpus < 0:
            raise ConfigError(
                f'gpus: a count must not be negative, but got {gpus}. Write "auto" or an index.'
            )
        return list(range(gpus))
    if isinstance(gpus, list):
        return gpus
    try:
        return [int(part) for part in gpus.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(
            f'gpus: must be "auto", null, a count, or indices such as [0] or "0", but got {gpus!r}.'
        ) from None
