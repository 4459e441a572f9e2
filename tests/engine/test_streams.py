import torch

from sweeprl.engine import LaneStreams

CPU = torch.device("cpu")


def requests(streams):
    return [
        streams.take("noise/a", 3).clone(),
        streams.take("b", 7).clone(),
        streams.take("noise/a", 2, 2).clone(),
        streams.take("b", 5000).clone(),
    ]


def test_a_lane_draws_what_it_would_draw_alone():
    together = requests(LaneStreams([4, 5, 6], CPU))
    for lane, seed in enumerate([4, 5, 6]):
        alone = requests(LaneStreams([seed], CPU))
        for one, other in zip(together, alone, strict=True):
            assert torch.equal(one[lane], other[0])


def test_numbers_do_not_repeat_and_have_the_right_moments():
    streams = LaneStreams([0], CPU)
    drawn = torch.cat([streams.take("noise/act", 100).clone() for _ in range(300)], 1)
    assert drawn.unique().numel() > 0.99 * drawn.numel()
    assert abs(float(drawn.mean())) < 0.02
    assert abs(float(drawn.std()) - 1) < 0.02


def test_restored_streams_go_on():
    streams = LaneStreams([1, 2], CPU)
    requests(streams)
    saved = [streams.state_dict(lane) for lane in range(2)]
    expected = requests(streams)
    other = LaneStreams([8, 9], CPU)
    for lane in range(2):
        other.load_state_dict(saved[lane], lane)
    for one, two in zip(expected, requests(other), strict=True):
        assert torch.equal(one, two)
