from __future__ import annotations

import functools
import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, fail_stale_trials
from optuna.storages._heartbeat import BaseHeartbeat, is_heartbeat_enabled
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sqlalchemy import event, exc

from sweeprl.errors import ConfigError, DatabaseFailed, MissingDependencyError
from sweeprl.sweeps import storage as module
from sweeprl.sweeps.storage import ask, close_storage
from tests.disks import filled, small_disk

from .servers import PASSWORD

SPACE = {"rate": FloatDistribution(1e-5, 1e-2, log=True), "size": CategoricalDistribution([32, 64])}


@pytest.fixture(autouse=True)
def _quiet_optuna():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(level)


_opened: list[BaseStorage] = []


@pytest.fixture(autouse=True)
def _close():
    yield
    while _opened:
        close_storage(_opened.pop())


def open_storage(where, **settings) -> BaseStorage:
    storage = module.open_storage(where, **settings)
    _opened.append(storage)
    return storage


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def where(request, tmp_path):
    if request.param == "sqlite":
        return tmp_path / "study.db"
    return request.getfixturevalue(request.param)


def study_in(where, said=None, **settings) -> optuna.Study:
    say = (lambda line: None) if said is None else said.append
    return optuna.create_study(
        study_name="study",
        storage=open_storage(where, say=say, **settings),
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        load_if_exists=True,
    )


def engine_of(study):
    return study._storage._backend.engine


# What Optuna asks of a storage.


def test_optuna_works_with_it(where):
    study = study_in(where)
    study.enqueue_trial({"rate": 1e-3, "size": 64}, user_attrs={"origin": "default"})
    first, second = ask(study, SPACE), ask(study, SPACE)
    assert first.params == {"rate": 1e-3, "size": 64}
    assert first.user_attrs["origin"] == "default"
    first.report(1.0, 1000)
    first.report(2.0, 2000)
    assert not first.should_prune()
    second.set_user_attr("worker", "b")
    study.tell(first, 2.0)
    study.tell(second, state=TrialState.FAIL)
    study.add_trial(create_trial(value=5.0, params={}, distributions={}))
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert study.get_trials()[0].intermediate_values == {1000: 1.0, 2000: 2.0}
    assert study.best_trial.number == 2
    assert study_in(where).get_trials() == study.get_trials()


def test_optuna_optimizes_with_it(where):
    study = study_in(where)
    with warnings.catch_warnings():
        # Optuna's own loop calls its experimental function.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert [trial.number for trial in study.trials] == [0, 1, 2]


def test_it_is_a_storage_with_heartbeats_and_a_cache(where):
    storage = open_storage(where)
    assert isinstance(storage, BaseStorage)
    assert isinstance(storage, BaseHeartbeat)
    assert isinstance(storage, optuna.storages._CachedStorage)
    assert is_heartbeat_enabled(storage)
    assert storage.get_heartbeat_interval() == 30
    assert storage.get_heartbeat_stale_trial_callback() is None
    assert optuna.storages.get_storage(storage) is storage


def stale(study):
    """Numbers of the trials whose heart has stopped."""
    ids = study._storage._get_stale_trial_ids(study._study_id)
    return [trial.number for trial in study.get_trials() if trial._trial_id in ids]


def test_a_trial_with_a_heartbeat_lives_and_one_without_fails(where):
    study = study_in(where, heartbeat_interval=1, grace_period=2)
    alive, dead, young = (ask(study, SPACE) for _ in range(3))
    for trial in (alive, dead):
        study._storage.record_heartbeat(trial._trial_id)
    for _ in range(4):
        time.sleep(1)
        study._storage.record_heartbeat(alive._trial_id)
    assert stale(study) == [dead.number]
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        fail_stale_trials(study)
    states = [trial.state for trial in study.get_trials()]
    assert states == [TrialState.RUNNING, TrialState.FAIL, TrialState.RUNNING]
    assert young.number == 2


def test_a_taken_name_is_a_duplicate(where):
    study_in(where)
    with pytest.raises(DuplicatedStudyError):
        optuna.create_study(study_name="study", storage=open_storage(where))


def test_a_study_without_a_name_gets_one(where):
    storage = open_storage(where)
    names = {optuna.create_study(storage=storage).study_name for _ in range(2)}
    assert len(names) == 2


def test_a_study_can_be_deleted_once(where):
    storage = study_in(where)._storage
    optuna.delete_study(study_name="study", storage=storage)
    with pytest.raises(KeyError):
        storage.delete_study(1)


def test_a_finished_trial_stays_as_it_is(where):
    study = study_in(where)
    trial = ask(study, SPACE)
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [1.0])


def test_a_waiting_trial_goes_to_one_of_many_workers(where):
    study_in(where).enqueue_trial({"rate": 1e-3})
    study = study_in(where)
    with ThreadPoolExecutor(4) as pool:
        trials = list(pool.map(lambda _: ask(study, SPACE), range(4)))
    assert sorted(trial.number for trial in trials) == [0, 1, 2, 3]
    assert [trial.params["rate"] for trial in trials].count(1e-3) == 1


# Opening.


def test_a_file_has_a_write_ahead_log_and_a_folder_made_for_it(tmp_path):
    file = tmp_path / "new folder" / "a{b}%20?#.db"
    study_in(file)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with engine_of(study_in(file)).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    assert study_in(f"sqlite:///{tmp_path}/other.db").trials == []
    assert (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    "where, message",
    [
        ("redis://localhost/0", "'sqlite:///file'.* but got 'redis://'"),
        ("mssql://localhost/0", "but got 'mssql://'"),
        ("sqlite://", "a database in memory ends with its process"),
        ("sqlite:///:memory:", "a database in memory"),
        (f"postgresql://u:{PASSWORD}@host:port/db", "but got one that cannot be read"),
        (f"postgresql://u:{PASSWORD}@x@host/db", "more than one '@'"),
    ],
)
def test_an_address_that_is_none_is_refused(where, message):
    with pytest.raises(ConfigError, match=message) as raised:
        open_storage(where)
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))


def test_a_closed_storage_opens_itself_again(where):
    study = study_in(where)
    close_storage(study._storage)
    assert study.trials == []
    close_storage(optuna.storages.InMemoryStorage())


def test_the_grace_period_exceeds_the_interval(tmp_path):
    with pytest.raises(ConfigError, match="heartbeat_interval=30, grace_period=30"):
        open_storage(tmp_path / "study.db", grace_period=30)


@pytest.mark.parametrize(
    "url, driver",
    [
        ("postgres://u:p@h/d", "postgresql+psycopg"),
        ("postgresql://u:p@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2"),
    ],
)
def test_the_driver_is_the_third_psycopg_unless_another_is_named(url, driver):
    pytest.importorskip("psycopg")
    assert module.address(url).drivername == driver


@pytest.mark.parametrize(
    "url, package, pip",
    [
        ("postgresql+psycopg://u:p@h/d", "psycopg", 'pip install "sweeprl[postgres]"'),
        ("postgresql+psycopg2://u:p@h/d", "psycopg2", "pip install psycopg2"),
        ("mysql+pymysql://u:p@h/d", "pymysql", 'pip install "sweeprl[mysql]"'),
    ],
)
def test_a_missing_driver_is_answered_with_its_command(url, package, pip, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as raised:
        open_storage(url)
    assert str(raised.value).endswith(f"needs the package {package}, which is not installed: {pip}")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(DatabaseFailed, match="notes.txt .*file is not a database"):
        open_storage(file)


def test_a_wrong_password_is_refused_at_once_and_not_shown(database, server):
    url = database.replace(PASSWORD, "wr0ng-word")
    begun = time.monotonic()
    refusal = "password authentication failed|Access denied"
    with pytest.raises(DatabaseFailed, match=refusal) as raised:
        open_storage(url)
    assert time.monotonic() - begun < 5
    shown = "".join(traceback.format_exception(raised.value))
    assert "wr0ng-word" not in shown
    assert "tester:***@127.0.0.1" in shown
    begun = time.monotonic()
    with pytest.raises(DatabaseFailed, match="does not exist|Unknown database"):
        open_storage(server.url("nothing"))
    assert time.monotonic() - begun < 5


def test_a_server_that_is_down_at_the_start_is_waited_for_shortly(database, server):
    server.stop("immediate")
    said = []
    with pytest.raises(DatabaseFailed, match="does not answer .*Gave up after") as raised:
        open_storage(database, patience=6, say=said.append)
    assert len(said) == 1
    shown = "".join(traceback.format_exception(raised.value)) + said[0]
    assert PASSWORD not in shown


def test_many_processes_may_open_a_new_database_at_once(where):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        numbers = pool.map(_open_and_ask, [str(where)] * 3)
    assert sorted(numbers) == [0, 1, 2]


def _open_and_ask(where: str) -> int:
    study = study_in(where)
    number = ask(study, SPACE).number
    close_storage(study._storage)
    return number


# Outages.


class Writer(threading.Thread):
    """Asks, reports and tells until it is stopped; keeps what was acknowledged."""

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(daemon=True)
        self.study = study
        self.told: dict[int, tuple[float, dict[int, float]]] = {}
        self.error: BaseException | None = None
        self.is_stopped = False

    def run(self) -> None:
        try:
            while not self.is_stopped:
                self.write()
        except BaseException as error:
            self.error = error

    def write(self) -> None:
        trial = ask(self.study, SPACE)
        trial.set_user_attr("params", trial.params)
        reports = {step: trial.number + step / 10_000 for step in (1000, 2000)}
        for step, value in reports.items():
            trial.report(value, step)
            self.study._storage.record_heartbeat(trial._trial_id)
        value = float(trial.number)
        self.study.tell(trial, value)
        self.told[trial.number] = (value, reports)

    def finish(self) -> None:
        """Lets it write a few more trials, and end."""
        enough = len(self.told) + 3
        deadline = time.monotonic() + 60
        while self.error is None and len(self.told) < enough and time.monotonic() < deadline:
            time.sleep(0.05)
        self.is_stopped = True
        self.join(60)
        assert self.error is None, self.error
        assert len(self.told) >= enough


def check_written(writers, where):
    """All that was acknowledged is there, once, and nothing else."""
    trials = study_in(where).get_trials()
    told = {number: entry for writer in writers for number, entry in writer.told.items()}
    assert sum(len(writer.told) for writer in writers) == len(told)
    assert [trial.number for trial in trials] == list(range(len(told)))
    assert {t.number: (t.value, t.intermediate_values) for t in trials} == told
    assert all(trial.user_attrs["params"] == trial.params for trial in trials)


def test_a_restart_in_mid_use_goes_unnoticed(database, server):
    said = []
    study = study_in(database, said)
    trial = ask(study, SPACE)
    trial.report(1.0, 1000)
    server.stop("fast")
    server.start()
    trial.report(2.0, 2000)
    study.tell(trial, 2.0)
    assert study_in(database).trials[0].intermediate_values == {1000: 1.0, 2000: 2.0}
    assert said == []


def test_a_crash_of_the_server_is_waited_out(database, server):
    said = []
    study = study_in(database, said)
    writers = [Writer(study), Writer(study_in(database))]
    for writer in writers:
        writer.start()
    time.sleep(1)
    for seconds in (4, 0):
        server.stop("immediate")
        time.sleep(seconds)
        server.start()
        time.sleep(1)
    for writer in writers:
        writer.finish()
    check_written(writers, database)
    outages = [line for line in said if "does not answer" in line]
    assert 1 <= len(outages) <= 2
    assert f"//tester:***@127.0.0.1:{server.port}/" in outages[0]
    assert "goes on by itself" in outages[0]
    assert "answers again after" in said[1]


def test_connections_that_are_cut_lose_and_double_nothing(database, server):
    writers = [Writer(study_in(database)) for _ in range(3)]
    for writer in writers:
        writer.start()
    cut, until = 0, time.monotonic() + 5
    while time.monotonic() < until:
        time.sleep(0.05)
        cut += server.cut(database.rpartition("/")[2])
    for writer in writers:
        writer.finish()
    assert cut > 3
    check_written(writers, database)


def test_nothing_is_stale_right_after_an_outage(database, server):
    study = study_in(database, heartbeat_interval=1, grace_period=3)
    trial = ask(study, SPACE)
    study._storage.record_heartbeat(trial._trial_id)
    server.stop("immediate")
    starter = threading.Timer(4, server.start)
    starter.start()
    ask(study, SPACE)
    starter.join()
    assert stale(study) == []
    time.sleep(3.5)
    assert stale(study) == [trial.number]


def test_patience_ends(database, server):
    study = study_in(database, patience=1)
    trial = ask(study, SPACE)
    server.stop("immediate")
    with pytest.raises(DatabaseFailed, match="Gave up after 1 s") as raised:
        trial.report(1.0, 1000)
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))
    server.start()
    trial.report(1.0, 1000)
    assert study.trials[0].intermediate_values == {1000: 1.0}


_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("COMMIT")
"""


def test_a_file_that_another_program_locks_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0.5)
    file, said = tmp_path / "study.db", []
    writer = Writer(study_in(file, said))
    writer.start()
    command = [sys.executable, "-c", _LOCK, str(file), "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as locker:
        assert locker.stdout.readline() == "locked\n"
        locker.wait()
    writer.finish()
    check_written([writer], file)
    assert "is locked by another program (database is locked)" in said[0]
    assert "answers again" in said[1]
    assert len(said) == 2


def test_a_full_disk_is_waited_out(tmp_path):
    with small_disk(tmp_path, "8m") as disk:
        file, said = disk / "study.db", []
        study = study_in(file, said)
        writer = Writer(study)
        writer.start()
        time.sleep(0.5)
        with filled(disk):
            deadline = time.monotonic() + 30
            while not said and time.monotonic() < deadline:
                time.sleep(0.05)
            assert "has no room left on its disk" in said[0]
        writer.finish()
        check_written([writer], file)
        assert len(said) == 2
        close_storage(study._storage)


# Calls that were carried out, and whose connection broke before the acknowledgement.


class Broken:
    """Makes the commit of the next call break after it was carried out."""

    def __init__(self, study: optuna.Study) -> None:
        self._engine, self.count = engine_of(study), 0

    def __enter__(self) -> Broken:
        dialect = self._engine.dialect
        commit = dialect.do_commit

        def commit_and_break(connection):
            commit(connection)
            if self.count == 0:
                self.count = 1
                raise self._engine.dialect.dbapi.OperationalError("server closed the connection")

        dialect.do_commit = commit_and_break
        self._undo = functools.partial(setattr, dialect, "do_commit", commit)
        return self

    def __exit__(self, *_) -> None:
        self._undo()
        assert self.count == 1


def test_an_acknowledgement_that_is_lost_makes_no_second_trial(where):
    study = study_in(where)
    with Broken(study):
        trial = ask(study)
    with Broken(study):
        study.enqueue_trial({"rate": 1e-3})
    with Broken(study):
        study.add_trial(create_trial(value=1.0, params={"rate": 1e-3}, distributions=rate()))
    states = [trial.state for trial in study_in(where).get_trials()]
    assert states == [TrialState.RUNNING, TrialState.WAITING, TrialState.COMPLETE]
    assert trial.number == 0


def rate():
    return {"rate": SPACE["rate"]}


def test_an_acknowledgement_that_is_lost_loses_no_waiting_trial(where):
    study = study_in(where)
    study.enqueue_trial({"rate": 1e-3})
    with Broken(study):
        trial = ask(study)
    assert trial.number == 0
    assert len(study.get_trials()) == 1


@pytest.mark.parametrize(
    "state, values",
    [(TrialState.COMPLETE, [2.0]), (TrialState.PRUNED, [2.0]), (TrialState.FAIL, None)],
)
def test_an_acknowledgement_that_is_lost_does_not_undo_the_end(where, state, values):
    study = study_in(where)
    trial = ask(study)
    with Broken(study):
        study._storage.set_trial_state_values(trial._trial_id, state, values)
    assert study.trials[0].state == state
    assert study.trials[0].values == values


def test_an_acknowledgement_that_is_lost_does_not_hide_that_another_was_first(where):
    study, other = study_in(where), study_in(where)
    trial = ask(study)
    backend = study._storage._backend
    change = backend._sign_and_change

    def break_before_it_is_carried_out(*args):
        backend._sign_and_change = change
        other._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [2.0])
        raise exc.OperationalError("UPDATE", {}, Exception("server closed the connection"))

    backend._sign_and_change = break_before_it_is_carried_out
    with pytest.raises(UpdateFinishedTrialError):
        study._storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [2.0])


def test_an_acknowledgement_that_is_lost_repeats_no_other_write(where):
    study = study_in(where)
    trial = ask(study)
    number = trial._trial_id
    with Broken(study):
        study._storage.set_trial_param(number, "rate", 1e-3, SPACE["rate"])
    with Broken(study):
        study._storage.set_trial_intermediate_value(number, 1000, 1.0)
    with Broken(study):
        study._storage.set_trial_user_attr(number, "worker", "a")
    with Broken(study):
        study._storage.record_heartbeat(number)
    with Broken(study):
        study.set_user_attr("version", 1)
    (kept,) = study_in(where).get_trials()
    assert kept.params == {"rate": 1e-3}
    assert kept.intermediate_values == {1000: 1.0}
    assert kept.user_attrs == {"worker": "a"}


def test_an_acknowledgement_that_is_lost_makes_no_second_study(where):
    study = study_in(where)
    with Broken(study):
        new = study._storage.create_new_study([StudyDirection.MAXIMIZE], "new")
    assert study._storage.get_study_id_from_name("new") == new
    with Broken(study):
        study._storage.delete_study(new)
    assert [one.study_name for one in study._storage.get_all_studies()] == ["study"]


def test_errors_that_waiting_does_not_mend_are_raised_at_once(where):
    study = study_in(where)
    trial = ask(study, SPACE)
    with pytest.raises(ValueError, match="DistributionTypeError|does not support dynamic"):
        study._storage.set_trial_param(
            trial._trial_id, "size", 0, CategoricalDistribution([32, 64, 128])
        )
    with pytest.raises(KeyError):
        study._storage.get_study_id_from_name("nothing")


def test_reads_of_finished_trials_come_from_the_cache(where):
    study = study_in(where)
    for value in range(3):
        study.tell(ask(study, SPACE), value)
    study.get_trials()
    statements = []
    event.listen(
        engine_of(study), "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    study._storage.get_trial(1)
    assert statements == []
    study.get_trials()
    assert len(statements) < 5
