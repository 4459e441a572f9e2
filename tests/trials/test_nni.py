"""Trials of NNI beside a manager that is only played; tests/nni has the real one."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeprl import TrialConfig
from sweeprl.config import save_config
from sweeprl.errors import ConfigError
from sweeprl.launcher import TrialFolder, TrialRecord
from sweeprl.trials.backend import detect_backend
from sweeprl.trials.nni import NNIBackend, NNIReporter, NNITrialFile
from sweeprl.trials.nni_channel import LibraryChannel, ManagerChannel
from sweeprl.trials.proposed import run_proposed
from sweeprl.trials.trial import TrialOutcome
from tests.trials.managers import ODD_ANSWERS, SPACE, Manager, answering
from tests.wrappers import Insisted


@pytest.fixture
def manager():
    played = Manager()
    yield played
    played.close()


@pytest.fixture
def environ(manager, tmp_path) -> dict[str, str]:
    (tmp_path / "out").mkdir()
    return manager.environ("abcde", tmp_path / "out")


@pytest.fixture
def base(small_config) -> TrialConfig:
    return TrialConfig.of({**small_config("DQN"), "report_every_env_steps": 100})


def backend_of(environ) -> NNIBackend:
    found = detect_backend(environ)
    assert isinstance(found, NNIBackend)
    return found


def outcome(status: str, score: float | None) -> TrialOutcome:
    return TrialOutcome((TrialRecord(status=status, score=score),))


def test_only_a_process_that_nni_has_started_is_a_trial(environ):
    assert detect_backend({}) is None
    assert detect_backend({"NNI_PLATFORM": "unittest", "NNI_TRIAL_JOB_ID": "x"}) is None
    assert isinstance(backend_of(environ).channel, ManagerChannel)


def test_older_versions_go_through_the_library(environ):
    del environ["NNI_TRIAL_COMMAND_CHANNEL"]
    assert isinstance(backend_of(environ).channel, LibraryChannel)


def test_a_trial_takes_its_own_parameters_and_reports_every_grid_point(
    manager, environ, base, tmp_path
):
    manager.knows_after = 2
    ended = run_proposed(base, backend_of(environ), tmp_path)
    assert ended.status == "finished"
    trained = TrialFolder(tmp_path / "out").load_config().frame_config
    assert (trained.batch_size, trained.learning_rate) == (32, 0.002)
    kept = NNITrialFile.load(tmp_path / "out")
    assert kept is not None
    assert kept.params == {"batch_size": 32, "learning_rate": 0.002}
    assert (kept.parameter_id, kept.final, kept.is_final_delivered) == (7, ended.score, True)
    assert [point["env_steps"] for point in manager.values("PERIODICAL")] == [
        at for at, _ in kept.reports
    ]
    assert [metric["sequence"] for metric in manager.metrics[:-1]] == list(range(len(kept.reports)))
    assert {metric["parameter_id"] for metric in manager.metrics} == {7}
    assert [one["default"] for one in manager.values("FINAL")] == [ended.score]


def test_a_second_signal_does_not_break_into_saving(environ, small_config, tmp_path):
    Insisted.steps = 0
    plain = small_config("DQN")
    plain["train_env_config"]["wrappers"] = ["tests.wrappers.Insisted"]
    plain["frame_config"]["collect_steps"] = 100
    ended = run_proposed(TrialConfig.of(plain), backend_of(environ), tmp_path)
    assert (ended.status, ended.env_steps) == ("stopped", 400)  # the running chunk is trained
    Insisted.steps = 10**6
    assert run_proposed(TrialConfig.of(plain), backend_of(environ), tmp_path).status == "finished"


def test_the_number_of_a_study_comes_back_with_every_report(manager, environ, base, tmp_path):
    manager.proposal["_trial"] = 12
    run_proposed(base, backend_of(environ), tmp_path)
    assert {point["trial"] for point in manager.values("PERIODICAL")} == {12}


def test_what_nni_has_is_not_sent_again(manager, environ, base, tmp_path):
    run_proposed(base, backend_of(environ), tmp_path)
    before = list(manager.metrics)
    assert run_proposed(base, backend_of(environ), tmp_path).status == "finished"
    assert manager.metrics == before


def test_what_was_sent_right_before_a_kill_is_not_sent_again(
    manager, environ, base, tmp_path, monkeypatch
):
    send, out = ManagerChannel.send, tmp_path / "out"

    def send_and_look(self, kind, sequence, value):
        send(self, kind, sequence, value)
        shutil.copytree(out, tmp_path / f"killed-{len(manager.metrics)}")

    def reporter_of(folder: Path) -> NNIReporter:
        backend = backend_of(environ | {"NNI_OUTPUT_DIR": str(folder)})
        backend.proposal(base, tmp_path)
        return backend.reporter()

    with monkeypatch.context() as watched:
        watched.setattr(ManagerChannel, "send", send_and_look)
        reporter = reporter_of(out)
        reporter.report(100, 1.0)
    reporter_of(tmp_path / "killed-1").report(100, 1.5)
    assert [one["default"] for one in manager.values("PERIODICAL")] == [1.0]
    with monkeypatch.context() as watched:
        watched.setattr(ManagerChannel, "send", send_and_look)
        reporter.finish(outcome("finished", 2.0))
    kept = NNITrialFile.load(tmp_path / "killed-2")
    assert kept is not None
    assert kept.final == 2.0
    reporter_of(tmp_path / "killed-2").finish(outcome("finished", 2.0))
    assert [one["default"] for one in manager.values("FINAL")] == [2.0]


def test_what_did_not_arrive_is_sent_when_the_trial_goes_on(manager, environ, base, tmp_path):
    run_proposed(base, backend_of(environ), tmp_path)
    sent, manager.metrics = list(manager.metrics), []
    run_proposed(base, backend_of(environ), tmp_path)
    assert [m["value"] for m in manager.metrics] == [m["value"] for m in sent]


def test_a_manager_that_is_gone_does_not_hurt_the_training(
    manager, environ, base, tmp_path, caplog
):
    backend = backend_of(environ)
    backend.proposal(base, tmp_path)
    reporter = backend.reporter()
    manager.close()
    with caplog.at_level(logging.WARNING):
        reporter.report(100, 1.0)
        reporter.report(200, 2.0)
        reporter.finish(outcome("finished", 2.0))
    complaints = [r for r in caplog.records if "did not take a report" in r.message]
    assert len(complaints) == 1 + 3  # not of the second report, and of each last attempt
    kept = NNITrialFile.load(tmp_path / "out")
    assert kept is not None
    assert (kept.reports, kept.num_delivered, kept.final) == ([(100, 1.0), (200, 2.0)], 0, 2.0)


@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_whatever_answers_in_its_place_does_not_hurt_the_training(
    environ, base, tmp_path, odd, monkeypatch
):
    monkeypatch.setattr("sweeprl.trials.nni.time.sleep", lambda seconds: None)
    backend = backend_of(environ)
    backend.proposal(base, tmp_path)
    assert backend._file is not None
    with answering(ODD_ANSWERS[odd]) as port:
        url = f"http://127.0.0.1:{port}/env/local-env/abcde"
        reporter = NNIReporter(ManagerChannel(url, "abcde"), backend._file, tmp_path / "out")
        reporter.report(100, 1.0)
        reporter.finish(outcome("finished", 2.0))
    kept = NNITrialFile.load(tmp_path / "out")
    assert kept is not None
    assert (kept.reports, kept.final) == ([(100, 1.0)], 2.0)


def test_a_manager_that_answers_otherwise_has_no_parameters():
    for odd in ODD_ANSWERS.values():
        with answering(odd) as port:
            url = f"http://127.0.0.1:{port}/env/local-env/abcde"
            with pytest.raises(ConfigError, match="must give parameters to trial 'abcde'"):
                ManagerChannel(url, "abcde", patience=0.0).parameters()


def test_a_full_disk_does_not_end_the_training(
    manager, environ, base, tmp_path, monkeypatch, caplog
):
    backend = backend_of(environ)
    backend.proposal(base, tmp_path)
    reporter = backend.reporter()
    with monkeypatch.context() as full:
        full.setattr("sweeprl.trials.nni._write", _no_room)
        reporter.report(100, 1.0)
    assert "could not be kept in" in caplog.text
    assert "No space left on device" in caplog.text
    reporter.report(200, 2.0)
    kept = NNITrialFile.load(tmp_path / "out")
    assert kept is not None
    assert kept.reports == [(100, 1.0), (200, 2.0)]
    assert [one["default"] for one in manager.values("PERIODICAL")] == [1.0, 2.0]


def test_numbers_become_what_the_config_has_where_no_space_is_known(
    manager, environ, base, tmp_path
):
    manager.space = None
    manager.proposal.clear()
    manager.proposal.update(batch_size=16.0, learning_rate=1)  # as NNI writes 16 and 1.0
    assert run_proposed(base, backend_of(environ), tmp_path).status == "finished"
    trained = TrialFolder(tmp_path / "out").load_config().frame_config
    assert (trained.batch_size, trained.learning_rate) == (16, 1.0)
    assert (type(trained.batch_size), type(trained.learning_rate)) == (int, float)


def test_a_report_that_the_library_cannot_send_does_not_hurt_the_training(
    base, tmp_path, monkeypatch, caplog
):
    import nni

    def raise_error(metric):
        raise RuntimeError("the pipe is broken")

    monkeypatch.setattr(nni, "report_intermediate_result", raise_error)
    sent = []
    monkeypatch.setattr(nni, "report_final_result", sent.append)
    file = NNITrialFile("exp", "abcde")
    reporter = NNIReporter(LibraryChannel(), file, tmp_path)
    reporter.report(100, 1.0)
    assert "did not take a report: the pipe is broken" in caplog.text
    monkeypatch.setattr(nni, "report_intermediate_result", sent.append)
    reporter.finish(outcome("finished", 2.0))
    assert [metric["default"] for metric in sent] == [1.0, 2.0]


def _no_room(path, text):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_nothing_that_would_stall_a_tuner_is_sent(manager, environ, base, tmp_path, score):
    backend = backend_of(environ)
    backend.proposal(base, tmp_path)
    reporter = backend.reporter()
    if score is not None:
        reporter.report(100, score)
    reporter.finish(outcome("finished", score))
    reporter.finish(outcome("failed", None))
    assert manager.metrics == []


def test_the_space_beside_the_config_serves_where_the_manager_has_died(
    manager, environ, base, tmp_path, monkeypatch
):
    def died(self):
        raise ConnectionRefusedError

    monkeypatch.setattr(ManagerChannel, "search_space", died)
    (tmp_path / "search_space.json").write_text(json.dumps(SPACE))
    assert backend_of(environ).proposal(base, tmp_path).params["batch_size"] == 32


def test_a_proposal_outside_the_space_is_refused(manager, environ, base, tmp_path):
    manager.proposal["learning_rate"] = 3.0
    with pytest.raises(ConfigError, match="'learning_rate' must lie in"):
        run_proposed(base, backend_of(environ), tmp_path)
    assert not TrialFolder(tmp_path / "out").record.exists()


def test_a_manager_that_never_knows_the_trial_is_given_up(manager):
    manager.knows_after = 10**9
    channel = ManagerChannel(manager.url, "abcde", patience=0.2)
    with pytest.raises(ConfigError, match="within 0.2 s, but .*: it has none yet"):
        channel.parameters()


def test_a_proxy_is_not_asked_for_this_machine(manager, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ManagerChannel(manager.url, "abcde").parameters()[1] == 7


def test_a_population_hands_its_agents_on(manager, environ, base, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    folders = {"load_checkpoint_dir": str(first), "save_checkpoint_dir": str(second)}
    manager.proposal.update(folders)
    run_proposed(base, backend_of(environ), tmp_path)
    assert (second / "last.ckpt").exists()
    manager.proposal.update({"load_checkpoint_dir": str(second), "learning_rate": 0.005})
    (tmp_path / "next").mkdir()
    run_proposed(base, backend_of({**environ, "NNI_OUTPUT_DIR": str(tmp_path / "next")}), tmp_path)
    import torch

    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        for folder in (tmp_path / "out", tmp_path / "next")
    ]
    steps = [state["train_data"]["counts"][0] for state in states]
    updates = [state["learner"]["counts"][1] for state in states]
    assert steps[0] == pytest.approx(steps[1], abs=500)  # a budget each
    assert updates[1] > updates[0]  # and one agent


def test_importing_nni_leaves_output_and_log_level_alone(monkeypatch):
    before = sys.stdout, logging.getLogger().level
    with pytest.raises(ConfigError, match="NNI must have parameters"):
        with pytest.warns(RuntimeWarning, match="without runtime"):
            LibraryChannel().parameters()
    assert (sys.stdout, logging.getLogger().level) == before


TRIAL = """
import sys
from pathlib import Path
from sweeprl.config.io import load_config
from sweeprl.trials.backend import detect_backend
from sweeprl.trials.proposed import train_and_end
train_and_end(load_config(sys.argv[1]), detect_backend(), Path.cwd())
"""


def started(environ, base, tmp_path, **changes) -> subprocess.Popen[str]:
    """A trial in a process of its own, in a few lines as a user writes them."""
    save_config(base.model_copy(update=changes), tmp_path / "base.json")
    return subprocess.Popen(
        [sys.executable, "-c", TRIAL, tmp_path / "base.json"],
        env={**os.environ, **environ},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_trial_of_ones_own_that_has_finished_ends_with_0(manager, environ, base, tmp_path):
    process = started(environ, base, tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert len(manager.values("FINAL")) == 1


def test_a_trial_of_ones_own_whose_proposal_is_refused_says_why(manager, environ, base, tmp_path):
    manager.proposal["learning_rate"] = 3.0
    process = started(environ, base, tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Error: 'learning_rate' must lie in" in errors
    assert "Traceback" not in errors


def test_a_trial_of_ones_own_that_is_stopped_dies_of_the_signal(manager, environ, base, tmp_path):
    process = started(environ, base, tmp_path, max_env_steps=10**7, max_episodes=10**7)
    deadline = time.monotonic() + 120
    while not manager.values("PERIODICAL"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT, errors
    assert "Traceback" not in errors
    assert TrialFolder(tmp_path / "out").last.exists()
