"""What the settings of a frame and of the configs nested in it amount to, by dotted path."""

from __future__ import annotations

import re
from typing import Any, Literal

from sweeprl.config.frame import FrameConfig
from sweeprl.config.ranges import masked, traced

__all__ = ["limits_of", "parts_of", "structure_of", "traced_of"]

_KEY = re.compile(r"[A-Za-z_][\w.]*")


def parts_of(config: FrameConfig) -> dict[str, FrameConfig]:
    """Returns a config and the nested ones that it uses, by what stands before their settings.

    That is "" for the config itself, and "PPO_config." for what `PPO_config` holds.
    """
    nested = {
        f"{name}.{prefix}": part
        for name, section in config.sections.items()
        for prefix, part in parts_of(section).items()
    }
    return {"": config, **nested}


def traced_of(config: FrameConfig) -> dict[str, Any]:
    """Returns the settings that may differ between lanes, by dotted path."""
    return {
        f"{prefix}{name}": getattr(part, name)
        for prefix, part in parts_of(config).items()
        for name in traced(type(part))
    }


def structure_of(config: FrameConfig) -> dict[str, Any]:
    """Returns what shapes and control flow depend on: all but the traced and masked numbers.

    Of those, it matters whether they are set at all. Nested configs that are not used do not count.
    """
    structure: dict[str, Any] = {}
    for prefix, part in parts_of(config).items():
        own = (*traced(type(part)), *masked(type(part)))
        plain = part.model_dump(exclude={*own, *_nested(part)})
        is_set = {f"{name} is set": getattr(part, name) is not None for name in own}
        structure |= {f"{prefix}{name}": value for name, value in {**plain, **is_set}.items()}
    return structure


def limits_of(config: FrameConfig, kind: Literal["limits", "advice"] = "limits") -> list[str]:
    """Returns the limits between settings, those of nested configs too, by dotted path.

    Limits that speak of a nested config that is not used are left out.
    """
    return [
        _spelled_out(text, prefix, part)
        for prefix, part in parts_of(config).items()
        for text in getattr(part, kind)
        if not _names_in(text) & (_nested(part) - set(part.sections))
    ]


def _spelled_out(text: str, prefix: str, part: FrameConfig) -> str:
    """A limit with the keys of `part` by dotted path; what it does not know is the trial's."""
    known = type(part).model_fields
    return _KEY.sub(
        lambda key: f"{prefix}{key[0]}" if key[0].split(".")[0] in known else key[0], text
    )


def _names_in(text: str) -> set[str]:
    return {key.split(".")[0] for key in _KEY.findall(text)}


def _nested(config: FrameConfig) -> set[str]:
    return {name for name, value in config if isinstance(value, FrameConfig)}
