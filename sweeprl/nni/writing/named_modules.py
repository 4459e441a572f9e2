"""The modules that a config names, which every trial of an experiment has to import."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sweeprl.config import TrialConfig, parts_of
from sweeprl.errors import ConfigError

__all__ = ["check_importable", "named_modules"]

_OURS = {"sweeprl", "torch", "gymnasium"}
"""Trials cannot begin without them."""

_CLASSES = ("models", "optimizer", "lr_scheduler", "criterion")
"""Of a frame's config: each is `module.Class`, a bare name, or nothing."""

_LOOK = """\
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


def named_modules(config: TrialConfig) -> dict[str, str]:
    """Returns the top-level modules that a config names, and under which key it does so first.

    >>> from sweeprl import generate_algorithm_config, generate_env_config
    >>> config = generate_env_config("gymnasium", generate_algorithm_config("DQN"))
    >>> config["frame_config"]["models"] = ["qnet.QNet", "qnet.QNet"]
    >>> named_modules(TrialConfig.of(config))
    {'qnet': 'frame_config.models'}
    """
    found: dict[str, str] = {}
    for key, name in _names(config):
        module = name.partition(".")[0]
        if module and module not in _OURS:
            found.setdefault(module, key)
    return found


def _names(config: TrialConfig) -> Iterator[tuple[str, str]]:
    """Every key that may name a module, and the module's name; empty where it names none."""
    plain = config.to_dict()
    for key in ("frame", "env"):
        yield key, plain[key].rpartition(":")[0]
    for prefix, part in parts_of(config.frame_config).items():
        section = part.model_dump(mode="json")
        for key in _CLASSES:
            named = section.get(key)
            for one in named if isinstance(named, list) else [named]:
                yield f"frame_config.{prefix}{key}", (one or "").rpartition(".")[0]
    for key in ("train_env_config", "test_env_config"):
        yield f"{key}.env_name", str(plain[key].get("env_name", "")).rpartition(":")[0]
        for one in plain[key].get("wrappers") or []:
            name = one if isinstance(one, str) else one["name"]
            yield f"{key}.wrappers", name.rpartition(".")[0]


def check_importable(config: TrialConfig, folder: Path, python: str = sys.executable) -> None:
    """Refuses a config whose modules a trial would not find.

    Args:
        config: that the trials train.
        folder: that they run in; it need not exist yet.
        python: the interpreter that they run in.

    Raises:
        ConfigError: naming the module, the key and what to copy.
    """
    named = named_modules(config)
    for module in _missing([name for name in named if name != "__main__"], folder, python):
        raise ConfigError(
            f"Each trial must be able to import '{module}', which {named[module]} names, but in "
            f"the folder '{folder}' {python} does not find it. {_remedy(module, folder)}"
        )
    if "__main__" in named:
        raise ConfigError(
            f"Each trial must be able to import the class that {named['__main__']} names, but it "
            f"is one of the script that is running. Put it into a module of its own in '{folder}'."
        )


def _missing(modules: list[str], folder: Path, python: str) -> list[str]:
    """Asks the trials' own interpreter; what this process can import is of no use to them."""
    if not modules:
        return []
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            ended = subprocess.run(
                [python, "-c", _LOOK, *modules],
                cwd=folder if folder.is_dir() else elsewhere,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise ConfigError(
                f"`python` must be the interpreter that trials run in, but got '{python}': {error}."
            ) from None
    if ended.returncode != 0:
        raise ConfigError(
            f"'{python}' must be the interpreter that trials run in, but failed: "
            f"{ended.stderr.strip()}"
        )
    missing: list[str] = json.loads(ended.stdout.rstrip().rpartition("\n")[2])
    return missing


def _remedy(module: str, folder: Path) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return f"Copy {module}.py there, or install its package."
    path = Path(spec.origin)
    source = path.parent if path.name == "__init__.py" else path
    there = os.path.join(folder, "")
    return f"Copy it: mkdir -p {there} && cp -r {source} {there}"
