"""The import order of DESIGN.md, read from the source: a module imports from lines above its own
only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sweeprl

PACKAGE = Path(sweeprl.__file__).parent

LAYERS = [
    # errors stands above registry, which raises them.
    {"errors", "lazy", "version"},
    {"endings"},
    {"registry"},
    {"config"},
    {"search_spaces", "functional"},
    {"networks"},
    {"frames", "envs", "engine"},
    {"lightning"},
    {"launcher"},
    {"trials"},
    {"executors"},
    {"sweeps"},
    {"nni"},
    {"report", "testing"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}

NNI_LAYERS = [
    {"confinement"},
    {"writing"},
    {"reading"},
    {"studies"},
    {"running", "warm"},
    {"tuner", "assessor"},
]
"""The same within `sweeprl.nni`."""

EXCEPTIONS = {("engine", "sweeprl.frames._base")}
"""The learner takes a Frame through its interface."""

LAZY = "__init__"
"""`sweeprl/__init__.py` imports on first use; its TYPE_CHECKING block names every layer."""

FORBIDDEN = {
    "errors": {"torch", "pydantic", "gymnasium"},
    "lazy": {"torch", "pydantic", "gymnasium"},
    "endings": {"torch", "pydantic", "gymnasium"},
    "registry": {"torch", "pydantic", "gymnasium"},
    "config": {"torch", "gymnasium"},
    "search_spaces": {"torch", "gymnasium"},
    "functional": {"gymnasium"},
    "networks": {"gymnasium"},
    "frames": {"gymnasium"},
    "engine": {"gymnasium"},
}
TUNERS = {"nni", "optuna"}


def imports(source: str, package: str) -> list[str]:
    """Every module that `source` imports, wherever the import stands, by absolute name."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from sweeprl import config` imports a layer, not a name.
            found += [f"{module}.{a.name}" if module == "sweeprl" else module for a in node.names]
    return sorted(set(found))


def violations(module: str, source: str) -> list[str]:
    """What `module` ("sweeprl.config.base") must not import, but does."""
    parts = module.split(".")
    layer = parts[1]
    package = ".".join(parts[:-1])
    wrong = []
    for imported in imports(source, package):
        root, _, rest = imported.partition(".")
        if root == "sweeprl":
            target = rest.split(".")[0]
            is_above = target == layer or LEVEL.get(target, len(LAYERS)) < LEVEL[layer]
            if not is_above and (layer, imported) not in EXCEPTIONS:
                wrong.append(f"{module} imports {imported}")
        elif root in FORBIDDEN.get(layer, set()):
            wrong.append(f"{module} imports {imported}")
        elif root == "pytorch_lightning" and layer != "lightning":
            wrong.append(f"{module} imports {imported}")
        elif root in TUNERS and LEVEL[layer] < LEVEL["trials"] and layer != "search_spaces":
            wrong.append(f"{module} imports {imported}")
    return wrong


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != (LAZY,):
            found[".".join(("sweeprl", *parts))] = path
    return found


def test_every_module_belongs_to_a_layer():
    assert {name.split(".")[1] for name in modules()} <= set(LEVEL)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_layers_above_its_own(module):
    assert violations(module, modules()[module].read_text(encoding="utf-8")) == []


def test_the_parts_of_nni_import_only_from_parts_above_their_own():
    level = {name: number for number, layer in enumerate(NNI_LAYERS) for name in layer}
    parts = {}
    for name, path in modules().items():
        _, layer, *rest = name.split(".")
        if layer == "nni" and rest != [LAZY]:
            parts[name] = (rest[0], imports(path.read_text(encoding="utf-8"), name))
    wrong = [
        f"{module} imports {imported}"
        for module, (part, found) in parts.items()
        for imported in found
        if imported.startswith("sweeprl.nni.")
        and (other := imported.split(".")[2]) != part
        and level[other] >= level[part]
    ]
    assert parts
    assert wrong == []


@pytest.mark.parametrize(
    "module, line",
    [
        ("sweeprl.config.trial", "from sweeprl.engine import Learner"),
        ("sweeprl.config.trial", "from sweeprl import networks"),
        ("sweeprl.config.trial", "import sweeprl.launcher.module"),
        ("sweeprl.config.trial", "from ..launcher import launch"),
        ("sweeprl.config.trial", "import torch.nn as nn"),
        ("sweeprl.errors", "from sweeprl.registry import frames"),
        ("sweeprl.frames.dqn", "from sweeprl.envs import RLDataset"),
        ("sweeprl.frames.dqn", "from gymnasium import spaces"),
        ("sweeprl.frames.dqn", "import pytorch_lightning as pl"),
        ("sweeprl.envs._dataset", "from sweeprl.frames import Frame"),
        ("sweeprl.envs._dataset", "from sweeprl.frames._base import Frame"),
        ("sweeprl.engine.learner", "from sweeprl.frames.dqn import DQN"),
        ("sweeprl.engine.learner", "from sweeprl.frames import Frame"),
        ("sweeprl.launcher.launch", "import optuna"),
        ("sweeprl.launcher.launch", "from nni import report_final_result"),
        ("sweeprl.launcher.launch", "from sweeprl.cli import main"),
        ("sweeprl.launcher.launch", "from sweeprl import launch"),
    ],
)
@pytest.mark.parametrize(
    "setting",
    ["{}", "def f():\n    {}", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {}"],
    ids=["at the top", "in a function", "for types only"],
)
def test_the_check_finds_a_violation(module, line, setting):
    assert len(violations(module, setting.format(line))) == 1


@pytest.mark.parametrize(
    "module, line",
    [
        ("sweeprl.config.trial", "from sweeprl import registry"),
        ("sweeprl.config.trial", "from .base import Config"),
        ("sweeprl.engine.learner", "from sweeprl.frames._base import Frame"),
        ("sweeprl.search_spaces.nni", "import nni"),
        ("sweeprl.trials.optuna", "import optuna"),
        ("sweeprl.cli.app", "from sweeprl.launcher import launch"),
    ],
)
def test_the_check_lets_the_rest_pass(module, line):
    assert violations(module, line) == []
