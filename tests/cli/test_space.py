from __future__ import annotations

import json

import pytest

from sweeprl.search_spaces import SearchSpace, load_space, preset, to_nni


def test_help_names_presets_and_formats(cli):
    result = cli("space", "--help")
    assert result.code == 0
    for word in ("sweeprl space", "rl_zoo3", "arlbench", "nni", "--lanes"):
        assert word in result.out


def test_the_default_space_is_printed_as_yaml(cli):
    result = cli("space", "--algo", "dqn")
    assert result.code == 0
    assert "  learning_rate: {type: float, low: 1.0e-05, high: 0.01, log: true}\n" in result.out


@pytest.mark.parametrize("algo", ["DQN", "PPO", "SAC"])
@pytest.mark.parametrize("name", ["rl_zoo3", "arlbench"])
def test_what_is_written_is_the_preset(cli, tmp_path, algo, name):
    path = tmp_path / "space.yaml"
    result = cli("space", "--algo", algo, "--preset", name, "--output", path)
    assert (result.code, result.out) == (0, f"Wrote {path}.\n")
    assert load_space(path) == preset(algo, name)


def test_formats(cli):
    arguments = ("space", "--algo", "SAC", "--preset", "rl_zoo3", "--format")
    space = preset("SAC", "rl_zoo3")
    assert SearchSpace.of(json.loads(cli(*arguments, "json").out)) == space
    assert json.loads(cli(*arguments, "nni").out) == to_nni(space)


def test_the_config_says_what_is_off(cli, config_file):
    plain = json.loads(config_file.read_text())
    plain["frame_config"] |= {"update_rate": None, "update_steps": 50}
    config_file.write_text(json.dumps(plain))
    found = cli("space", "--config", config_file)
    assert found.code == 0
    assert "update_rate" not in found.out


def test_lanes_keep_what_may_differ(cli):
    found = cli("space", "--algo", "PPO", "--lanes").out
    assert "discount" in found
    assert "rollout_steps" not in found


def test_presets_are_listed_with_their_sources(cli):
    everything = cli("space", "--presets").out
    assert everything.count("https://github.com/") == 6
    own = cli("space", "--presets", "--algo", "ppo").out
    assert own.count("https://github.com/") == 2
    assert "PPO    rl_zoo3" in own


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "At least one of --algo and --config must be given"),
        (("--algo", "DQM"), "Did you mean 'DQN'"),
        (("--algo", "DQN", "--preset", "rl_zoo"), "Did you mean 'rl_zoo3'"),
        (
            ("--algo", "DQN", "--output", "space.json"),
            "must end in .yaml or .yml for",
        ),
        (("--algo", "DQN", "--format", "nni", "--output", "x.yaml"), "must end in .json"),
        (("--config", "none.json"), "No config at 'none.json'"),
    ],
)
def test_what_does_not_fit_is_refused(refused, arguments, message):
    assert message in refused("space", *arguments)


def test_another_algorithm_than_the_configs_is_refused(refused, config_file):
    message = refused("space", "--config", config_file, "--algo", "PPO")
    assert "is for DQN and --algo is PPO" in message


def test_a_file_is_not_replaced_unless_asked(cli, refused, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("mine")
    assert "must not exist yet" in refused("space", "--algo", "DQN", "--output", path)
    assert path.read_text() == "mine"
    assert cli("space", "--algo", "DQN", "--output", path, "--overwrite").code == 0
    assert load_space(path).parameters


def test_a_space_that_does_not_fit_the_config_is_refused(refused, config_file):
    plain = json.loads(config_file.read_text())
    plain["frame_config"] |= {"batch_size": 1, "replay_size": 2}
    config_file.write_text(json.dumps(plain))
    message = refused("space", "--config", config_file, "--preset", "rl_zoo3")
    assert "`batch_size <= replay_size` must hold, but with replay_size=2" in message
