import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from torch import nn

import sweeprl
from sweeprl.config import load_config, save_config
from sweeprl.errors import ConfigError, EnvironmentRaised
from sweeprl.launcher import StopOnSignal
from tests.wrappers import Insisted


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


class SamplingActor(nn.Module):
    """Draws from torch's global generator, as a user's own actor may."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, state, action=None):
        dist = torch.distributions.Categorical(logits=self.fc(state))
        action = dist.sample() if action is None else action
        return action, dist.log_prob(action), dist.entropy()


CASES = {
    "DQN": {},
    "DQNPer": {},
    "RAINBOW": {},
    "DQN-normalized": dict(
        frame_config=dict(normalize_observation=True, normalize_reward=True, collect_steps=30)
    ),
    "DQN-schedule": dict(
        frame_config=dict(lr_scheduler="StepLR", lr_scheduler_kwargs=dict(step_size=3, gamma=0.7))
    ),
    "A2C": {},
    "GAIL": {},
    "ARS": dict(num_envs=2),
    "PPO": dict(num_envs=2),
    "TRPO": dict(num_envs=2),
    "PPO-sampling": dict(frame_config=dict(models=[SamplingActor, "Critic"])),
    "PPO-normalized": dict(
        num_envs=3, frame_config=dict(normalize_observation=True, normalize_reward=True)
    ),
    "DDPG": dict(frame_config=dict(collect_steps=50)),
    "TD3": dict(frame_config=dict(collect_steps=50)),
    "DDPGPer": dict(frame_config=dict(collect_steps=50)),
    "HDDPG": dict(frame_config=dict(collect_steps=50)),
    "DDPG-correlated": dict(
        frame_config=dict(collect_steps=50),
        env_config=dict(act_kwargs={"mode": "ou", "noise_param": {"dt": 1.0}}),
    ),
    "SAC": dict(frame_config=dict(collect_steps=50)),
}


@pytest.mark.parametrize(
    "case, number", [*((case, signal.SIGINT) for case in CASES), ("DQN", signal.SIGTERM)]
)
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


class SignalIn:
    """Sends this process a signal in a hook, the first time."""

    def __new__(cls, hook, number):
        from pytorch_lightning.callbacks import Callback

        def once(self, *_, **__):
            if not self.done:
                self.done = True
                os.kill(os.getpid(), number)

        return type("_SignalIn", (Callback,), {"done": False, hook: once})()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "hook, env_steps",
    [("setup", 0), ("on_train_start", 0), ("on_fit_end", 300), ("on_test_start", 300)]
    + [("on_test_end", 300)],
)
def test_a_signal_beside_the_training_stops_the_trial_too(hook, env_steps, number, small, tmp_path):
    settings = dict(max_env_steps=300, evaluation=dict(episodes=1, final_episodes=5))
    whole = small(root_dir=str(tmp_path / "whole"), **settings)
    parts = small(root_dir=str(tmp_path / "parts"), **settings)
    sweeprl.launch(whole, view="none")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stopped = sweeprl.launch(parts, [SignalIn(hook, number)], view="none")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert (stopped.status, stopped.reason) == ("stopped", f"signal {int(number)}")
    assert stopped.env_steps == env_steps
    assert sweeprl.launch(parts, resume=True, view="none").status == "finished"
    assert_same_end(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("heeds_second, env_steps", [(True, 300), (False, 400)])
def test_a_second_signal_ends_at_once_where_it_counts(heeds_second, env_steps, small, tmp_path):
    Insisted.steps = 0
    wrappers = {"wrappers": ["tests.wrappers.Insisted"]}
    config = small(env_config=wrappers, frame_config=dict(collect_steps=100))
    config |= dict(checkpoint_every_seconds=1e-9)
    config["test_env_config"]["wrappers"] = []
    signals = StopOnSignal(heeds_second=heeds_second)
    stopped = sweeprl.launch(config, [signals], view="none")
    assert (stopped.status, stopped.reason) == ("stopped", f"signal {int(signal.SIGINT)}")
    last = torch.load(tmp_path / "trial" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["train_data"]["counts"][0] == last["learner"]["counts"][0] == env_steps
    assert sweeprl.launch(config, resume=True, view="none").env_steps == 800


def test_budget_can_be_raised_when_going_on_and_is_remembered(small, tmp_path):
    config = small(max_env_steps=400)
    sweeprl.launch(config, view="none")
    more = {**config, "max_env_steps": 700}
    sweeprl.launch(more, [StopAt(500)], resume=True, view="none")
    saved = load_config(tmp_path / "trial" / "config.json")
    record = sweeprl.launch(saved, resume=True, view="none")
    assert (record.status, record.env_steps) == ("finished", 700)


def test_other_settings_cannot_change_when_going_on(small):
    config = small(max_env_steps=400)
    sweeprl.launch(config, view="none")
    with pytest.raises(ConfigError, match="keeps its settings.* seed differ"):
        sweeprl.launch({**config, "seed": 9}, resume=True, view="none")


def test_what_patience_or_a_callback_ended_can_go_on(small, tmp_path):
    from pytorch_lightning.callbacks import Callback

    class Enough(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            trainer.should_stop = pl_module.train_data.env_steps > 300

    record = sweeprl.launch(small(), [Enough()], view="none")
    assert (record.status, record.reason) == ("finished", "a callback stopped it")
    assert sweeprl.launch(small(), resume=True, view="none").env_steps == 800


class Fragile(gym.Wrapper):
    """Raises once, at its 350th step."""

    steps = 0

    def step(self, action):
        type(self).steps += 1
        if type(self).steps == 350:
            raise RuntimeError("the simulator is gone")
        return self.env.step(action)


def test_a_trial_goes_on_from_the_chunk_that_an_environment_broke_off(small, tmp_path):
    Fragile.steps = 0
    wrappers = {"wrappers": [f"{__name__}.Fragile"]}
    config = small(env_config=wrappers, frame_config=dict(collect_steps=100))
    config["test_env_config"]["wrappers"] = []
    with pytest.raises(EnvironmentRaised):
        sweeprl.launch(config, view="none")
    last = torch.load(tmp_path / "trial" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["train_data"]["counts"][0] == last["learner"]["counts"][0] == 300
    record = sweeprl.launch(config, resume=True, view="none")
    assert (record.status, record.env_steps, record.updates) == ("finished", 800, 175)


def test_ctrl_c_in_a_terminal_stops_asynchronous_environments_too(small, tmp_path):
    config = small("PPO", num_envs=2, vectorization="async", max_env_steps=10**6)
    config["checkpoint_every_seconds"] = 0.2  # the curves are written with a checkpoint
    save_config(config, tmp_path / "config.json")
    command = [sys.executable, "-m", "sweeprl", "run", "--config", str(tmp_path / "config.json")]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    metrics, deadline = tmp_path / "trial" / "metrics.csv", time.monotonic() + 180
    while not metrics.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert json.loads((tmp_path / "trial" / "record.json").read_text())["status"] == "stopped"
