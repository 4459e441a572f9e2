from __future__ import annotations

import pytest

from sweeprl.errors import ConfigError
from sweeprl.search_spaces import Branch, Choice, Float, Int, Nested, SearchSpace


def space(**parameters):
    return SearchSpace.of({"parameters": parameters})


@pytest.mark.parametrize(
    "data, kind",
    [
        ({"type": "float", "low": 0, "high": 1, "log": False}, Float(0, 1)),
        ({"type": "int", "low": 0, "high": 9, "step": 3}, Int(0, 9, step=3)),
        ({"type": "choice", "options": [[64], None]}, Choice(([64], None))),
    ],
)
def test_a_mapping_becomes_a_range(data, kind):
    assert space(x=data).parameters == {"x": kind}


@pytest.mark.parametrize(
    "data, message",
    [
        (3, "A range must be a mapping"),
        ({}, "`type` must be one of float, .* but has no `type`"),
        ({"type": "flaot", "low": 0, "high": 1}, "its `type` is 'flaot'. Did you mean 'float'"),
        ({"type": "float", "low": 0, "hihg": 1}, "Unknown word 'hihg'.* Did you mean 'high'"),
        ({"type": "float", "low": True, "high": 1}, "`low` must be a number, but got True"),
        ({"type": "float", "low": 0}, "parameters.x.*high: Field required"),
        ({"type": "float", "low": 3, "high": 1}, "parameters.x: `low < high` must hold"),
        ({"type": "int", "low": 0.5, "high": 1}, "parameters.x.*low: "),
        ({"type": "choice", "options": []}, "at least one value, but is empty"),
        ({"type": "choice", "options": [1, True]}, "1 equals True"),
        ({"type": "nested", "branches": {}}, "at least one branch"),
        ({"type": "nested", "branches": {"a[0]": {}}}, "neither brackets nor '='"),
        ({"type": "nested", "branches": {"a": {"vlaue": 1}}}, "Did you mean 'value'"),
        (
            {"type": "nested", "branches": {"a": {"parameters": {"y": {"type": "x"}}}}},
            "parameters.x.*branches.a.parameters.y: `type` must be one of",
        ),
    ],
)
def test_what_is_no_range_is_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        space(x=data)


@pytest.mark.parametrize("key", ["", "a b", "a..b", "f(x)", "a[0]", ".a"])
def test_what_is_no_path_is_refused(key):
    with pytest.raises(ConfigError, match="A key must be a dotted path"):
        space(**{key: Float(0, 1)})


def test_one_setting_under_two_names_is_refused():
    with pytest.raises(ConfigError, match="'discount' and 'frame_config.discount' must not both"):
        space(**{"discount": Float(0, 1), "frame_config.discount": Float(0, 0.5)})


def test_two_parameters_for_one_setting_are_refused():
    inner = Nested(branches={"a": Branch(parameters={"discount": Float(0, 1)}), "b": Branch()})
    with pytest.raises(ConfigError, match="'x' and 'discount' must not both.*same 'discount'"):
        space(x=inner, discount=Float(0, 1))


def test_a_choice_may_bear_the_name_of_what_its_branches_set():
    inner = Nested(branches={"a": Branch(parameters={"discount": Float(0, 1)}), "b": Branch()})
    assert space(discount=inner).parameters["discount"] == inner


def test_a_branch_may_have_a_truth_value_but_no_class():
    assert Branch(value=True).value is True
    assert Branch(value=(1, 2)).value == [1, 2]
    with pytest.raises(ConfigError, match="Write a class as its importable name"):
        Branch(value=dict)


def test_a_branch_knows_whether_it_has_a_value():
    assert not Branch().has_value
    assert Branch(value=None).has_value
    assert Branch() != Branch(value=None)
    assert Branch(value=None).model_dump() == {"value": None}
    assert Branch().model_dump() == {}


@pytest.mark.parametrize(
    "nested, name, labels",
    [
        (
            {"a": {"value": "a", "parameters": {"y": Float(0, 1)}}, "b": {"value": "b"}},
            "x",
            ["a", "b"],
        ),
        ({"a": {"value": "a"}, "b": {"value": "b"}}, "choose(x)", ['a = "a"', 'b = "b"']),
        ({"a": {"value": [1]}, "b": {}}, "choose(x)", ["a = [1]", "b"]),
        ({"1": {"value": 1, "parameters": {"y": Float(0, 1)}}}, "choose(x)", ["1 = 1"]),
    ],
)
def test_what_a_tuner_calls_the_branches(nested, name, labels):
    one = Nested.model_validate({"branches": nested})
    assert one.name("x") == name
    assert list(one.latent.options) == labels
    assert [one.chosen(label) for label in labels] == list(nested)
    with pytest.raises(ValueError, match="must be one of"):
        one.chosen("zebra")
