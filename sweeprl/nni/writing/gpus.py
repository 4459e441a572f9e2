"""GPUs that NNI hands out to trials.

What cannot be handed out is refused here, since NNI 3.0 does not wait until it can: its manager
tries again without a pause, starts a process each time, and answers no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from sweeprl.errors import ConfigError

__all__ = ["Gpus", "check_gpus", "num_gpus"]


@dataclass(frozen=True)
class Gpus:
    """What each trial gets of a machine's GPUs.

    Args:
        per_trial: 1 gives each trial one, 0 hides them all, and None leaves the choice to the
            config's `gpus`, for every trial the same one.
        trials_per_gpu: how many trials share one.
    """

    per_trial: int | None = None
    trials_per_gpu: int = 1

    def check(self) -> None:
        """Refuses what no trial can use.

        Raises:
            ConfigError: naming the rule.
        """
        if self.per_trial not in (None, 0, 1):
            raise ConfigError(
                f"gpus_per_trial must be 0 or 1, since a trial trains on one device, but got "
                f"{self.per_trial}. Raise the concurrency instead."
            )
        if self.trials_per_gpu < 1:
            raise ConfigError(f"trials_per_gpu must be positive, but got {self.trials_per_gpu}.")
        if self.trials_per_gpu > 1 and not self.per_trial:
            raise ConfigError(
                "trials_per_gpu needs gpus_per_trial=1, since NNI shares only the GPUs that it "
                f"hands out, but got trials_per_gpu={self.trials_per_gpu}, "
                f"gpus_per_trial={self.per_trial}."
            )

    def section(self) -> dict[str, Any]:
        """What a config.yml says of one machine.

        Without `useActiveGpu` NNI refuses GPUs. Where it is false, NNI 3.0 refuses one that another
        trial shares, or that a trial has just left.
        """
        if not self.per_trial:
            return {}
        return {"useActiveGpu": True, "maxTrialNumberPerGpu": self.trials_per_gpu}


def num_gpus() -> int:
    """Counts this machine's GPUs as NNI 3 does; 0 where there is no driver."""
    import pynvml  # of nvidia-ml-py, which nni brings

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def check_gpus(content: Mapping[str, Any]) -> None:
    """Refuses an experiment whose trials NNI 3 could not give a GPU at once.

    Args:
        content: of a config.yml.

    Raises:
        ConfigError: naming the rule and the remedy.
    """
    service = content.get("trainingService")
    wants_gpus = bool(content.get("trialGpuNumber")) and isinstance(service, Mapping)
    if not wants_gpus or version("nni").startswith("2."):
        return
    assert isinstance(service, Mapping)
    sections = service.get("machineList", [service])
    for section in sections:
        _check_shared(section)
    concurrency = int(content.get("trialConcurrency", 1))
    if service.get("platform") == "local":
        _check_here(concurrency, service)
    else:
        _check_there(concurrency, [int(one.get("maxTrialNumberPerGpu", 1)) for one in sections])


def _check_shared(section: Mapping[str, Any]) -> None:
    if section.get("useActiveGpu"):
        return
    raise ConfigError(
        f"`useActiveGpu: true` must hold with nni {version('nni')}, which breaks down where a GPU "
        "that another trial shares, or has just left, counts as taken, but got "
        f"{section.get('useActiveGpu')}. Set it to true."
    )


def _check_there(concurrency: int, shares: Sequence[int]) -> None:
    """How many GPUs other machines have is not known here; each that trains has one at least."""
    if 1 in shares:
        raise ConfigError(
            f"With nni {version('nni')} trials on other machines must not be given whole GPUs, "
            "since it never gives one where a machine has a single one, but got "
            "`trialGpuNumber: 1`. Let trials share them (--trials-per-gpu 2), or leave it out "
            "(--gpus-per-trial): each trial then takes the first GPU of its machine."
        )
    if concurrency > sum(shares):
        raise ConfigError(
            "`concurrency <= machines * trials_per_gpu` must hold, since each machine is sure to "
            f"have one GPU only, and nni {version('nni')} breaks down where a trial has to wait "
            f"for one, but got concurrency={concurrency}, {len(shares)} machines, "
            f"trials_per_gpu={', '.join(map(str, sorted(set(shares))))}. Lower the concurrency, "
            "or raise --trials-per-gpu."
        )


def _check_here(concurrency: int, service: Mapping[str, Any]) -> None:
    found, share = num_gpus(), int(service.get("maxTrialNumberPerGpu", 1))
    if found == 0:
        raise ConfigError(
            "`trialGpuNumber: 1` must have GPUs to hand out, but this machine's driver shows none. "
            "Leave it out (--gpus-per-trial)."
        )
    if found == 1 and share == 1:
        raise ConfigError(
            f"`trialGpuNumber: 1` must not be all of a machine's GPUs, since nni "
            f"{version('nni')} never gives them all to one trial, but this one has 1. Let trials "
            "share it (--trials-per-gpu 2), or leave it out (--gpus-per-trial) with --concurrency "
            "1: the config's `gpus: auto` takes it."
        )
    if concurrency > found * share:
        raise ConfigError(
            f"`concurrency <= GPUs * trials_per_gpu` must hold, since nni {version('nni')} breaks "
            f"down where a trial has to wait for a GPU, but got concurrency={concurrency}, "
            f"{found} GPUs, trials_per_gpu={share}. Lower the concurrency."
        )
