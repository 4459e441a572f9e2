"""Where a trial of NNI's runs, and how it can speak with the manager from there.

NNI 3.0 hands out parameters in the order in which trials ask. A trial that asks the manager itself
gets its own: on the manager's machine it knows the address, and on another one it finds what NNI's
process there, the trial keeper, was told. Where neither is to be had, only trials that run one at a
time get their own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import yaml

from sweeprl.errors import ConfigError
from sweeprl.trials.nni_channel import Channel, LibraryChannel, ManagerChannel

__all__ = ["channel_of", "check_alone"]


def channel_of(environ: Mapping[str, str]) -> Channel:
    """Returns how the trial speaks with NNI.

    Args:
        environ: of the trial's process.
    """
    url = environ.get("NNI_TRIAL_COMMAND_CHANNEL", "")
    if not _is_version_3(environ):
        return LibraryChannel()
    trial = environ["NNI_TRIAL_JOB_ID"]
    if environ.get("NNI_PLATFORM") == "local":
        return ManagerChannel(url, trial)
    manager = _manager_of_keeper(Path(environ["NNI_OUTPUT_DIR"]))
    return LibraryChannel() if manager is None else ManagerChannel(url, trial, manager)


def check_alone(environ: Mapping[str, str], channel: Channel, config_folder: Path) -> None:
    """Refuses to train what may be another trial's parameters.

    Args:
        environ: of the trial's process.
        channel: to NNI.
        config_folder: where the experiment's config.yml lies.

    Raises:
        ConfigError: NNI 3 runs several trials at a time on other machines.
    """
    if not _is_version_3(environ) or not isinstance(channel, LibraryChannel):
        return
    concurrency = _concurrency(config_folder / "config.yml")
    if concurrency is None:
        logging.getLogger(__name__).warning(
            "NNI 3 gives trials on other machines each other's parameters where several run at "
            "once, and how many do is not known here, since '%s' does not say. Keep to one at a "
            "time, or use nni==2.10.1.",
            config_folder / "config.yml",
        )
    elif concurrency > 1:
        raise ConfigError(
            "With NNI 3 only one trial at a time may run on other machines, since it gives trials "
            f"that run at once each other's parameters, but got `trialConcurrency: {concurrency}`. "
            "Set it to 1, or install a version that does not, here and there: pip install "
            "'nni==2.10.1'"
        )


def _is_version_3(environ: Mapping[str, str]) -> bool:
    return environ.get("NNI_TRIAL_COMMAND_CHANNEL", "").startswith("http://")


def _manager_of_keeper(output: Path) -> str | None:
    """The manager's address as the trial keeper has it; None where that is not known.

    Args:
        output: the trial's folder, `.../environments/WORKER/trials/TRIAL`.
    """
    path = output.parent.parent / "trial_keeper" / "trial_keeper_config.json"
    try:
        url = json.loads(path.read_text(encoding="utf-8"))["managerCommandChannel"]
    except (OSError, ValueError, KeyError):
        return None
    address, found, _ = url.removeprefix("ws://").partition("/platform/")
    return f"http://{address}" if found and url.startswith("ws://") else None


def _concurrency(path: Path) -> int | None:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))["trialConcurrency"]
    except (OSError, yaml.YAMLError, TypeError, KeyError):
        return None
    return found if isinstance(found, int) else None
