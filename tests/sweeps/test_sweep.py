from __future__ import annotations

import json

import optuna
import pytest
from optuna.trial import TrialState

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, SweepFailed
from sweeprl.search_spaces import Float, SearchSpace
from sweeprl.sweeps import Entry, Sweep, SweepFolder, entries_of
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.confirmation import Confirmation, candidates, ranking
from sweeprl.sweeps.slot import slot
from sweeprl.sweeps.storage import address
from tests.sweeps.fakes import FakeExecutor, quality

SPACE = SearchSpace(
    parameters={"learning_rate": Float(1e-5, 1e-2, log=True), "epsilon_end": Float(0.0, 0.2)}
)


@pytest.fixture
def base(small_config):
    return TrialConfig.of({**small_config("DQN"), "report_every_env_steps": 100})


@pytest.fixture
def sweep(base, tmp_path):
    def build(executor=None, trials=12, **settings):
        defaults = {"root_dir": tmp_path / "sweep", "confirmation": 0.3, "pruner": "none"}
        executor = executor or FakeExecutor()
        return Sweep(base, SPACE, trials, executor=executor, **{**defaults, **settings})

    return build


def trials_of(tmp_path):
    return SweepFolder(tmp_path / "sweep").search().get_trials(deepcopy=False)


def entries(tmp_path):
    return entries_of(trials_of(tmp_path))


def test_a_sweep_searches_and_confirms(sweep, base, tmp_path):
    executor = FakeExecutor(at_once=3)
    result = sweep(executor).run()
    assert result.status == "finished"
    assert result.num_trials == 12
    assert 3 <= result.num_runs <= 5  # it ends where the leader is clear
    found = entries(tmp_path)
    assert [entry.state for entry in found] == ["finished"] * 12
    assert all(entry.trial.state.is_finished() for entry in found)
    assert result.winner.number == result.standings[0].number
    assert sum(config.max_env_steps for config in executor.trained) == result.env_steps


def test_trial_0_is_the_config_as_it_was_given(sweep, base, tmp_path):
    executor = FakeExecutor()
    result = sweep(executor).run()
    first = executor.trained[0]
    expected = base.model_copy(update={"root_dir": first.root_dir})
    assert first == expected
    assert result.default.number == 0
    assert result.default.params == {}
    assert 0 in [standing.number for standing in result.standings]
    assert result.gain == result.standings[0].value - next(
        s.value for s in result.standings if s.is_default
    )


def test_search_confirmation_and_test_have_disjoint_seeds(sweep, base, tmp_path):
    executor = FakeExecutor()
    result = sweep(executor, seeds=2).run()
    search = {c.seed for c in executor.trained if "/trials/" in c.root_dir}
    confirmation = {c.seed for c in executor.trained if "/confirmation/" in c.root_dir}
    assert search == {0, 1}
    assert min(confirmation) == 1000
    assert result.config.seed == 100_000
    declared = SweepFolder(tmp_path / "sweep").search().user_attrs["sweep"]["seeds"]
    assert declared["search"] == [0, 1]
    assert (declared["confirmation_from"], declared["test_from"]) == (1000, 100_000)


def test_the_winner_is_written_as_a_config(sweep, base, tmp_path):
    result = sweep().run()
    written = TrialConfig.of(json.loads((tmp_path / "sweep" / "best.json").read_text()))
    rate = result.winner.params.get("learning_rate", base.frame_config.learning_rate)
    assert written.frame_config.learning_rate == rate
    assert written == result.config


def test_the_score_of_a_lucky_seed_does_not_win(sweep, base, tmp_path):
    """On seed 0 bad learning rates look best; on others they are what they are."""

    def score(config):
        is_bad = config.frame_config.learning_rate > 2e-3
        return 200.0 if is_bad and config.seed == 0 else quality(config)

    result = sweep(FakeExecutor(score), trials=30).run()
    lucky = max(entries(tmp_path), key=lambda entry: entry.score)
    assert lucky.score == 200.0
    assert result.winner.number != lucky.number
    assert result.standings[-1].optimism > 50


def test_a_stopped_sweep_goes_on_to_the_same_number_of_trials(sweep, tmp_path):
    first = FakeExecutor(at_once=3, stop_after=4)
    assert sweep(first).run().status == "stopped"
    assert all(
        trial.state.is_finished() or trial.state is TrialState.WAITING
        for trial in trials_of(tmp_path)
    )
    second = FakeExecutor(at_once=3)
    result = sweep(second).run()
    assert result.status == "finished"
    assert [entry.state for entry in entries(tmp_path)] == ["finished"] * 12
    assert all(trial.state is not TrialState.RUNNING for trial in trials_of(tmp_path))
    trained = [c.root_dir for c in first.trained + second.trained if "/trials/" in c.root_dir]
    assert len(trained) == len(set(trained)) == 12


def test_a_sweep_that_is_over_trains_nothing_more(sweep):
    first = sweep().run()
    idle = FakeExecutor()
    second = sweep(idle).run()
    assert idle.trained == []
    assert second.standings == first.standings


def test_more_trials_may_be_added(sweep, tmp_path):
    sweep(trials=4).run()
    more = FakeExecutor()
    assert sweep(more, trials=7).run().num_trials == 7
    assert len([c for c in more.trained if "/trials/" in c.root_dir]) == 3


@pytest.mark.parametrize(
    "change, told",
    [
        ({"learning_rate": 5e-3}, r"config.frame_config.learning_rate: 0.001 before, 0.005 now"),
        ({"max_env_steps": 700}, r"config.max_env_steps: 600 before, 700 now"),
    ],
)
def test_another_config_of_the_same_name_is_refused(sweep, base, tmp_path, change, told):
    from sweeprl.config import merge

    sweep(trials=2).run()
    with pytest.raises(ConfigError, match=told):
        Sweep(
            merge(base, change), SPACE, 2, root_dir=tmp_path / "sweep", executor=FakeExecutor()
        ).run()


def test_another_space_of_the_same_name_is_refused(sweep, base, tmp_path):
    sweep(trials=2).run()
    with pytest.raises(ConfigError, match=r"space.parameters.epsilon_end.*nothing' now"):
        Sweep(
            base,
            SPACE.without("epsilon_end"),
            2,
            root_dir=tmp_path / "sweep",
            executor=FakeExecutor(),
        ).run()


def test_a_study_of_somebody_else_is_left_alone(sweep, tmp_path):
    (tmp_path / "sweep").mkdir()
    study = optuna.create_study(
        study_name="sweep", storage=f"sqlite:///{tmp_path}/sweep/study.db", direction="maximize"
    )
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ConfigError, match="must be one of a sweep"):
        sweep().run()


def test_a_diverged_trial_is_failed_and_the_sweep_goes_on(sweep, base, tmp_path):
    def ending(config):
        is_bad = config.frame_config.learning_rate > 2e-3
        return ("failed", f"the loss is NaN at step {config.seed}") if is_bad else None

    result = sweep(FakeExecutor(ending=ending), trials=20, max_equal_failures=50).run()
    states = [entry.state for entry in entries(tmp_path)]
    assert result.num_trials == 20
    assert 0 < states.count("failed") < 20
    failed = next(entry for entry in entries(tmp_path) if entry.state == "failed")
    assert failed.outcome["reason"] == "the loss is NaN at step 0"
    assert failed.reports == {100: pytest.approx(failed.reports[100])}


def test_equal_failures_in_a_row_end_the_sweep(sweep, tmp_path):
    ending = lambda config: ("failed", f"ZeroDivisionError at {config.root_dir[-1]}")  # noqa: E731
    with pytest.raises(SweepFailed, match="At most 4 trials in a row may fail in the same way"):
        sweep(FakeExecutor(ending=ending)).run()
    assert len(entries(tmp_path)) == 5
    assert all(trial.state is not TrialState.RUNNING for trial in trials_of(tmp_path))


def test_a_score_that_is_no_number_is_a_failure(sweep, tmp_path):
    executor = FakeExecutor(lambda c: float("inf") if c.frame_config.learning_rate > 2e-3 else 1.0)
    sweep(executor, trials=20, max_equal_failures=50).run()
    assert any(entry.state == "failed" for entry in entries(tmp_path))
    assert all(e.score is None or e.score < 1e9 for e in entries(tmp_path) if e.is_over)


def test_an_error_ends_the_sweep_and_loses_nothing(sweep, base, tmp_path):
    class Broken(FakeExecutor):
        def _go(self, tally, config):
            if len(self.trained) >= 3:
                raise TypeError("a bug")
            return super()._go(tally, config)

    with pytest.raises(TypeError, match="a bug"):
        sweep(Broken(at_once=2)).run()
    assert all(trial.state is not TrialState.RUNNING for trial in trials_of(tmp_path))
    result = sweep(FakeExecutor()).run()
    assert result.num_trials == 12
    assert [entry.state for entry in entries(tmp_path)] == ["finished"] * 12


def test_a_trial_whose_process_dies_is_made_again_and_not_for_ever(sweep, base, tmp_path):
    deaths = []

    def ending(config):
        if config.frame_config.learning_rate > 2e-3:
            deaths.append(config.root_dir)
            return ("stopped", "its process was killed by signal 9")
        return None

    sweep(FakeExecutor(ending=ending), trials=20, max_equal_failures=50).run()
    failed = [entry for entry in entries(tmp_path) if entry.state == "failed"]
    assert failed
    assert len(entries(tmp_path)) == 20
    for entry in failed:
        assert "interrupted 5 times without getting further" in entry.outcome["reason"]
        assert deaths.count(f"{tmp_path}/sweep/trials/{entry.number:04}") == 5


def test_trials_are_pruned_late(sweep, base, tmp_path):
    executor = FakeExecutor(at_once=2)
    sweep(executor, trials=30, pruner="median").run()
    pruned = [entry for entry in entries(tmp_path) if entry.state == "pruned"]
    assert pruned
    for entry in pruned:
        assert 200 <= max(entry.reports) < 600  # a third of 600, and not at the end


def test_race(sweep, base, tmp_path):
    executor = FakeExecutor(at_once=2)
    sweep(executor, trials=25, seeds="race:3").run()
    found = entries(tmp_path)
    assert len(found[0].scores) == 3
    numbers = {len(entry.scores) for entry in found}
    assert numbers >= {1, 3}
    best = max(found, key=lambda entry: entry.score)
    assert len(best.scores) == 3
    assert (tmp_path / "sweep" / "study.db").exists()
    assert {c.seed for c in executor.trained if "/trials/" in c.root_dir} == {0, 1, 2}


def test_the_paired_test_of_wilcoxon_stops_bad_trials_between_seeds(sweep, tmp_path):
    sweep(trials=12, pruner="wilcoxon", seeds=8).run()
    numbers = [len(entry.scores) for entry in entries(tmp_path)]
    assert max(numbers) == 8
    assert min(numbers) < 8


def test_several_objectives(sweep, tmp_path):
    result = sweep(
        trials=10, pruner="auto", objectives=["score", "env_steps_to:50", "seconds"]
    ).run()
    study = SweepFolder(tmp_path / "sweep").search()
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    first = entries(tmp_path)[0]
    assert first.trial.values[1:] == [400.0, 0.5]  # 98 * 400 / 600 is the first above 50
    assert first.reports[600] == pytest.approx(first.score)
    assert result.winner is not None


def test_the_deviation_over_seeds_can_be_an_objective(sweep, tmp_path):
    sweep(trials=4, pruner="auto", seeds=3, objectives=["score", "deviation"]).run()
    assert entries(tmp_path)[1].trial.values[1] > 0


def test_a_budget_of_env_steps(sweep, tmp_path):
    executor = FakeExecutor()
    result = sweep(executor, trials=None, env_steps=12_000).run()
    assert result.env_steps == sum(config.max_env_steps for config in executor.trained) <= 12_000
    assert result.num_trials == 14  # 70 % of 12,000 steps in trials of 600
    assert result.num_runs > 0


def test_no_confirmation(sweep, tmp_path):
    result = sweep(confirmation=0.0).run()
    assert not result.is_confirmed
    assert result.winner.score == max(entry.score for entry in entries(tmp_path))


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"trials": None}, "must have a budget"),
        ({"trials": 0}, "trials must be positive, but got 0"),
        ({"confirmation": 1.0}, r"share of the budget in \[0, 1\)"),
        ({"seeds": "rase:3"}, "must be a number, race:N, or auto"),
        ({"seeds": 0}, "1 to 1000 seeds"),
        ({"objectives": ["seconds"]}, "first objective must be score"),
        ({"objectives": ["score", "secods"]}, "Did you mean 'seconds'"),
        ({"objectives": ["score", "deviation"]}, "at least 2 seeds"),
        ({"objectives": ["score", "seconds"], "pruner": "median"}, "cannot be pruned"),
        ({"sampler": "tpr"}, "Did you mean 'tpe'"),
        ({"pruner": "medain"}, "Did you mean 'median'"),
        ({"executor": "lane"}, "Did you mean 'lanes'"),
        ({"executor": "lanes", "seconds_per_trial": 5.0}, "needs the executor processes"),
        ({"points": [{"learning_rat": 1.0}]}, "learning_rat"),
        ({"trials": 1, "points": [{"learning_rate": 1e-3, "epsilon_end": 0.1}]}, "holds 1"),
        ({"trials": None, "env_steps": 800}, "1 trials of up to 600 env steps, but holds 0"),
        ({"storage": "mongodb://here"}, "A storage must be a file"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_written(sweep, tmp_path, settings, told):
    with pytest.raises(ConfigError, match=told):
        sweep(**settings).run()
    assert not (tmp_path / "sweep" / "study.db").exists()


def test_a_config_without_a_budget_is_refused(base, tmp_path):
    with pytest.raises(ConfigError, match="max_env_steps must be set"):
        Sweep(base.model_copy(update={"max_env_steps": None}), SPACE, root_dir=tmp_path / "sweep")


def test_two_processes_cannot_run_one_embedded_sweep(sweep, tmp_path):
    with slot(tmp_path / "sweep", address(tmp_path / "sweep" / "study.db")):
        with pytest.raises(ConfigError, match="At most one process may run the sweep"):
            sweep().run()


def test_points_are_tried_first(sweep):
    executor = FakeExecutor()
    sweep(executor, points=[{"learning_rate": 3e-4, "epsilon_end": 0.1}]).run()
    assert executor.trained[1].frame_config.learning_rate == pytest.approx(3e-4)
    assert executor.trained[1].frame_config.epsilon_end == pytest.approx(0.1)


def test_a_resumed_sweep_does_not_ask_for_the_same_points_again(sweep, tmp_path):
    for stop in (3, 3, 3):
        sweep(FakeExecutor(stop_after=stop), sampler="random").run()
    rates = [entry.params.get("learning_rate") for entry in entries(tmp_path)]
    assert len(rates) == len(set(rates))


def run_of(candidate, seed, score):
    attributes = {"candidate": candidate, "seed": seed, "outcome": {"status": "finished"}}
    trial = optuna.trial.create_trial(value=score, user_attrs=attributes)
    return Entry(seed, "finished" if score is not None else "failed", trial)


def entry_of(number, score, scores=()):
    outcome = {"scores": {str(k): v for k, v in enumerate(scores)}}
    attributes = {"outcome": outcome, "is_default": number == 0}
    trial = optuna.trial.create_trial(value=score, user_attrs=attributes)
    return Entry(number, "finished", trial)


def test_the_best_are_confirmed_and_the_given_config_is_among_them():
    found = [entry_of(n, float(n)) for n in range(64)]
    assert [e.number for e in candidates(found, 64, 27)] == [63, 62, 61, 60, 59, 0]
    assert [e.number for e in candidates(found, 16, 7)] == [63, 62, 0]
    assert [e.number for e in candidates(found, 256, 110)][:3] == [63, 62, 61]
    assert [e.number for e in candidates(found, 64, 4)] == [63, 62, 0]
    assert [e.number for e in candidates(found, 64, 3)] == [63, 0]


def test_those_whose_intervals_overlap_are_confirmed_too():
    found = [entry_of(n, 100.0 - n, (96.0 - n, 104.0 - n)) for n in range(9)]
    assert len(candidates(found, 16, 27)) == 4
    found = [entry_of(n, 100.0 - 50 * n, (99.0 - 50 * n, 101.0 - 50 * n)) for n in range(9)]
    assert len(candidates(found, 16, 27)) == 2


def confirmation(base, found, num_runs, tmp_path):
    budget = SweepBudget(16)
    return Confirmation(base, found, num_runs, tmp_path, budget, Clock())


def test_runs_go_to_all_and_then_to_those_that_may_be_the_best(base, tmp_path):
    means = {1: 90.0, 2: 88.0, 3: 10.0}
    stage = confirmation(base, [entry_of(n, means[n]) for n in (3, 2, 1)], 12, tmp_path)
    runs = []
    while stage.wants_more(runs):
        candidate, seed = stage._next(runs)
        runs.append(run_of(candidate, seed, means[candidate] + 8 * (seed % 2)))
    counts = {n: sum(r.trial.user_attrs["candidate"] == n for r in runs) for n in means}
    assert len(runs) == 12
    assert sorted(counts.values()) == [3, 4, 5]
    assert counts[3] == 3
    assert {r.trial.user_attrs["seed"] for r in runs} == set(range(1000, 1005))


def test_further_runs_of_confirmation_can_be_trained_together(base, tmp_path):
    stage = confirmation(base, [entry_of(n, 50.0) for n in (2, 1)], 20, tmp_path)
    runs = [run_of(n, 1000 + k, 50.0 + 9 * (k % 2)) for n in (1, 2) for k in range(6)]
    while stage.wants_more(runs):
        candidate, seed = stage._next(runs)
        attributes = {"candidate": candidate, "seed": seed}
        trial = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=attributes)
        runs.append(Entry(seed, "running", trial))
    assert len(runs) == 18  # nine seeds each; more when these are over


def test_a_failed_run_counts_as_the_worst_of_all():
    found = [entry_of(1, 1.0), entry_of(2, 1.0)]
    failed = optuna.trial.create_trial(
        state=TrialState.FAIL, user_attrs={"candidate": 1, "seed": 1002, "outcome": {}}
    )
    runs = [run_of(1, 1000, 50.0), run_of(1, 1001, 50.0), Entry(9, "failed", failed)]
    runs += [run_of(2, seed, 40.0) for seed in (1000, 1001, 1002)]
    best, other = ranking(runs, found)
    assert best.scores == (50.0, 50.0, 40.0)
    assert other.scores == (40.0, 40.0, 40.0)


def test_the_search_has_a_say_in_the_ranking_and_none_in_what_a_config_is_worth():
    found = [entry_of(1, 20.0), entry_of(2, 50.0, scores=(40.0, 60.0))]
    runs = [run_of(1, 1000, 32.0), run_of(2, 1000, 30.0)]
    best, other = ranking(runs, found)
    assert (best.number, best.value) == (2, 30.0)
    assert best.estimate == pytest.approx(30 / 6 + 40 * 2 / 3 + 60 / 6)
    assert (other.number, other.value, other.estimate) == (1, 32.0, 26.0)
    assert [one.number for one in ranking(runs, found, with_search=False)] == [1, 2]


@pytest.mark.parametrize("fresh, order", [(31.0, [0, 2, 1]), (29.0, [2, 0, 1])])
def test_only_what_does_better_on_fresh_seeds_comes_before_the_given_config(fresh, order):
    found = [entry_of(0, 10.0), entry_of(1, 40.0), entry_of(2, 60.0)]
    runs = [run_of(0, 1000, fresh), run_of(1, 1000, 20.0), run_of(2, 1000, 30.0)]
    assert [one.number for one in ranking(runs, found)] == order


def test_all_that_does_better_on_fresh_seeds_comes_before_the_given_config():
    found = [entry_of(0, 10.0), entry_of(1, 99.0), entry_of(2, 60.0), entry_of(3, 20.0)]
    fresh = {0: 60.0, 1: 50.0, 2: 80.0, 3: 70.0}
    runs = [run_of(number, 1000, score) for number, score in fresh.items()]
    assert [one.number for one in ranking(runs, found)] == [2, 3, 0, 1]


def test_fresh_seeds_alone_compare_a_config_with_the_given_one(base, tmp_path):
    found = [entry_of(0, 50.0, scores=(48.0, 52.0)), entry_of(1, 95.0, scores=(93.0, 97.0))]
    stage = confirmation(base, found, 12, tmp_path)
    ahead = [run_of(0, 1000, 65.0), run_of(1, 1000, 66.0), run_of(0, 1001, 67.0)]
    assert stage.contenders([*ahead, run_of(1, 1001, 69.0)]) == [1, 0]
    assert stage.contenders([*ahead, run_of(1, 1001, 64.0)]) == [0, 1]


def test_the_search_has_no_say_where_a_run_has_failed():
    found = [entry_of(1, 400.0), entry_of(2, 120.0)]
    failed = optuna.trial.create_trial(
        state=TrialState.FAIL, user_attrs={"candidate": 1, "seed": 1000, "outcome": {}}
    )
    best, other = ranking([Entry(9, "failed", failed), run_of(2, 1000, 90.0)], found)
    assert (best.number, best.estimate) == (2, 105.0)
    assert (other.number, other.scores, other.estimate) == (1, (90.0,), 90.0)


def test_scores_of_another_generation_have_no_say(base, tmp_path):
    def member(number, generation, state="finished"):
        attributes = {"generation": generation}
        trial = optuna.trial.create_trial(value=99.0, user_attrs=attributes)
        return Entry(number, state, trial)

    found = [member(1, 1), member(2, 0), member(3, 2, "running")]  # the last one is not confirmed
    runs = [run_of(1, 1000, 9.0), run_of(2, 1000, 50.0)]
    assert [one.search_scores for one in ranking(runs, found)] == [(99.0,), ()]


def test_all_may_be_the_best_where_nothing_tells_how_much_scores_vary(base, tmp_path):
    trial = optuna.trial.create_trial(value=1.0, user_attrs={"generation": 0})
    found = [Entry(n, "finished", trial) for n in (1, 2)]  # scores of a part of a training
    trial = optuna.trial.create_trial(value=1.0, user_attrs={"generation": 1})
    found.append(Entry(3, "finished", trial))
    stage = confirmation(base, found, 12, tmp_path)
    assert stage.contenders([run_of(1, 1000, 9.0), run_of(2, 1000, 1.0)]) == [1, 2]


def test_two_runs_tell_no_interval():
    standing = ranking([run_of(1, 1000, 5.0), run_of(1, 1001, 6.0)], [entry_of(1, 9.0)])[0]
    assert standing.interval.low == -float("inf")
    assert standing.optimism == 3.5


def test_optuna_says_nothing_of_its_own(sweep, capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        sweep(trials=2).run()
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr().err == ""


def test_a_sweep_may_grow_although_auto_would_choose_other_seeds(sweep, tmp_path):
    sweep(trials=6).run()
    result = sweep(FakeExecutor(at_once=8), trials=70).run()
    assert result.num_trials == 70
    assert {len(entry.scores) for entry in entries(tmp_path)} == {1}
    for standing in result.standings:
        assert len(standing.scores) >= 3  # runs of the smaller sweep's candidates do not count


def test_another_folder_cannot_use_the_same_file_at_the_same_time(sweep, tmp_path):
    file = tmp_path / "one.db"
    with slot(tmp_path / "other", address(file)):
        with pytest.raises(ConfigError, match="At most one process"):
            sweep(storage=str(file)).run()
    assert sweep(storage=str(file)).run().status == "finished"
    assert (tmp_path / "sweep" / "best.json").exists()


def test_processes_that_always_die_end_the_sweep(sweep, tmp_path):
    death = ("stopped", "its process was killed by signal 9")
    with pytest.raises(SweepFailed, match="killed by signal 9"):
        sweep(FakeExecutor(ending=lambda config: death), max_equal_failures=2).run()
    assert len(entries(tmp_path)) == 2


def test_trials_that_never_score_end_the_sweep(sweep):
    with pytest.raises(SweepFailed, match="must be a finite number, but is None"):
        sweep(FakeExecutor(lambda config: None)).run()


def test_it_is_said_where_nothing_is_confirmed(sweep):
    said = []

    class Notes:
        def show(self, event, progress):
            said.append(event.get("text"))

    assert not sweep(trials=None, env_steps=900, view=Notes()).run().is_confirmed
    assert "Nothing is confirmed: there is no budget, or no score, for it." in said


class Killed(BaseException):
    """What a process can do nothing after."""


WRITES = (
    "create_new_trial",
    "set_trial_param",
    "set_trial_user_attr",
    "set_trial_intermediate_value",
    "set_trial_state_values",
)


def kill_at(monkeypatch, number, is_done):
    """Lets the n-th write be the last, before or after it is done; none works from then on."""
    count = iter(range(10**6))

    def fatal(write):
        def last(self, *args, **kwargs):
            now = next(count)
            if now < number or (now == number and is_done):
                done = write(self, *args, **kwargs)
                if now < number:
                    return done
            raise Killed

        return last

    for name in WRITES:
        write = getattr(optuna.storages._CachedStorage, name)
        monkeypatch.setattr(optuna.storages._CachedStorage, name, fatal(write))


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("number", range(2, 66, 7))
def test_a_kill_between_any_two_writes_loses_nothing(sweep, tmp_path, monkeypatch, number, is_done):
    settings = dict(trials=4, confirmation=0.5, seeds="race:2")
    with monkeypatch.context() as killer:
        kill_at(killer, number, is_done)
        with pytest.raises(Killed):
            sweep(FakeExecutor(at_once=2), **settings).run()
    result = sweep(FakeExecutor(at_once=2), **settings).run()
    assert (result.status, result.num_trials) == ("finished", 4)
    assert [entry.state for entry in entries(tmp_path)] == ["finished"] * 4
    runs = SweepFolder(tmp_path / "sweep").runs()
    pairs = [(run.trial.user_attrs["candidate"], run.trial.user_attrs["seed"]) for run in runs]
    assert len(pairs) == len(set(pairs)) == result.num_runs > 0
    assert all(attempt.state.is_finished() for attempt in trials_of(tmp_path))
