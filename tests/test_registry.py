from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from sweeprl import registry
from sweeprl.envs.gymnasium import Gymnasium
from sweeprl.errors import UnknownNameError
from sweeprl.frames.dqn import DQN
from sweeprl.registry import Registry


def fresh_frames():
    return Registry("frame", "sweeprl.frames")


def test_built_in_names_come_with_the_first_line_of_their_docstring():
    names = registry.frames.names()
    assert {"DQN", "PPO", "SAC"} <= names.keys()
    assert names["DQN"] == DQN.__doc__.partition("\n")[0]
    assert registry.envs.names()["gymnasium"].startswith("Any environment")


def test_private_modules_are_no_names():
    assert "Frame" not in registry.frames.names()


@pytest.mark.parametrize("name", ["DQN", "dqn", "Dqn"])
def test_capitals_do_not_matter(name):
    assert registry.frames.resolve(name) == "DQN"
    assert registry.frames.get(name) is DQN


def test_an_alias_stands_for_its_name():
    assert registry.envs.resolve("openai_gym") == "gymnasium"
    assert registry.envs.get("openai_gym") is Gymnasium


@pytest.mark.parametrize(
    "kind, name, hint",
    [
        (registry.frames, "DQM", r"No frame named 'DQM'\. Did you mean 'DQN'\? Known: .*PPO"),
        (registry.envs, "gymnasum", r"No environment named 'gymnasum'\. Did you mean 'gymnasium'"),
        (registry.envs, "openai_gim", "Did you mean 'openai_gym'"),
        (registry.frames, "zebra", r"No frame named 'zebra'\. Known: .*DQN"),
    ],
)
def test_an_unknown_name_is_refused(kind, name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        kind.resolve(name)
    with pytest.raises(UnknownNameError, match=hint):
        kind.get(name)


def test_a_class_of_ones_own_is_written_module_colon_name(tmp_path, monkeypatch):
    (tmp_path / "registry_test_frames.py").write_text("class Mine:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.frames.get("registry_test_frames:Mine").__name__ == "Mine"


@pytest.mark.parametrize(
    "name, reason",
    [
        ("no_such_module:Mine", "No module named 'no_such_module'"),
        ("json:Mine", "has no attribute 'Mine'"),
    ],
)
def test_a_class_that_cannot_be_imported_is_refused(name, reason):
    with pytest.raises(UnknownNameError, match=f"'{name}' must be an importable frame.*{reason}"):
        registry.frames.get(name)


@pytest.fixture
def installed_package(tmp_path, monkeypatch):
    """A distribution on sys.path that declares a frame."""
    (tmp_path / "their_package.py").write_text("class Theirs:\n    pass\n")
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sweeprl.frames]\nTheirs = their_package:Theirs\nDQN = their_package:Theirs\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "Theirs" in entry_points(group="sweeprl.frames").names


@pytest.mark.usefixtures("installed_package")
def test_an_installed_package_declares_names():
    frames = fresh_frames()
    assert frames.names()["Theirs"] == "from their_package:Theirs"
    assert "their_package" not in sys.modules
    assert frames.get("theirs").__name__ == "Theirs"
    with pytest.raises(UnknownNameError, match="Did you mean 'Theirs'"):
        frames.get("Thers")


@pytest.mark.usefixtures("installed_package")
def test_an_installed_package_does_not_take_a_built_in_name():
    assert fresh_frames().get("DQN") is DQN


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["run", "--help"]])
def test_nothing_heavy_is_imported_to_answer(arguments):
    # pydantic is missing here: typer itself imports it to read a command's parameters.
    heavy = ["torch", "gymnasium", "pytorch_lightning", "numpy", "nni", "optuna", "sweeprl.config"]
    code = f"""
import json, sys
from sweeprl.cli import main
sys.argv = ["sweeprl", *{arguments!r}]
try:
    main()
finally:
    print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
