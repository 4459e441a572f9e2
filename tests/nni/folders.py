"""Small experiments for the real NNI, and trials that need no training."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

QUICK = """\
import nni
params = nni.get_next_parameter()
nni.report_intermediate_result({"default": params["x"] / 2})
nni.report_final_result({"default": params["x"]})
"""

PATIENT = """\
import os, pathlib, signal, sys, time
import nni
params = nni.get_next_parameter()
checkpoint = pathlib.Path(os.environ["NNI_OUTPUT_DIR"], "checkpoint")

def save(*_):
    checkpoint.write_text(str(params["x"]))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, save)
pathlib.Path(os.environ["NNI_OUTPUT_DIR"], "began").touch()
if not checkpoint.exists():
    time.sleep(300)
nni.report_final_result({"default": params["x"]})
"""
"""Waits until it is interrupted, and goes on where it was."""

BROKEN_TUNERS = """\
import time
from nni.tuner import Tuner

class BrokenTuner(Tuner):
    def update_search_space(self, search_space):
        pass

    def generate_parameters(self, parameter_id, **kwargs):
        raise ValueError("no idea left")

    def receive_trial_result(self, *args, **kwargs):
        pass

class HungTuner(BrokenTuner):
    def generate_parameters(self, parameter_id, **kwargs):
        time.sleep(300)
"""


FAULTY = """\
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

class Broken(CartPoleEnv):
    def step(self, action):
        state, _, terminated, truncated, info = super().step(action)
        return state, float("nan"), terminated, truncated, info

gym.register("NaN-v0", entry_point=Broken, max_episode_steps=500)
"""
"""An environment NaN-v0 whose rewards are no numbers."""


_CRASHES_ONCE = """\
import os, pathlib, sys

number, note = os.environ["NNI_TRIAL_SEQ_ID"], pathlib.Path(__file__).with_name("has-failed")
if number == "1" and not note.exists():  # NNI may give the number again after a resume
    note.touch()
    sys.exit(3)  # before it has taken its parameters
command = [sys.executable, "-m", "sweeprl", "run", "--config", "base.json"]
os.execv(command[0], command)
"""
"""A trial of sweeprl's, of which the second ends before it has taken its parameters."""

_STOPS_TWO = """\
from optuna.pruners import BasePruner

class StopTwo(BasePruner):
    def prune(self, study, trial):
        return trial.number == 2 and trial.last_step >= 500
"""
"""A pruner that stops the third trial."""


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

_PORTS = itertools.count(20_000 + 1_000 * (_WORKER % 12), 2)
"""Every second one, since NNI also takes the next for trials on other machines. None of those that
the system gives, 32768 and above on Linux: that of a closed socket goes to the next that asks."""


def free_port() -> int:
    """One that no other test of this run has."""
    for port in _PORTS:
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port
    raise AssertionError  # the ports never end


def write_folder(folder: Path, trial: str = QUICK, **settings) -> Path:
    """Writes config.yml, search_space.json and the trial."""
    folder.mkdir()
    (folder / "trial.py").write_text(trial)
    (folder / "broken.py").write_text(BROKEN_TUNERS)
    (folder / "search_space.json").write_text(
        json.dumps({"x": {"_type": "uniform", "_value": [0, 1]}})
    )
    config = {
        "searchSpaceFile": "search_space.json",
        "trialCommand": f"{sys.executable} trial.py",
        "trialCodeDirectory": ".",
        "trialConcurrency": 2,
        "maxTrialNumber": 4,
        "tuner": {"name": "Random", "classArgs": {"seed": 1}},
        "trainingService": {"platform": "local"},
        **settings,
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return folder


READY = Path(__file__).parents[2] / "nni_configs"


def copy_ready(name: str, folder: Path) -> None:
    """Copies one of the ready experiments."""
    shutil.copytree(READY / name, folder, ignore=shutil.ignore_patterns("__pycache__"))


def read(file: Path) -> dict[str, Any]:
    """The content of a JSON or YAML file."""
    load = json.loads if file.suffix == ".json" else yaml.safe_load
    return load(file.read_text())


def change(file: Path, **settings: Any) -> None:
    """Changes settings in a JSON or YAML file."""
    dump = json.dumps if file.suffix == ".json" else yaml.safe_dump
    file.write_text(dump({**read(file), **settings}))


def with_own_python(environ: Mapping[str, str]) -> dict[str, str]:
    """Ready experiments run in the `python` that comes first on the PATH."""
    return {**environ, "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}"}


def let_one_crash_and_one_be_pruned(folder: Path) -> None:
    """Has the second trial of an experiment with Optuna end early, and the third pruned."""
    (folder / "trial.py").write_text(_CRASHES_ONCE)
    (folder / "stopping.py").write_text(_STOPS_TWO)
    assessor = read(folder / "config.yml")["assessor"]
    assessor["classArgs"] = {"pruner": "stopping:StopTwo"}
    command = f"{sys.executable} trial.py"
    change(folder / "config.yml", trialCommand=command, assessor=assessor)
