"""Where a sweep's study is kept, so that neither a crash nor an outage loses a trial.

A file for one machine: SQLite with a write-ahead log, on a local disk (the log does not work over
NFS). PostgreSQL or MySQL for several. Both outlive what a long sweep meets: see
`sweeprl.sweeps.patience`. What was acknowledged is there, and nothing is there twice: the
connection may break after a commit and before its acknowledgement, so that a repeated call has to
tell whether it was carried out. New trials and changes of a trial's state therefore carry a token,
written in the same transaction, by which the repeated call recognises its own work; all other
writes overwrite themselves.

Heartbeats are recorded with `storage.record_heartbeat(trial_id)` by whoever trains a trial. Nothing
is stale for a grace period after an outage: the others could not record theirs, either.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import sqlite3
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from sweeprl.errors import ConfigError, DatabaseFailed, MissingDependencyError
from sweeprl.sweeps.patience import Patience, is_outage

__all__ = ["address", "ask", "close_storage", "open_storage"]

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT = 10.0
"""Seconds that SQLite waits for a lock; then the call is repeated, as after any outage."""

OPENING_PATIENCE = 10.0
"""Seconds; a wrong address should not take minutes to be called wrong."""

NEVER_OPENS = (
    "password authentication failed",
    "Access denied",
    "does not exist",
    "Unknown database",
    "unable to open",
)

TOKEN = "sweeprl:token"
"""The system attribute by which a repeated call recognises its own work."""

TIMEOUTS = {
    "psycopg": {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    },
    "pymysql": {"connect_timeout": 10, "read_timeout": 60, "write_timeout": 60},
}
"""By driver, or a call on a connection whose other end is gone would hang for hours."""

DRIVERS = {
    "postgresql": ("psycopg", 'pip install "sweeprl[postgres]"'),
    "mysql": ("pymysql", 'pip install "sweeprl[mysql]"'),
}


def open_storage(
    where: str | Path,
    *,
    heartbeat_interval: int = 30,
    grace_period: int = 120,
    patience: float = 300.0,
    say: Callable[[str], None] | None = None,
) -> BaseStorage:
    """Opens the storage at `where`, which is made when it is not there.

    It is safe in several threads, but cannot be pickled: a process opens its own.

    Args:
        where: a file, `sqlite:///file`, or the URL of a database on a server:
            `postgresql://user:password@host/database`, `mysql://...`.
        heartbeat_interval: seconds between two heartbeats of a trial.
        grace_period: seconds without a heartbeat after which a trial is stale.
        patience: seconds for which a call is repeated while the database cannot be used.
        say: takes lines meant for the user; the log by default.

    Raises:
        ConfigError: `where` is no such address.
        MissingDependencyError: the database's driver is not installed.
        DatabaseFailed: the database cannot be opened.
    """
    if not 0 < heartbeat_interval < grace_period:
        raise ConfigError(
            "`0 < heartbeat_interval < grace_period` must hold, but got "
            f"heartbeat_interval={heartbeat_interval}, grace_period={grace_period}."
        )
    url = address(where)
    database = url.set(query={}).render_as_string(hide_password=True)
    password = url.password or ""
    opening = Patience(database, min(patience, OPENING_PATIENCE), say, password)

    def open_database(is_repeated: bool) -> RDBStorage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of the heartbeat
            return _PatientStorage(
                # Optuna calls str.format on the URL.
                url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
                Patience(database, patience, say, password),
                engine_kwargs=_engine_settings(url),
                heartbeat_interval=heartbeat_interval,
                grace_period=grace_period,
            )

    try:
        return optuna.storages.get_storage(opening.keep_trying(open_database, _may_open_yet))
    except ImportError as error:
        raise _missing_driver(url, database, error.__cause__ or error) from error
    except exc.SQLAlchemyError as error:
        raise DatabaseFailed(opening.describe(error)) from error
    except RuntimeError as error:  # a schema of another version of Optuna
        raise DatabaseFailed(f"The database {database} cannot be used. {error}") from error


def close_storage(storage: BaseStorage) -> None:
    """Closes the connections of a storage that `open_storage` opened; other storages have none.

    A call that comes later opens new ones.
    """
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage):
        backend.engine.dispose()


def ask(study: optuna.Study, distributions: Mapping[str, BaseDistribution] | None = None) -> Trial:
    """Asks the study for a trial, as `study.ask` does.

    Without its warning that heartbeats are for `study.optimize`: we record our own.
    """
    # Optuna's own mark, and of this thread only: warning filters belong to all threads at once.
    study._thread_local.in_optimize_loop, before = True, study._thread_local.in_optimize_loop
    try:
        return study.ask(dict(distributions) if distributions is not None else None)
    finally:
        study._thread_local.in_optimize_loop = before


def _patient(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Repeats a method that does no harm when it is carried out twice."""

    @functools.wraps(method)
    def patient(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        patience: Patience = self._patience
        return patience.keep_trying(lambda _: method(self, *args, **kwargs))

    return patient


class _PatientStorage(RDBStorage):
    """A database whose calls outlast its outages.

    It stands below Optuna's cache, which calls some methods of RDBStorage by their private names.
    """

    def __init__(self, url: str, patience: Patience, **settings: Any) -> None:
        self._patience = patience
        super().__init__(url, **settings)

    get_study_id_from_name = _patient(RDBStorage.get_study_id_from_name)
    get_study_name_from_id = _patient(RDBStorage.get_study_name_from_id)
    get_study_directions = _patient(RDBStorage.get_study_directions)
    get_study_user_attrs = _patient(RDBStorage.get_study_user_attrs)
    get_study_system_attrs = _patient(RDBStorage.get_study_system_attrs)
    get_all_studies = _patient(RDBStorage.get_all_studies)
    get_trial = _patient(RDBStorage.get_trial)
    get_trial_param = _patient(RDBStorage.get_trial_param)
    get_trial_id_from_study_id_trial_number = _patient(
        RDBStorage.get_trial_id_from_study_id_trial_number
    )
    _get_trials = _patient(RDBStorage._get_trials)
    _get_best_trial_id = _patient(RDBStorage._get_best_trial_id)

    set_study_user_attr = _patient(RDBStorage.set_study_user_attr)
    set_study_system_attr = _patient(RDBStorage.set_study_system_attr)
    set_trial_intermediate_value = _patient(RDBStorage.set_trial_intermediate_value)
    set_trial_user_attr = _patient(RDBStorage.set_trial_user_attr)
    set_trial_system_attr = _patient(RDBStorage.set_trial_system_attr)
    _set_trial_param = _patient(RDBStorage._set_trial_param)
    record_heartbeat = _patient(RDBStorage.record_heartbeat)

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        name = study_name or f"study-{uuid.uuid4()}"

        def create(is_repeated: bool) -> int:
            try:
                return RDBStorage.create_new_study(self, directions, name)
            except DuplicatedStudyError:
                if not is_repeated:
                    raise
                study_id = self.get_study_id_from_name(name)
                if self._get_trials(study_id, None, set(), -1):
                    raise
                return study_id

        return self._patience.keep_trying(create)

    def delete_study(self, study_id: int) -> None:
        def delete(is_repeated: bool) -> None:
            try:
                RDBStorage.delete_study(self, study_id)
            except KeyError:
                if not is_repeated:
                    raise

        self._patience.keep_trying(delete)

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        token = uuid.uuid4().hex

        def create(is_repeated: bool) -> FrozenTrial:
            with _create_scoped_session(self.scoped_session) as session:
                _lock(session)
                # The study's row keeps the trials' numbers distinct.
                models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
                trial = self._created(session, token) if is_repeated else None
                if trial is None:
                    trial = self._get_prepared_new_trial(study_id, template_trial, session)
                    _sign(session, trial.trial_id, token)
                return self._build_frozen_trial_from_trial_model(trial)

        return self._patience.keep_trying(create)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        token = uuid.uuid4().hex

        def is_done() -> bool:
            return self.get_trial(trial_id).system_attrs.get(TOKEN) == token

        def change(is_repeated: bool) -> bool:
            try:
                is_changed = self._sign_and_change(trial_id, state, values, token)
            except UpdateFinishedTrialError:
                if is_repeated and is_done():
                    return True
                raise
            return is_changed or (is_repeated and is_done())

        return self._patience.keep_trying(change)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        assert self.grace_period is not None
        stale = self._patience.keep_trying(
            lambda _: RDBStorage._get_stale_trial_ids(self, study_id)
        )
        return [] if self._patience.has_recovered_within(self.grace_period) else stale

    def _created(self, session: Any, token: str) -> models.TrialModel | None:
        signature = models.TrialSystemAttributeModel
        query = session.query(models.TrialModel).join(signature)
        query = query.filter(signature.key == TOKEN, signature.value_json == json.dumps(token))
        found: models.TrialModel | None = query.one_or_none()
        return found

    def _sign_and_change(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None, token: str
    ) -> bool:
        """Changes the state and signs it, or does neither.

        A thread has one session, so that what is done here and in Optuna's method is one
        transaction.
        """
        with _create_scoped_session(self.scoped_session) as session:
            _lock(session)
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
            is_change = state != TrialState.RUNNING or trial.state == TrialState.WAITING
            if is_change and not trial.state.is_finished():
                _sign(session, trial_id, token)
            return RDBStorage.set_trial_state_values(self, trial_id, state, values)


def _lock(session: Any) -> None:
    """Lets one session at a time go on in SQLite, which cannot lock a row (SELECT FOR UPDATE)."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sign(session: Any, trial_id: Any, token: str) -> None:
    signature = models.TrialSystemAttributeModel
    session.flush()
    session.query(signature).filter_by(trial_id=trial_id, key=TOKEN).delete()
    session.add(signature(trial_id=trial_id, key=TOKEN, value_json=json.dumps(token)))


def address(where: str | Path) -> URL:
    """Returns the URL of a storage, with the driver that we use.

    Raises:
        ConfigError: it is no address of a database, or one that ends with its process.
    """
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite", database=str(Path(where).expanduser()))
    if where.rpartition("?")[0].count("@") > 1 or where.partition("?")[0].count("@") > 1:
        raise ConfigError(
            "The user and password of a database URL must be percent-encoded ('@' is '%40'), but "
            "this one has more than one '@'."
        )
    scheme, _, rest = where.partition("://")
    try:
        url = make_url(f"{'postgresql' if scheme == 'postgres' else scheme}://{rest}")
    except (exc.ArgumentError, ValueError):
        # Their messages may quote the password.
        raise ConfigError(f"{_shape(scheme)}, but got one that cannot be read.") from None
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigError(f"{_shape(scheme)}, but a database in memory ends with its process.")
        return URL.create("sqlite", database=url.database)
    if url.get_backend_name() not in DRIVERS:
        raise ConfigError(f"{_shape(scheme)}, but got '{scheme}://'.")
    return _with_driver(url)


def _shape(scheme: str) -> str:
    return (
        "A storage must be a file, 'sqlite:///file', 'postgresql://user:password@host/database' or "
        "'mysql://user:password@host/database'"
    )


def _with_driver(url: URL) -> URL:
    driver = DRIVERS[url.get_backend_name()][0]
    is_free = "+" not in url.drivername
    if is_free and importlib.util.find_spec(driver) is not None:
        return url.set(drivername=f"{url.drivername}+{driver}")
    return url


def _missing_driver(url: URL, database: str, error: BaseException) -> MissingDependencyError:
    package = getattr(error, "name", None) or url.get_driver_name()
    driver, command = DRIVERS[url.get_backend_name()]
    remedy = command if package == driver else f"pip install {package}"
    return MissingDependencyError(
        f"The storage {database} needs the package {package}, which is not installed: {remedy}"
    )


def _engine_settings(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        assert url.database is not None
        return {"creator": functools.partial(_connect_sqlite, url.database)}
    driver = url.get_driver_name()
    defaults = TIMEOUTS.get("psycopg" if driver.startswith("psycopg") else driver, {})
    chosen = {key: value for key, value in defaults.items() if key not in url.query}
    return {"pool_pre_ping": True, "connect_args": chosen}


def _connect_sqlite(file: str) -> sqlite3.Connection:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    # SQLAlchemy's pool hands a connection from thread to thread, one at a time.
    connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT, check_same_thread=False)
    # Readers do not block the writer. The last commits may be lost when the power fails, not when
    # a process is killed, and the file is never corrupted.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _may_open_yet(error: BaseException) -> bool:
    if any(text in str(error) for text in NEVER_OPENS):
        return False
    # Two processes that make the tables at the same time: the slower one finds them made.
    is_race = isinstance(error, (exc.IntegrityError, exc.ProgrammingError))
    return is_race or is_outage(error)
