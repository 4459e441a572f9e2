from __future__ import annotations

import math

import pytest

from sweeprl.config import Float
from sweeprl.search_spaces.grid import is_multiple, multiple, multiple_of, to_grid


@pytest.mark.parametrize(
    "step, value, found", [(0.1, 0.31, 0.3), (0.3, 0.95, 0.9), (2, 5.1, 6.0), (None, 0.123, 0.123)]
)
def test_multiples_have_as_many_decimals_as_their_step(step, value, found):
    assert multiple_of(step, value) == found


def test_a_floor_does_not_fall_short_of_a_multiple():
    assert 0.3 / 0.1 < 3
    assert multiple(0.3, 0.1, math.floor) == 0.3


def test_ties_go_to_the_even_multiple_as_in_nni():
    assert [multiple_of(1, value) for value in (0.5, 1.5, 2.5)] == [0, 2, 2]


@pytest.mark.parametrize("value, found", [(5.1, 5.1), (7.4, 5.1), (7.9, 10), (14, 15)])
def test_multiples_are_cut_to_the_ends(value, found):
    one = Float(5.1, 15, step=5, anchor="zero")
    assert to_grid(value, one, round) == found


@pytest.mark.parametrize(
    "number, step, yes", [(0.3, 0.1, True), (0.35, 0.1, False), (-32, 16, True)]
)
def test_what_is_a_multiple(number, step, yes):
    assert is_multiple(number, step) is yes
