from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from sweeprl import registry
from sweeprl.config import (
    Choice,
    Config,
    Float,
    Int,
    OneMinus,
    PowerOfTwo,
    Range,
    Traced,
    ranges,
    traced,
)
from sweeprl.config.ranges import Normal, same
from sweeprl.errors import ConfigError


class Example(Config):
    rate: Annotated[float, Field(gt=0), Float(1e-5, 1e-2, log=True), Traced()] = 1e-3
    batch: Annotated[int, PowerOfTwo(4, 10)] = 64
    temperature: Annotated[float, Traced()] = 1.0
    name: str = "x"


def test_a_field_declares_its_range_beside_its_default():
    assert ranges(Example) == {"rate": Float(1e-5, 1e-2, log=True), "batch": PowerOfTwo(4, 10)}


def test_traced_fields_are_read_back_in_order():
    assert traced(Example) == ("rate", "temperature")


@pytest.mark.parametrize(
    "inside, outside, one_of_range",
    [
        ([0.1, 1, 0.5], [0.0999, 1.1, "0.5", None], Float(0.1, 1.0)),
        ([1, 5], [0, 6, 2.5, 3.0], Int(1, 5)),
        ([16, 100, 1024], [15, 1025, 64.0], PowerOfTwo(4, 10)),
        ([0.99, 0.999, 0.97], [0.9, 1.0, "x"], OneMinus(1e-4, 3.1e-2)),
        (["a", None], ["b", 0], Choice(("a", None))),
        ([1, 1.0, [64]], [True, [32], "1"], Choice((1, [64]))),
        ([0, -3.5], ["0", None, float("inf"), True], Normal(0, 1)),
        ([0.1], [0, -1], Normal(0, 1, log=True)),
        ([0, 0.5], [-0.5], Normal(0, 1, log=True, step=0.5)),
    ],
)
def test_a_range_knows_what_lies_inside(inside, outside, one_of_range):
    assert [value for value in inside if not one_of_range.contains(value)] == []
    assert [value for value in outside if one_of_range.contains(value)] == []


@pytest.mark.parametrize("kind", [Float, Int, PowerOfTwo, OneMinus])
@pytest.mark.parametrize("low, high", [(3, 1), (2, 2)])
def test_low_must_be_below_high(kind, low, high):
    with pytest.raises(
        ConfigError, match=f"`low < high` must hold, but got low={low}, high={high}."
    ):
        kind(low, high)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float(0, 1, log=True),
        lambda: Int(0, 5, log=True),
        lambda: OneMinus(0, 0.1),
    ],
)
def test_a_log_scale_starts_above_zero(make):
    with pytest.raises(ConfigError, match=r"`low > 0` must hold on a log scale, but got low=0\."):
        make()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Float(0, float("inf")), "`high` must be a finite number, but got inf"),
        (lambda: Float("0", 1), "`low` must be a finite number, but got '0'"),
        (lambda: Float(True, 2), "`low` must be a finite number, but got True"),
        (lambda: Float(0, 1, step=0), "`step > 0` must hold, but got step=0"),
        (lambda: Float(0, 1, step=0.3), "whole number of steps.*Write high=0.9, or anchor='zero'"),
        (lambda: Float(0, 1, step=2), "Write high=2, or anchor='zero'"),
        (lambda: Float(0, 1, anchor="zero"), "must have a `step`, but has none"),
        (lambda: Int(0, 10, step=3), "whole number of steps.*Write high=9"),
        (lambda: Int(0, 2.5), "`high` must be an integer, but got 2.5"),
        (lambda: Int(0, 4, anchor="zero"), "must have a `step` above 1"),
        (lambda: Int(1, 4, log=True, ordered=False), "neither `log` nor `step`"),
        (lambda: PowerOfTwo(-1, 4), "Exponents must be integers from 0 on"),
        (lambda: PowerOfTwo(1, 4.5), "Exponents must be integers from 0 on"),
        (lambda: Normal(float("nan"), 1), "`mu` must be a finite number"),
        (lambda: Normal(0, 0), "`sigma > 0` must hold, but got sigma=0"),
        (lambda: Normal(0, 1, step=-1), "`step > 0` must hold"),
        (lambda: Choice(()), "at least one value, but is empty"),
        (lambda: Choice((1, 2, True)), "Options must differ .*1 equals True"),
        (lambda: Choice((1.0, 1)), "Options must differ"),
        (lambda: Choice(([1], [1])), "Options must differ"),
        (lambda: Choice((int,)), "importable name"),
        (lambda: Choice((float("nan"),)), "An option must be text, a number"),
        (lambda: Choice(({1: 2},)), "a mapping with text keys"),
    ],
)
def test_what_is_no_range_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_tuples_are_options_as_json_has_them():
    assert Choice(((64, (1,)), {"a": (2,)})).options == ([64, [1]], {"a": [2]})


def test_a_truth_value_is_no_number():
    assert not same(1, True)
    assert not same(False, 0)
    assert same(1, 1.0)


def test_the_base_class_is_no_range_of_its_own():
    with pytest.raises(NotImplementedError):
        Range().contains(1)


ROOM_FOR = {
    "batch_size": {"rollout_steps": 4096},
    "rollout_num": {"used_rollout_num": 1},
    "used_rollout_num": {"rollout_num": 64},
}
"""What has to be set beside a setting whose range is tried, for limits between them to hold."""


@pytest.mark.parametrize("frame", registry.frames.names())
def test_what_a_tuner_may_propose_is_valid(frame):
    """Both ends of every tuning range of every frame lie in the field's valid range."""
    model = registry.frames.get(frame).Config
    assert ranges(model)
    for name, one in ranges(model).items():
        for value in ends(one):
            assert one.contains(value)
            beside = ROOM_FOR.get(name, {}).items()
            values = {key: room for key, room in beside if key in model.model_fields}
            values[name] = value
            assert getattr(model(**values), name) == value


def ends(one: Range) -> list:
    match one:
        case Choice(options):
            return list(options)
        case PowerOfTwo(low, high):
            return [2**low, 2**high]
        case OneMinus(low, high):
            return [1 - low * 1.001, 1 - high * 0.999]
    return [one.low, one.high]


@pytest.mark.parametrize("frame", registry.frames.names())
def test_traced_settings_are_numbers_that_a_lane_may_have_for_itself(frame):
    model = registry.frames.get(frame).Config
    names = traced(model)
    assert "gradient_max" in names
    assert all(isinstance(getattr(model(), name), float | int | None) for name in names)
