"""Which executor a sweep gets, and how lanes are shared out to processes."""

from __future__ import annotations

import pytest
import torch

from sweeprl.errors import ConfigError
from sweeprl.executors import InProcessExecutor, LanesExecutor, ProcessExecutor
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps import choosing
from sweeprl.sweeps.choosing import choose_executor, trains_lanes
from tests.executors.conftest import small_config

SPACE = SearchSpace.of({"learning_rate": {"_type": "loguniform", "_value": [1e-4, 1e-2]}})


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(choosing, "num_cores", lambda: 8)


@pytest.fixture
def chosen(tmp_path):
    def choose(max_env_steps=10_000, frame_config=(), name="auto", **settings):
        base = small_config(tmp_path, frame_config=frame_config, max_env_steps=max_env_steps)
        executor, reason = choose_executor(name, base, SPACE, **settings)
        shape = (getattr(executor, "_num_workers", 1), getattr(executor, "num_lanes", None))
        return executor, shape, reason

    return choose


@pytest.mark.parametrize(
    "steps, settings, shape",
    [
        (10_000, dict(num_seeds=60), (3, 20)),
        (50_000, dict(num_seeds=64), (8, 8)),
        (50_000, dict(num_seeds=1000), (8, 16)),
        (50_000, dict(num_seeds=1000, num_lanes=403), (8, 50)),
        (300, dict(num_seeds=60, num_workers=2), (2, 30)),
        (300, dict(num_seeds=60, num_workers=4, num_lanes=2), (2, 1)),
        (10_000_000, dict(num_seeds=3), (3, 1)),
        (300, dict(), (8, 16)),
    ],
)
def test_lanes_are_shared_out_to_as_many_processes_as_the_budget_keeps_busy(
    chosen, steps, settings, shape
):
    executor, found, reason = chosen(steps, **settings)
    assert isinstance(executor, ProcessExecutor)
    assert found == shape
    assert trains_lanes(executor) == (shape[1] > 1)
    assert f"{shape[0]} processes of {shape[1]} lanes each" in reason


@pytest.mark.parametrize("settings", [dict(num_seeds=60), dict(num_workers=1)])
def test_a_small_sweep_is_one_engine(chosen, settings):
    executor, _, _ = chosen(300 if "num_seeds" in settings else 10**6, **settings)
    assert isinstance(executor, LanesExecutor)
    assert trains_lanes(executor)


def test_what_trains_no_lanes(chosen):
    assert not trains_lanes(chosen(name="processes")[0])
    assert not trains_lanes(InProcessExecutor())


def test_a_gpu_is_not_shared(chosen, monkeypatch):
    monkeypatch.setattr(choosing, "choose_device", lambda gpus: torch.device("cuda", 0))
    executor, _, _ = chosen(50_000, num_seeds=1000)
    assert isinstance(executor, LanesExecutor)
    with pytest.raises(ConfigError, match="must be trained by one process, but got num_workers=2"):
        chosen(50_000, num_seeds=1000, num_workers=2)


def test_no_more_processes_and_lanes_than_memory_holds(chosen, monkeypatch):
    monkeypatch.setattr(choosing, "lanes_in_memory", lambda *_: 5)
    assert chosen(50_000, num_seeds=1000)[1] == (5, 1)
    assert chosen(50_000, num_seeds=1000, num_workers=2, num_lanes=400)[1] == (2, 2)
