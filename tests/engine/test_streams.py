import torch

from sweeprl.engine import LaneStreams

CPU = torch.device("cpu")


def requests(streams):
    return [streams.normal(3), streams.uniform(7), streams.normal(2, 2), streams.uniform(5000)]


def test_a_lane_draws_what_it_would_draw_alone():
    together = requests(LaneStreams([4, 5, 6], CPU))
    for lane, seed in enumerate([4, 5, 6]):
        alone = requests(LaneStreams([seed], CPU))
        for one, other in zip(together, alone, strict=True):
            assert torch.equal(one[lane], other[0])


def test_numbers_do_not_repeat_and_have_the_right_moments():
    streams = LaneStreams([0], CPU)
    drawn = torch.cat([streams.normal(100).clone() for _ in range(300)], 1)
    assert drawn.unique().numel() > 0.99 * drawn.numel()
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02


def test_restored_streams_go_on():
    streams = LaneStreams([1, 2], CPU)
    requests(streams)
    saved = streams.state_dict()
    expected = [part.clone() for part in requests(streams)]
    other = LaneStreams([8, 9], CPU)
    other.load_state_dict(saved)
    for one, two in zip(expected, requests(other), strict=True):
        assert torch.equal(one, two)
