from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeprl import TrialConfig, load_config, save_config
from sweeprl.config import format_config, parse_value
from sweeprl.config.io import dump_yaml
from sweeprl.errors import ConfigError

DATA = Path(__file__).parents[1] / "data"
SUFFIXES = ["json", "yaml", "yml"]

QNET = """
from torch import nn

class QNet(nn.Module):
    def __init__(self, state_dim, action_num):
        super().__init__()
        self.layer = nn.Linear(state_dim, action_num)

    def forward(self, state):
        return self.layer(state)
"""

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=0, max_size=12
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False),
    words,
    st.sampled_from(["1e3", "1e-3", "null", "~", "yes", "no", "Infinity", ".inf", "0x10", "1_0"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("frame", ["DQN", "PPO", "SAC"])
def test_a_config_survives_its_file(suffix, frame, small_config, tmp_path):
    config = TrialConfig.of(small_config(frame))
    path = tmp_path / "new" / f"config.{suffix}"
    save_config(config, path)
    assert load_config(path) == config
    assert load_config(path).frame_config.gradient_max == math.inf


@pytest.mark.parametrize("suffix", ["json", "yaml"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kwargs=st.dictionaries(words, values, max_size=3),
    learning_rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    gradient_max=st.floats(min_value=0, exclude_min=True),
    seed=st.integers(0, 2**32 - 1),
    root_dir=words,
    name=words,
)
def test_every_value_survives_its_file(
    suffix, kwargs, learning_rate, gradient_max, seed, root_dir, name, tmp_path
):
    config = TrialConfig.of(
        {
            "seed": seed,
            "root_dir": root_dir,
            "frame_config": {
                "learning_rate": learning_rate,
                "gradient_max": gradient_max,
                "model_kwargs": [kwargs, {}],
                "models": [name, "QNet"],
            },
            "train_env_config": {"env_kwargs": kwargs, "env_name": name},
        }
    )
    path = tmp_path / f"config.{suffix}"
    save_config(config, path)
    assert load_config(path) == config


def test_infinity_is_written_as_json_has_it_in_the_specification():
    text = format_config(TrialConfig.of({}))
    assert '"gradient_max": Infinity' in text
    assert json.loads(text)["frame_config"]["gradient_max"] == math.inf


@pytest.mark.parametrize("spelling", [".inf", "Infinity", "inf", "1e400"])
def test_infinity_in_yaml(spelling, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"frame_config:\n  gradient_max: {spelling}\n")
    assert load_config(path).frame_config.gradient_max == math.inf


@pytest.mark.parametrize("number", ["1e-3", "1.0e-3", "0.001", "1E-3", "+1e-3"])
def test_numbers_in_yaml(number, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"frame_config:\n  optimizer_kwargs: {{eps: {number}}}\n")
    assert load_config(path).frame_config.optimizer_kwargs == {"eps": 0.001}


def test_keys_are_sorted(small_config):
    text = format_config(small_config())
    assert list(json.loads(text)) == sorted(small_config())
    assert text.endswith("}\n")


def test_the_config_of_the_specification_loads(specification_config, tmp_path):
    """Unchanged but for a qnet.py beside it and `gpus` on a machine without one."""
    (tmp_path / "qnet.py").write_text(QNET)
    printed = load_config(shutil.copy(DATA / "specification_config.json", tmp_path / "as_is.json"))
    assert printed.env == "gymnasium"
    assert printed.gpus == [0]
    specification_config["gpus"] = None
    specification_config["frame_config"]["models"] = ["qnet.QNet", "qnet.QNet"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(specification_config))
    config = load_config(path)
    assert config.frame_config.models == ["qnet.QNet", "qnet.QNet"]
    assert config.gpus is None
    plain = config.to_dict()
    for section in ("frame_config", "train_env_config", "test_env_config"):
        assert specification_config[section].items() <= plain[section].items()
    assert specification_config.keys() <= plain.keys()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("config.json", "{", r"config\.json' must be a readable JSON or YAML file, but: "),
        ("config.yaml", "a: [", r"config\.yaml' must be a readable JSON or YAML file, but: "),
        ("config.json", "[1]", r"must hold a mapping of settings, but holds \[1\]"),
        ("config.yaml", "", r"must hold a mapping of settings, but holds None"),
        ("config.json", '{"sed": 1}', r"Unknown key 'sed'\. Did you mean 'seed'\?"),
    ],
)
def test_a_file_that_is_no_config_is_refused(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / name)


def test_a_file_that_is_not_there_is_answered_with_a_command(tmp_path):
    with pytest.raises(ConfigError, match=r"No config at '.*\.json'\. .*sweeprl generate"):
        load_config(tmp_path / "config.json")


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="must be a readable JSON or YAML file, but: "):
        load_config(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="must be a readable JSON or YAML file, but: "):
        load_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-3", -3),
        ("1e-3", 1e-3),
        ("0.5", 0.5),
        ("1e5", 1e5),
        ("Infinity", math.inf),
        ("-inf", -math.inf),
        ("null", None),
        ("true", True),
        ("[64, 64]", [64, 64]),
        ("[1e-3, 2]", [1e-3, 2]),
        ("{eps: 1e-5}", {"eps": 1e-5}),
        ("Adam", "Adam"),
        ("torch.optim.Adam", "torch.optim.Adam"),
        ("CartPole-v1", "CartPole-v1"),
        ("a: b: c", "a: b: c"),
        ("[", "["),
        ("", None),
    ],
)
def test_values_of_a_command_line(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize("text", ["\x85", "a\x85b", "\u2028", "ä\x85"])
def test_odd_line_breaks_survive_yaml(text):
    assert yaml.safe_load(dump_yaml({"note": [text]})) == {"note": [text]}
