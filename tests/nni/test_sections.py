from __future__ import annotations

import re

import pytest
from nni.runtime.config import get_builtin_config_file
from nni.tools.package_utils import create_builtin_class_instance

from sweeprl import SearchSpace, TrialConfig
from sweeprl.errors import ConfigError, UnknownNameError
from sweeprl.nni.writing.algorithms import ASSESSORS, TUNERS, Plan
from sweeprl.nni.writing.sections import assessor_section, check_together, tuner_section
from sweeprl.search_spaces import decode_nni, to_nni

WORKING = [name for name, tuner in TUNERS.items() if not tuner.trouble]


@pytest.fixture
def config(small_config) -> TrialConfig:
    return TrialConfig.of({**small_config("DQN"), "max_env_steps": 1000})


def test_names_are_those_that_nni_knows():
    text = get_builtin_config_file("builtin_algorithms.yml").read_text()
    assert sorted(re.findall(r"builtinName: (\w+)", text)) == sorted({**TUNERS, **ASSESSORS})


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


def test_an_alias_of_nni_is_the_same_tuner(config):
    with pytest.raises(ConfigError, match="of GP is known"):
        tuner_section("GPTuner", SearchSpace.of_config(config))


def proposals_of(section: dict, space: SearchSpace, num: int) -> list[dict]:
    """What the real tuner proposes when each trial ends before the next one begins."""
    tuner = create_builtin_class_instance(section["name"], dict(section["classArgs"]), "tuners")
    tuner.update_search_space(to_nni(space))
    proposals = []
    for number in range(num):
        (proposal,) = tuner.generate_multiple_parameters([number], st_callback=None)
        proposals.append(proposal)
        tuner.receive_trial_result(number, proposal, proposal["learning_rate"])
        tuner.trial_end(number, True)
    return proposals


def num_evolved(proposals: list[dict]) -> int:
    """How many have all but one value of an earlier one."""
    return sum(
        any(sum(one[key] != earlier[key] for key in one) <= 1 for earlier in proposals[:number])
        for number, one in enumerate(proposals)
    )


def test_evolution_evolves_within_its_trials(config):
    space = SearchSpace.of_config(config)
    section = tuner_section("Evolution", space, Plan(trials=20, concurrency=2))
    assert section["classArgs"]["population_size"] == 6
    assert num_evolved(proposals_of(section, space, 20)) >= 14
    as_by_default = {"name": "Evolution", "classArgs": {"optimize_mode": "maximize"}}
    assert num_evolved(proposals_of(as_by_default, space, 20)) == 0


@pytest.mark.parametrize("trials, concurrency, size", [(20, 2, 6), (20, 8, 16), (99, 2, 33)])
def test_a_population_is_a_third_of_the_trials_and_larger_than_the_concurrency(
    trials, concurrency, size, config
):
    plan = Plan(trials, concurrency)
    section = tuner_section("Evolution", SearchSpace.of_config(config), plan)
    assert section["classArgs"]["population_size"] == size


def test_a_setting_of_the_user_stays(config):
    space = SearchSpace.of_config(config)
    section = tuner_section("Evolution", space, Plan(), {"population_size": 3})
    assert section["classArgs"] == {"optimize_mode": "maximize", "population_size": 3}
    assert assessor_section("medianstop", Plan(), {"start_step": 2})["classArgs"] == {
        "optimize_mode": "maximize",
        "start_step": 2,
    }


def test_a_population_below_the_concurrency_is_refused(config):
    with pytest.raises(ConfigError, match="population_size=3, concurrency=4"):
        tuner_section(
            "Evolution", SearchSpace.of_config(config), Plan(20, 4), {"population_size": 3}
        )


@pytest.mark.parametrize("random_reports, start_step", [(0, 5), (4, 5), (5, 6), (12, 13)])
def test_no_trial_is_judged_by_random_actions(random_reports, start_step):
    section = assessor_section("Medianstop", Plan(random_reports=random_reports))
    assert section["classArgs"]["start_step"] == start_step
    assessor = create_builtin_class_instance("Medianstop", section["classArgs"], "assessors")
    bad, good = [-1.0] * start_step, [1.0] * start_step
    for end in range(1, start_step + 1):
        assessor.assess_trial("good", good[:end])
    assessor.trial_end("good", True)
    verdicts = [assessor.assess_trial("bad", bad[:end]).name for end in range(1, start_step + 1)]
    assert verdicts == ["Good"] * (start_step - 1) + ["Bad"]


def test_population_based_training_goes_without_an_assessor():
    tuner = tuner_section(
        "PBT", SearchSpace.of({"discount": {"_type": "uniform", "_value": [0, 1]}})
    )
    check_together(tuner, None)
    with pytest.raises(ConfigError, match="PBT must go without an assessor.* got .* Medianstop"):
        check_together(tuner, assessor_section("Medianstop"))


def test_population_based_training_needs_files_that_all_machines_share():
    space = SearchSpace.of({"discount": {"_type": "uniform", "_value": [0, 1]}})
    with pytest.raises(ConfigError, match="must have an all_checkpoint_dir"):
        check_together(tuner_section("PBT", space), None, is_remote=True)
    shared = tuner_section("PBT", space, given={"all_checkpoint_dir": "/nfs"})
    check_together(shared, None, is_remote=True)


def test_population_based_training_needs_a_flat_space():
    branches = {"_name": "a"}, {"_name": "b", "discount": {"_type": "uniform", "_value": [0, 1]}}
    space = SearchSpace.of({"mode": {"_type": "choice", "_value": list(branches)}})
    assert tuner_section("tpe", space)["name"] == "TPE"
    with pytest.raises(ConfigError, match="no nested choices, but mode"):
        tuner_section("pbt", space)
