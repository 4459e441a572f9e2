from __future__ import annotations

import pytest

from sweeprl import TrialConfig
from sweeprl.cli.reading import read_sweep
from sweeprl.errors import ConfigError, Occupied
from sweeprl.search_spaces import Float, SearchSpace
from sweeprl.sweeps import Sweep, confirm, final_test
from sweeprl.sweeps.slot import slot
from sweeprl.sweeps.storage import address
from tests.sweeps.fakes import FakeExecutor

SPACE = SearchSpace(parameters={"learning_rate": Float(1e-4, 1e-2, log=True)})


@pytest.fixture
def searched(small_config, tmp_path):
    """`searched(trials=12)`: the folder of a sweep."""
    plain = {**small_config("DQN"), "report_every_env_steps": 100}
    plain["frame_config"]["learning_rate"] = 9e-3  # none of the best
    base = TrialConfig.of(plain)

    def search(trials: int = 12, confirmation: float = 0.0, **settings):
        settings = {"executor": FakeExecutor(), "pruner": "none", **settings}
        folder = tmp_path / "sweep"
        Sweep(base, SPACE, trials, confirmation=confirmation, root_dir=folder, **settings).run()
        return folder

    return search


def test_a_stored_search_is_confirmed_as_a_sweep_would_have(searched, tmp_path):
    folder = searched()
    assert not read_sweep(folder).result.is_confirmed
    executor = FakeExecutor()
    result = confirm(folder, executor=executor)
    assert {config.seed for config in executor.trained} == {1000}
    assert result.is_confirmed
    assert result.num_runs == len(executor.trained) == 3  # the best two, and trial 0
    assert read_sweep(folder).result.standings == result.standings
    assert all("/confirmation/" in config.root_dir for config in executor.trained)
    (tmp_path / "sweep").rename(tmp_path / "other")
    whole = read_sweep(searched(confirmation=0.3)).result
    assert whole.standings == result.standings


def test_a_confirmation_goes_on_where_it_was_stopped(searched):
    folder = searched()
    assert confirm(folder, executor=FakeExecutor(stop_after=2)).status == "stopped"
    executor = FakeExecutor()
    result = confirm(folder, executor=executor)
    assert (result.status, len(executor.trained), result.num_runs) == ("finished", 1, 3)


def test_more_runs_are_added_for_those_that_may_be_the_best(searched):
    folder = searched()
    first = confirm(folder, 9, executor=FakeExecutor(score=lambda config: config.seed % 7))
    assert first.num_runs <= 9
    same = confirm(folder, 9, executor=(none := FakeExecutor()))
    assert (same.num_runs, none.trained) == (first.num_runs, [])
    more = confirm(folder, 18, executor=FakeExecutor(score=lambda config: config.seed % 7))
    assert first.num_runs < more.num_runs <= 18
    seeds = {run.trial.user_attrs["seed"] for run in read_sweep(folder).runs}
    assert min(seeds) == 1000
    assert max(seeds) >= 1004


def test_configs_that_were_confirmed_before_stay_in_the_comparison(searched):
    folder = searched(trials=20)
    first = confirm(folder, 15, executor=FakeExecutor())
    numbers = {standing.number for standing in first.standings}
    again = confirm(folder, executor=FakeExecutor())
    assert numbers <= {standing.number for standing in again.standings}


def test_runs_must_be_enough_to_compare(searched):
    folder = searched()
    with pytest.raises(ConfigError, match="--runs must be at least 2, one for each config"):
        confirm(folder, 1, executor=FakeExecutor())


def test_a_search_without_a_score_is_refused(searched):
    failing = FakeExecutor(ending=lambda config: ("failed", f"lr {config.frame_config!r}"))
    folder = searched(trials=3, executor=failing)
    with pytest.raises(ConfigError, match="must have a finished trial"):
        confirm(folder, executor=FakeExecutor())


def test_a_sweep_at_work_is_left_alone(searched):
    folder = searched()
    with slot(folder, address(folder / "study.db")), pytest.raises(Occupied):
        confirm(folder, executor=FakeExecutor())


def test_there_must_be_a_sweep(tmp_path):
    with pytest.raises(ConfigError, match="holds no sweep.json"):
        confirm(tmp_path)


# ---- the final test


def test_the_winner_and_trial_0_are_tested_on_seeds_that_chose_neither(searched):
    folder = searched(confirmation=0.3)
    before = read_sweep(folder).result
    executor = FakeExecutor()
    result = final_test(folder, 4, executor=executor)
    assert {config.seed for config in executor.trained} == set(range(100_000, 100_004))
    assert all("/test/" in config.root_dir for config in executor.trained)
    assert {one.number for one in result.tested} == {result.winner.number, 0}
    assert [len(one.scores) for one in result.tested] == [4, 4]
    assert result.winner == before.winner
    assert result.standings == before.standings
    assert result.test.number == result.winner.number
    assert result.gain == result.test.value - result.tested[-1].value
    assert result.num_test_runs == 8
    assert result.env_steps == before.env_steps + 8 * executor.trained[0].max_env_steps
    assert read_sweep(folder).result.tested == result.tested


def test_a_test_goes_on_and_grows(searched):
    folder = searched()
    assert final_test(folder, 3, executor=FakeExecutor(stop_after=2)).status == "stopped"
    result = final_test(folder, 3, executor=(rest := FakeExecutor()))
    assert (result.status, len(rest.trained), result.num_test_runs) == ("finished", 4, 6)
    assert final_test(folder, 2, executor=(none := FakeExecutor())).num_test_runs == 6
    assert not none.trained
    assert final_test(folder, 5, executor=(more := FakeExecutor())).num_test_runs == 10
    assert {config.seed for config in more.trained} == {100_003, 100_004}


def test_another_winner_is_tested_anew(searched):
    folder = searched(confirmation=0.3)
    first = final_test(folder, 2, executor=FakeExecutor())

    def surprising(config):  # whatever else is confirmed now is far better
        before = (9e-3, first.config.frame_config.learning_rate)
        return -1e6 if config.frame_config.learning_rate in before else 1e6

    other = confirm(folder, 60, executor=FakeExecutor(score=surprising))
    assert other.winner != first.winner
    assert other.tested == ()
    again = final_test(folder, 2, executor=(rest := FakeExecutor()))
    assert again.test.number == other.winner.number
    assert len(rest.trained) == 2  # trial 0 was tested before


def test_a_winner_that_is_trial_0_is_tested_alone(searched):
    def score(config):
        return 1.0 if config.frame_config.learning_rate == 9e-3 else 0.0

    result = final_test(searched(executor=FakeExecutor(score=score)), 2, executor=FakeExecutor())
    assert result.winner.is_default
    assert [(one.number, len(one.scores)) for one in result.tested] == [(0, 2)]
    assert result.gain == 0.0


def test_a_search_without_a_score_is_not_tested(searched):
    failing = FakeExecutor(ending=lambda config: ("failed", f"lr {config.frame_config!r}"))
    folder = searched(trials=3, executor=failing)
    with pytest.raises(ConfigError, match="must have a finished trial to be tested"):
        final_test(folder, executor=FakeExecutor())
