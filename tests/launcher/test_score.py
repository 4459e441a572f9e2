import pytest

from sweeprl.envs import Episode
from sweeprl.launcher import step_weighted_return


def test_each_step_of_the_window_carries_its_episodes_return():
    episodes = [Episode(50, 50, 10.0), Episode(95, 45, 20.0), Episode(100, 5, 40.0)]
    # steps 91 to 95 belong to the second episode, 96 to 100 to the third
    assert step_weighted_return(episodes, 100, 0.1) == pytest.approx((5 * 20 + 5 * 40) / 10)


def test_the_whole_trial_is_the_area_under_the_curve():
    episodes = [Episode(50, 50, 10.0), Episode(100, 50, 20.0)]
    assert step_weighted_return(episodes, 100, 1.0) == pytest.approx(15.0)


def test_a_running_episode_counts_for_nothing():
    assert step_weighted_return([Episode(95, 95, 7.0)], 100, 0.1) == pytest.approx(7.0)


def test_last_finished_episode_stands_in_where_none_reaches_into_the_window():
    assert step_weighted_return([Episode(10, 10, 1.0), Episode(20, 10, 2.0)], 100, 0.1) == 2.0


def test_no_finished_episode_is_no_score():
    assert step_weighted_return([], 100, 0.1) is None


def test_parallel_environments_share_the_steps():
    episodes = [Episode(100, 50, 10.0), Episode(100, 50, 30.0)]
    assert step_weighted_return(episodes, 100, 0.1, num_envs=2) == pytest.approx(20.0)
