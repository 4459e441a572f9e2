from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings

from sweeprl.config import FrameConfig, merge, structure_of
from sweeprl.errors import ConfigError
from sweeprl.search_spaces import (
    Branch,
    Choice,
    Float,
    Int,
    Nested,
    PowerOfTwo,
    SearchSpace,
    preset,
)
from tests.search_spaces.strategies import FRAMES, config_of, spaces

SMALL = SearchSpace(
    parameters={"learning_rate": Float(1e-5, 1e-2, log=True), "batch_size": PowerOfTwo(4, 10)},
    limits=["batch_size <= replay_size"],
)


@settings(deadline=None)
@given(spaces())
def test_plain_values_become_the_same_space(space):
    assert SearchSpace.of(space.to_dict()) == space
    assert SearchSpace.model_validate(space.model_dump()) == space


def test_an_unknown_section_is_refused():
    with pytest.raises(ConfigError, match="'paramters'. Did you mean 'parameters'"):
        SearchSpace.of({"paramters": {}})


def test_importing_costs_neither_torch_nor_a_tuner():
    code = (
        "import sys, sweeprl.search_spaces;"
        "print([m for m in ('torch', 'optuna', 'nni', 'gymnasium') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# ---- from a config


@pytest.mark.parametrize("frame", FRAMES)
def test_the_default_space_gives_valid_configs(frame):
    config = config_of(frame)
    space = SearchSpace.of_config(config)
    space.check(config)
    rng = random.Random(0)
    for _ in range(200):
        params = space.resolve(config, space.sample(rng))
        merged = merge(config, params).frame_config
        assert all(getattr(merged, key) == value for key, value in params.items())


@pytest.mark.parametrize("frame", FRAMES)
def test_the_default_space_has_the_ranges_and_limits_of_the_frame(frame):
    config = config_of(frame)
    space = SearchSpace.of_config(config)
    assert "discount" in space.parameters
    assert space.limits == [*config.frame_config.limits, *config.frame_config.advice]


@pytest.mark.parametrize("policy, other", [("PPO", "TRPO"), ("TRPO", "PPO")])
def test_the_space_of_a_nested_config_is_that_of_the_one_in_use(policy, other):
    config = config_of("GAIL", constrained_policy_optimization=policy)
    space = SearchSpace.of_config(config)
    assert {"discriminator_learning_rate", f"{policy}_config.discount"} <= set(space.parameters)
    assert not [key for key in space.parameters if key.startswith(other)]
    limit = f"{policy}_config.batch_size <= {policy}_config.rollout_steps * num_envs"
    assert limit in space.limits
    space.check(config)
    rng = random.Random(0)
    for _ in range(50):
        merge(config, space.resolve(config, space.sample(rng)))
    lanes = space.for_lanes(config).parameters
    assert f"{policy}_config.critic_learning_rate" in lanes
    assert f"{policy}_config.rollout_steps" not in lanes


def test_an_idle_nested_config_does_not_part_lanes():
    one, other = config_of("GAIL"), config_of("GAIL", TRPO_config={"hv_mode": "direct"})
    assert structure_of(one.frame_config) == structure_of(other.frame_config)
    parted = merge(one, {"PPO_config.rollout_steps": 128})
    assert structure_of(one.frame_config)["PPO_config.rollout_steps"] == 1024
    assert structure_of(parted.frame_config)["PPO_config.rollout_steps"] == 128


def test_advice_that_no_value_could_keep_is_left_out():
    config = merge(config_of("DQN"), {"max_env_steps": 300})
    assert "warmup_steps <= max_env_steps / 5" not in SearchSpace.of_config(config).limits


def test_what_the_config_has_switched_off_is_not_searched():
    config = config_of("DQN", update_rate=None, update_steps=100)
    space = SearchSpace.of_config(config)
    assert "update_rate" not in space.parameters
    assert "exploration_steps" in space.parameters
    space.check(config)


def test_a_config_without_limits_has_none():
    assert FrameConfig.limits == ()


def test_values_of_a_config():
    space = SMALL.updated(
        {
            "model_kwargs.*.hidden": Choice(([8], [16])),
            "models.*": Choice(("QNet",)),
            "update_steps": Int(1, 9),
        }
    )
    found = space.values_of(config_of("DQN"))
    assert found == {
        "learning_rate": 1e-3,
        "batch_size": 100,
        "models.*": "QNet",
        "update_steps": None,
    }


# ---- editing


def test_only_keeps_the_named_ones_and_their_limits():
    assert list(SMALL.only("frame_config.learning_rate").parameters) == ["learning_rate"]
    assert SMALL.only("learning_rate").limits == []
    assert SMALL.only("batch_size").limits == SMALL.limits


def test_without_keeps_the_others():
    assert SMALL.without("batch_size") == SMALL.only("learning_rate")


def test_updated_replaces_and_adds():
    found = SMALL.updated(
        {
            "frame_config.batch_size": {"type": "choice", "options": [32]},
            "seed": Int(0, 9),
        }
    )
    assert found.parameters == {
        "learning_rate": Float(1e-5, 1e-2, log=True),
        "batch_size": Choice((32,)),
        "seed": Int(0, 9),
    }
    assert SMALL.parameters["batch_size"] == PowerOfTwo(4, 10)


@pytest.mark.parametrize("edit", ["only", "without"])
def test_a_misspelt_key_is_refused(edit):
    with pytest.raises(ConfigError, match="'batch_sise' must be one of.*Did you mean 'batch_size'"):
        getattr(SMALL, edit)("batch_sise")


def test_a_wrong_range_is_refused_when_it_is_added():
    with pytest.raises(ConfigError, match="parameters.seed: `type` must be one of"):
        SMALL.updated({"seed": {"low": 0}})


# ---- lanes


@pytest.mark.parametrize("frame", FRAMES)
def test_the_space_for_lanes_has_one_structure(frame):
    config = config_of(frame)
    space = SearchSpace.of_config(config).for_lanes(config)
    assert {"discount", "gradient_max"} <= set(space.parameters)
    assert not {"mode", "rollout_steps", "actor_update_times"} & set(space.parameters)
    space.check(config)
    rng = random.Random(0)
    drawn = [merge(config, space.resolve(config, space.sample(rng))) for _ in range(20)]
    assert all(
        structure_of(one.frame_config) == structure_of(drawn[0].frame_config) for one in drawn
    )


def test_masked_counts_are_for_lanes_and_constants_too():
    space = SMALL.updated(
        {
            "optimizer": Choice(("SGD",)),
            "num_envs": Int(1, 4),
            "update_rate": Choice((None,)),
            "update_steps": Int(1, 9),
        }
    )
    kept = space.for_lanes(config_of("DQN")).parameters
    assert list(kept) == ["learning_rate", "batch_size", "optimizer", "update_rate", "update_steps"]


def test_a_nested_choice_that_changes_what_is_set_is_not_for_lanes():
    found = preset("DQN", "arlbench").for_lanes(config_of("DQN"))
    assert "target" not in found.parameters
    inner = Nested(branches={"a": Branch(parameters={"discount": Float(0.9, 0.99)}), "b": Branch()})
    assert "x" in SMALL.updated({"x": inner}).for_lanes(config_of("DQN")).parameters


# ---- check


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"learning_rat": Float(0.1, 1)}, "'learning_rat' must be.*Did you mean 'learning_rate'"),
        (
            {"learning_rate": Float(0.0, 1)},
            "'learning_rate' must be valid.*learning_rate=0.0.*Narrow",
        ),
        ({"discount": Float(0.5, 1.5)}, "'discount' must be valid.*discount=1.5"),
        ({"mode": Choice(("double", "duble"))}, "mode='duble'.*Narrow its range, or leave it out"),
        ({"update_steps": Int(1, 5)}, "'update_steps' must be valid.*Exactly one of update_rate"),
        ({"model_kwargs.7.hidden": Choice(([8],))}, "'7' must be '\\*' or an index below 2"),
        ({"optimizer_kwargs": Choice(({},)), "optimizer_kwargs.eps": Float(0.1, 1)}, "at once"),
        ({"learning_rate": Choice((1e-3, "fast"))}, "learning_rate='fast'"),
        (
            {"x": Nested(branches={"a": Branch(parameters={"discount": Float(0.5, 2)})})},
            "'discount' must be valid.*discount=2.0",
        ),
        ({"mode": Nested(branches={"a": Branch(value="duble"), "b": Branch()})}, "mode='duble'"),
        ({"num_envs": Int(0, 3)}, "'num_envs' must be valid.*num_envs=0"),
    ],
)
def test_a_space_that_does_not_fit_the_config_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        SearchSpace(parameters=parameters).check(config_of("DQN"))


def test_a_batch_that_is_not_searched_may_not_fit_a_searched_rollout():
    space = SearchSpace(parameters={"rollout_steps": PowerOfTwo(5, 12)})
    with pytest.raises(ConfigError, match="'rollout_steps' must be valid.*batch_size=100"):
        space.check(config_of("PPO"))


@pytest.mark.parametrize(
    "limit, message",
    [
        ("batch_sise <= 4", "left side of 'batch_sise <= 4'.*Did you mean 'batch_size'"),
        ("batch_size <= replay_sise", "Did you mean 'replay_size'"),
    ],
)
def test_a_limit_that_names_nothing_is_refused(limit, message):
    space = SearchSpace(parameters=SMALL.parameters, limits=[limit])
    with pytest.raises(ConfigError, match=message):
        space.check(config_of("DQN"))


def test_an_empty_space_is_a_space():
    empty = SearchSpace(parameters={})
    empty.check(config_of("DQN"))
    assert empty.sample(random.Random(0)) == {}
