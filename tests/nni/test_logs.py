from __future__ import annotations

from datetime import datetime

import pytest

from sweeprl.nni.reading.logs import (
    cannot_train,
    dispatcher_error,
    is_stopped_in_order,
    manager_error,
    search_error,
)

DISPATCHER = """\
[2026-01-02 10:00:00] INFO (nni.tuner.tpe/MainThread) Using random seed 1
[2026-01-02 10:00:05] ERROR (nni.runtime.msg_dispatcher_base/Thread-1 (command_queue_worker)) 5
Traceback (most recent call last):
  File "msg_dispatcher_base.py", line 108, in command_queue_worker
    self.process_command(command, data)
  File "tpe_tuner.py", line 200, in receive_trial_result
    params = self._running_params.pop(parameter_id)
KeyError: 5
[2026-01-02 10:00:06] INFO (nni.runtime.msg_dispatcher_base/MainThread) Dispatcher exiting...
"""
MANAGER = """\
[2026-01-02 10:00:00] INFO (main) Start NNI manager
[2026-01-02 10:00:02] ERROR (NNIManager) Error: Failed to collect GPU info
    at somewhere
[2026-01-02 10:00:03] INFO (ShutdownManager) Initiate shutdown: SIGTERM
"""
BEFORE = datetime(2026, 1, 2, 9).timestamp()
AFTER = datetime(2026, 1, 2, 11).timestamp()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "dispatcher.log").write_text(DISPATCHER)
    (tmp_path / "log" / "nnimanager.log").write_text(MANAGER)
    return tmp_path


def test_what_has_ended_the_tuner(folder):
    assert dispatcher_error(folder, BEFORE) == "KeyError: 5"


def test_what_the_manager_has_met(folder):
    assert manager_error(folder, BEFORE) == "Error: Failed to collect GPU info"
    assert is_stopped_in_order(folder, BEFORE)


def test_a_manager_that_could_not_reach_a_machine_was_not_stopped_by_anybody(folder):
    assert not cannot_train(folder, BEFORE)
    text = MANAGER.replace("SIGTERM", "training service initialize failed")
    (folder / "log" / "nnimanager.log").write_text(text)
    assert cannot_train(folder, BEFORE)
    assert not is_stopped_in_order(folder, BEFORE)
    assert not cannot_train(folder, AFTER)


def test_a_former_run_is_not_this_one(folder):
    assert dispatcher_error(folder, AFTER) is None
    assert manager_error(folder, AFTER) is None
    assert not is_stopped_in_order(folder, AFTER)


def test_a_tuner_may_log_an_exception_and_go_on(folder):
    text = DISPATCHER.replace("nni.runtime.msg_dispatcher_base", "sweeprl.nni.tuner")
    (folder / "log" / "dispatcher.log").write_text(text)
    assert dispatcher_error(folder, BEFORE) is None


def test_the_last_of_chained_exceptions_counts(folder):
    chained = DISPATCHER.replace(
        "KeyError: 5",
        "KeyError: 5\n\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "x.py", line 1, in f\nRuntimeError: lost',
    )
    (folder / "log" / "dispatcher.log").write_text(chained)
    assert dispatcher_error(folder, BEFORE) == "RuntimeError: lost"


def test_no_log(tmp_path):
    assert dispatcher_error(tmp_path, BEFORE) is None


def test_what_our_own_tuner_ends_an_experiment_for(folder):
    text = DISPATCHER.replace("nni.runtime.msg_dispatcher_base", "nni.sweeprl")
    log = folder / "log" / "dispatcher.log"
    log.write_text(text.replace(")) 5\n", ")) Taking note of a trial's end did not work: 5\n"))
    assert search_error(folder, BEFORE) is None
    log.write_text(text.replace(")) 5\n", ")) Proposing a trial did not work: 5\n"))
    assert search_error(folder, BEFORE) == "KeyError: 5"
    assert search_error(folder, AFTER) is None
    assert dispatcher_error(folder, BEFORE) is None
