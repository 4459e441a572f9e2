"""What a handful of noisy scores says, and how surely.

Deep Reinforcement Learning at the Edge of the Statistical Precipice, Agarwal et al. 2021,
https://arxiv.org/abs/2108.13264: interquartile means, percentile bootstrap intervals and
probabilities of improvement instead of point estimates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "Interval",
    "Statistic",
    "bootstrap_interval",
    "interquartile_mean",
    "pooled_deviation",
    "probability_of_improvement",
]

Scores = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`, both included.

    Raises:
        ValueError: `low` is above `high`, or one of them is not a number.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"`low <= high` must hold, but got low={self.low}, high={self.high}.")

    def overlaps(self, other: Interval) -> bool:
        """Whether some number is in both.

        >>> Interval(0.0, 2.0).overlaps(Interval(2.0, 3.0))
        True
        >>> Interval(0.0, 2.0).overlaps(Interval(2.5, 3.0))
        False
        """
        return self.low <= other.high and other.low <= self.high

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high


class Statistic(Protocol):
    """A number that sums up scores, as `np.mean` and `np.median` do."""

    def __call__(self, scores: npt.NDArray[np.float64], /, *, axis: int) -> Any:
        """Sums up along `axis`."""


def interquartile_mean(
    scores: Scores | npt.NDArray[np.float64], /, *, axis: int | None = None
) -> Any:
    """Returns the mean of the middle half of the scores.

    Agarwal et al. 2021, section 4.3. The quartiles need not fall between two scores: a score that
    one of them cuts counts with the share that lies inside, so that every score of five takes up a
    fifth of the sorted scores and three of them a share of the middle half.

    Args:
        scores: any number of them, in any order.
        axis: along which to average; over all of them by default.

    Returns:
        A float, or with `axis` an array without that axis.

    Raises:
        ValueError: there is no score, or one that is no finite number.

    >>> interquartile_mean([1.0, 2.0, 3.0, 100.0])  # (2 + 3) / 2
    2.5
    >>> interquartile_mean([0.0, 10.0, 20.0, 40.0, 90.0])  # .3 * 10 + .4 * 20 + .3 * 40
    23.0
    >>> interquartile_mean([0.0, 6.0, 24.0])  # 0 / 6 + 6 * 2 / 3 + 24 / 6
    8.0
    """
    checked = _checked(scores)
    if axis is None:
        return float(_interquartile_means(checked.reshape(1, -1))[0])
    return _interquartile_means(np.moveaxis(checked, axis, -1))


def bootstrap_interval(
    scores: Scores,
    statistic: Statistic = interquartile_mean,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Returns the interval in which the statistic of more such scores would lie.

    The percentile bootstrap of Agarwal et al. 2021, section 4.1: the scores are drawn again with
    replacement, and the statistic's percentiles over these draws bound the interval. It does not
    depend on the order of the scores.

    Args:
        scores: one for each seed.
        statistic: takes an array and the axis to sum up along.
        confidence: the share of draws inside the interval.
        resamples: how many draws.
        seed: of the draws.

    Returns:
        Of a single score, all numbers: it says nothing about its own noise.

    Raises:
        ValueError: there is no score, one that is no finite number, or `confidence` is not a share.

    >>> bootstrap_interval([1.0])
    Interval(low=-inf, high=inf)
    >>> bootstrap_interval([5.0, 5.0, 5.0])
    Interval(low=5.0, high=5.0)
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`0 < confidence < 1` must hold, but got {confidence}.")
    ordered = np.sort(_checked(scores))
    if ordered.size == 1:
        return Interval(-math.inf, math.inf)
    draws = np.random.default_rng(seed).choice(ordered, (resamples, ordered.size))
    outside = (1 - confidence) / 2
    low, high = np.quantile(statistic(draws, axis=-1), [outside, 1 - outside])
    return Interval(float(low), float(high))


def probability_of_improvement(one: Scores, other: Scores) -> float:
    """Returns how probably a run of `one` scores higher than a run of `other`.

    Agarwal et al. 2021, section 4.3: the share of pairs in which it does, ties counting half (the
    statistic of Mann and Whitney).

    Raises:
        ValueError: there is no score, or one that is no finite number.

    >>> probability_of_improvement([2.0, 3.0], [1.0, 2.0])  # (1 + .5 + 1 + 1) / 4
    0.875
    """
    differences = _checked(one)[:, None] - _checked(other)[None, :]
    return float(np.mean((np.sign(differences) + 1) / 2))


def pooled_deviation(groups: Iterable[Scores]) -> float | None:
    """Returns the standard deviation of scores around the mean of their group.

    Args:
        groups: the scores of one config on several seeds; groups of a single score say nothing.

    Returns:
        The root of the groups' summed squared deviations over their summed degrees of freedom; None
        if no group has two scores.

    Raises:
        ValueError: a score is no finite number.

    >>> pooled_deviation([[0.0, 2.0], [10.0, 10.0, 13.0], [7.0]])  # sqrt((2 + 6) / (1 + 2))
    1.632993161855452
    >>> pooled_deviation([[7.0], [8.0]]) is None
    True
    """
    kept = [_checked(group) for group in groups if len(group) > 1]
    if not kept:
        return None
    squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in kept)
    return math.sqrt(squares / sum(group.size - 1 for group in kept))


def _checked(scores: Scores) -> npt.NDArray[np.float64]:
    checked = np.asarray(scores, dtype=np.float64)
    if checked.size == 0:
        raise ValueError("At least one score is needed, but got none.")
    if not np.isfinite(checked).all():
        wrong = checked[~np.isfinite(checked)][0]
        raise ValueError(f"Scores must be finite numbers, but one is {wrong}.")
    return checked


def _interquartile_means(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Averages over the last axis."""
    size = scores.shape[-1]
    # In quarters of a score, so that all weights are whole numbers.
    edges = 4 * np.arange(size + 1)
    inside = np.diff(np.clip(edges, size, 3 * size))
    means: npt.NDArray[np.float64] = np.sort(scores, axis=-1) @ inside / (2 * size)
    return means
