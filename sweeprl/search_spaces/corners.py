"""The extreme trials of a space: those that are tried before any compute is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sweeprl.search_spaces.codecs import codec_of
from sweeprl.search_spaces.parameters import Branch, Kind, Nested

__all__ = ["Corner", "corners"]


class Corner(NamedTuple):
    """Values of one trial, of which one is put to the test."""

    parameter: str
    """The parameter of the space that is varied."""
    key: str
    """The key that is varied, a branch's for example."""
    at_high_end: bool
    """Whether the others are at their high ends."""
    params: dict[str, Any]
    """Values by dotted path."""


def corners(parameters: Mapping[str, Kind]) -> Iterator[Corner]:
    """Yields both ends, every option and every branch of each parameter.

    All others are at their low ends first, then at their high ends.
    """
    for at_high_end in (False, True):
        anchors = {key: _anchor(key, one, at_high_end) for key, one in parameters.items()}
        for parameter, one in parameters.items():
            others = _merged(own for key, own in anchors.items() if key != parameter)
            for key, own in _alternatives(parameter, one):
                yield Corner(parameter, key, at_high_end, others | own)


def _anchor(key: str, one: Kind, at_high_end: bool) -> dict[str, Any]:
    index = -1 if at_high_end else 0
    if not isinstance(one, Nested):
        return {key: codec_of(one).ends()[index]}
    branch = list(one.branches.values())[index]
    children = branch.parameters.items()
    return _own(key, branch) | _merged(_anchor(*child, at_high_end) for child in children)


def _alternatives(key: str, one: Kind) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(one, Nested):
        for value in codec_of(one).ends():
            yield key, {key: value}
        return
    for branch in one.branches.values():
        if not branch.parameters:
            yield key, _own(key, branch)
        for corner in corners(branch.parameters):
            yield corner.key, _own(key, branch) | corner.params


def _own(key: str, branch: Branch) -> dict[str, Any]:
    return {key: branch.value} if branch.has_value else {}


def _merged(parts: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return merged
