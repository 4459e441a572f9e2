from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweeprl.search_spaces import Choice, Float, Int, Normal, OneMinus, PowerOfTwo
from sweeprl.search_spaces.codecs import codec_of
from tests.search_spaces.strategies import numbers, simple

DRAWS = 4000


def draws(one, count=DRAWS):
    codec, rng = codec_of(one), random.Random(0)
    return [codec.decode(codec.latent.draw(rng)) for _ in range(count)]


# ---- values


@settings(deadline=None)
@given(simple, st.integers(0, 2**32))
def test_every_draw_is_encoded_and_decoded_as_itself(one, seed):
    codec, rng = codec_of(one), random.Random(seed)
    value = codec.decode(codec.latent.draw(rng))
    assert codec.holds(value)
    again = codec.decode(codec.encode(value))
    assert type(again) is type(value)
    assert again == value or math.isclose(again, value, rel_tol=1e-9, abs_tol=1e-12)


@settings(deadline=None)
@given(simple, st.integers(0, 2**32))
def test_every_draw_lies_between_the_ends(one, seed):
    codec, rng = codec_of(one), random.Random(seed)
    value, ends = codec.decode(codec.latent.draw(rng)), codec.ends()
    assert value in ends if isinstance(one, Choice) else ends[0] <= value <= ends[-1]


@settings(deadline=None)
@given(simple, numbers)
def test_the_largest_value_up_to_a_bound_is_a_value_up_to_the_bound(one, bound):
    codec = codec_of(one)
    largest = codec.largest(bound)
    if largest is None:
        rng = random.Random(0)
        found = [codec.decode(codec.latent.draw(rng)) for _ in range(20)]
        assert all(
            isinstance(x, bool) or not isinstance(x, (int, float)) or x > bound for x in found
        )
    else:
        assert largest <= bound + 1e-9 * abs(bound)
        assert codec.holds(largest)


@pytest.mark.parametrize(
    "one, latent, value",
    [
        (Float(0, 1), 0, 0.0),
        (Float(0, 1, step=0.1), 0.30000000000000004, 0.3),
        (Float(5, 100, step=16, anchor="zero"), 5.0, 5.0),
        (Float(5, 100, step=16, anchor="zero"), 30.0, 32.0),
        (Float(5, 100, step=16, anchor="zero"), 100.0, 96.0),
        (Float(1, 9, log=True, step=4), 4.0, 5.0),
        (Int(1, 9), 3.0, 3),
        (Int(5, 100, step=16, anchor="zero"), 99.0, 96),
        (PowerOfTwo(2, 8), 5, 32),
        (OneMinus(1e-4, 0.1), 0.01, 0.99),
        (Normal(0, 1), 0.5, 0.0),
        (Normal(0, 1, log=True), 0.5, 1.0),
        (Normal(3, 1, step=0.5), 0.4, 2.5),
        (Choice(([64, 64], None)), "[64, 64]", [64, 64]),
        (Choice((None, True, 2)), True, True),
    ],
)
def test_what_a_latent_stands_for(one, latent, value):
    found = codec_of(one).decode(latent)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "one, bound, largest",
    [
        (Float(0, 1), 0.7, 0.7),
        (Float(0, 1, step=0.1), 0.3, 0.3),
        (Float(0, 1, step=0.1), 0.39, 0.3),
        (Float(5, 100, step=16, anchor="zero"), 15, 5.0),
        (Float(5, 100, step=16, anchor="zero"), 4, None),
        (Int(1, 9), 4.5, 4),
        (Int(1, 9, step=4), 8, 5),
        (PowerOfTwo(4, 10), 100, 64),
        (PowerOfTwo(4, 10), 64, 64),
        (PowerOfTwo(4, 10), 15, None),
        (PowerOfTwo(4, 10), math.inf, 1024),
        (OneMinus(1e-4, 0.1), 0.95, 0.95),
        (OneMinus(1e-4, 0.1), 0.5, None),
        (Normal(0, 1, step=0.5), 0.7, 0.5),
        (Choice((1, 5, "x", 20)), 19, 5),
        (Choice((1, 5)), 0, None),
    ],
)
def test_the_largest_value_that_keeps_a_limit(one, bound, largest):
    assert codec_of(one).largest(bound) == largest


@pytest.mark.parametrize(
    "one, value, nearest",
    [
        (Float(0.3, 10, log=True), math.inf, 10.0),
        (OneMinus(1e-4, 0.1), 1.0, 0.9999),
        (PowerOfTwo(4, 10), 100, 128),
        (PowerOfTwo(4, 10), math.inf, 1024),
        (Int(1, 9, step=4), 6, 5),
        (Choice((1, 5, 10)), 7, 5),
    ],
)
def test_the_nearest_value_of_a_range(one, value, nearest):
    assert codec_of(one).snap(value) == nearest
    assert not codec_of(one).holds(value)


@pytest.mark.parametrize("one", [Float(0, 1), PowerOfTwo(1, 2), Choice((1, 2)), Normal(0, 1)])
@pytest.mark.parametrize("value", [None, "x", True, math.nan])
def test_nothing_is_near_what_is_no_number(one, value):
    assert not codec_of(one).holds(value)


def test_a_choice_hands_out_a_list_of_its_own():
    codec = codec_of(Choice(([64, 64],)))
    codec.decode("[64, 64]").append(1)
    assert codec.decode("[64, 64]") == [64, 64]


# ---- names


@pytest.mark.parametrize(
    "one, name",
    [
        (Float(0, 1, log=False), "x"),
        (Float(0, 1, step=0.5), "x"),
        (Float(0, 1, step=0.3, anchor="zero"), "unrounded(x, 0.3)"),
        (Float(1, 9, log=True, step=4), "unrounded(x, 4, low)"),
        (Int(1, 9, step=4), "x"),
        (Int(1, 9, log=True), "x"),
        (Int(1, 9, log=True, step=4), "unrounded_int(x, 4, low)"),
        (Int(5, 100, step=16, anchor="zero"), "unrounded_int(x, 16)"),
        (Int(1, 9, ordered=False), "unordered(x)"),
        (PowerOfTwo(1, 2), "log2(x)"),
        (OneMinus(0.1, 0.2), "1 - x"),
        (Normal(0, 1.5), "normal_cdf(x, 0, 1.5)"),
        (Normal(0, 1, log=True, step=0.5), "lognormal_cdf(x, 0, 1, 0.5)"),
        (Choice((None, 1)), "x"),
        (Choice(([1], 1)), "json(x)"),
    ],
)
def test_a_name_says_how_the_value_is_made(one, name):
    assert codec_of(one).name("x") == name


# ---- distributions


@pytest.mark.parametrize(
    "one, transform, distribution",
    [
        (Float(-2, 3), float, stats.uniform(-2, 5)),
        (Float(1e-5, 1e-2, log=True), float, stats.loguniform(1e-5, 1e-2)),
        (OneMinus(1e-4, 0.1), lambda x: 1 - x, stats.loguniform(1e-4, 0.1)),
        (Normal(1, 2), float, stats.norm(1, 2)),
        (Normal(1, 0.5, log=True), float, stats.lognorm(0.5, scale=math.e)),
    ],
)
def test_continuous_ranges_have_their_distribution(one, transform, distribution):
    found = [transform(value) for value in draws(one)]
    assert stats.kstest(found, distribution.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    "one, weights",
    [
        (PowerOfTwo(2, 5), {4: 1, 8: 1, 16: 1, 32: 1}),
        (Int(1, 4), {1: 1, 2: 1, 3: 1, 4: 1}),
        (Float(0, 1, step=0.5), {0.0: 1, 0.5: 1, 1.0: 1}),
        # rounded as NNI does: from 5 to 100 in multiples of 16
        (
            Int(5, 100, step=16, anchor="zero"),
            {5: 3, 16: 16, 32: 16, 48: 16, 64: 16, 80: 16, 96: 12},
        ),
        (
            Normal(0, 1, step=1),
            {k: stats.norm.cdf(k + 0.5) - stats.norm.cdf(k - 0.5) for k in range(-2, 3)},
        ),
    ],
)
def test_stepped_ranges_have_their_weights(one, weights):
    found = [value for value in draws(one) if value in weights]
    total = sum(weights.values())
    expected = [len(found) * weight / total for weight in weights.values()]
    counts = [found.count(value) for value in weights]
    assert stats.chisquare(counts, expected).pvalue > 0.01
