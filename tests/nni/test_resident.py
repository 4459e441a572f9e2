"""Trials in real processes that hand themselves over to a real worker; the manager is played."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest
import torch

from sweeprl import TrialConfig, save_config
from sweeprl.cli.handover import socket_path
from sweeprl.config import check_applied
from sweeprl.launcher import TrialFolder
from sweeprl.nni import create, watch, write_experiment
from sweeprl.nni.reading.listing import find
from sweeprl.nni.running.processes import find_processes
from sweeprl.nni.warm.resident import Resident
from sweeprl.trials.nni import NNITrialFile
from tests.nni.checking import SPACE, check_parameters
from tests.nni.folders import FAULTY, free_port
from tests.trials.managers import Manager


class Experiment:
    """Starts trials as NNI does."""

    def __init__(self, folder: Path, base: TrialConfig) -> None:
        self.id = f"test-{uuid.uuid4().hex[:8]}"
        self.folder, self.manager = folder, Manager()
        self.root = folder / self.id / "trials"
        save_config(base, folder / "base.json")
        (folder / "faulty.py").write_text(FAULTY)
        self.processes: list[subprocess.Popen] = []

    def start(self, trial: str, *options: str, **proposal) -> subprocess.Popen:
        if proposal:
            self.manager.proposals[trial] = proposal
        folder = self.root / trial
        folder.mkdir(parents=True, exist_ok=True)
        environ = os.environ | self.manager.environ(trial, folder, self.id)
        command = ("-m", "sweeprl", "run", "--config", "base.json", "--warm", *options)
        with (folder / "trial.stderr").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-X", "importtime", *command],
                cwd=self.folder,
                env=environ,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in [*self.processes, *self.workers()]:
            process.kill()
            process.wait(30)
        self.manager.close()

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                is_worker = "sweeprl.cli.resident" in process.cmdline()
                if is_worker and process.environ()["NNI_EXP_ID"] == self.id:
                    found.append(process)
            except (psutil.Error, KeyError):
                pass
        return found

    def log(self, trial: str) -> str:
        """What the trial has said, without what Python says of its imports."""
        lines = (self.root / trial / "trial.stderr").read_text().splitlines()
        return "\n".join(line for line in lines if not line.startswith("import time:"))

    def imported(self, trial: str) -> set[str]:
        """Packages that its process has imported."""
        lines = (self.root / trial / "trial.stderr").read_text().splitlines()
        found = [line for line in lines if line.startswith("import time:")]
        return {line.rpartition("|")[2].strip().partition(".")[0] for line in found}

    def worker_log(self) -> str:
        return (self.folder / self.id / "log" / "worker.log").read_text()

    def record(self, trial: str):
        return TrialFolder(self.root / trial).load_record()

    def steps(self, trial: str) -> list[int]:
        return [one["env_steps"] for one in self.manager.values("PERIODICAL", trial)]

    def wait_for_report(self, trial: str, process: subprocess.Popen) -> None:
        give_up_at = time.monotonic() + 120
        while not self.steps(trial):
            assert process.poll() is None, self.log(trial)
            assert time.monotonic() < give_up_at
            time.sleep(0.02)


@pytest.fixture
def base(small_config) -> TrialConfig:
    return TrialConfig.of({**small_config("DQN"), "report_every_env_steps": 250})


@pytest.fixture
def long(base) -> TrialConfig:
    return base.model_copy(update={"max_env_steps": 10**6})


@pytest.fixture
def experiment(tmp_path):
    begun = []

    def begin(base: TrialConfig) -> Experiment:
        begun.append(Experiment(tmp_path, base))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


RATES = {"a": 0.001, "b": 0.002, "c": 0.003, "d": 0.004}


def test_trials_that_run_at_once_are_lanes_of_one_worker(base, experiment):
    nni = experiment(base)
    nni.manager.concurrency = 3
    trials = {
        name: nni.start(name, **{"learning_rate": rate, "log2(batch_size)": 4.0})
        for name, rate in RATES.items()
    }
    assert [process.wait(120) for process in trials.values()] == [0] * 4, nni.log("a")
    assert nni.worker_log().count("3 lanes of DQN") <= 1  # what comes later fills idle lanes
    assert nni.worker_log().count(" of DQN on cpu.") == 1
    assert len(nni.workers()) == 1
    for name, rate in RATES.items():
        record, config = nni.record(name), TrialFolder(nni.root / name).load_config()
        assert record.status == "finished"
        assert config.frame_config.learning_rate == rate
        assert [one["default"] for one in nni.manager.values("FINAL", name)] == [record.score]
        assert nni.steps(name) == sorted(set(nni.steps(name)))
        kept = NNITrialFile.load(nni.root / name)
        assert kept is not None
        assert kept.proposal["learning_rate"] == rate
        check_applied(config, kept.params)
        assert f"score {record.score:.1f}" in nni.log(name).splitlines()[-1]
        assert not nni.imported(name) & {"torch", "pytorch_lightning", "pydantic", "typer", "nni"}
    nni.workers()[0].send_signal(signal.SIGINT)
    psutil.wait_procs(nni.workers(), 30)
    assert not nni.workers()
    assert not socket_path(nni.id).exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_worker_trains_on_the_gpu(long, experiment):
    nni = experiment(long.model_copy(update={"gpus": "auto", "max_env_steps": 4000}))
    nni.manager.concurrency = 3
    trials = {
        name: nni.start(name, **{"learning_rate": rate, "log2(batch_size)": 4.0})
        for name, rate in RATES.items()
    }
    nni.wait_for_report("a", trials["a"])
    trials["a"].send_signal(signal.SIGINT)
    assert trials["a"].wait(60) == -signal.SIGINT
    again = nni.start("a")
    assert [one.wait(120) for one in (again, *list(trials.values())[1:])] == [0] * 4, nni.log("a")
    assert " of DQN on cuda" in nni.worker_log()
    assert " of DQN on cpu" not in nni.worker_log()
    for name in RATES:
        assert (nni.record(name).status, nni.record(name).env_steps) == ("finished", 4000)
        assert nni.steps(name) == list(range(250, 4001, 250))
        assert len(nni.manager.values("FINAL", name)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_trial_that_is_stopped_leaves_its_checkpoint_and_goes_on_from_it(
    long, experiment, number
):
    nni = experiment(long)
    one, other = nni.start("one"), nni.start("other")
    nni.wait_for_report("one", one)
    one.send_signal(number)
    assert one.wait(10) == -number
    give_up_at = time.monotonic() + 10
    while nni.record("one").status == "running":  # what kills its process does not wait for it
        assert time.monotonic() < give_up_at
    assert nni.record("one").status == "stopped"
    assert (nni.record("other").status, other.poll()) == ("running", None)
    reached, sent = nni.record("one").env_steps, len(nni.steps("one"))
    again = nni.start("one")
    while len(nni.steps("one")) == sent:
        assert again.poll() is None, nni.log("one")
        time.sleep(0.02)
    again.send_signal(signal.SIGINT)
    assert again.wait(10) == -signal.SIGINT
    assert nni.record("one").env_steps > reached
    assert nni.steps("one") == sorted(set(nni.steps("one")))
    assert nni.steps("one")[sent] > reached - 250


def test_trials_outlive_their_worker(long, experiment):
    base = long.model_copy(update={"max_env_steps": 6000, "checkpoint_every_seconds": 0.01})
    nni = experiment(base)
    trials = {name: nni.start(name) for name in "ab"}
    for name, process in trials.items():
        nni.wait_for_report(name, process)
    (worker,) = nni.workers()
    worker.kill()
    assert [process.wait(120) for process in trials.values()] == [0, 0], nni.log("a")
    for name in trials:
        assert (nni.record(name).status, nni.record(name).env_steps) == ("finished", 6000)
        assert nni.steps(name) == sorted(set(nni.steps(name)))
        assert len(nni.manager.values("FINAL", name)) == 1


def test_what_cannot_be_a_lane_beside_the_others_is_trained_alone(long, experiment, tmp_path):
    nni = experiment(long)
    lane = nni.start("lane")
    nni.wait_for_report("lane", lane)
    nni.manager.space = None
    short = ("--set", "max_env_steps=500")
    other = nni.start("other", "--set", "mode=vanilla", *short, learning_rate=0.001)
    folder = str(tmp_path / "population")
    member = nni.start("member", *short, learning_rate=0.001, save_checkpoint_dir=folder)
    unknown = nni.start("unknown", "--quiet", *short, learning_rate=0.001)
    assert [process.wait(120) for process in (other, member, unknown)] == [0, 0, 0]
    assert "differ from it in more than numbers" in nni.log("other")
    assert "agent of another trial" in nni.log("member")
    assert "only --config, --set and --seed are handed over" in nni.log("unknown")
    for name in ("other", "member", "unknown"):
        assert nni.record(name).status == "finished"
        assert len(nni.manager.values("FINAL", name)) == 1
        config = TrialFolder(nni.root / name).load_config()
        assert config.frame_config.collect_steps == 64  # the same training as a lane's
    assert lane.poll() is None


def test_a_trial_fails_with_its_reason(base, experiment):
    nni = experiment(base)
    broken = nni.start("broken", "--set", 'train_env_config.env_name="faulty:NaN-v0"')
    assert broken.wait(120) == 1
    assert "failed: " in nni.log("broken")
    assert nni.record("broken").status == "failed"
    assert nni.manager.values("FINAL", "broken") == []
    outside = nni.start("outside", **{"learning_rate": 7.0, "log2(batch_size)": 4.0})
    wrong = nni.start("wrong", "--set", "learning_rat=1")
    assert (outside.wait(120), wrong.wait(120)) == (2, 2)
    assert "'learning_rate' must lie in" in nni.log("outside")
    assert "Did you mean 'learning_rate'?" in nni.log("wrong")
    assert len(nni.workers()) == 1


@pytest.mark.parametrize(
    "setting, reason",
    [
        ('models=["nope.QNet", "nope.QNet"]', "nope"),
        ("train_env_config.env_name=Nope-v7", "Nope-v7"),
    ],
)
def test_what_cannot_be_built_fails_as_without_a_worker(base, experiment, setting, reason):
    nni = experiment(base)
    trials = {name: nni.start(name, "--set", setting) for name in "ab"}
    assert [process.wait(120) for process in trials.values()] == [2, 2]
    for name in trials:
        assert "Trained in a process of its own: its worker has stopped it" in nni.log(name)
        assert reason in nni.log(name).splitlines()[-1]
    good = nni.start("good")
    assert good.wait(120) == 0
    assert len(nni.workers()) == 1


def test_a_trial_that_was_changed_is_not_gone_on_with(base, experiment):
    nni = experiment(base)
    assert nni.start("one").wait(120) == 0
    changed = nni.start("one", "--set", "discount=0.5")
    assert changed.wait(120) == 1
    assert "failed: " in nni.log("one").splitlines()[-1]
    assert "A resumed trial keeps its settings" in nni.log("one").splitlines()[-1]


def test_a_worker_that_cannot_be_reached_is_done_without(base, experiment, tmp_path, monkeypatch):
    place = tmp_path / ("long" * 30)
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    nni = experiment(base)
    assert nni.start("one").wait(120) == 0
    assert "its worker cannot be reached: AF_UNIX path too long" in nni.log("one")
    assert nni.record("one").status == "finished"


def test_a_worker_without_trials_ends(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        Resident(listener, lambda request: pytest.fail(f"{request}"), idle_seconds=0.3).serve()
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert not (tmp_path / "s").exists()


def test_a_warm_trial_outside_of_an_experiment_is_refused(tmp_path, base):
    save_config(base, tmp_path / "base.json")
    command = [sys.executable, "-m", "sweeprl", "run", "--config", "base.json", "--warm"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "--warm must stand in the trial command of an NNI experiment" in ended.stderr


def test_somebody_elses_folder_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"sweeprl-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="must be a folder that only its owner can enter"):
        socket_path("x")


def test_a_real_experiment_is_trained_by_one_worker_and_leaves_none(home, base, tmp_path):
    base = base.model_copy(update={"max_env_steps": 3000})
    folder = tmp_path / "experiment"
    write_experiment(base, folder, SPACE, trials=6, concurrency=3, warm=True)
    begun = find(create(folder, free_port()))
    lines: list[str] = []
    outcome = watch(begun.id, lines.append)
    assert (outcome.status, outcome.trials.partition(";")[0]) == ("done", "6 trials: 6 succeeded")
    assert not find_processes(begun.id)
    assert not socket_path(begun.id).exists()
    log = (begun.folder / "log" / "worker.log").read_text()
    assert log.count("3 lanes of DQN on cpu.") == 1
    folders = list((begun.folder / "environments" / "local-env" / "trials").iterdir())
    for trial in folders:
        kept = check_parameters(trial)
        assert kept.is_final_delivered
        assert TrialFolder(trial).load_record().status == "finished"
    assert len({NNITrialFile.load(trial).parameter_id for trial in folders}) == 6
