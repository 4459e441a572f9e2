from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweeprl.sweeps.statistics import (
    Interval,
    bootstrap_interval,
    interquartile_mean,
    pooled_deviation,
    probability_of_improvement,
)

SCORES = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=12)


@pytest.mark.parametrize(
    "scores, mean",
    [
        ([7], 7),
        ([1, 4], 2.5),
        ([0, 6, 24], 0 / 6 + 6 * 4 / 6 + 24 / 6),
        ([4, 3, 2, 1], 2.5),
        ([-100, 1, 2, 100], 1.5),
        # A fifth each; the middle half begins at a quarter: .15, .2, .15 of .5.
        ([0, 10, 20, 40, 1000], 0.3 * 10 + 0.4 * 20 + 0.3 * 40),
        # A sixth each: .0833, .1667, .1667, .0833 of .5.
        ([0, 6, 12, 18, 30, 99], (6 + 2 * 12 + 2 * 18 + 30) / 6),
        (list(range(8)), (2 + 3 + 4 + 5) / 4),
    ],
)
def test_interquartile_means_worked_by_hand(scores, mean):
    assert interquartile_mean(scores) == pytest.approx(mean, rel=1e-15)


@pytest.mark.parametrize("size", [4, 8, 40])
def test_interquartile_mean_is_the_trimmed_mean_where_quarters_are_whole(size):
    scores = np.random.default_rng(0).normal(size=size)
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25))


def test_interquartile_mean_along_an_axis():
    scores = np.random.default_rng(0).normal(size=(5, 7))
    assert interquartile_mean(scores, axis=0) == pytest.approx(
        [interquartile_mean(column) for column in scores.T]
    )
    assert interquartile_mean(scores) == pytest.approx(interquartile_mean(scores.ravel()))


@given(SCORES, st.randoms(use_true_random=False))
def test_interquartile_mean_is_between_the_scores_and_knows_no_order(scores, random):
    mean = interquartile_mean(scores)
    assert isinstance(mean, float)
    tolerance = 1e-12 * max(map(abs, scores))
    assert min(scores) - tolerance <= mean <= max(scores) + tolerance
    shuffled = random.sample(scores, len(scores))
    assert interquartile_mean(shuffled) == mean
    assert interquartile_mean([-score for score in scores]) == pytest.approx(-mean, abs=tolerance)


@pytest.mark.parametrize("statistic", [interquartile_mean, np.mean, np.median])
@given(scores=SCORES)
@settings(max_examples=50, deadline=None)
def test_the_interval_holds_the_estimate_and_knows_no_order(statistic, scores):
    interval = bootstrap_interval(scores, statistic, resamples=2000)
    estimate = float(statistic(np.array(scores), axis=-1))
    tolerance = 1e-12 * max(map(abs, scores))
    assert interval.low - tolerance <= estimate <= interval.high + tolerance
    assert bootstrap_interval(scores[::-1], statistic, resamples=2000) == interval


def test_the_interval_is_scipy_s():
    scores = np.random.default_rng(1).normal(size=10)
    expected = stats.bootstrap(
        (scores,), np.mean, method="percentile", n_resamples=50_000, rng=0
    ).confidence_interval
    interval = bootstrap_interval(scores, np.mean, resamples=50_000)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=0.02)


def test_the_interval_of_two_scores_by_hand():
    # Draws of two: both low (1/4), one of each (1/2), both high (1/4).
    assert bootstrap_interval([0.0, 1.0]) == Interval(0.0, 1.0)
    assert bootstrap_interval([0.0, 1.0], confidence=0.4) == Interval(0.5, 0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    hits = [
        0.0 in bootstrap_interval(rng.normal(size=20), confidence=0.9, resamples=1000)
        for _ in range(300)
    ]
    assert 0.8 < np.mean(hits) < 0.95


def test_the_interval_narrows_with_more_scores_and_less_confidence():
    scores = np.random.default_rng(3).normal(size=80)

    def width(interval):
        return interval.high - interval.low

    wide = width(bootstrap_interval(scores[:10]))
    assert width(bootstrap_interval(scores)) < wide
    assert width(bootstrap_interval(scores[:10], confidence=0.5)) < wide
    assert bootstrap_interval(scores, seed=0) == bootstrap_interval(scores, seed=0)


def test_one_score_says_nothing_about_its_noise():
    everything = bootstrap_interval([3.0])
    assert everything == Interval(-math.inf, math.inf)
    assert everything.overlaps(Interval(9.0, 9.0))


@pytest.mark.parametrize(
    "one, other, is_overlap",
    [
        ((0, 1), (2, 3), False),
        ((0, 2), (1, 3), True),
        ((0, 1), (1, 2), True),
        ((0, 9), (3, 4), True),
        ((5, 5), (5, 5), True),
    ],
)
def test_overlap(one, other, is_overlap):
    assert Interval(*one).overlaps(Interval(*other)) == is_overlap
    assert Interval(*other).overlaps(Interval(*one)) == is_overlap


@pytest.mark.parametrize("low, high", [(1.0, 0.0), (math.nan, 1.0)])
def test_an_interval_is_not_empty(low, high):
    with pytest.raises(ValueError, match="`low <= high` must hold, but got low="):
        Interval(low, high)


@pytest.mark.parametrize(
    "one, other, probability",
    [
        ([1], [0], 1.0),
        ([0], [1], 0.0),
        ([1], [1], 0.5),
        ([2, 3], [1, 2], 0.875),
        ([1, 4], [2, 2, 3], 0.5),
    ],
)
def test_probabilities_of_improvement_worked_by_hand(one, other, probability):
    assert probability_of_improvement(one, other) == probability


@given(SCORES, SCORES)
def test_the_probability_of_improvement_is_mann_and_whitney_s(one, other):
    forth, back = probability_of_improvement(one, other), probability_of_improvement(other, one)
    assert forth + back == pytest.approx(1)
    statistic = stats.mannwhitneyu(one, other).statistic
    assert forth == pytest.approx(statistic / (len(one) * len(other)))
    assert probability_of_improvement(sorted(one), other) == forth


@pytest.mark.parametrize(
    "groups, deviation",
    [
        ([], None),
        ([[1.0], [5.0]], None),
        ([[1.0, 3.0]], math.sqrt(2)),
        ([[0.0, 2.0], [10.0, 10.0, 13.0], [7.0]], math.sqrt((2 + 6) / 3)),
        ([[4.0, 4.0], [9.0, 9.0]], 0.0),
    ],
)
def test_pooled_deviations_worked_by_hand(groups, deviation):
    assert pooled_deviation(groups) == (None if deviation is None else pytest.approx(deviation))


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=5), min_size=1, max_size=4))
def test_the_pooled_deviation_does_not_see_the_groups_means(groups):
    moved = [[score + 100 * rank for score in group] for rank, group in enumerate(groups)]
    assert pooled_deviation(moved) == pytest.approx(pooled_deviation(groups), abs=1e-6)
    alone = pooled_deviation(groups[:1])
    assert alone == pytest.approx(np.std(groups[0], ddof=1), abs=1e-9)


@pytest.mark.parametrize(
    "scores, message",
    [
        ([], "At least one score is needed, but got none."),
        ([1.0, math.nan], "Scores must be finite numbers, but one is nan."),
        ([-math.inf, 1.0], "but one is -inf."),
    ],
)
@pytest.mark.parametrize(
    "function",
    [
        interquartile_mean,
        bootstrap_interval,
        lambda scores: probability_of_improvement(scores, [1.0]),
        lambda scores: probability_of_improvement([1.0], scores),
    ],
)
def test_scores_that_are_none_are_refused(function, scores, message):
    with pytest.raises(ValueError, match=message):
        function(scores)


def test_a_confidence_is_a_share():
    with pytest.raises(ValueError, match="`0 < confidence < 1` must hold, but got 95"):
        bootstrap_interval([1.0, 2.0], confidence=95)


def test_a_deviation_of_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="but one is inf"):
        pooled_deviation([[1.0, math.inf]])
