from __future__ import annotations

import pytest
from nni.runtime.config import get_builtin_config_file
from nni.tools.package_utils import create_builtin_class_instance

from sweeprl import SearchSpace, TrialConfig
from sweeprl.errors import ConfigError, UnknownNameError
from sweeprl.nni.algorithms import ASSESSORS, TUNERS, assessor_section, tuner_section
from sweeprl.search_spaces import decode_nni, to_nni

WORKING = [name for name, tuner in TUNERS.items() if not tuner.trouble]


@pytest.fixture
def config(small_config) -> TrialConfig:
    return TrialConfig.of({**small_config("DQN"), "max_env_steps": 1000})


def test_names_are_those_that_nni_knows():
    text = get_builtin_config_file("builtin_algorithms.yml").read_text()
    assert all(f"builtinName: {name}\n" in text for name in {**TUNERS, **ASSESSORS})


@pytest.mark.parametrize("name", WORKING)
def test_a_tuner_that_works_proposes_what_the_config_takes(name, config, tmp_path, monkeypatch):
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path))
    space = SearchSpace.of_config(config).for_lanes(config)
    section = tuner_section(name, space)
    tuner = create_builtin_class_instance(section["name"], section.get("classArgs", {}), "tuners")
    tuner.update_search_space(to_nni(space))
    for number in range(4):
        proposal = tuner.generate_parameters(number)
        own = {k: v for k, v in proposal.items() if not k.endswith("_checkpoint_dir")}
        space.resolve(config, decode_nni(space, own))
        if name != "PBT":  # which waits for its whole generation
            tuner.receive_trial_result(number, proposal, float(number))
            tuner.trial_end(number, True)


@pytest.mark.parametrize("name", [name for name, tuner in TUNERS.items() if tuner.trouble])
def test_one_that_is_broken_is_refused_with_one_that_works(name, config):
    with pytest.raises(ConfigError, match="Use TPE"):
        tuner_section(name.upper(), SearchSpace.of_config(config))


def test_a_misspelt_name_is_refused(config):
    with pytest.raises(UnknownNameError, match="Did you mean 'Evolution'"):
        tuner_section("evolutoin", SearchSpace.of_config(config))
    with pytest.raises(UnknownNameError, match="Did you mean 'Medianstop'"):
        assessor_section("medianstp")


def test_population_based_training_needs_a_flat_space():
    branches = {"_name": "a"}, {"_name": "b", "discount": {"_type": "uniform", "_value": [0, 1]}}
    space = SearchSpace.of({"mode": {"_type": "choice", "_value": list(branches)}})
    assert tuner_section("tpe", space)["name"] == "TPE"
    with pytest.raises(ConfigError, match="no nested choices, but mode"):
        tuner_section("pbt", space)
