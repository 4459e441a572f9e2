from __future__ import annotations

import random

import pytest

from sweeprl.search_spaces.latents import Label, Real, Whole


@pytest.mark.parametrize(
    "latent, middle",
    [
        (Real(0, 10), 5),
        (Real(1e-4, 1e-2, log=True), pytest.approx(1e-3)),
        (Whole(0, 10), 5),
        (Whole(1, 100, log=True), 10),
        (Whole(0, 12, step=3), 6),
        (Label(("a", "b", "c")), "b"),
    ],
)
def test_the_middle_has_as_much_below_as_above(latent, middle):
    assert latent.middle() == middle


@pytest.mark.parametrize(
    "latent, found",
    [
        (Real(0, 1, step=0.5), {0, 0.5, 1}),
        (Whole(2, 8, step=3), {2, 5, 8}),
        (Whole(1, 4, log=True), {1, 2, 3, 4}),
        (Label((None, True)), {None, True}),
    ],
)
def test_draws_reach_every_point_of_a_grid_and_no_other(latent, found):
    rng = random.Random(0)
    assert {latent.draw(rng) for _ in range(200)} == found


def test_draws_on_a_log_scale_stay_inside():
    rng, latent = random.Random(0), Real(1e-5, 1e-2, log=True)
    assert all(latent.low <= latent.draw(rng) <= latent.high for _ in range(500))


@pytest.mark.parametrize(
    "latent, value",
    [
        (Real(0, 1), 1.1),
        (Real(0, 1), True),
        (Real(0, 1), "0.5"),
        (Real(0, 1), float("nan")),
        (Whole(1, 3), 0),
        (Label((1, 2)), True),
        (Label(("a",)), "b"),
    ],
)
def test_what_a_tuner_cannot_have_proposed_is_refused(latent, value):
    with pytest.raises(ValueError, match="must be .*, but got"):
        latent.require(value)


@pytest.mark.parametrize(
    "latent, value", [(Real(0, 1), 1), (Whole(1, 3), 3.0), (Label((1, 2.5)), 1.0)]
)
def test_what_a_tuner_may_propose_passes(latent, value):
    latent.require(value)
