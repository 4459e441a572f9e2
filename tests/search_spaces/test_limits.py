from __future__ import annotations

import pytest

from sweeprl.errors import ConfigError
from sweeprl.search_spaces import Branch, Choice, Float, Int, Nested, PowerOfTwo, SearchSpace
from sweeprl.search_spaces.limits import Limit
from tests.search_spaces.strategies import config_of


def resolved(parameters, params, limits=(), frame="PPO", **settings):
    space = SearchSpace(parameters=parameters, limits=list(limits))
    return space.resolve(config_of(frame, **settings), params)


@pytest.mark.parametrize(
    "text, factors",
    [
        ("a <= b", (("*", "b"),)),
        ("a<=2*b.c/d", (("*", "2"), ("*", "b.c"), ("/", "d"))),
        ("a.0.b <= 1e3 / 2.5", (("*", "1e3"), ("/", "2.5"))),
    ],
)
def test_a_limit_is_read(text, factors):
    assert Limit.of(text).factors == factors


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a < b",
        "a >= b",
        "2 <= a",
        "a * b <= c",
        "a <= b + c",
        "a <= -1",
        "a <= b *",
        "a <= f(b)",
    ],
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(ConfigError, match="A limit must read like 'batch_size <= "):
        Limit.of(text)
    with pytest.raises(ConfigError, match="limits: A limit must read like"):
        SearchSpace.of({"parameters": {}, "limits": [text]})


ROLLOUT = {"batch_size": PowerOfTwo(4, 10), "rollout_steps": PowerOfTwo(5, 12)}


@pytest.mark.parametrize(
    "params, batch_size",
    [
        ({"batch_size": 1024, "rollout_steps": 64}, 64),
        ({"batch_size": 64, "rollout_steps": 64}, 64),
        ({"batch_size": 16, "rollout_steps": 64}, 16),
    ],
)
def test_a_value_above_the_frames_limit_moves_to_the_largest_that_keeps_it(params, batch_size):
    assert resolved(ROLLOUT, params) == {**params, "batch_size": batch_size}


def test_what_is_not_searched_comes_from_the_config():
    assert resolved({"batch_size": PowerOfTwo(4, 12)}, {"batch_size": 4096}) == {"batch_size": 1024}


def test_one_limit_may_rest_on_another():
    parameters = {**ROLLOUT, "model_kwargs.0.n": Int(5, 100)}
    limits = ["batch_size <= rollout_steps", "rollout_steps <= model_kwargs.0.n * 10"]
    params = {"batch_size": 1024, "rollout_steps": 4096, "model_kwargs.0.n": 7}
    for order in (limits, limits[::-1]):
        found = resolved(parameters, params, order)
        assert found == {"batch_size": 64, "rollout_steps": 64, "model_kwargs.0.n": 7}


def test_keys_may_be_written_in_full():
    parameters = {"frame_config.batch_size": Int(1, 5000), "rollout_steps": PowerOfTwo(5, 12)}
    params = {"frame_config.batch_size": 4000, "rollout_steps": 32}
    assert resolved(parameters, params)["frame_config.batch_size"] == 32


def test_a_null_limits_nothing():
    parameters = {"warmup_steps": Int(0, 100)}
    params = {"warmup_steps": 100}
    limits = ["warmup_steps <= update_steps"]
    assert resolved(parameters, params, limits, frame="DQN") == params


def test_a_value_that_is_no_number_is_not_limited():
    parameters = {"target_entropy": Choice((None, -1.0))}
    params = {"target_entropy": None}
    assert resolved(parameters, params, ["target_entropy <= 0.5"], frame="SAC") == params


def test_a_limit_holds_inside_a_branch():
    parameters = {
        "x": Nested(
            branches={
                "small": Branch(parameters={"batch_size": Choice((2, 4))}),
                "large": Branch(parameters={"batch_size": PowerOfTwo(5, 12)}),
            }
        )
    }
    assert resolved(parameters, {"batch_size": 4096})["batch_size"] == 1024
    assert resolved(parameters, {"batch_size": 4}, ["batch_size <= 3"])["batch_size"] == 2


@pytest.mark.parametrize(
    "parameters, params, limits, message",
    [
        (ROLLOUT, {"batch_size": 64, "rollout_steps": 32}, ["batch_size <= 8"], "start lower"),
        (
            ROLLOUT,
            {"batch_size": 64, "rollout_steps": 32},
            ["batch_size <= 0.5 * num_envs"],
            "num_envs=1",
        ),
        (
            ROLLOUT,
            {"batch_size": 64},
            ["batch_size <= rollout_stpes"],
            "Did you mean 'rollout_steps'",
        ),
        (ROLLOUT, {"batch_size": 64}, ["batch_size <= optimizer"], "'optimizer' must be a number"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(parameters, params, limits, message):
    with pytest.raises(ConfigError, match=message):
        resolved(parameters, params, limits)


def test_a_float_moves_to_the_bound_itself():
    found = resolved(
        {"critic_learning_rate": Float(1e-5, 1e-2)},
        {"critic_learning_rate": 1e-2},
        ["critic_learning_rate <= actor_learning_rate * 2"],
    )
    assert found == {"critic_learning_rate": 2e-3}
