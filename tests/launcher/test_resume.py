import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import sweeprl
from sweeprl.config import save_config


def curve(root):
    with (Path(root) / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def final_weights(root):
    path = Path(root) / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)["learner"]["weights"]["networks"]


def assert_same_end(one, other):
    assert curve(one) == curve(other)
    mine, theirs = final_weights(one), final_weights(other)
    for role, named in mine.items():
        for name, value in named.items():
            assert torch.equal(value, theirs[role][name]), f"{role}.{name}"


class StopAt:
    """Sends this process a signal once `env_steps` are made."""

    def __new__(cls, env_steps, number=signal.SIGINT):
        from pytorch_lightning.callbacks import Callback

        class _StopAt(Callback):
            done = False

            def on_train_batch_end(self, trainer, pl_module, *_):
                if not self.done and pl_module.train_data.env_steps >= env_steps:
                    self.done = True
                    os.kill(os.getpid(), number)

        return _StopAt()


CASES = {
    "DQN": {},
    "DQN-normalized": dict(
        frame_config=dict(normalize_observation=True, normalize_reward=True, collect_steps=30)
    ),
    "DQN-schedule": dict(
        frame_config=dict(lr_scheduler="StepLR", lr_scheduler_kwargs=dict(step_size=3, gamma=0.7))
    ),
    "PPO": dict(num_envs=2),
    "PPO-normalized": dict(
        num_envs=3, frame_config=dict(normalize_observation=True, normalize_reward=True)
    ),
    "SAC": dict(frame_config=dict(collect_steps=50)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_interrupted_trial_reaches_the_state_of_an_uninterrupted_one(case, number, small, tmp_path):
    frame, settings = case.partition("-")[0], CASES[case]
    whole = small(frame, **settings, root_dir=str(tmp_path / "whole"))
    parts = small(frame, **settings, root_dir=str(tmp_path / "parts"))
    sweeprl.launch(whole, view="none")
    stopped = sweeprl.launch(parts, [StopAt(450, number)], view="none")
    assert (stopped.status, stopped.reason) == ("stopped", f"signal {int(number)}")
    assert 450 <= stopped.env_steps < 800
    record = sweeprl.launch(parts, resume=True, view="none")
    assert record.status == "finished"
    assert record.env_steps == 800
    assert_same_end(tmp_path / "whole", tmp_path / "parts")


def test_stopping_twice_and_in_the_middle_of_an_epoch_changes_nothing(small, tmp_path):
    settings = dict(episode_per_epoch=7, early_stopping_patience=50, max_env_steps=1000)
    whole = small(root_dir=str(tmp_path / "whole"), **settings)
    parts = small(root_dir=str(tmp_path / "parts"), **settings)
    assert sweeprl.launch(whole, view="none").env_steps == 1000
    sweeprl.launch(parts, [StopAt(300)], view="none")
    sweeprl.launch(parts, [StopAt(620)], resume=True, view="none")
    sweeprl.launch(parts, resume=True, view="none")
    assert_same_end(tmp_path / "whole", tmp_path / "parts")
    epochs = [
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["epoch"]
        for name in ("whole", "parts")
    ]
    assert epochs[0] == epochs[1]


def test_killed_trial_goes_on_from_its_last_checkpoint(small, tmp_path):
    config = small(root_dir=str(tmp_path / "killed"), max_env_steps=2500)
    config["checkpoint_every_seconds"] = 0.05
    save_config(config, tmp_path / "config.json")
    last = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    command = [sys.executable, "-m", "sweeprl", "run", "--config", str(tmp_path / "config.json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 180
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "killed" / "record.json").read_text())["status"] == "running"
    record = sweeprl.launch(config, resume=True, view="none")
    assert (record.status, record.env_steps) == ("finished", 2500)
    whole = {**config, "root_dir": str(tmp_path / "whole")}
    sweeprl.launch(whole, view="none")
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


def test_environments_that_cannot_be_put_back_begin_new_episodes_and_say_so(small):
    config = small("PPO", num_envs=2, vectorization="native", max_env_steps=600)
    sweeprl.launch(config, [StopAt(300)], view="none")
    with pytest.warns(UserWarning, match="new episodes begin instead"):
        record = sweeprl.launch(config, resume=True, view="none")
    assert (record.status, record.env_steps) == ("finished", 600)


class StopInTest:
    """Sends this process a signal in the final test's second episode."""

    def __new__(cls):
        from pytorch_lightning.callbacks import Callback

        class _StopInTest(Callback):
            def on_test_batch_start(self, trainer, pl_module, batch, batch_idx, *_):
                if batch_idx == 1:
                    os.kill(os.getpid(), signal.SIGTERM)

        return _StopInTest()


def test_a_signal_in_the_final_test_stops_the_trial_and_the_test_is_made_anew(small):
    config = small(max_env_steps=300, evaluation=dict(episodes=1, final_episodes=50))
    stopped = sweeprl.launch(config, [StopInTest()], view="none")
    assert (stopped.status, stopped.reason) == ("stopped", f"signal {int(signal.SIGTERM)}")
    assert stopped.test_return is None
    record = sweeprl.launch(config, resume=True, view="none")
    assert record.status == "finished"
    assert len(record.test_returns) == 50


def test_budget_can_be_raised_when_going_on(small):
    config = small(max_env_steps=400)
    sweeprl.launch(config, view="none")
    record = sweeprl.launch({**config, "max_env_steps": 700}, resume=True, view="none")
    assert (record.status, record.env_steps) == ("finished", 700)
