from __future__ import annotations

import pytest

from sweeprl import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.nni.writing.named_modules import check_importable, named_modules
from sweeprl.registry import importable

FRAME = """\
from sweeprl.frames.dqn import DQN

class Mine(DQN):
    pass
"""


@pytest.fixture
def changed(small_config):
    """`changed(models=...)`: a config with these keys of the frame's."""

    def change(**keys) -> dict:
        config = small_config("DQN")
        config["frame_config"] |= keys
        return config

    return change


def test_a_config_of_our_own_classes_names_no_modules(small_config):
    assert named_modules(TrialConfig.of(small_config("DQN"))) == {}
    torch = {**small_config("DQN")}
    torch["frame_config"] |= {"optimizer": "torch.optim.Adam"}
    assert named_modules(TrialConfig.of(torch)) == {}


def test_every_key_that_may_name_a_module_is_read(changed, tmp_path):
    config = changed(
        models=["nets.small.A", "QNet"],
        optimizer="optims.Mine",
        lr_scheduler="schedules.Mine",
        criterion="losses.Mine",
    )
    config["train_env_config"] |= {
        "env_name": "worlds:World-v0",
        "wrappers": ["wraps.One", {"name": "others.Two"}, "FlattenObservation"],
    }
    config["test_env_config"] |= {"env_name": "tests_of_worlds.sub:World-v0"}
    (tmp_path / "my_frame.py").write_text(FRAME)
    config["frame"] = "my_frame:Mine"
    with importable([tmp_path]):
        found = named_modules(TrialConfig.of(config))
    assert found == {
        "my_frame": "frame",
        "nets": "frame_config.models",
        "optims": "frame_config.optimizer",
        "schedules": "frame_config.lr_scheduler",
        "losses": "frame_config.criterion",
        "worlds": "train_env_config.env_name",
        "wraps": "train_env_config.wrappers",
        "others": "train_env_config.wrappers",
        "tests_of_worlds": "test_env_config.env_name",
    }


def test_a_module_must_lie_in_the_folder(changed, tmp_path):
    config = TrialConfig.of(changed(models=["qnet.QNet", "qnet.QNet"]))
    (tmp_path / "qnet.py").write_text("class QNet: ...")
    folder = tmp_path / "experiment"
    copy = f"mkdir -p {folder}/ && cp -r {tmp_path}/qnet.py {folder}/"
    with (
        importable([tmp_path]),  # of this process, but not of the trials
        pytest.raises(ConfigError, match=f"import 'qnet', which frame_config.models.* {copy}"),
    ):
        check_importable(config, folder)
    with pytest.raises(ConfigError, match="Copy qnet.py there, or install"):
        check_importable(config, folder)
    folder.mkdir()
    (tmp_path / "qnet.py").rename(folder / "qnet.py")
    check_importable(config, folder)


def test_an_installed_package_will_do(changed, tmp_path):
    check_importable(TrialConfig.of(changed(models=["optuna.Study"] * 2)), tmp_path)


def test_a_class_of_the_script_is_refused(changed, tmp_path):
    config = TrialConfig.of(changed(models=["__main__.Net"] * 2))
    with pytest.raises(ConfigError, match="one of the script .* Put it into a module of its own"):
        check_importable(config, tmp_path)


def test_an_interpreter_that_is_none_is_refused(changed, tmp_path):
    config = TrialConfig.of(changed(models=["qnet.QNet"] * 2))
    for python in (str(tmp_path / "python"), "false"):
        with pytest.raises(ConfigError, match="must be the interpreter that trials run in"):
            check_importable(config, tmp_path, python)
