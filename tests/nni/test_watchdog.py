"""The real NNI is broken in the ways it breaks by itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock, Timeout

from sweeprl.errors import ConfigError
from sweeprl.nni.reading.listing import Experiment, find
from sweeprl.nni.running import watchdog
from sweeprl.nni.running.experiments import create, resume, revive, stop
from sweeprl.nni.running.processes import find_processes
from sweeprl.nni.running.watchdog import Watchdog, watch
from tests.nni.folders import PATIENT, free_port, write_folder
from tests.trials.managers import ODD_ANSWERS, answering


def begun(folder, **settings):
    return find(create(write_folder(folder, **settings), free_port()))


def watched(experiment, say, **settings):
    guard = Watchdog(experiment, say, every_seconds=0.2, **settings)
    return guard.watch(lambda: False, keep_open=False)


class Saboteur:
    """Listens to the watchdog; does a harm when a trial ends, the next one after a resume."""

    def __init__(self, *harms):
        self.lines, self._harms, self._is_armed = [], list(harms), True

    def __call__(self, line):
        self.lines.append(line)
        if line.startswith("Resumed"):
            self._is_armed = True
        elif self._harms and self._is_armed:
            self._is_armed = False
            self._harms.pop(0)()


def test_a_dead_manager_and_a_dead_tuner_cost_no_trial(home, tmp_path):
    experiment = begun(tmp_path / "folder", maxTrialNumber=5)

    def kill_manager():
        (manager,) = find_processes(experiment.id).managers
        manager.kill()

    def kill_tuner():
        for process in find_processes(experiment.id).dispatchers:
            process.kill()

    say = Saboteur(kill_manager, kill_tuner)
    outcome = watched(experiment, say)
    assert outcome.status == "done"
    assert outcome.reason == "all trials have ended"
    assert outcome.trials.startswith("5 trials: 5 succeeded; best 0.")
    resumed = [line for line in say.lines if line.startswith("Resumed")]
    assert [line.split(" (")[0] for line in resumed] == ["Resumed", "Resumed"]
    assert "(1 of 2), since NNI's manager is gone" in resumed[0]
    assert "(1 of 2), since " in resumed[1]  # a trial has ended in between
    assert not find_processes(experiment.id)


def test_a_tuner_that_raises_is_the_end(home, tmp_path):
    tuner = {"className": "broken.BrokenTuner", "codeDirectory": "."}
    experiment = begun(tmp_path / "folder", tuner=tuner)
    lines = []
    outcome = watched(experiment, lines.append, max_resumes=1)
    reason = "its tuner or assessor has raised ValueError: no idea left"
    assert lines == [f"Resumed (1 of 1), since {reason}"]
    assert outcome.status == "failed"
    assert outcome.reason == f"{reason}; resumed 1 time, no trial ended since"
    assert not find_processes(experiment.id)


def test_a_tuner_with_nothing_to_propose_is_the_end_of_a_done_experiment(home, tmp_path):
    space = {"x": {"_type": "choice", "_value": [1, 2]}}
    settings = {"searchSpaceFile": None, "searchSpace": space, "tuner": {"name": "GridSearch"}}
    experiment = begun(tmp_path / "folder", **settings)
    outcome = watched(experiment, print)
    assert outcome.status == "done"
    assert outcome.reason == "the tuner has no more trials to propose"
    assert outcome.trials.startswith("2 trials: 2 succeeded; best 2 by trial")


def test_a_tuner_that_hangs_is_a_stall(home, tmp_path):
    tuner = {"className": "broken.HungTuner", "codeDirectory": "."}
    experiment = begun(tmp_path / "folder", tuner=tuner)
    with FileLock(experiment.folder / "watchdog.lock"):
        with pytest.raises(ConfigError, match="must have one watchdog, but another one"):
            watch(experiment.id, pytest.fail)
    outcome = watched(experiment, pytest.fail, max_resumes=0, stall_seconds=1.0)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("no trial has run or ended for 1 s; resumed 0 times")
    assert not find_processes(experiment.id)
    outcome = watched(experiment, pytest.fail)
    assert (outcome.status, outcome.reason) == ("stopped", "from elsewhere")


@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_whatever_answers_in_the_managers_place_does_not_end_the_watchdog(
    home, tmp_path, odd, monkeypatch
):
    with answering(ODD_ANSWERS[odd]) as port:
        experiment = Experiment("abc", tmp_path, port, 0.0)
        monkeypatch.setattr(watchdog, "find", lambda _: experiment)
        outcome = watched(experiment, pytest.fail, max_resumes=0)
    assert outcome.status == "failed"
    assert outcome.reason.startswith("NNI's manager is gone: ")


def test_a_trial_that_hangs_is_said_and_not_killed(home, tmp_path):
    experiment = begun(tmp_path / "folder", trial=PATIENT, maxTrialNumber=1)
    lines = []
    guard = Watchdog(experiment, lines.append, every_seconds=0.2, quiet_seconds=1.0)
    until = []

    def should_stop() -> bool:
        until.append(len(find_processes(experiment.id).trials))
        return bool(lines) or len(until) > 300

    outcome = guard.watch(should_stop, keep_open=False)
    assert [line.split(":")[0] for line in lines] == ["Nothing has happened for 0.0167 min"]
    assert until[-1] > 0
    assert outcome.status == "stopped"


def test_a_resume_and_the_watchdogs_own_do_not_end_each_other(home, tmp_path):
    experiment = begun(tmp_path / "folder", trial=PATIENT)
    guard = Watchdog(experiment, pytest.fail)
    for process in find_processes(experiment.id).managers:
        process.kill()
    with ThreadPoolExecutor() as pool:
        by_user = pool.submit(resume, experiment.id)
        wait_for(FileLock(experiment.folder / "resume.lock"))
        assert not revive(experiment)  # waits, and finds it done
        assert by_user.result(timeout=1.0) == experiment.id
    (manager,) = find_processes(experiment.id).managers
    assert guard._help("its manager is gone") is None  # says nothing, and resumes nothing
    assert find_processes(experiment.id).managers == [manager]
    with pytest.raises(ConfigError, match="does not run can be resumed"):
        resume(experiment.id)
    stop(experiment.id)


def wait_for(lock):
    """Until somebody else has it."""
    for _ in range(500):
        try:
            with lock.acquire(timeout=0):
                pass
        except Timeout:
            return
        time.sleep(0.02)  # not in the lock, which the other one looks at from time to time
    pytest.fail("nobody took the lock")
