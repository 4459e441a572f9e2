import csv
import json
import random
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

import sweeprl
from sweeprl.errors import (
    ConfigError,
    Diverged,
    EnvironmentRaised,
    StorageFailed,
    UnknownNameError,
    UnsupportedSpaceError,
)
from sweeprl.launcher.record import replace_file
from tests.disks import small_disk


class OwnQNet(nn.Module):
    """A user's network, as in the specification: no arithmetic left to sweeprl."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, state):
        return self.fc(state)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.5), nn.Linear(16, 2))

    def forward(self, state):
        return self.layers(state)


class NarrowQNet(OwnQNet):
    def forward(self, state):
        return self.fc(state)[:, :1]


def metrics(root):
    return (Path(root) / "metrics.csv").read_bytes()


def record_of(root):
    return json.loads((Path(root) / "record.json").read_text())


@pytest.mark.parametrize("frame", ["DQN", "PPO", "SAC", "MADDPG"])  # others: test_resume.py
def test_same_config_and_seed_give_the_same_curve_bit_for_bit(frame, small, tmp_path):
    for name in ("a", "b"):
        sweeprl.launch(small(frame, root_dir=str(tmp_path / name)), view="none")
    sweeprl.launch(small(frame, root_dir=str(tmp_path / "c"), seed=1), view="none")
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert metrics(tmp_path / "a") != metrics(tmp_path / "c")


def test_a_trial_leaves_config_record_curves_checkpoints_and_videos(small, tmp_path):
    config = small(
        env_config=dict(render_every_episode=10), logger=["csv", "tensorboard"], max_env_steps=500
    )
    record = sweeprl.launch(config, view="none")
    root = tmp_path / "trial"
    assert json.loads((root / "config.json").read_text())["frame"] == "DQN"
    assert record_of(root) == json.loads(record.model_dump_json())
    assert record.status == "finished"
    assert record.env_steps == 500
    assert len(record.test_returns) == 2
    assert record.test_return == np.mean(record.test_returns)
    assert record.updates == 100
    assert list((root / "tensorboard").glob("events.*"))
    names = {path.name for path in (root / "videos").glob("*.mp4")}
    assert {"train-episode-0.mp4", "train-episode-10.mp4", "test-episode-0.mp4"} <= names
    with (root / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"train/return", "val/return", "learn/q_loss", "step"} <= set(rows[0])
    assert int(rows[-1]["step"]) == 500


def test_films_are_numbered_on_and_made_anew_when_overwritten(small, tmp_path):
    config = small(env_config=dict(render_every_episode=10), max_env_steps=300)
    videos = tmp_path / "trial" / "videos"
    sweeprl.launch(config, view="none")
    first = (videos / "train-episode-0.mp4").stat().st_mtime_ns
    sweeprl.launch({**config, "max_env_steps": 600}, resume=True, view="none")
    numbers = sorted(int(path.stem.split("-")[-1]) for path in videos.glob("train-*.mp4"))
    assert numbers == list(range(0, numbers[-1] + 1, 10))
    assert len(numbers) > 2
    assert (videos / "train-episode-0.mp4").stat().st_mtime_ns == first
    sweeprl.launch(config, overwrite=True, view="none")
    assert (videos / "train-episode-0.mp4").stat().st_mtime_ns > first


def test_checkpoints_load_with_weights_only_and_best_holds_no_memory(small, tmp_path):
    sweeprl.launch(small(), view="none")
    folder = tmp_path / "trial" / "checkpoints"
    best = torch.load(folder / "best.ckpt", weights_only=True)
    last = torch.load(folder / "last.ckpt", weights_only=True)
    assert set(best["weights"]["networks"]) == {"qnet", "qnet_target"}
    assert "learner" not in best
    assert last["learner"]["replay"]["rows"].shape == (800, 12)


def test_final_score_is_the_step_weighted_return_of_the_last_tenth(small, tmp_path):
    record = sweeprl.launch(small(max_env_steps=600), view="none")
    last = torch.load(tmp_path / "trial" / "checkpoints" / "last.ckpt", weights_only=True)
    window = [e for e in last["curves"]["episodes"] if e[0] > 540]
    weights = [min(end - 540, length) for end, length, _ in window]
    expected = np.average([total for _, _, total in window], weights=weights)
    assert record.score == pytest.approx(expected)


def test_score_eval_is_the_final_test(small):
    record = sweeprl.launch(small(score="eval", max_env_steps=300), view="none")
    assert record.score == record.test_return


def test_max_episodes_ends_a_trial(small):
    record = sweeprl.launch(small(max_env_steps=None, max_episodes=12), view="none")
    assert (record.status, record.episodes) == ("finished", 12)


def test_patience_ends_a_trial(small):
    config = small(max_env_steps=20_000, episode_per_epoch=3, early_stopping_patience=1)
    record = sweeprl.launch(config, view="none")
    assert record.status == "finished"
    assert "early_stopping_patience" in record.reason
    assert record.env_steps < 20_000


def test_user_callbacks_see_the_training(small):
    class Spy(Callback):
        returns: list[float] = []  # noqa: RUF012

        def on_train_epoch_end(self, trainer, pl_module):
            self.returns.append(float(trainer.callback_metrics["train/return"]))

    spy = Spy()
    sweeprl.launch(small(episode_per_epoch=5, max_env_steps=600), [spy], view="none")
    assert len(spy.returns) >= 3


@pytest.mark.parametrize(
    "models", [[OwnQNet, OwnQNet], ["OwnQNet", "OwnQNet"], [f"{__name__}.OwnQNet"] * 2]
)
def test_models_are_found_by_class_by_callers_global_and_by_import(models, small, tmp_path):
    sweeprl.launch(small(frame_config=dict(models=models), max_env_steps=200), view="none")
    best = torch.load(tmp_path / "trial" / "checkpoints" / "best.ckpt", weights_only=True)
    assert set(best["weights"]["networks"]["qnet"]) == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(
    "settings",
    [
        dict(optimizer="RMSprop", optimizer_kwargs=dict(alpha=0.9)),
        dict(optimizer=torch.optim.AdamW),
        dict(optimizer="torch.optim.SGD", criterion="torch.nn.SmoothL1Loss"),
        dict(criterion=nn.HuberLoss, criterion_kwargs=dict(delta=2.0)),
        dict(lr_scheduler="ExponentialLR", lr_scheduler_args=[0.99]),
        dict(lr_scheduler="CosineAnnealingLR", lr_scheduler_kwargs=dict(T_max=10, eta_min=1e-5)),
        dict(gradient_max=0.5, mode="vanilla"),
        dict(update_rate=None, update_steps=20, mode="fixed_target"),
    ],
    ids=str,
)
def test_optimizers_schedulers_and_criteria_train(settings, small):
    record = sweeprl.launch(small(frame_config=settings, max_env_steps=300), view="none")
    assert record.status == "finished"


REFUSED = {
    "unknown optimizer": (dict(optimizer="Adm"), UnknownNameError, "Did you mean 'Adam'"),
    "unknown criterion": (dict(criterion="MSELos"), UnknownNameError, "Did you mean 'MSELoss'"),
    "unknown scheduler": (dict(lr_scheduler="StepL"), UnknownNameError, "Did you mean 'StepLR'"),
    "unknown model": (dict(models=["nowhere.QNet"] * 2), UnknownNameError, "No model named"),
    "not element-wise": (dict(optimizer="LBFGS"), ConfigError, "LBFGS must be"),
    "optimizer setting": (dict(optimizer_kwargs=dict(bets=1)), ConfigError, "Adam must take"),
    "scheduler setting": (
        dict(lr_scheduler="StepLR", lr_scheduler_kwargs=dict(stp=1)),
        ConfigError,
        "StepLR' must take",
    ),
    "scheduler with metric": (
        dict(lr_scheduler="ReduceLROnPlateau"),
        ConfigError,
        "must not need a metric",
    ),
    "scheduler list": (
        dict(lr_scheduler="StepLR", lr_scheduler_kwargs=[dict(step_size=1)] * 3),
        ConfigError,
        "a list of 1",
    ),
    "misfit model": (dict(models=[NarrowQNet] * 2), ConfigError, r"return \(B, 2\)"),
    "misfit target": (
        dict(model_kwargs=[dict(hidden=[8]), {}]), ConfigError, "must have the same parameters"
    ),
    "model argument": (dict(model_kwargs=[dict(hiden=[8]), {}]), ConfigError, "hiden"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_settings_are_refused_before_anything_is_written(case, small, tmp_path):
    settings, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        sweeprl.launch(small(frame_config=settings), view="none")
    assert not (tmp_path / "trial").exists()


def test_what_a_config_file_cannot_hold_is_refused(small):
    settings = dict(lr_scheduler="LambdaLR", lr_scheduler_args=[lambda step: 0.5])
    with pytest.raises(ConfigError, match="must hold plain values"):
        sweeprl.launch(small(frame_config=settings), view="none")


def test_frame_that_cannot_serve_the_action_space_is_refused(small):
    config = small("DQN", env_config=dict(env_name="Pendulum-v1"))
    with pytest.raises(UnsupportedSpaceError, match=r"DQN needs discrete actions, but Pendulum-v1"):
        sweeprl.launch(config, view="none")


def test_absent_gpu_is_refused_with_what_to_write_instead(small):
    with pytest.raises(ConfigError, match=r'GPU 63 must be visible.*"gpus": null'):
        sweeprl.launch(small(gpus=[63]), view="none")


def test_unknown_act_kwargs_are_refused(small):
    config = small(env_config=dict(act_kwargs=dict(gredy=True)))
    with pytest.raises(ConfigError, match=r"act_kwargs.gredy.*Did you mean 'greedy'"):
        sweeprl.launch(config, view="none")


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(frame_config=dict(replay_device="foo")), "must fit on replay_device='foo'"),
        (dict(frame_config=dict(replay_size=10**13)), "replay_size=10000000000000 transitions"),
        (dict(env_config=dict(act_kwargs=dict(epsilon="abc"))), "act_kwargs must be values"),
        (dict(root_dir="/proc/nowhere/trial"), "root_dir must be a folder that can be written"),
    ],
)
def test_what_only_the_machine_can_tell_is_refused_too(settings, message, small):
    with pytest.raises(ConfigError, match=message):
        sweeprl.launch(small(**settings), view="none")


def test_a_rollout_lies_where_it_is_learned_from(small):
    with pytest.raises(ConfigError, match="`replay_device` must be 'cpu' for an on-policy frame"):
        sweeprl.launch(small("PPO", frame_config=dict(replay_device="cuda:7")), view="none")


def test_a_section_that_is_null_can_be_set_key_by_key(small):
    config = sweeprl.TrialConfig.of(small())
    changes = {"lr_scheduler": "StepLR", "frame_config.lr_scheduler_kwargs.step_size": 3}
    assert sweeprl.merge(config, changes).frame_config.lr_scheduler_kwargs == {"step_size": 3}


def test_pythons_and_numpys_generators_are_seeded(small, tmp_path):
    for name in ("a", "b"):
        wrappers = {"wrappers": [f"{__name__}.Unseeded"]}
        sweeprl.launch(small(root_dir=str(tmp_path / name), env_config=wrappers), view="none")
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")


def test_act_kwargs_of_the_evaluation_leave_the_training_as_it_is(small, tmp_path):
    for name, epsilon in (("a", 0.9), ("b", 0.0)):
        config = small(root_dir=str(tmp_path / name), max_env_steps=500)
        config["test_env_config"]["act_kwargs"] = {"epsilon": epsilon}
        config["evaluation"] = dict(episodes=3, every_env_steps=200, final_episodes=3)
        sweeprl.launch(config, view="none")
    columns = [
        [row["train/return"] for row in csv.DictReader(metrics(tmp_path / n).decode().splitlines())]
        for n in ("a", "b")
    ]
    assert [v for v in columns[0] if v] == [v for v in columns[1] if v]
    returns = [record_of(tmp_path / name)["test_returns"] for name in ("a", "b")]
    assert returns[0] != returns[1]


def test_a_warm_up_does_not_try_the_patience(small):
    config = small(episode_per_epoch=2, early_stopping_patience=1, max_env_steps=600)
    config["frame_config"]["warmup_steps"] = 400
    assert sweeprl.launch(config, view="none").env_steps > 400


def test_another_trials_folder_is_kept_unless_overwritten(small, tmp_path):
    config = small(max_env_steps=200)
    sweeprl.launch(config, view="none")
    before = metrics(tmp_path / "trial")
    with pytest.raises(ConfigError, match="already|must not hold another trial's results"):
        sweeprl.launch({**config, "seed": 5}, view="none")
    assert metrics(tmp_path / "trial") == before
    assert sweeprl.launch({**config, "seed": 5}, overwrite=True, view="none").seed == 5


class Unseeded(gym.Wrapper):
    """Draws on generators that are not the environment's own."""

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return observation, reward + random.random() + np.random.random(), *rest


class Broken(gym.Wrapper):
    """CartPole that goes wrong after 250 steps."""

    def __init__(self, env, how):
        super().__init__(env)
        self.how, self.steps = how, 0

    def step(self, action):
        self.steps += 1
        observation, reward, *rest = self.env.step(action)
        if self.steps > 250 and self.how == "raise":
            raise RuntimeError("the simulator is gone")
        if self.steps > 250:
            reward = float(self.how)
        return observation, reward, *rest


def broken(how):
    return {"wrappers": [{"name": f"{__name__}.Broken", "kwargs": {"how": how}}]}


@pytest.mark.parametrize(
    "settings, error, reason",
    [
        (dict(env_config=broken("nan")), Diverged, "rewards must be finite, but one is nan"),
        (dict(env_config=broken("inf")), Diverged, "rewards must be finite, but one is inf"),
        (
            dict(env_config=broken("raise")),
            EnvironmentRaised,
            "RuntimeError: the simulator is gone",
        ),
        (dict(frame_config=dict(learning_rate=1e30)), Diverged, "must be finite"),
    ],
    ids=["nan reward", "infinite reward", "environment raises", "loss diverges"],
)
def test_failed_trial_keeps_its_reason_and_its_last_good_state(
    settings, error, reason, small, tmp_path
):
    with pytest.raises(error, match=reason):
        sweeprl.launch(small(**settings), view="none")
    saved = record_of(tmp_path / "trial")
    assert saved["status"] == "failed"
    assert reason in saved["reason"]
    last = torch.load(tmp_path / "trial" / "checkpoints" / "last.ckpt", weights_only=True)
    networks = last["learner"]["weights"]["networks"]
    assert all(torch.isfinite(v).all() for named in networks.values() for v in named.values())


def test_bug_in_a_users_callback_passes_through_with_its_traceback(small, tmp_path):
    class Buggy(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        sweeprl.launch(small(), [Buggy()], view="none")
    assert record_of(tmp_path / "trial")["reason"] == "ZeroDivisionError: a bug"


def test_full_disk_ends_a_trial_as_failed_with_its_reason(small, tmp_path):
    with small_disk(tmp_path, "200k") as disk:
        config = small(root_dir=str(disk / "trial"), max_env_steps=5000)
        config["checkpoint_every_seconds"] = 0.01
        with pytest.raises(StorageFailed, match="No space left on device"):
            sweeprl.launch(config, view="none")
        assert record_of(disk / "trial")["status"] == "failed"
        assert "No space left" in record_of(disk / "trial")["reason"]


@pytest.mark.parametrize(
    "env_id, kwargs",
    [("Acrobot-v1", {}), ("MountainCar-v0", {}), ("CartPole-v1", {"sutton_barto_reward": True})],
)
def test_other_environments_train(env_id, kwargs, small):
    config = small(env_config=dict(env_name=env_id, env_kwargs=kwargs), max_env_steps=300)
    assert sweeprl.launch(config, view="none").status == "finished"


@pytest.mark.parametrize("vectorization", ["sync", "async", "native"])
def test_several_environments_train_to_the_exact_budget(vectorization, small):
    config = small("PPO", num_envs=3, vectorization=vectorization, max_env_steps=500)
    assert sweeprl.launch(config, view="none").env_steps == 500


def test_evaluate_plays_a_trial_of_several_environments(small, tmp_path):
    config = small("PPO", num_envs=4, frame_config=dict(rollout_steps=16, batch_size=64))
    record = sweeprl.launch(config, view="none")
    assert sweeprl.evaluate(tmp_path / "trial")[0] == record.test_returns


def test_dropout_is_off_where_an_agent_is_judged(small, tmp_path):
    models = [f"{__name__}.Dropping"] * 2
    record = sweeprl.launch(small(frame_config=dict(models=models)), view="none")
    assert sweeprl.evaluate(tmp_path / "trial")[0] == record.test_returns


def test_progress_bars_and_learning_rate_monitors_of_users_work(small):
    from pytorch_lightning.callbacks import LearningRateMonitor, TQDMProgressBar

    callbacks = [TQDMProgressBar(), LearningRateMonitor()]
    assert sweeprl.launch(small(max_env_steps=200), callbacks, view="none").status == "finished"


def test_evaluate_plays_the_best_checkpoint(small, tmp_path):
    config = small(frame_config=dict(models=[f"{__name__}.OwnQNet"] * 2), max_env_steps=300)
    record = sweeprl.launch(config, view="none")
    returns, videos = sweeprl.evaluate(tmp_path / "trial")
    assert returns == record.test_returns
    assert videos == []


def test_evaluate_without_a_trial_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="must be a trial's root_dir"):
        sweeprl.evaluate(tmp_path)


def test_files_that_are_not_a_trials_are_kept(small, tmp_path):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a config.json and no record.json"):
        sweeprl.launch(small(), overwrite=True, view="none")
    (tmp_path / "trial" / "config.json").unlink()
    sweeprl.launch(small(max_env_steps=100), view="none")
    own = tmp_path / "trial" / "videos" / "holiday.mp4"
    own.parent.mkdir(exist_ok=True)
    own.write_text("mine")
    sweeprl.launch(small(max_env_steps=100), overwrite=True, view="none")
    assert own.read_text() == "mine"


def test_configs_dictionary_is_left_as_it_is(small):
    config = small(max_env_steps=200)
    before = json.dumps(config, sort_keys=True)
    sweeprl.launch(config, view="none")
    assert json.dumps(config, sort_keys=True) == before


def test_a_full_disk_is_called_so_and_leaves_the_old_file(tmp_path):
    with small_disk(tmp_path, "2m") as disk:
        path = disk / "last.ckpt"
        replace_file(path, lambda file: torch.save(torch.zeros(10), file))
        with pytest.raises(OSError, match="No space left on device.*last.ckpt"):
            replace_file(path, lambda file: torch.save(torch.zeros(1_000_000), file))
        assert torch.equal(torch.load(path), torch.zeros(10))
        assert [file.name for file in disk.iterdir()] == ["last.ckpt"]


def test_what_else_goes_wrong_in_writing_keeps_its_name(tmp_path):
    def fail(file):
        raise RuntimeError("not picklable")

    with pytest.raises(RuntimeError, match="not picklable"):
        replace_file(tmp_path / "last.ckpt", fail)
