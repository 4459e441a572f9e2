from __future__ import annotations

import numpy as np
import pytest
import torch

from sweeprl.engine.parts import _LAUNCH, Division, _roomy

SMALL, LARGE = 10, 10**7
"""Numbers of parameters with which a launch costs 500,000 rows, and half a row."""


def divided(sizes, due, num_parameters):
    return Division(num_parameters, torch.device("cpu")).parts(sizes, due)


def lanes_of(parts):
    return [list(dict.fromkeys(part.lanes.tolist())) for part in parts]


def test_lanes_with_batches_of_one_size_are_computed_at_once():
    assert divided(np.array([64] * 8), None, LARGE) is None


def test_where_launching_costs_most_all_are_computed_at_once():
    assert (
        divided(np.array([16, 1024, 16, 1024]), np.array([True, False, True, True]), SMALL) is None
    )


def test_lanes_with_large_networks_are_computed_by_the_size_of_their_batches():
    parts = divided(np.array([16, 1024, 64, 1024, 16]), None, LARGE)
    assert lanes_of(parts) == [[1, 3], [2], [0, 4]]
    assert [part.width for part in parts] == [1024, 64, 16]


def test_lanes_that_take_no_part_are_not_computed():
    parts = divided(np.array([64] * 4), np.array([False, True, False, False]), LARGE)
    assert lanes_of(parts) == [[1]]


def test_a_width_is_a_power_of_two_or_the_largest_batch():
    parts = divided(np.array([100, 20, 100, 3]), None, LARGE)
    assert [part.width for part in parts] == [100, 32, 4]


def test_a_part_of_an_odd_number_of_lanes_repeats_the_first():
    (part,) = divided(np.array([64] * 100), np.arange(100) < 5, LARGE)
    assert part.lanes.tolist() == [0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize("seed", range(20))
def test_each_lane_that_is_due_is_in_one_part_that_is_wide_enough_and_parts_are_cheaper(seed):
    rng = np.random.default_rng(seed)
    num = int(rng.integers(2, 200))
    sizes, due = rng.choice([3, 16, 100, 256, 1024], num), rng.random(num) < rng.random() + 0.02
    due[0] = True
    num_parameters = int(10 ** rng.uniform(3, 6))
    parts = divided(sizes, due, num_parameters)
    launch = _LAUNCH["cpu"] / num_parameters
    at_once = launch + num * sizes.max()
    if parts is None:
        return
    assert sorted(sum(lanes_of(parts), [])) == np.flatnonzero(due).tolist()
    assert all((sizes[part.lanes.numpy()] <= part.width).all() for part in parts)
    assert sum(launch + len(part.lanes) * part.width for part in parts) < at_once


def test_numbers_of_lanes_are_few_and_a_third_too_large_at_most():
    rooms = [_roomy(num) for num in range(1, 257)]
    assert len(set(rooms)) == 16
    assert all(num <= room <= max(1.5 * num, num + 1) for num, room in enumerate(rooms, 1))


def shapes_of(parts):
    return [(len(part.lanes), part.width) for part in parts]


def test_a_shape_that_has_been_is_taken_again_where_it_is_about_as_cheap():
    division = Division(LARGE, torch.device("cpu"))
    before = division.parts(np.array([1024] * 5 + [16] * 20), None)
    after = division.parts(np.array([1024] * 6 + [16] * 19), None)
    assert shapes_of(before) == shapes_of(after) == [(6, 1024), (24, 16)]
    assert lanes_of(before) == [list(range(6)), list(range(6, 25))]  # a free place is used


def test_a_shape_that_is_too_small_or_too_dear_is_not():
    division = Division(LARGE, torch.device("cpu"))
    division.parts(np.array([1024] * 6 + [16] * 20), None)
    assert shapes_of(division.parts(np.array([1024] * 9 + [16] * 20), None))[0] == (12, 1024)
    assert shapes_of(division.parts(np.array([1024] * 2 + [16] * 20), None))[0] == (2, 1024)


def test_lanes_that_come_and_go_need_few_shapes():
    rng = np.random.default_rng(0)
    division, found, sizes = (
        Division(140_000, torch.device("cuda")),
        set(),
        2 ** rng.integers(4, 11, 64),
    )
    division._device = torch.device("cpu")
    for _ in range(300):
        sizes[rng.integers(64)] = 2 ** rng.integers(4, 11)
        found.add(tuple(shapes_of(division.parts(sizes, None))))
    assert len(found) <= 12
