from __future__ import annotations

from sweeprl.search_spaces import Branch, Choice, Float, Int, Nested, SearchSpace
from sweeprl.search_spaces.corners import corners

SPACE = SearchSpace(
    parameters={
        "a": Float(0.0, 1.0),
        "b": Choice(("x", "y", "z")),
        "c": Nested(
            branches={
                "p": Branch(value="p", parameters={"n": Int(1, 3), "m": Int(5, 7)}),
                "q": Branch(parameters={"n": Int(8, 9)}),
                "r": Branch(value="r"),
            }
        ),
    }
)
LOW = {"a": 0.0, "b": "x", "c": "p", "n": 1, "m": 5}
HIGH = {"a": 1.0, "b": "z", "c": "r"}


def test_each_parameter_is_varied_while_the_others_are_at_one_end():
    found = list(corners(SPACE.parameters))
    assert [one.params for one in found if one.parameter == "a"] == [
        {**LOW, "a": 0.0},
        {**LOW, "a": 1.0},
        {**HIGH, "a": 0.0},
        {**HIGH, "a": 1.0},
    ]
    assert [one.params["b"] for one in found if one.parameter == "b"] == list("xyz") * 2


def test_every_branch_is_taken_with_both_ends_of_its_own_parameters():
    found = [one for one in corners(SPACE.parameters) if one.parameter == "c"]
    own = {tuple(sorted((k, v) for k, v in one.params.items() if k in "cnm")) for one in found}
    assert {(("c", "p"), ("m", 5), ("n", 1)), (("c", "p"), ("m", 7), ("n", 3))} <= own
    assert {(("n", 8),), (("n", 9),), (("c", "r"),)} <= own
    assert {one.key for one in found} == {"c", "n", "m"}


def test_an_empty_space_has_no_corner():
    assert list(corners({})) == []
