"""What an experiment must be like for its trials to be lanes of one worker, see `nni.warm`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.search_spaces import SearchSpace

__all__ = ["check_warm", "keys_of_their_own"]


def check_warm(content: Mapping[str, Any]) -> None:
    """Refuses what no worker could serve.

    Args:
        content: of a config.yml.

    Raises:
        ConfigError: all trials would train in processes of their own.
    """
    platform, tuner = content["trainingService"]["platform"], content["tuner"].get("name")
    reason = ""
    if platform != "local":
        reason = f"run on the manager's own machine, but the platform is {platform}"
    elif tuner == "PBT":
        reason = "begin anew, but the tuner PBT hands agents on. Use the tuner TPE or Evolution"
    elif content.get("trialGpuNumber"):
        reason = (
            "share the GPU that the config's `gpus` names, but NNI is to hand out GPUs. Leave "
            "gpus_per_trial out"
        )
    if reason:
        raise ConfigError(f"Warm trials must {reason}; or leave warm out.")


def keys_of_their_own(space: SearchSpace, config: TrialConfig) -> list[str]:
    """Returns the keys of a space in which lanes of one worker cannot differ."""
    shared = space.for_lanes(config).parameters
    return [key for key in space.parameters if key not in shared]
