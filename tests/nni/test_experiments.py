"""The real NNI starts, stops and resumes what is here."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from nni.experiment import launcher

from sweeprl.errors import ConfigError
from sweeprl.nni.reading.listing import find
from sweeprl.nni.running import starting
from sweeprl.nni.running.experiments import create, resume, stop
from sweeprl.nni.running.processes import find_processes
from sweeprl.nni.writing import platforms
from tests.nni.checking import listeners
from tests.nni.folders import PATIENT, free_port, write_folder


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def params(experiment) -> list[float]:
    """What was proposed, in order."""
    return [
        json.loads(plain["hyperParameters"][0])["parameters"]["x"]
        for plain in experiment.manager._get("/trial-jobs")
    ]


class LoadingServer(HTTPServer):
    """Answers as NNI's manager does, which has loaded its interface at the sixth request."""

    num_requests = 0


class LoadingAnswers(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.num_requests += 1
        is_loaded = self.server.num_requests > 5
        text = b'{"status": "INITIALIZED"}' if is_loaded else b"INITIALIZING"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


def test_a_manager_may_take_its_time_to_start(monkeypatch):
    monkeypatch.setattr(launcher, "_check_rest_server", launcher._check_rest_server)  # put back
    monkeypatch.setattr(launcher.time, "sleep", lambda _: None)
    with LoadingServer(("127.0.0.1", free_port()), LoadingAnswers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ValueError, match="Expecting value"):
            launcher._check_rest_server(server.server_port)
        starting._be_patient()
        launcher._check_rest_server(server.server_port)
        assert server.num_requests == 6
        server.shutdown()


def test_an_experiment_is_confined_stopped_and_resumed(home, tmp_path):
    folder = write_folder(tmp_path / "folder", PATIENT)
    port = free_port()
    experiment_id = create(folder, port)
    experiment = find(experiment_id)
    try:
        assert experiment.address == f"http://127.0.0.1:{port}"
        wait_for(lambda: len(list(experiment.folder.rglob("began"))) == 2)
        found = find_processes(experiment_id)
        assert (len(found.managers), len(found.trials)) == (1, 2)
        assert listeners(found) == [f"127.0.0.1:{port}"]
        files = [path for path in home.rglob("*") if not path.is_symlink()]
        assert [path for path in files if path.stat().st_mode & 0o077] == []
        with pytest.raises(ConfigError, match="does not run can be resumed, but .* runs at"):
            resume(experiment_id)
        with pytest.raises(ConfigError, match=f"must be free, but something listens on {port}"):
            create(folder, port)
        before = params(experiment)

        stop(experiment_id)
        assert not find_processes(experiment_id)
        assert len(list(experiment.folder.rglob("trials/*/checkpoint"))) == 2
        assert not experiment.is_running

        assert resume(experiment_id) == experiment_id
        stop(experiment_id)  # before the trials have begun again
        resume(experiment_id)
        experiment = find(experiment_id)
        assert experiment.port == port
        wait_for(lambda: len(experiment.manager.jobs()) == 4)
        after = params(experiment)
        jobs = experiment.manager.jobs()
        assert [job.final for job in jobs[:2]] == before  # gone on with from the checkpoints
        assert after[:2] == before
        assert len(set(after)) == 4  # the tuner of a seed does not repeat itself
    finally:
        stop(experiment_id)
    assert not find_processes(experiment_id)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trialConcurency": 3}, "is not what NNI reads: .*trialconcurency"),
        ({"trialConcurrency": "many"}, "is not what NNI reads: .*trial_concurrency"),
        ({"trainingServicePlatform": "local"}, "config of NNI's second format"),
        (
            {"trainingService": {"platform": "remote"}, "nniManagerIp": "10.0.0.1"},
            "`nniManagerIp: 127.0.0.1` must hold .* got 10.0.0.1",
        ),
        (
            {"tuner": {"classArgs": {"storage": "postgresql://ada:secret@db/study"}}},
            r"storage must hold no password, .*//ada:\*\*\*@db/study\. Leave",
        ),
    ],
)
def test_a_config_is_refused_before_anything_begins(home, tmp_path, change, message):
    folder = write_folder(tmp_path / "folder", **change)
    with pytest.raises(ConfigError, match=message):
        create(folder, free_port())
    assert not list(home.rglob("nni.sqlite"))


def test_trials_on_other_machines_run_one_at_a_time_with_nni_3(home, tmp_path, monkeypatch):
    monkeypatch.setattr(platforms, "version", lambda _: "3.0")
    service = {"trainingService": {"platform": "remote"}, "nniManagerIp": "127.0.0.1"}
    folder = write_folder(tmp_path / "folder", **service)
    with pytest.raises(ConfigError, match="a concurrency of 2.* pip install 'nni==2"):
        create(folder, free_port())


def test_a_tunnel_needs_a_port(home, tmp_path):
    service = {"trainingService": {"platform": "remote"}, "nniManagerIp": "127.0.0.1"}
    folder = write_folder(tmp_path / "folder", trialConcurrency=1, **service)
    with pytest.raises(ConfigError, match="A port must be given .* ssh -N -R"):
        create(folder)


def test_a_folder_without_config_is_refused(home, tmp_path):
    with pytest.raises(ConfigError, match="must hold a config.yml, but .* Write one with"):
        create(tmp_path)


def test_a_config_that_is_no_yaml_is_refused(home, tmp_path):
    (tmp_path / "config.yml").write_text("a: [")
    with pytest.raises(ConfigError, match="must be YAML, but is not"):
        create(tmp_path)


def test_a_port_that_is_taken_is_passed_over(home, tmp_path, monkeypatch):
    from sweeprl.nni.running import experiments

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        monkeypatch.setattr(experiments, "_FIRST_PORT", taken)
        assert experiments._free_port() > taken
