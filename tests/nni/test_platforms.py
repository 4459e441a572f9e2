from __future__ import annotations

import pytest

from sweeprl.errors import ConfigError
from sweeprl.nni.writing import platforms
from sweeprl.nni.writing.gpus import Gpus
from sweeprl.nni.writing.platforms import (
    Machine,
    Remote,
    check_concurrency,
    platform_section,
    tunnel_command,
)

MACHINES = [Machine("ada", "gpu1"), Machine("bob", "10.0.0.7", 2222)]


@pytest.fixture
def nni(monkeypatch):
    """`nni("2.10.1")`: that version is installed."""
    return lambda version: monkeypatch.setattr(platforms, "version", lambda _: version)


@pytest.mark.parametrize(
    "text, machine",
    [
        ("ada@gpu1", MACHINES[0]),
        ("bob@10.0.0.7:2222", MACHINES[1]),
        ("ada@[fe80::1]:2222", Machine("ada", "fe80::1", 2222)),
    ],
)
def test_a_machine_is_read(text, machine):
    assert Machine.of(text) == machine


@pytest.mark.parametrize("text", ["gpu1", "ada@", "ada@gpu1:", "ada@gpu1:99999", "ada@gpu1:0", ""])
def test_what_is_no_machine_is_refused(text):
    with pytest.raises(ConfigError, match=f"must be user@host or user@host:port, but got '{text}'"):
        Machine.of(text)


def test_this_machine_without_gpus():
    assert platform_section(None, Gpus()) == {"trainingService": {"platform": "local"}}
    hidden = platform_section(None, Gpus(0))
    assert hidden == {"trialGpuNumber": 0, "trainingService": {"platform": "local"}}


def test_nni_must_be_told_whether_gpus_in_use_count():
    assert platform_section(None, Gpus(1, 3)) == {
        "trialGpuNumber": 1,
        "trainingService": {
            "platform": "local",
            "useActiveGpu": True,
            "maxTrialNumberPerGpu": 3,
        },
    }


def test_other_machines_report_to_this_one_alone():
    section = platform_section(Remote(MACHINES, "/venv/bin", "/keys/one"), Gpus(1))
    assert (section["nniManagerIp"], section["trialGpuNumber"]) == ("127.0.0.1", 1)
    service = section["trainingService"]
    assert (service["platform"], service["reuseMode"]) == ("remote", False)
    assert service["machineList"][1] == {
        "host": "10.0.0.7",
        "port": 2222,
        "user": "bob",
        "sshKeyFile": "/keys/one",
        "pythonPath": "/venv/bin",
        "useActiveGpu": True,
        "maxTrialNumberPerGpu": 1,
    }


@pytest.mark.parametrize("path", ["venv/bin", "/usr/bin/python3.11", "/venv/bin/python", ""])
def test_the_folder_of_the_python_is_asked_for(path):
    with pytest.raises(ConfigError, match=f"absolute path of the folder .* got '{path}'"):
        platform_section(Remote(MACHINES, path), Gpus())


def content(platform: str, concurrency: int) -> dict:
    return {"trialConcurrency": concurrency, "trainingService": {"platform": platform}}


def test_nni_3_mixes_up_trials_that_run_at_once_on_other_machines(nni):
    nni("3.0")
    check_concurrency(content("local", 8))
    check_concurrency(content("remote", 1))
    with pytest.raises(ConfigError, match=r"a concurrency of 2.* pip install 'nni==2\.10\.1'"):
        check_concurrency(content("remote", 2))
    ours = {"trialCommand": "python -m sweeprl run --config base.json"}
    check_concurrency(content("remote", 2) | ours)
    nni("2.10.1")
    check_concurrency(content("remote", 2))


def test_each_version_of_nni_listens_for_trials_at_a_port_of_its_own(nni):
    nni("3.0")
    assert tunnel_command(MACHINES[0], 8080) == "ssh -N -R 8080:127.0.0.1:8080 ada@gpu1"
    nni("2.10.1")
    assert (
        tunnel_command(MACHINES[1], 8080, "/k")
        == "ssh -N -i /k -p 2222 -R 8081:127.0.0.1:8081 bob@10.0.0.7"
    )
