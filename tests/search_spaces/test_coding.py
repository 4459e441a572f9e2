from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeprl.errors import ConfigError
from sweeprl.search_spaces import (
    Branch,
    Choice,
    Float,
    Int,
    Nested,
    OneMinus,
    PowerOfTwo,
    SearchSpace,
)
from sweeprl.search_spaces.coding import decoded, encoded, latents_of
from sweeprl.search_spaces.parameters import keys_of
from tests.search_spaces.strategies import spaces

FOLLOW = Nested(
    branches={
        "averages": Branch(parameters={"update_rate": Float(0.01, 1)}),
        "copies": Branch(parameters={"update_rate": Choice((None,)), "update_steps": Int(1, 1000)}),
    }
)
SPACE = SearchSpace(
    parameters={
        "frame_config.discount": OneMinus(1e-4, 0.1),
        "batch_size": PowerOfTwo(4, 10),
        "optimizer": Nested(
            branches={
                "Adam": Branch(
                    value="Adam", parameters={"optimizer_kwargs.eps": Float(1e-8, 1e-5, log=True)}
                ),
                "SGD": Branch(value="SGD"),
            }
        ),
        "target": FOLLOW,
    }
).parameters
PARAMS = {
    "discount": 0.99,
    "batch_size": 64,
    "optimizer": "Adam",
    "optimizer_kwargs.eps": 1e-6,
    "update_rate": None,
    "update_steps": 3,
}
LATENTS = {
    "1 - frame_config.discount": pytest.approx(0.01),
    "log2(batch_size)": 6,
    "optimizer": "Adam",
    "optimizer[Adam].optimizer_kwargs.eps": 1e-6,
    "choose(target)": "copies",
    "target[copies].update_rate": None,
    "target[copies].update_steps": 3,
}


def equal(one, other) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return one == other and type(one) is type(other)


@settings(deadline=None)
@given(spaces(), st.integers(0, 2**32))
def test_what_is_encoded_is_decoded_as_itself(space, seed):
    params = space.sample(random.Random(seed))
    again = decoded(space.parameters, encoded(space.parameters, params))
    assert again.keys() == params.keys()
    assert all(equal(again[key], params[key]) for key in params)


def test_a_branch_with_the_value_goes_before_one_without():
    branches = {"none": Branch(), "one": Branch(value="b c")}
    parameters = SearchSpace(parameters={"x": Nested(branches=branches)}).parameters
    assert decoded(parameters, encoded(parameters, {"x": "b c"})) == {"x": "b c"}
    assert decoded(parameters, encoded(parameters, {})) == {}


def test_values_become_latents():
    assert encoded(SPACE, PARAMS) == LATENTS


def test_latents_become_values_of_the_chosen_branches():
    latents = {**LATENTS, "1 - frame_config.discount": 0.01}
    assert decoded(SPACE, latents) == {
        **{key: value for key, value in PARAMS.items() if key != "discount"},
        "frame_config.discount": 0.99,
    }


def test_all_names_and_keys_are_listed():
    names = [name for name, _ in latents_of(SPACE)]
    assert set(names) == {*LATENTS, "target[averages].update_rate"}
    assert [name for name, _ in latents_of(SPACE, conditional=False)] == [
        "1 - frame_config.discount",
        "log2(batch_size)",
        "optimizer",
        "choose(target)",
    ]
    assert set(keys_of(SPACE)) == {
        "frame_config.discount",
        "batch_size",
        "optimizer",
        "optimizer_kwargs.eps",
        "update_rate",
        "update_steps",
    }


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batch_size": 100}, "'batch_size' must lie in PowerOfTwo.*got 100. The nearest.* is 128"),
        ({"batch_size": "many"}, "'batch_size' must lie in PowerOfTwo.*got 'many'.$"),
        ({"batch_sise": 64}, "'batch_sise' must be one of.* Did you mean 'batch_size'"),
        (
            {"optimizer": "RMSprop"},
            "'optimizer' and what belongs to it must fit one of .*Adam, SGD",
        ),
        ({"optimizer_kwargs.eps": 1.0}, "'optimizer' and what belongs to it must fit"),
    ],
)
def test_values_outside_the_space_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        encoded(SPACE, {**PARAMS, **change})


def test_a_missing_value_is_refused():
    with pytest.raises(ConfigError, match="A value for 'batch_size' must be given"):
        encoded(SPACE, {key: value for key, value in PARAMS.items() if key != "batch_size"})


@pytest.mark.parametrize(
    "change, latent",
    [
        ({"batch_size": 100}, {"log2(batch_size)": 7}),
        ({"batch_size": math.inf}, {"log2(batch_size)": 10}),
        ({"batch_size": None}, {"log2(batch_size)": 7}),
        ({"discount": 1.0}, {"1 - frame_config.discount": 1e-4}),
        ({"discount": None}, {"1 - frame_config.discount": pytest.approx(10**-2.5)}),
        ({"optimizer": "RMSprop"}, {"optimizer": "Adam"}),
        ({"optimizer_kwargs.eps": 1.0}, {"optimizer[Adam].optimizer_kwargs.eps": 1e-5}),
        ({"update_rate": 0.5}, {"target[averages].update_rate": 0.5}),
    ],
)
def test_values_outside_the_space_may_be_moved_inside(change, latent):
    found = encoded(SPACE, {**PARAMS, **change}, nearest=True)
    assert {key: found[key] for key in latent} == latent


def test_nothing_at_all_is_the_middle_of_everything():
    found = encoded(SPACE, {}, nearest=True)
    assert found["log2(batch_size)"] == 7
    assert decoded(SPACE, found)["optimizer"] == "Adam"


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"log2(batch_size)": 11},
            r"'log2\(batch_size\)' must be a number from 4 to 10, but got 11",
        ),
        ({"optimizer": "SDG"}, "'optimizer' must be one of .*'Adam', 'SGD'"),
        ({"log2(batch_sise)": 4}, r"Did you mean 'log2\(batch_size\)'"),
    ],
)
def test_latents_outside_the_space_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        decoded(SPACE, {**LATENTS, "1 - frame_config.discount": 0.01, **change})


def test_a_missing_latent_is_refused():
    with pytest.raises(ConfigError, match="A value for '1 - frame_config.discount' must be given"):
        decoded(SPACE, {})
