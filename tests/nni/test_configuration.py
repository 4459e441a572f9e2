from __future__ import annotations

import re
import shlex
import sys

import pytest
import yaml

from sweeprl import SearchSpace, TrialConfig, load_config
from sweeprl.errors import ConfigError
from sweeprl.nni import write_experiment
from sweeprl.nni.writing import gpus, platforms
from sweeprl.nni.writing.gpus import Gpus
from sweeprl.nni.writing.platforms import Machine, Remote
from sweeprl.search_spaces import load_space


@pytest.fixture
def config(small_config) -> TrialConfig:
    return TrialConfig.of({**small_config("DQN"), "max_env_steps": 1000})


def test_what_is_written_is_read_back_as_it_was(config, tmp_path):
    files = write_experiment(config, tmp_path / "e", assessor="Medianstop", trials=7, hours=0.5)
    assert load_config(files.base) == config
    space = SearchSpace.of_config(config)
    assert load_space(files.space).parameters == space.narrowed(config).parameters
    assert yaml.safe_load(files.space.read_text())["warmup_steps"]["_value"] == [100, 200, 1]
    written = yaml.safe_load(files.config.read_text())
    assert (
        written["trialCommand"]
        == f"{shlex.quote(sys.executable)} -m sweeprl run --config base.json"
    )
    assert (written["maxTrialNumber"], written["maxExperimentDuration"]) == (7, "1800s")
    assert written["assessor"]["name"] == "Medianstop"


@pytest.mark.parametrize(
    "settings", [{"trials": 0}, {"concurrency": 0}, {"hours": -1.0}, {"trial_minutes": 0}]
)
def test_numbers_must_be_positive(config, tmp_path, settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be positive"):
        write_experiment(config, tmp_path / "e", **settings)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("minutes, text", [(1.5, "90s"), (0.001, "1s")])
def test_a_trial_may_be_stopped_after_some_minutes(config, tmp_path, minutes, text):
    files = write_experiment(config, tmp_path, trial_minutes=minutes)
    written = yaml.safe_load(files.config.read_text())
    assert written["maxTrialDuration"] == text
    assert "maxExperimentDuration" not in written


def start_step(config, folder, space=None) -> int:
    files = write_experiment(config, folder, space, assessor="Medianstop", overwrite=True)
    return yaml.safe_load(files.config.read_text())["assessor"]["classArgs"]["start_step"]


def test_trials_are_judged_after_the_longest_warm_up_of_the_space(config, tmp_path):
    # The default space has a warm-up of up to a fifth of the budget: 200.
    every = config.model_copy(update={"report_every_env_steps": 10})
    assert start_step(every, tmp_path) == 21
    learning_rate = SearchSpace.of_config(config).only("learning_rate")
    assert start_step(every, tmp_path, learning_rate) == 11  # as the config has it: 100
    wide = SearchSpace.of({"warmup_steps": {"_type": "quniform", "_value": [0, 305, 1]}})
    assert start_step(every, tmp_path, wide) == 32
    assert start_step(config, tmp_path, wide) == 5


def test_an_on_policy_frame_learns_after_its_first_rollout(small_config, tmp_path):
    plain = {**small_config("PPO"), "max_env_steps": 10_000, "report_every_env_steps": 20}
    config = TrialConfig.of({**plain, "num_envs": 2})
    assert start_step(config, tmp_path, SearchSpace.of_config(config).only("discount")) == 14


def test_population_based_training_has_no_assessor(config, tmp_path):
    space = SearchSpace.of_config(config).for_lanes(config)
    with pytest.raises(ConfigError, match="PBT must go without an assessor"):
        write_experiment(config, tmp_path / "e", space, tuner="PBT", assessor="Medianstop")
    assert not (tmp_path / "e").exists()


def test_modules_must_lie_in_the_folder(small_config, tmp_path):
    plain = {**small_config("DQN"), "max_env_steps": 1000}
    plain["frame_config"]["models"] = ["qnet.QNet", "qnet.QNet"]
    config = TrialConfig.of(plain)
    with pytest.raises(ConfigError, match="must be able to import 'qnet'"):
        write_experiment(config, tmp_path / "e")
    assert not (tmp_path / "e").exists()
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "qnet.py").touch()
    write_experiment(config, tmp_path / "e")


@pytest.mark.parametrize("gpus", [[0], 1, "0,1"])
def test_nni_and_the_config_do_not_both_choose_a_gpu(small_config, tmp_path, gpus):
    config = TrialConfig.of({**small_config("DQN"), "max_env_steps": 1000, "gpus": gpus})
    write_experiment(config, tmp_path)
    with pytest.raises(ConfigError, match='gpus must be "auto" or null where NNI hands out'):
        write_experiment(config, tmp_path, gpus=Gpus(1), overwrite=True)


def test_what_nni_needs_for_gpus_is_written(config, tmp_path):
    from nni.experiment.config import ExperimentConfig

    files = write_experiment(config, tmp_path, gpus=Gpus(1, 2))
    read = ExperimentConfig.load(files.config).canonical_copy()
    read.validate()
    assert (read.trial_gpu_number, read.training_service.max_trial_number_per_gpu) == (1, 2)
    assert read.training_service.use_active_gpu is True


def test_what_nni_needs_for_other_machines_is_written(config, tmp_path):
    from nni.experiment.config import ExperimentConfig

    (tmp_path / "key").touch()
    remote = Remote([Machine("ada", "gpu1", 2222)], "/venv/bin", str(tmp_path / "key"))
    files = write_experiment(config, tmp_path / "e", remote=remote, concurrency=1)
    read = ExperimentConfig.load(files.config).canonical_copy()
    read.validate()
    assert read.nni_manager_ip == "127.0.0.1"
    assert read.trial_command == "python -m sweeprl run --config base.json"
    (machine,) = read.training_service.machine_list
    assert (machine.user, machine.host, machine.port) == ("ada", "gpu1", 2222)
    assert machine.python_path == "/venv/bin"


def test_whole_gpus_of_other_machines_are_refused_with_nni_3(config, tmp_path, monkeypatch):
    for module in (gpus, platforms):
        monkeypatch.setattr(module, "version", lambda _: "3.0")
    settings = {"remote": Remote([Machine("ada", "gpu1")], "/venv/bin"), "concurrency": 1}
    with pytest.raises(ConfigError, match="must not be given whole GPUs"):
        write_experiment(config, tmp_path / "e", gpus=Gpus(1), **settings)
    assert not (tmp_path / "e").exists()
    write_experiment(config, tmp_path / "e", gpus=Gpus(1, 2), **settings)


def test_trials_need_equal_budgets(config, tmp_path):
    with pytest.raises(ConfigError, match="max_env_steps must be set"):
        write_experiment(config.model_copy(update={"max_env_steps": None}), tmp_path / "e")


def test_the_space_must_fit_the_config(config, tmp_path):
    space = SearchSpace.of({"clip_rang": {"_type": "uniform", "_value": [0, 1]}})
    with pytest.raises(ConfigError, match="clip_rang"):
        write_experiment(config, tmp_path / "e", space)
    assert not (tmp_path / "e").exists()


def test_files_that_lie_there_are_replaced_only_on_demand(config, tmp_path):
    write_experiment(config, tmp_path)
    with pytest.raises(ConfigError, match="must not exist yet"):
        write_experiment(config, tmp_path, trials=3)
    files = write_experiment(config, tmp_path, trials=3, overwrite=True)
    assert yaml.safe_load(files.config.read_text())["maxTrialNumber"] == 3


def test_optuna_is_named_by_its_class(config, tmp_path):
    files = write_experiment(
        config,
        tmp_path,
        tuner="optuna",
        tuner_settings={"seed": 3},
        assessor="OPTUNA",
        sampler="cmaes",
        pruner="asha",
    )
    written = yaml.safe_load(files.config.read_text())
    assert written["tuner"] == {
        "className": "sweeprl.nni.tuner.OptunaTuner",
        "codeDirectory": ".",
        "classArgs": {"sampler": "cmaes", "seed": 3},
    }
    assert written["assessor"]["className"] == "sweeprl.nni.assessor.OptunaAssessor"
    assert written["assessor"]["classArgs"] == {"pruner": "asha"}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"tuner": "Optuna", "sampler": "tpee"}, "No sampler named 'tpee'. Did you mean 'tpe'?"),
        ({"tuner": "TPE", "assessor": "Optuna"}, "Use both, or the assessor Medianstop"),
        ({"tuner": "Optuna", "assessor": "Optuna", "pruner": "medan"}, "Did you mean 'median'?"),
        ({"tuner": "Optuna", "assessor": "Optuna", "pruner": "wilcoxon"}, "several seeds"),
        ({"tuner": "Optuna", "tuner_settings": {"sed": 1}}, "got 'sed'. Did you mean 'seed'?"),
    ],
)
def test_what_optuna_does_not_have_is_refused(config, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        write_experiment(config, tmp_path / "e", **settings)
    assert not (tmp_path / "e").exists()
