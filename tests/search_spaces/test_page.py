"""What docs/search_spaces.md shows is so."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import sweeprl
from sweeprl.config.io import read_mapping
from sweeprl.search_spaces import SearchSpace, presets, to_nni
from sweeprl.search_spaces.parameters import _KINDS, _field_names
from tests.cli.conftest import cli, config_file  # noqa: F401
from tests.search_spaces.strategies import FRAMES, config_of

PAGE = (Path(__file__).parents[2] / "docs" / "search_spaces.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "search_spaces.md", "exec"), names)
    if "trial" in names and "params" in names:
        assert isinstance(names["trial"], sweeprl.TrialConfig)
        assert names["load_space"]("space.yaml") == names["space"]


@pytest.mark.parametrize("text, frame", list(zip(blocks("yaml"), ["PPO", "DQN"], strict=True)))
def test_the_space_files_fit_their_frame(text, frame, tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    SearchSpace.of(read_mapping(path, "")).check(config_of(frame))


def test_the_nni_file_comes_back_unchanged():
    (text,) = blocks("json")
    space = SearchSpace.of(json.loads(text))
    space.check(config_of("DQN"))
    assert to_nni(space) == json.loads(text)


def test_the_commands_run(cli, config_file):  # noqa: F811
    (text,) = blocks("bash")
    for line in text.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "sweeprl"
        assert cli(*arguments).code == 0


def test_every_kind_has_a_row_with_its_words():
    section = PAGE.partition("## Kinds of range")[2].partition("##")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE))
    for kind, fields in _KINDS.items():
        assert re.findall(r"`(\w+)`", rows[kind]) == [
            x for x in _field_names(fields) if x != "type"
        ]


def test_the_limits_of_the_frames_are_listed():
    for frame in FRAMES:
        for limit in config_of(frame).frame_config.limits:
            assert f"`{limit}`" in PAGE


def test_the_presets_are_listed():
    names = {name for frame in FRAMES for name in presets(frame)}
    assert names == set(re.findall(r"^\| DQN, PPO, SAC \| `(\w+)`", PAGE, re.MULTILINE))
