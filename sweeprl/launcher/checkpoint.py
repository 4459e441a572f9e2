"""Checkpoint files: written whole or not at all, in the form that Lightning reads."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.launcher.record import TrialFolder, TrialRecord, replace_file, versions

__all__ = ["inherit", "lightning_checkpoint", "save_checkpoint"]


def save_checkpoint(content: Mapping[str, Any], path: Path) -> None:
    """Writes `content` to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: torch.save(dict(content), temporary))


def inherit(folder: TrialFolder, parent: TrialFolder, config: TrialConfig) -> None:
    """Makes a folder that of a trial which goes on from another one's checkpoint.

    Args:
        folder: of the trial.
        parent: folder of the other one, which is left as it is.
        config: differs from that one's in `schedule`, `seed`, `root_dir` and `max_env_steps`.

    Raises:
        ConfigError: there is no checkpoint to go on from.
    """
    if not parent.last.exists():
        raise ConfigError(
            f"A trial that goes on with another one's agent must find it, but '{parent.last}' is "
            "not there. Begin anew in another root_dir."
        )
    folder.claim(overwrite=True)
    changed = {name: getattr(config, name) for name in _MAY_DIFFER}
    folder.save_config(parent.load_config().model_copy(update=changed))
    folder.save_record(TrialRecord.begun(config, parent.load_record().config_folder, 0.0))
    folder.last.parent.mkdir(exist_ok=True)
    for name in ("metrics", "best", "last"):  # the last one says that all are there
        found: Path = getattr(parent, name)
        if found.exists():
            replace_file(getattr(folder, name), partial(shutil.copyfile, found))


_MAY_DIFFER = ("schedule", "seed", "root_dir", "max_env_steps")


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
