from __future__ import annotations

import os

import pytest

from sweeprl.errors import ConfigError
from sweeprl.nni import create, watch
from sweeprl.nni.writing import gpus
from sweeprl.nni.writing.gpus import Gpus, check_gpus, num_gpus
from tests.nni.folders import free_port, write_folder

DRIVER = """\
from types import SimpleNamespace

def nvmlInit(): pass
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUtilizationRates(device): return SimpleNamespace(gpu=50, memory=50)
def nvmlDeviceGetComputeRunningProcesses_v3(device):
    return [SimpleNamespace(pid=1, usedGpuMemory=1)]
def nvmlDeviceGetGraphicsRunningProcesses_v3(device): return []
"""
"""Two GPUs, on which something runs all the time."""

TRIAL = """\
import os, pathlib, time
import nni
params = nni.get_next_parameter()
folder = pathlib.Path(__file__).parent
gpu = os.environ["CUDA_VISIBLE_DEVICES"]
mine = folder / f"on-{gpu}-{os.getpid()}"
mine.touch()
time.sleep(1)
most = len(list(folder.glob(f"on-{gpu}-*")))
(folder / f"gpu-{gpu}-{os.getpid()}").write_text(str(most))
mine.unlink()
nni.report_final_result(params["x"])
"""


@pytest.fixture
def machine(monkeypatch):
    """`machine("3.0", 2)`: that version of NNI, and so many GPUs."""

    def build(version: str, count: int) -> None:
        monkeypatch.setattr(gpus, "version", lambda _: version)
        monkeypatch.setattr(gpus, "num_gpus", lambda: count)

    return build


def content(concurrency: int, trials_per_gpu: int, platform: str = "local") -> dict:
    section = Gpus(1, trials_per_gpu).section()
    machines = {"machineList": [section]} if platform == "remote" else section
    return {
        "trialConcurrency": concurrency,
        "trialGpuNumber": 1,
        "trainingService": {"platform": platform, **machines},
    }


def test_gpus_are_counted_where_there_is_a_driver():
    assert num_gpus() >= 0


@pytest.mark.parametrize(
    "count, concurrency, share, message",
    [
        (0, 1, 1, "this machine's driver shows none. Leave it out"),
        (1, 1, 1, "must not be all of a machine's GPUs.* has 1. .*--trials-per-gpu 2"),
        (2, 3, 1, "got concurrency=3, 2 GPUs, trials_per_gpu=1. Lower the concurrency"),
        (1, 3, 2, "got concurrency=3, 1 GPUs, trials_per_gpu=2"),
    ],
)
def test_nni_3_must_be_able_to_give_every_trial_a_gpu_at_once(
    machine, count, concurrency, share, message
):
    machine("3.0", count)
    with pytest.raises(ConfigError, match=message):
        check_gpus(content(concurrency, share))
    machine("2.10.1", count)  # lets trials wait
    check_gpus(content(concurrency, share))


@pytest.mark.parametrize("count, concurrency, share", [(2, 2, 1), (1, 2, 2), (4, 8, 2)])
def test_what_can_be_given_is_not_refused(machine, count, concurrency, share):
    machine("3.0", count)
    check_gpus(content(concurrency, share))


def test_no_gpus_are_asked_for(machine):
    machine("3.0", 0)
    check_gpus({"trainingService": {"platform": "local"}})
    check_gpus({"trialGpuNumber": 0, "trainingService": {"platform": "local"}})


@pytest.mark.parametrize("platform", ["local", "remote"])
def test_a_gpu_in_use_must_not_count_as_taken(machine, platform):
    machine("3.0", 4)
    wrong = content(1, 2, platform)
    service = wrong["trainingService"]
    service.get("machineList", [service])[0]["useActiveGpu"] = False
    with pytest.raises(ConfigError, match="`useActiveGpu: true` must hold .* got False"):
        check_gpus(wrong)


def test_other_machines_may_have_a_single_gpu(machine):
    machine("3.0", 0)
    check_gpus(content(1, 2, "remote"))
    with pytest.raises(ConfigError, match="must not be given whole GPUs"):
        check_gpus(content(1, 1, "remote"))


def test_trials_on_other_machines_must_not_wait_for_a_gpu(machine):
    machine("3.0", 8)  # here, which does not count
    two = content(4, 2, "remote")
    two["trainingService"]["machineList"] *= 2
    check_gpus(two)
    too_many = {**two, "trialConcurrency": 5}
    message = "got concurrency=5, 2 machines, trials_per_gpu=2. Lower the concurrency"
    with pytest.raises(ConfigError, match=message):
        check_gpus(too_many)
    machine("2.10.1", 8)  # lets trials wait
    check_gpus(too_many)


@pytest.mark.parametrize(
    "wish, message",
    [
        (Gpus(2), "gpus_per_trial must be 0 or 1, .* got 2"),
        (Gpus(-1), "gpus_per_trial must be 0 or 1, .* got -1"),
        (Gpus(1, 0), "trials_per_gpu must be positive, but got 0"),
        (Gpus(None, 2), "trials_per_gpu needs gpus_per_trial=1"),
        (Gpus(0, 2), "trials_per_gpu needs gpus_per_trial=1"),
    ],
)
def test_gpus_that_no_trial_can_use_are_refused(wish, message):
    with pytest.raises(ConfigError, match=message):
        wish.check()


def test_trials_that_run_at_once_get_a_gpu_each(home, tmp_path, monkeypatch):
    (tmp_path / "driver").mkdir()
    (tmp_path / "driver" / "pynvml.py").write_text(DRIVER)
    paths = [str(tmp_path / "driver"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setattr(gpus, "num_gpus", lambda: 2)
    section = {"platform": "local", **Gpus(1).section()}
    folder = write_folder(
        tmp_path / "folder", TRIAL, trialGpuNumber=1, trainingService=section, maxTrialNumber=4
    )
    outcome = watch(create(folder, free_port()), print, max_resumes=0)
    assert outcome.trials.startswith("4 trials: 4 succeeded")
    used = {path.name.split("-")[1]: path.read_text() for path in folder.glob("gpu-*")}
    assert used == {"0": "1", "1": "1"}  # both, and no two trials at once
