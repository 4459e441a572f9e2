from __future__ import annotations

import pytest

from sweeprl.errors import ConfigError
from sweeprl.search_spaces import Branch, Choice, Float, Nested
from sweeprl.search_spaces.latents import Label, Real, Whole
from sweeprl.search_spaces.naming import branch_of, parameters_of, parts_of


@pytest.mark.parametrize(
    "name, parts",
    [
        ("a.*.b", ("a.*.b", "", [])),
        ("1 - x", ("x", "one_minus", [])),
        ("log2(x.y)", ("x.y", "log2", [])),
        ("unrounded(x, 0.5, low)", ("x", "unrounded", ["0.5", "low"])),
    ],
)
def test_a_name_says_what_is_made_of_what(name, parts):
    assert parts_of(name) == parts


@pytest.mark.parametrize(
    "word, label, found",
    [
        ("", "Adam", ("Adam", {"value": "Adam"})),
        ("choose", "Adam", ("Adam", {})),
        ("choose", "small = [64]", ("small", {"value": [64]})),
        ("choose", "off = null", ("off", {"value": None})),
    ],
)
def test_a_label_says_what_a_branch_sets(word, label, found):
    assert branch_of(word, label) == found


def test_branches_are_read_with_and_without_their_parameters():
    latents = {"x": Label(("a", "b")), "x[a].y": Real(0, 1)}
    nested = Nested(
        branches={
            "a": Branch(value="a", parameters={"y": Float(0, 1)}),
            "b": Branch(value="b"),
        }
    )
    assert parameters_of(latents) == {"x": nested}
    assert parameters_of({"x": Label(("a", "b"))}) == {"x": Choice(("a", "b"))}
    bare = Nested(branches={"a": Branch(), "b": Branch()})
    assert parameters_of({"choose(x)": Label(("a", "b"))}) == {"x": bare}


@pytest.mark.parametrize(
    "latents, message",
    [
        ({"log2(x)": Real(0, 1)}, r"to_nni` wrote, for its kind of range, but got 'log2\(x\)'"),
        ({"1 - x": Whole(0, 1)}, "but got '1 - x'"),
        ({"square(x)": Real(0, 1)}, r"but got 'square\(x\)'"),
        ({"normal_cdf(x, a, b)": Real(0, 1)}, "but got 'normal_cdf"),
        ({"normal_cdf(x)": Real(0, 1)}, "but got 'normal_cdf"),
        ({"json(x)": Label(("[",))}, "but got 'json"),
        ({"x[a].y": Real(0, 1)}, "A choice named 'x' must be there"),
        ({"x": Real(0, 1), "x[a].y": Real(0, 1)}, "'x' must be a choice"),
    ],
)
def test_a_name_that_does_not_fit_is_refused(latents, message):
    with pytest.raises(ConfigError, match=message):
        parameters_of(latents)
