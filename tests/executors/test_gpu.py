"""Trials on a GPU, in processes and in lanes."""

from __future__ import annotations

import pytest
import torch

from sweeprl.executors import LanesExecutor, ProcessExecutor
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import outcomes, small_config

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_workers_train_on_the_gpu_whether_or_not_this_process_does(tmp_path):
    """They are forked, which CUDA forbids to a process that has begun to use it."""
    with ProcessExecutor(2) as executor:
        for path in (tmp_path / "before", tmp_path / "after"):
            reporters = [MemoryReporter() for _ in range(3)]
            configs = [small_config(path / str(i), gpus=[0]) for i in range(3)]
            executor.run(Trial(*pair) for pair in zip(configs, reporters, strict=True))
            assert outcomes(reporters) == ["finished"] * 3
            torch.zeros(1, device="cuda")


@pytest.mark.parametrize("frame", ["DQN", "PPO", "GAIL", "MADDPG"])
def test_lanes_train_on_the_gpu(frame, tmp_path):
    reporters = [MemoryReporter() for _ in range(5)]
    configs = [small_config(tmp_path / str(i), frame, gpus=[0]) for i in range(5)]
    LanesExecutor(3).run(Trial(*pair) for pair in zip(configs, reporters, strict=True))
    assert outcomes(reporters) == ["finished"] * 5
