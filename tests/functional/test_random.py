from __future__ import annotations

import pytest
import torch

from sweeprl.functional import normal_at, stream_key, uniform_at

PLACES = torch.arange(100_000)


def keys(count: int) -> torch.Tensor:
    return torch.tensor([stream_key(seed) for seed in range(count)]).unsqueeze(1)


def test_the_published_numbers_of_splitmix64():
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # from 1234567
    expected = torch.tensor([(number >> 40) * 2.0**-24 for number in published])
    torch.testing.assert_close(uniform_at(torch.tensor(1234567), torch.arange(3)), expected)


def test_uniform_numbers_are_spread_evenly():
    numbers = uniform_at(keys(8), PLACES)
    counts = torch.histc(numbers, 100, 0, 1)
    expected = numbers.numel() / 100
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 0 <= numbers.min()
    assert numbers.max() < 1
    assert chi_square < 149  # the 99.9 % quantile for 99 degrees of freedom


def test_normal_numbers_have_the_moments_of_a_normal():
    numbers = normal_at(keys(8), PLACES).double()
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        assert (numbers**power).mean() == pytest.approx(moment, abs=0.03)
    assert numbers.isfinite().all()


def test_streams_of_neighbouring_seeds_are_unrelated():
    correlations = torch.corrcoef(uniform_at(keys(16), PLACES)).fill_diagonal_(0)
    assert correlations.abs().max() < 0.02


def test_a_number_depends_on_its_place_and_not_on_what_else_is_read():
    together = uniform_at(keys(5), torch.arange(20))
    for lane in range(5):
        alone = uniform_at(torch.tensor(stream_key(lane)), torch.tensor([7, 3]))
        assert alone.tolist() == [together[lane, 7], together[lane, 3]]


def test_every_number_of_a_key_matters():
    assert len({stream_key(1, 2), stream_key(2, 1), stream_key(1), stream_key(1, 2, 0)}) == 4
