"""Writes the tables of settings in docs/ from the declarations in sweeprl.

    python docs/tables.py

What stands between `<!-- table: DQN -->` and `<!-- end -->` is made anew; the name is that of a
frame or of a config class.
"""

from __future__ import annotations

import json
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sweeprl import registry
from sweeprl.config import (
    Choice,
    Evaluation,
    Float,
    Int,
    OneMinus,
    PowerOfTwo,
    Range,
    TrialConfig,
    masked,
    ranges,
    traced,
)
from sweeprl.envs.gymnasium import GymnasiumConfig
from sweeprl.envs.pettingzoo import PettingZooConfig
from sweeprl.envs.torch import TorchConfig

__all__ = ["main", "pages", "render", "table"]

_DOCS = Path(__file__).parent
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CONFIGS: dict[str, type[BaseModel]] = {
    "TrialConfig": TrialConfig,
    "Evaluation": Evaluation,
    "GymnasiumConfig": GymnasiumConfig,
    "TorchConfig": TorchConfig,
    "PettingZooConfig": PettingZooConfig,
}
_WORDS: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    dict: "mapping",
    list: "list",
    type(None): "null",
}
_PLURALS = {
    "integer": "integers",
    "text": "texts",
    "mapping": "mappings",
    "list": "lists",
    "section": "sections",
    "class": "classes",
    "name": "names",
}


def main() -> None:
    """Rewrites every page whose tables are not those of the declarations."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(render(text), encoding="utf-8")


def pages() -> list[Path]:
    """Every page of the documentation."""
    return sorted(_DOCS.rglob("*.md"))


def render(text: str) -> str:
    """Returns the text of a page with its tables made anew."""
    return _MARKED.sub(lambda match: match[1] + table(_config(match[2])) + match[3], text)


def _config(name: str) -> type[BaseModel]:
    if name in _CONFIGS:
        return _CONFIGS[name]
    config: type[BaseModel] = registry.frames.get(name).Config
    return config


def table(config: type[BaseModel]) -> str:
    """Returns a row for each field; for a frame's, also how it is tuned and shared by lanes."""
    tuned = ranges(config)
    titles = ["Key", "Meaning", "Default", "Valid", *(["Tuning range", "Lanes"] if tuned else [])]
    rows = [titles, ["---"] * len(titles)]
    for name, info in config.model_fields.items():
        cells = [f"`{name}`", _meaning(config, name), _default(info), _valid(info)]
        rows.append(
            [*cells, *([_ranges(info, tuned.get(name)), _lanes(config, name)] if tuned else [])]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _lanes(config: type[BaseModel], name: str) -> str:
    """What lanes of one engine may differ in, see lanes.md."""
    if _is_section(config.model_fields[name].annotation):
        return "as there"
    if name in traced(config):
        return "own"
    return "masked" if name in masked(config) else "shared"


def _meaning(config: type[BaseModel], name: str) -> str:
    """The field's docstring, or that of the nearest base class that has one."""
    bases = [base for base in config.__mro__ if issubclass(base, BaseModel)]
    found = (base.model_fields[name].description for base in bases if name in base.model_fields)
    return " ".join(next(filter(None, found), "").split())


def _default(info: FieldInfo) -> str:
    if _is_section(info.annotation):
        return "that section's defaults"
    return f"`{json.dumps(info.default)}`"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _valid(info: FieldInfo) -> str:
    """The kind of value and its bounds, for example "number, > 0, or null"."""
    bounds = [text for mark in info.metadata for text in _bounds(mark)]
    kind = _kind(info.annotation)
    if not bounds:
        return kind
    kind, is_optional = kind.removesuffix(" or null"), kind.endswith(" or null")
    return ", ".join([kind, *bounds, *(["or null"] if is_optional else [])])


def _bounds(mark: Any) -> list[str]:
    match mark:
        case at.Gt(gt=bound):
            return [f"> {bound}"]
        case at.Ge(ge=bound):
            return [f">= {bound}"]
        case at.Lt(lt=bound):
            return [f"< {bound}"]
        case at.Le(le=bound):
            return [f"<= {bound}"]
    return []


def _kind(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(args[0])
    if origin is Literal:
        return " or ".join(f"`{json.dumps(option)}`" for option in args)
    if origin in (Union, types.UnionType):
        is_class = set(args) == {str, type}
        return "class or name" if is_class else " or ".join(_kind(arg) for arg in args)
    if origin is list and args[0] is not Any:
        words = _kind(args[0]).split(" or ")
        return "list of " + " or ".join(_PLURALS.get(word, word) for word in words)
    return "section" if _is_section(annotation) else _WORDS[origin or annotation]


def _ranges(info: FieldInfo, found: Range | None) -> str:
    return "as there" if _is_section(info.annotation) else _tuning(found)


def _tuning(found: Range | None) -> str:
    match found:
        case None:
            return "-"
        case Choice(options=options):
            return ", ".join(f"`{json.dumps(option)}`" for option in options)
        case PowerOfTwo(low=low, high=high):
            return f"{2**low} to {2**high}, powers of 2"
        case OneMinus(low=low, high=high):
            return f"{1 - high:g} to {1 - low:g}, log scale of 1 - x"
        case Float(low=low, high=high, log=log) | Int(low=low, high=high, log=log):
            return f"{low:g} to {high:g}" + (", log scale" if log else "")
    raise TypeError(f"No words for {found!r}.")


if __name__ == "__main__":
    main()
