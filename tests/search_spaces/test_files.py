from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from sweeprl.config.io import read_mapping, write_text
from sweeprl.errors import ConfigError
from sweeprl.search_spaces import (
    Branch,
    Choice,
    Float,
    Int,
    Nested,
    SearchSpace,
    format_space,
    load_space,
    save_space,
)
from tests.search_spaces.strategies import spaces

SPACE = SearchSpace(
    parameters={
        "learning_rate": Float(1e-5, 1e-2, log=True),
        "batch_size": Choice((16, 32)),
        "optimizer": Nested(
            branches={
                "SGD": Branch(value="SGD"),
                "Adam": Branch(value="Adam", parameters={"optimizer_kwargs.eps": Float(0.1, 1)}),
            }
        ),
    },
    limits=["batch_size <= replay_size"],
)
TEXT = """\
parameters:
  learning_rate: {type: float, low: 1.0e-05, high: 0.01, log: true}
  batch_size: {type: choice, options: [16, 32]}
  optimizer:
    type: nested
    branches:
      SGD: {value: SGD}
      Adam:
        value: Adam
        parameters:
          optimizer_kwargs.eps: {type: float, low: 0.1, high: 1}
limits:
- batch_size <= replay_size
"""


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(space=spaces())
def test_a_file_gives_the_space_back(space, suffix, tmp_path):
    path = tmp_path / f"space{suffix}"
    save_space(space, path)
    assert load_space(path) == space


def test_yaml_has_a_line_for_each_parameter_in_the_spaces_order():
    assert format_space(SPACE) == TEXT
    assert SearchSpace.of(yaml.safe_load(TEXT)) == SPACE


def test_json_is_our_form():
    assert json.loads(format_space(SPACE, as_yaml=False)) == SPACE.to_dict()


def test_numbers_may_be_written_with_an_exponent_in_yaml(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("parameters: {x: {type: float, low: 1e-5, high: 1e-2, log: true}}")
    assert load_space(path).parameters == {"x": Float(1e-5, 1e-2, log=True)}


def test_nni_files_are_read_too(tmp_path):
    path = tmp_path / "search_space.json"
    path.write_text('{"x": {"_type": "randint", "_value": [0, 5]}}')
    assert load_space(path).parameters == {"x": Int(0, 4, ordered=False)}


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "No search space at '.*'. Write one with: sweeprl space --algo DQN --output"),
        ("[1]", "must hold a mapping"),
        ("{", "must be a readable JSON or YAML file"),
        ('{"parameters": {"x": 3}}', "space.json': parameters.x: A range must be a mapping"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "space.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_space(path)


def test_the_helpers_under_it_write_whole_files(tmp_path):
    path = tmp_path / "new" / "x.yaml"
    write_text(path, "a: 1")
    assert read_mapping(path, "nothing") == {"a": 1}
    assert [one.name for one in path.parent.iterdir()] == ["x.yaml"]
