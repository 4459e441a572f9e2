"""Walking through a space: from a tuner's latents to the values of one trial, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from sweeprl.config.ranges import same
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.search_spaces.codec import Codec
from sweeprl.search_spaces.codecs import codec_of
from sweeprl.search_spaces.latents import Latent
from sweeprl.search_spaces.parameters import Kind, Nested, keys_of, short

__all__ = ["branch_prefix", "decoded", "encoded", "latents_of", "name_of", "walk"]

Ask = Callable[[str, Latent], Any]
"""A tuner: the name of a latent and what it may be -> what it is."""


def branch_prefix(key: str, branch: str) -> str:
    """Returns what the names of a branch's latents start with."""
    return f"{key}[{branch}]."


def walk(parameters: Mapping[str, Kind], ask: Ask, prefix: str = "") -> dict[str, Any]:
    """Asks for every latent that matters, and returns the values by dotted path.

    Args:
        parameters: what is asked for, in order; of a nested choice only the branch that is taken.
        ask: returns a latent.
        prefix: what the names of the latents start with.

    Raises:
        ConfigError: a latent is not what it may be.
    """
    params: dict[str, Any] = {}
    for key, one in parameters.items():
        name = prefix + name_of(key, one)
        if isinstance(one, Nested):
            chosen = _translated(name, one.chosen, ask(name, one.latent))
            branch = one.branches[chosen]
            own = {key: branch.value} if branch.has_value else {}
            params |= own | walk(branch.parameters, ask, prefix + branch_prefix(key, chosen))
        else:
            codec = codec_of(one)
            params[key] = _translated(name, codec.decode_strictly, ask(name, codec.latent))
    return params


def name_of(key: str, one: Kind) -> str:
    """Returns the name of a parameter's latent."""
    return one.name(key) if isinstance(one, Nested) else codec_of(one).name(key)


def _translated(name: str, translate: Callable[[Any], Any], latent: Any) -> Any:
    try:
        return translate(latent)
    except ValueError as error:
        raise ConfigError(f"'{name}' {error}.") from None


def latents_of(
    parameters: Mapping[str, Kind], conditional: bool = True, prefix: str = ""
) -> Iterator[tuple[str, Latent]]:
    """Yields name and latent of each parameter; those of branches only if `conditional`."""
    for key, one in parameters.items():
        if not isinstance(one, Nested):
            yield prefix + name_of(key, one), codec_of(one).latent
            continue
        yield prefix + one.name(key), one.latent
        if conditional:
            for name, branch in one.branches.items():
                yield from latents_of(branch.parameters, True, prefix + branch_prefix(key, name))


def decoded(parameters: Mapping[str, Kind], latents: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values that `latents` stand for.

    Raises:
        ConfigError: a latent is missing, unknown or not what it may be.
    """
    known = [name for name, _ in latents_of(parameters)]
    _refuse_unknown(latents, known)

    def ask(name: str, latent: Latent) -> Any:
        if name not in latents:
            raise ConfigError(f"A value for '{name}' must be given, but is missing.")
        return latents[name]

    return walk(parameters, ask)


def encoded(
    parameters: Mapping[str, Kind], params: Mapping[str, Any], nearest: bool = False
) -> dict[str, Any]:
    """Returns the latents that stand for `params`.

    Args:
        parameters: the space's.
        params: values by dotted path.
        nearest: whether a value outside its range becomes the nearest of the range, and one that is
            missing or null the middle.

    Raises:
        ConfigError: a key is unknown, or a value is missing or outside its range.
    """
    _refuse_unknown(map(short, params), list(map(short, keys_of(parameters))))
    return _encoded(parameters, {short(key): value for key, value in params.items()}, nearest, "")


def _refuse_unknown(names: Any, known: list[str]) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(
                f"'{name}' must be one of the space's parameters, but is not."
                f"{did_you_mean(name, known)} Known: {', '.join(known)}."
            )


def _encoded(
    parameters: Mapping[str, Kind], params: Mapping[str, Any], nearest: bool, prefix: str
) -> dict[str, Any]:
    latents: dict[str, Any] = {}
    for key, one in parameters.items():
        name = prefix + name_of(key, one)
        if isinstance(one, Nested):
            chosen = _branch(key, one, params, nearest)
            latents[name] = one.label(chosen)
            children = one.branches[chosen].parameters
            latents |= _encoded(children, params, nearest, prefix + branch_prefix(key, chosen))
        else:
            latents[name] = _encoded_value(key, codec_of(one), params, nearest)
    return latents


def _encoded_value(key: str, codec: Codec[Any], params: Mapping[str, Any], nearest: bool) -> Any:
    value = params.get(short(key))
    if codec.holds(value) and short(key) in params:
        return codec.encode(value)
    if nearest:
        try:
            return codec.encode(value)
        except TypeError:
            return codec.latent.middle()
    if short(key) not in params:
        raise ConfigError(f"A value for '{key}' must be given, but is missing.")
    try:
        hint = f" The nearest that does is {codec.snap(value)!r}."
    except TypeError:
        hint = ""
    raise ConfigError(f"'{key}' must lie in {codec.range!r}, but got {value!r}.{hint}")


def _branch(key: str, nested: Nested, params: Mapping[str, Any], nearest: bool) -> str:
    """The branch that `params` come from: its value is there, and most of its parameters."""
    fitting = [name for name, branch in nested.branches.items() if _fits(key, branch, params)]
    sizes: dict[str, int] = {}
    for name in fitting:
        with suppress(ConfigError):
            sizes[name] = len(_encoded(nested.branches[name].parameters, params, False, ""))
    if sizes:
        return max(sizes, key=lambda name: (nested.branches[name].has_value, sizes[name]))
    if nearest:
        return fitting[0] if fitting else next(iter(nested.branches))
    raise ConfigError(
        f"'{key}' and what belongs to it must fit one of the branches "
        f"{', '.join(nested.branches)}, but got {dict(params)!r}."
    )


def _fits(key: str, branch: Any, params: Mapping[str, Any]) -> bool:
    return not branch.has_value or (short(key) in params and same(branch.value, params[short(key)]))
