from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import sweeprl
from sweeprl.cli.nni import status
from sweeprl.nni.reading import listing
from sweeprl.nni.running import watching
from sweeprl.nni.running.processes import find_processes
from sweeprl.nni.running.watchdog import Outcome
from tests.nni.folders import PATIENT, free_port, write_folder


def started(*arguments) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sweeprl", "nni", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(*arguments) -> str:
    process = started(*arguments)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


def wait_for(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("num_answers", range(1, 4))
def test_status_of_a_manager_that_ends_between_two_questions(
    num_answers, tmp_path, monkeypatch, capsys
):
    answers = {
        "/api/v1/nni/experiment": {"id": "dying", "params": {}},
        "/api/v1/nni/trial-jobs": [],
        "/api/v1/nni/check-status": {"status": "RUNNING"},
    }
    asked = []

    class Dying(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if len(asked) <= num_answers:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(answers[self.path]).encode())

        def log_message(self, *arguments):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Dying)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    experiment = listing.Experiment("dying", tmp_path, server.server_port, 0.0)
    monkeypatch.setattr(listing, "find", lambda experiment_id: experiment)
    status("dying")
    server.shutdown()
    server.server_close()
    assert len(asked) > num_answers
    assert re.search("status +not running", capsys.readouterr().out)


def test_ctrl_c_stops_in_order_and_a_background_process_goes_on(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    folder = write_folder(tmp_path / "folder", PATIENT, maxTrialNumber=2)
    process = started("create", folder, "--port", free_port())
    wait_for(lambda: len(list(home.rglob("trials/*/began"))) == 2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    experiment_id = re.search(r"experiment +(\w+)", out)[1]
    assert re.search(r"web page +http://127.0.0.1:\d+ \(from this machine only\)", out)
    assert "Stopped.\n0 trials." in out
    assert re.search(f"go on +sweeprl nni resume {experiment_id}", out)
    assert not find_processes(experiment_id)
    assert re.search("status +not running", ended("status", experiment_id))

    try:
        out = ended("resume", experiment_id, "--detach", "--keep-open")
        log = Path(re.search("follow +tail -f (.*)", out)[1])
        wait_for(lambda: "The web page stays" in log.read_text())
        assert "Done: all trials have ended.\n2 trials: 2 succeeded; best 0." in log.read_text()
        assert log.stat().st_mode & 0o777 == 0o600
        out = ended("status", experiment_id)
        assert re.search("status +DONE", out)
        assert re.search("ended +2 trials: 2 succeeded", out)
    finally:
        out = ended("stop", experiment_id)
    assert out == f"Stopped. Go on with: sweeprl nni resume {experiment_id}\n"
    assert not find_processes(experiment_id)


def test_a_failed_experiment_is_exit_code_1(monkeypatch):
    monkeypatch.setattr(watching, "watch", lambda *_, **__: Outcome("failed", "so", "0 trials"))
    lines = []
    assert watching.attend(lambda: "abc", lines.append) == 1
    assert lines == ["Failed: so.\n0 trials."]
    monkeypatch.setattr(watching, "watch", lambda *_, **__: Outcome("stopped", "so", "0 trials"))
    assert watching.attend(lambda: "abc", lines.append) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_experiment_that_nobody_looks_after(monkeypatch, number):
    stopped = []
    monkeypatch.setattr(watching, "stop", stopped.append)
    monkeypatch.setattr(watching.subprocess, "Popen", pytest.fail)

    def begin() -> str:
        os.kill(os.getpid(), number)
        return "abc"

    assert watching.detach(begin) == 128 + number
    assert stopped == ["abc"]


@pytest.mark.parametrize("seconds", [0.15, 0.6, 1.5])
def test_a_trial_that_is_stopped_while_it_imports_is_no_failed_one(tmp_path, seconds):
    environ = {
        "NNI_PLATFORM": "local",
        "NNI_TRIAL_JOB_ID": "abcde",
        "NNI_OUTPUT_DIR": str(tmp_path),
        "NNI_TRIAL_COMMAND_CHANNEL": "http://localhost:9/env/local-env/abcde",
    }
    config = sweeprl.generate_env_config("gymnasium", sweeprl.generate_algorithm_config("DQN"))
    config = sweeprl.generate_training_config(config=config)
    (tmp_path / "base.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "sweeprl", "run", "--config", "base.json"]
    trial = subprocess.Popen(command, cwd=tmp_path, env=os.environ | environ)
    time.sleep(seconds)
    trial.send_signal(signal.SIGINT)
    try:
        ended = trial.wait(20)
    except subprocess.TimeoutExpired:
        # Python loses an interrupt that comes in a callback of its import system, which is rare.
        trial.send_signal(signal.SIGINT)
        ended = trial.wait(20)
    assert ended in (-signal.SIGINT, 128 + signal.SIGINT)
