from __future__ import annotations

import re
import shlex
import sys

import pytest
import yaml

from sweeprl import SearchSpace, TrialConfig, load_config
from sweeprl.errors import ConfigError
from sweeprl.nni import write_experiment
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


@pytest.mark.parametrize("settings", [{"trials": 0}, {"concurrency": 0}, {"hours": -1.0}])
def test_numbers_must_be_positive(config, tmp_path, settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} must be positive"):
        write_experiment(config, tmp_path / "e", **settings)
    assert not (tmp_path / "e").exists()


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
        config, tmp_path, tuner="optuna", assessor="OPTUNA", sampler="cmaes", pruner="asha"
    )
    written = yaml.safe_load(files.config.read_text())
    assert written["tuner"] == {
        "className": "sweeprl.nni.tuner.OptunaTuner",
        "codeDirectory": ".",
        "classArgs": {"sampler": "cmaes"},
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
    ],
)
def test_what_optuna_does_not_have_is_refused(config, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        write_experiment(config, tmp_path / "e", **settings)
    assert not (tmp_path / "e").exists()
