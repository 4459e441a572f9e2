from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from sweeprl.errors import ConfigError
from sweeprl.trials.nni_channel import LibraryChannel, ManagerChannel
from sweeprl.trials.nni_place import channel_of, check_alone
from tests.trials.test_nni import Manager


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    """Of a trial of NNI 3 on another machine."""
    output = tmp_path / "environments" / "remote-worker1" / "trials" / "abcde"
    output.mkdir(parents=True)
    return {
        "NNI_PLATFORM": "remote",
        "NNI_TRIAL_JOB_ID": "abcde",
        "NNI_OUTPUT_DIR": str(output),
        "NNI_TRIAL_COMMAND_CHANNEL": "http://localhost:1/env/remote-worker1/abcde",
    }


def tell_keeper(environ: dict[str, str], text: str) -> None:
    folder = Path(environ["NNI_OUTPUT_DIR"]).parents[1] / "trial_keeper"
    folder.mkdir()
    (folder / "trial_keeper_config.json").write_text(text)


def test_a_trial_on_another_machine_asks_the_manager_for_its_own_parameters(environ, tmp_path):
    manager = Manager()
    try:
        address = f"ws://127.0.0.1:{manager.server.server_port}/prefix/platform/remote/1"
        tell_keeper(environ, json.dumps({"managerCommandChannel": address}))
        channel = channel_of(environ)
        assert channel.parameters() == (manager.proposal, 7)
    finally:
        manager.close()
    check_alone(environ, channel, tmp_path)  # however many run at once


@pytest.mark.parametrize(
    "text", [None, "{", "{}", json.dumps({"managerCommandChannel": "file:///somewhere"})]
)
def test_it_takes_what_comes_where_the_manager_is_not_known(environ, text):
    if text is not None:
        tell_keeper(environ, text)
    assert isinstance(channel_of(environ), LibraryChannel)


def test_what_comes_may_be_of_another_trial(environ, tmp_path):
    (tmp_path / "config.yml").write_text("trialConcurrency: 2")
    with pytest.raises(ConfigError, match=r"but got `trialConcurrency: 2`.* 'nni==2\.10\.1'"):
        check_alone(environ, LibraryChannel(), tmp_path)


@pytest.mark.parametrize("text", [None, "a: [", "- 1", "trialConcurrency: many", "a: 1"])
def test_that_is_said_where_it_is_not_known(environ, tmp_path, text, caplog):
    if text is not None:
        (tmp_path / "config.yml").write_text(text)
    with caplog.at_level(logging.WARNING):
        check_alone(environ, LibraryChannel(), tmp_path)
    assert "how many do is not known here" in caplog.text


def test_nothing_is_said_where_no_trial_can_be_mixed_up(environ, tmp_path, caplog):
    (tmp_path / "config.yml").write_text("trialConcurrency: 1")
    check_alone(environ, LibraryChannel(), tmp_path)
    (tmp_path / "config.yml").write_text("trialConcurrency: 2")
    del environ["NNI_TRIAL_COMMAND_CHANNEL"]  # NNI 2
    assert isinstance(channel_of(environ), LibraryChannel)
    check_alone(environ, LibraryChannel(), tmp_path)
    environ |= {"NNI_PLATFORM": "local", "NNI_TRIAL_COMMAND_CHANNEL": "http://localhost:1/env/a/b"}
    assert isinstance(channel_of(environ), ManagerChannel)
    assert caplog.text == ""
