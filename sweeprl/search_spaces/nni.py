"""Spaces as NNI's search_space.json, and NNI's proposals as the values of a trial.

What NNI knows bears its own key. What it does not know is made from what it knows, under a name
that says how: `1 - discount`, `log2(batch_size)`, `json(model_kwargs.*.hidden)`. Two things are
refused: a nested choice inside a nested choice, which NNI 3.0 cannot propose, and lists of options
of which only some have a `_name`, which it would pass on as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.search_spaces.codecs import codec_of
from sweeprl.search_spaces.coding import branch_prefix, encoded, name_of
from sweeprl.search_spaces.nni_entries import Entry, branch_labels, content, entry_of
from sweeprl.search_spaces.nni_ranges import nni_parameters
from sweeprl.search_spaces.parameters import Kind, Nested, plain
from sweeprl.search_spaces.space import SearchSpace

__all__ = ["decode_nni", "encode_nni", "from_nni", "to_nni"]


def to_nni(space: SearchSpace) -> dict[str, Any]:
    """Returns the content of a search_space.json.

    Raises:
        ConfigError: a nested choice lies inside a nested choice.
    """
    return content(space.parameters)


def from_nni(data: Mapping[str, Any]) -> SearchSpace:
    """Reads the content of a search_space.json, the user's own or one that `to_nni` wrote.

    Args:
        data: by name. The keys inside a nested choice are read like those outside, and `_name` is
            the value that the choice itself takes.

    Raises:
        ConfigError: naming the parameter, what is wrong and the rule.
    """
    return SearchSpace.of({"parameters": plain(nni_parameters(data))})


def decode_nni(space: SearchSpace, proposal: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values by dotted path that a proposal of NNI stands for.

    Args:
        space: what `to_nni` was given.
        proposal: what `nni.get_next_parameter` returned.

    Raises:
        ConfigError: a parameter is missing, unknown or outside its range.
    """
    return _decoded(space.parameters, proposal)


def encode_nni(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the proposal of NNI that stands for `params`.

    >>> from sweeprl.search_spaces import OneMinus, PowerOfTwo
    >>> space = SearchSpace(parameters={"discount": OneMinus(1e-4, 0.5), "n": PowerOfTwo(1, 9)})
    >>> encode_nni(space, {"discount": 0.75, "n": 64})
    {'1 - discount': 0.25, 'log2(n)': 6}

    Args:
        space: what `to_nni` was given.
        params: values by dotted path.

    Raises:
        ConfigError: a key is unknown, or a value is missing or outside its range.
    """
    return _proposal(space.parameters, encoded(space.parameters, params), "")


def _proposal(
    parameters: Mapping[str, Kind], latents: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    proposal: dict[str, Any] = {}
    for key, one in parameters.items():
        entry, latent = entry_of(key, one), latents[prefix + name_of(key, one)]
        if isinstance(one, Nested):
            chosen = one.chosen(latent)
            label = branch_labels(one)[list(one.branches).index(chosen)]
            inside = prefix + branch_prefix(key, chosen)
            children = _proposal(one.branches[chosen].parameters, latents, inside)
            proposal[entry.name] = {"_name": label, **children}
        else:
            proposal[entry.name] = entry.encode(codec_of(one).decode(latent))
    return proposal


def _decoded(parameters: Mapping[str, Kind], proposal: Mapping[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {}
    remaining = {name: value for name, value in proposal.items() if name != "_name"}
    known = []
    for key, one in parameters.items():
        entry = entry_of(key, one)
        known.append(entry.name)
        if entry.name not in proposal:
            raise ConfigError(
                f"A value for '{entry.name}' must be proposed, but is missing from "
                f"{dict(proposal)!r}."
            )
        value = remaining.pop(entry.name)
        if isinstance(one, Nested):
            params |= _decoded_branch(key, one, entry.name, value)
        else:
            params[key] = _value(entry, value)
    if remaining:
        name = next(iter(remaining))
        hint = did_you_mean(name, known)
        raise ConfigError(
            f"'{name}' must be one of the space's parameters, but is not.{hint} "
            f"Known: {', '.join(known)}."
        )
    return params


def _value(entry: Entry, proposal: Any) -> Any:
    try:
        return entry.decode(proposal)
    except ValueError as error:
        raise ConfigError(f"'{entry.name}' {error}.") from None


def _decoded_branch(key: str, one: Nested, name: str, proposal: Any) -> dict[str, Any]:
    labels = branch_labels(one)
    label = proposal.get("_name") if isinstance(proposal, Mapping) else None
    if label not in labels:
        raise ConfigError(f"'{name}' must have a `_name` out of {labels}, but got {proposal!r}.")
    branch = list(one.branches.values())[labels.index(label)]
    own = {key: branch.value} if branch.has_value else {}
    return own | _decoded(branch.parameters, proposal)
