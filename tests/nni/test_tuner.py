"""Our tuner and assessor, driven by NNI's own dispatcher."""

from __future__ import annotations

import json
import logging

import pytest
from nni.runtime.tuner_command_channel import CommandType

from sweeprl import SearchSpace, TrialConfig
from sweeprl.cli.reading import read_sweep
from sweeprl.nni.studies import shared
from sweeprl.nni.studies.importing import import_experiment
from sweeprl.search_spaces import Choice, Float, Nested, OneMinus
from sweeprl.search_spaces.parameters import Branch
from sweeprl.sweeps import Sweep
from sweeprl.trials.nni import GIVEN, TRIAL_NUMBER, NNIBackend
from tests.nni import played as module
from tests.nni.played import SPACE, Played, PlayedJob


@pytest.fixture
def base(small_config) -> TrialConfig:
    plain = {**small_config("DQN"), "max_env_steps": 1000, "report_every_env_steps": 100}
    return TrialConfig.of(plain)


@pytest.fixture
def play(base, tmp_path, monkeypatch):
    begun = []

    def begin(**settings) -> Played:
        begun.append(Played(tmp_path, base, monkeypatch, **settings))
        return begun[-1]

    yield begin
    for played in begun:  # a second time does no harm
        played.end()


class FixedChannel:
    """Hands out one proposal."""

    def __init__(self, proposal, space):
        self._proposal, self._space = proposal, space

    def parameters(self):
        return self._proposal, 0

    def search_space(self):
        return self._space


def trained_params(proposal, space, base, folder):
    """What a trial of NNI's makes of a proposal."""
    folder.mkdir(exist_ok=True)
    environ = {"NNI_PLATFORM": "local", "NNI_OUTPUT_DIR": str(folder), "NNI_TRIAL_JOB_ID": "a"}
    backend = NNIBackend(environ)
    backend.channel = FixedChannel(json.loads(json.dumps(proposal)), space)
    return dict(backend.proposal(base, folder).params)


NESTED = SearchSpace(
    parameters={
        "discount": OneMinus(1e-3, 0.1),
        "exploration_steps": Choice((None, 200)),
        "mode": Nested(
            branches={
                "double": Branch(value="double", parameters={"epsilon_end": Float(0.0, 0.1)}),
                "vanilla": Branch(value="vanilla", parameters={}),
            }
        ),
    }
)


@pytest.mark.parametrize("space", [SPACE, NESTED, None], ids=["flat", "nested", "all of DQN"])
def test_the_study_says_of_each_proposal_what_its_trial_makes_of_it(
    play, base, tmp_path, monkeypatch, space
):
    monkeypatch.setattr(module, "SPACE", space or SearchSpace.of_config(base))
    played = play()
    proposals = [content["parameters"] for content in played.request(8)]
    space = json.loads(played.files.space.read_text())
    reading = read_sweep(played.sweep)
    assert [one[TRIAL_NUMBER] for one in proposals] == [entry.number for entry in reading.search]
    for proposal, entry in zip(proposals, reading.search, strict=True):
        own = trained_params(proposal, space, base, tmp_path / str(entry.number))
        assert own == entry.params
    assert [GIVEN in one for one in proposals] == [True] + 7 * [False]
    assert reading.search[0].is_default
    assert reading.search[0].params == {}
    assert all(entry.params for entry in reading.search[1:])
    assert reading.space.parameters == SearchSpace.of(space).parameters


def test_a_trial_that_finished_is_what_a_sweep_would_have_of_it(play):
    played = play(trials=3)
    for job, score in zip(played.start(3), (5.0, 7.0, 6.0), strict=True):
        job.report(1.0, score)
        job.finish(score)
    reading = read_sweep(played.sweep)
    entry = reading.trial(1)
    assert (entry.state, entry.score, entry.scores) == ("finished", 7.0, {0: 7.0})
    assert entry.reports == {100: 1.0, 200: 7.0}
    assert (entry.env_steps, entry.outcome["seconds"]) == (200, 1.5)
    assert entry.outcome["reason"] == "its budget ran out"
    assert reading.result.status == "finished"
    assert reading.result.winner.number == 1
    assert reading.attempts == {0: 1, 1: 1, 2: 1}
    assert (played.sweep / "best.json").exists()
    assert (reading.folder_of(entry) / "record.json").exists()


@pytest.mark.parametrize(
    "status, event, state, reason",
    [
        ("failed", "FAILED", "failed", "the loss became NaN"),
        (None, "FAILED", "failed", "its process ended with an error"),
        (None, "SUCCEEDED", "failed", "its score must be a finite number"),
        ("running", "USER_CANCELED", "failed", "its process was killed"),
        ("stopped", "USER_CANCELED", "pruned", "a limit of time"),
        ("running", "EARLY_STOPPED", "pruned", "its assessor"),
        ("finished", "FAILED", "finished", "the loss"),  # after its score was known
    ],
)
def test_a_trial_ends_as_its_record_has_it(play, status, event, state, reason):
    played = play()
    (job,) = played.start()
    job.report(2.0, 3.0)
    if status is not None:
        job.record(status, 4.0 if status == "finished" else None, reason="the loss became NaN")
    job.end(event)
    entry = read_sweep(played.sweep).trial(0)
    assert entry.state == state
    assert reason in entry.outcome["reason"]
    assert entry.reports == {100: 2.0, 200: 3.0}
    assert entry.score == {"failed": None, "pruned": 3.0, "finished": 4.0}[state]


def test_a_failed_record_does_not_count_before_nni_has_the_trial_as_over(play):
    played = play()
    (job,) = played.start()
    job.record("failed", reason="the environment was broken off")
    played.end()
    assert read_sweep(played.sweep).trial(0).state == "running"
    played.begin()
    job.finish(99.0)  # NNI has gone on with it
    entry = read_sweep(played.sweep).trial(0)
    assert (entry.state, entry.score) == ("finished", 99.0)


def test_what_a_user_cancels_is_pruned(play):
    played = play()
    (job,) = played.start()
    job.report(2.0)
    job.noted("USER_TO_CANCEL")
    job.end("USER_CANCELED")
    entry = read_sweep(played.sweep).trial(0)
    assert (entry.state, entry.outcome["reason"]) == ("pruned", "its user stopped it")


def test_a_bad_trial_is_stopped_once_and_kept_with_its_curve(play):
    played = play(pruner="median")
    for job in played.start(6):
        job.report(*[10.0] * 9)
        job.finish(10.0)
    good, bad = played.start(2)
    good.report(*[11.0] * 9)
    bad.report(1.0, 1.0, 1.0)
    assert played.killed == []  # not before a third of the budget
    bad.report(1.0, 1.0)
    assert played.killed == [bad.id]
    bad.record("running")  # it did not end in time, and was killed
    bad.end("USER_CANCELED")
    entry = read_sweep(played.sweep).trial(bad.number)
    assert (entry.state, entry.score) == ("pruned", 1.0)
    assert entry.outcome["reason"] == "its assessor stopped it"
    assert list(entry.reports) == [100, 200, 300, 400, 500]


def test_reports_are_seen_while_a_trial_runs(play):
    played = play(pruner="none")
    (job,) = played.start()
    job.report(1.0, 2.0)
    entry = read_sweep(played.sweep).trial(0)
    assert (entry.state, entry.reports) == ("running", {100: 1.0, 200: 2.0})


def test_after_a_resume_nothing_is_lost_and_nothing_is_proposed_twice(play):
    played = play(sampler="random", seed=3)
    ended, going_on, lost = played.request(3)
    first, second = PlayedJob(played, ended), PlayedJob(played, going_on)
    played.end()
    first.record("finished", 9.0)
    first.noted("SUCCEEDED")  # nobody was there to hear it
    played.begin(sampler="random", seed=3)
    played.say(CommandType.ImportData, [{"parameter": ended["parameters"], "value": "9.0"}])
    assert read_sweep(played.sweep).trial(0).score == 9.0
    again, *new = [content["parameters"] for content in played.request(3)]
    assert again == lost["parameters"]
    assert [one[TRIAL_NUMBER] for one in new] == [3, 4]
    rates = [one["learning_rate"] for one in (going_on["parameters"], again, *new)]
    assert len(set(rates)) == 4
    second.record("finished", 8.0)
    second.noted("SUCCEEDED")  # NNI tells nothing of a trial that went on
    played.end()
    reading = read_sweep(played.sweep)
    assert [entry.state for entry in reading.search] == ["finished", "finished", *["running"] * 3]
    played.begin(sampler="random")


def test_proposals_that_nni_asked_for_and_did_not_train_are_no_trials(play):
    played = play(trials=2)
    first, second, unused = played.request(3)
    for content in (first, second):
        PlayedJob(played, content).finish(1.0)
    reading = read_sweep(played.sweep)
    assert reading.result.status == "finished"
    assert len(reading.search) == 3  # NNI may be told to go on
    PlayedJob(played, unused).finish(2.0)
    (another,) = played.request()
    played.end()
    reading = read_sweep(played.sweep)
    assert [entry.score for entry in reading.search] == [1.0, 1.0, 2.0]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sampler_that_is_done_ends_the_experiment(play, monkeypatch):
    options = {"batch_size": {"_type": "choice", "_value": [16, 32]}}
    monkeypatch.setattr(module, "SPACE", SearchSpace.of(options))
    played = play(sampler="optuna.samplers:BruteForceSampler")
    for _ in range(4):
        for job in played.start():
            job.finish(1.0)
    assert CommandType.NoMoreTrialJobs in [command for command, _ in played.sent]
    played.end()
    reading = read_sweep(played.sweep)
    assert {entry.params.get("batch_size") for entry in reading.search} <= {None, 16, 32}
    assert reading.result.status == "finished"


def test_folder_and_database_may_be_elsewhere(play, tmp_path):
    played = play(root_dir="mine", storage=f"sqlite:///{tmp_path / 'other.db'}", trials=2)
    for job in played.start(2):
        job.finish(1.0)
    played.end()
    reading = read_sweep(played.files.root / "mine")
    assert reading.counts == {"finished": 2}
    assert (reading.folder_of(reading.trial(1)) / "record.json").exists()
    assert (tmp_path / "other.db").exists()
    assert import_experiment(played.folder).num_known == 2


def test_what_goes_wrong_ends_the_experiment_and_is_logged(play, base, caplog):
    with caplog.at_level(logging.INFO, "nni.sweeprl"):
        played = play(sampler="tpee")
        assert played.request(2) == []
    assert [command for command, _ in played.sent][-1] is CommandType.NoMoreTrialJobs
    assert "No sampler named 'tpee'. Did you mean 'tpe'?" in caplog.text


def test_a_report_that_cannot_be_read_does_no_harm(play, caplog):
    played = play(pruner="median")
    (job,) = played.start()
    metric = {"parameter_id": 0, "trial_job_id": job.id, "type": "PERIODICAL", "sequence": 0}
    played.say(CommandType.ReportMetricData, {**metric, "value": '"nonsense"'})
    assert played.killed == []
    assert "Assessing a trial did not work" in caplog.text


def test_the_study_is_one_process_s_at_a_time(play, base, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shared, "_SLOT_SECONDS", 0.0)
    first = play()
    assert len(first.request()) == 1
    second = play()
    assert second.request() == []
    assert "At most one process may run the sweep" in caplog.text


def test_a_sweep_can_go_on_with_the_study(play, base):
    from tests.sweeps.fakes import FakeExecutor

    played = play()
    (job,) = played.start()
    job.finish(3.0)
    played.end()
    sweep = Sweep(
        base, SPACE, 4, seeds=1, executor=FakeExecutor(), root_dir=played.sweep, confirmation=0
    )
    result = sweep.run()
    assert result.num_trials == 4
    assert result.default.score == 3.0
