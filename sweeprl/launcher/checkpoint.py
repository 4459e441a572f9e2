"""Checkpoint files: written whole or not at all, in the form that Lightning reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from sweeprl.launcher.record import versions

__all__ = ["lightning_checkpoint", "replace_file", "save_checkpoint"]


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file beside `path` and moves it there; a reader finds the old one or the new one."""
    temporary = path.with_suffix(".tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(content: Mapping[str, Any], path: Path) -> None:
    """Writes `content` to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: torch.save(dict(content), temporary))


def lightning_checkpoint(content: Mapping[str, Any], is_full: bool) -> dict[str, Any]:
    """Adds what Lightning looks for to what a module has to say.

    Args:
        content: of a trial, as its module's `on_save_checkpoint` adds it.
        is_full: whether training is to go on from it.
    """
    shell: dict[str, Any] = {
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": versions()["pytorch-lightning"],
        "state_dict": {},
        "hparams_name": None,
    }
    if is_full:
        shell |= {"callbacks": {}, "lr_schedulers": [], "optimizer_states": [_round_state()]}
    return {**shell, **content}


def _round_state() -> dict[str, Any]:
    """The state of the one optimizer that Lightning knows of, which has none."""
    return {"state": {}, "param_groups": [{"lr": 1.0, "params": [0]}]}
