import itertools

import torch

from sweeprl.engine import keep_rows, kept_after_dropping


def test_all_that_stay_are_kept_once_and_only_those_from_the_end_move():
    for num in range(1, 7):
        for count in range(num):
            for dropped in itertools.combinations(range(num), count):
                kept = kept_after_dropping(num, set(dropped))
                assert sorted(kept) == [lane for lane in range(num) if lane not in dropped]
                assert all(k == place or k >= len(kept) for place, k in enumerate(kept))


def test_rows_move_in_place():
    rows = torch.arange(12.0).view(6, 2)
    kept = kept_after_dropping(6, {1, 4})
    found = keep_rows(rows, kept)
    assert found.tolist() == [[0, 1], [10, 11], [4, 5], [6, 7]]
    assert found.data_ptr() == rows.data_ptr()
    assert found.is_contiguous()
