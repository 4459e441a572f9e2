"""`__all__` and what a module defines agree."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re

import pytest

import sweeprl

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(sweeprl.__path__, "sweeprl.")
    if info.name != "sweeprl.__main__"  # runs the command line
)
PACKAGES = [name for name in MODULES if hasattr(importlib.import_module(name), "__path__")]


COMMANDS = {
    "sweeprl.cli.app": {"list_names", "generate", "run", "evaluate"},
    "sweeprl.cli.nni": {"import_", "create", "resume", "stop", "status"},
}
"""Functions that typer calls, and nobody else."""


def isort_key(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions, as ruff sorts `__all__`."""
    is_constant = name.isupper() and len(name) > 1
    return (0 if is_constant else 1 if name[0].isupper() else 2, natural(name))


def natural(name: str) -> str:
    return re.sub(r"\d+", lambda digits: digits.group().zfill(8), name)


def tree(module) -> ast.Module:
    with open(module.__file__, encoding="utf-8") as file:
        return ast.parse(file.read())


@pytest.mark.parametrize("name", MODULES)
def test_all_lists_what_the_module_defines(name):
    module = importlib.import_module(name)
    listed = module.__all__
    assert len(set(listed)) == len(listed)
    assert listed == sorted(listed, key=isort_key)
    assert [one for one in listed if not hasattr(module, one)] == []
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    defined = {node.name for node in tree(module).body if isinstance(node, kinds)}
    public = {one for one in defined if not one.startswith("_")}
    assert public - COMMANDS.get(name, set()) <= set(listed)


@pytest.mark.parametrize("name", ["sweeprl", *PACKAGES])
def test_a_package_lists_what_it_imports(name):
    package = importlib.import_module(name)
    homes = {
        alias.name: node.module
        for block in tree(package).body
        for node in (block.body if isinstance(block, ast.If) else [block])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{name}.")
        for alias in node.names
    }
    assert homes.keys() - {"__version__", "on_first_use"} <= set(package.__all__)
    for one, home in homes.items():
        assert getattr(package, one) is getattr(importlib.import_module(home), one)
        assert one in dir(package)


def test_an_unknown_top_level_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lunch'"):
        sweeprl.lunch  # noqa: B018
