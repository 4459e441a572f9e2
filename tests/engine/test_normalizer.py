import torch

from sweeprl.engine import ObservationNormalizer, RewardNormalizer, RunningMoments


def test_moments_of_batches_are_the_moments_of_all():
    values = torch.randn(2, 100, 3, generator=torch.Generator().manual_seed(0)) * 4 + 7
    moments = RunningMoments(2, 3)
    for batch in values.split([10, 1, 60, 29], 1):
        moments.update(batch)
    torch.testing.assert_close(moments.mean.float(), values.mean(1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        moments.variance.float(), values.var(1, unbiased=False), rtol=1e-3, atol=1e-3
    )


def test_observations_are_normal_lane_by_lane_and_bounded():
    normalizer = ObservationNormalizer(2, 1, torch.device("cpu"))
    states = torch.stack([torch.randn(500, 1) * 3 + 5, torch.randn(500, 1) * 0.1 - 2])
    normalizer.update(states)
    normal = normalizer(states)
    torch.testing.assert_close(normal.mean(1), torch.zeros(2, 1), atol=1e-2, rtol=0)
    torch.testing.assert_close(normal.std(1), torch.ones(2, 1), atol=2e-2, rtol=0)
    assert normalizer(torch.full((2, 1, 1), 1e9)).max() == 10


def test_rewards_are_scaled_by_the_deviation_of_the_discounted_return():
    normalizer = RewardNormalizer(1, torch.tensor([0.5]))
    rewards = torch.tensor([2.0, 4.0, 6.0, 8.0]).view(4, 1, 1)
    over = torch.tensor([0.0, 1.0, 0.0, 0.0]).view(4, 1, 1)
    normalizer.update(rewards, over)
    # returns: 2, 5, then from anew 6, 11
    deviation = torch.tensor([2.0, 5.0, 6.0, 11.0]).std(unbiased=False)
    scaled = normalizer(torch.tensor([[3.0]]))
    torch.testing.assert_close(scaled, 3 / deviation.view(1, 1), rtol=1e-3, atol=0)


def test_only_what_counts_is_taken_in_lane_by_lane():
    values = torch.randn(3, 8, 2, generator=torch.Generator().manual_seed(0)).double()
    counts = [8, 3, 0]
    moments = RunningMoments(3, 2)
    moments.update(values[:, :4])
    moments.update(values, torch.tensor(counts).unsqueeze(1))
    for lane, count in enumerate(counts):
        alone = RunningMoments(1, 2)
        alone.update(values[lane : lane + 1, :4])
        if count:
            alone.update(values[lane : lane + 1, :count])
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(moments.state_dict(lane)[name], value)
