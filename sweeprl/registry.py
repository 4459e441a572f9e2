"""Where frames and environments are found by name.

A name is one of three things: a public module of sweeprl's own package (`frames/dqn.py` holds
`class DQN`), an entry point that an installed package declares (`sweeprl.frames`, `sweeprl.envs`),
or `module:name`. Nothing is imported until it is asked for, so that listing names costs nothing.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from sweeprl.errors import UnknownNameError, did_you_mean

__all__ = ["Registry", "envs", "frames", "importable"]


@contextmanager
def importable(folders: Sequence[str | Path]) -> Iterator[None]:
    """Makes the modules in `folders` importable while the context lasts."""
    added = [str(Path(folder).resolve()) for folder in folders]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


@dataclass(frozen=True)
class _BuiltIn:
    module: str
    attribute: str
    summary: str

    def load(self) -> Any:
        return getattr(importlib.import_module(self.module), self.attribute)


@dataclass(frozen=True)
class Registry:
    """Finds things of one kind by name.

    Args:
        kind: what is registered, as a word for error messages ("frame").
        package: the package whose public modules hold the built-in ones, one class a module; the
            class bears the module's name in any capitals.
        spelling: from a class name to the name users write.
        aliases: further names, as alias -> name.
    """

    kind: str
    package: str
    spelling: Callable[[str], str] = str
    aliases: dict[str, str] = field(default_factory=dict)

    @cached_property
    def _built_in(self) -> dict[str, _BuiltIn]:
        folder = Path(__file__).parent / self.package.split(".")[-1]
        found = {}
        for path in sorted(folder.glob("[!_]*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem:
                    summary = (ast.get_docstring(node) or "").partition("\n")[0]
                    module = f"{self.package}.{path.stem}"
                    found[self.spelling(node.name)] = _BuiltIn(module, node.name, summary)
        return found

    @cached_property
    def _installed(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.package)}

    def names(self) -> dict[str, str]:
        """Every known name with one line on what it is, without importing anything."""
        built_in = {name: entry.summary for name, entry in self._built_in.items()}
        installed = {name: f"from {point.value}" for name, point in self._installed.items()}
        return installed | built_in

    def resolve(self, name: str) -> str:
        """Returns the canonical spelling of `name`.

        Raises:
            UnknownNameError: nothing of this kind has that name.
        """
        name = self.aliases.get(name, name)
        known = self.names()
        if name in known or ":" in name:
            return name
        spellings = {candidate.casefold(): candidate for candidate in known}
        if name.casefold() in spellings:
            return spellings[name.casefold()]
        raise UnknownNameError(
            f"No {self.kind} named '{name}'.{did_you_mean(name, [*known, *self.aliases])} "
            f"Known: {', '.join(sorted(known))}; one of your own is written 'module:name'."
        )

    def get(self, name: str) -> Any:
        """Imports and returns what `name` stands for.

        Raises:
            UnknownNameError: nothing of this kind has that name, or `module:name` cannot be
                imported.
        """
        name = self.resolve(name)
        entry: _BuiltIn | EntryPoint | None = self._built_in.get(name) or self._installed.get(name)
        return entry.load() if entry else self._import(name)

    def _import(self, name: str) -> Any:
        module_name, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError) as error:
            raise UnknownNameError(
                f"'{name}' must be an importable {self.kind}, but {error}. "
                "Write 'module:name', with the module in the working directory or beside the "
                "config."
            ) from error


frames = Registry("frame", "sweeprl.frames")
envs = Registry("environment", "sweeprl.envs", str.lower, {"openai_gym": "gymnasium"})
