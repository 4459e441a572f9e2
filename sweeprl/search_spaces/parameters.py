"""The kinds of range a space may hold, and choices whose branches have parameters of their own."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Tag,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_serializer,
)

from sweeprl.config.base import Config
from sweeprl.config.ranges import Choice, Float, Int, Normal, OneMinus, PowerOfTwo, Range, same
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.search_spaces.latents import Label

__all__ = ["Branch", "Kind", "Nested", "Parameter", "Parameters", "keys_of", "plain", "short"]

_KEY = re.compile(r"[^\s\[\]().]+(\.[^\s\[\]().]+)*")
_BRANCH_NAME = re.compile(r"[^\[\]=]*[^\[\]=\s]")


def short(key: str) -> str:
    """Returns `key` as merging reads it: a bare name is one of `frame_config`."""
    return key.removeprefix("frame_config.")


def keys_of(parameters: Mapping[str, Kind]) -> Iterator[str]:
    """Yields every key that may be set, those of branches too; some more than once."""
    for key, one in parameters.items():
        yield from _keys_set_by(key, one)


def _keys_set_by(key: str, one: Kind) -> Iterator[str]:
    if not isinstance(one, Nested):
        yield key
        return
    if any(branch.has_value for branch in one.branches.values()):
        yield key
    for branch in one.branches.values():
        yield from keys_of(branch.parameters)


def _check_keys(parameters: dict[str, Kind]) -> dict[str, Kind]:
    setters: dict[str, str] = {}
    for parameter, one in parameters.items():
        if not _KEY.fullmatch(parameter):
            raise ValueError(
                f"a key must be a dotted path such as 'model_kwargs.*.hidden', without spaces and "
                f"brackets, but got {parameter!r}."
            )
        for key in {short(key) for key in _keys_set_by(parameter, one)}:
            if key in setters:
                raise ValueError(
                    f"'{setters[key]}' and '{parameter}' must not both be there: they set the same "
                    f"'{key}'. Leave one out, or make them branches of one nested choice."
                )
            setters[key] = parameter
    return parameters


def _parameter(data: Any, to_range: ValidatorFunctionWrapHandler) -> Any:
    """Turns a mapping into a range; misspelt words are refused with the one that was meant."""
    if not isinstance(data, (Range, Nested)):
        _check_words(data)
    try:
        return to_range(data)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _check_words(data: Any) -> None:
    if not isinstance(data, Mapping):
        raise ValueError(
            f"a range must be a mapping such as {{type: float, low: 0, high: 1}}, but got {data!r}."
        )
    word = data.get("type")
    if word not in _KINDS:
        got = f"its `type` is {word!r}" if "type" in data else "has no `type`"
        hint = did_you_mean(str(word), _KINDS)
        raise ValueError(f"`type` must be one of {', '.join(_KINDS)}, but {got}.{hint}")
    known = _field_names(_KINDS[word])
    for name, value in data.items():
        if name not in known:
            raise ValueError(
                f"Unknown word '{name}' for a range of type '{word}'."
                f"{did_you_mean(str(name), known)} Known: {', '.join(known)}."
            )
        if isinstance(value, bool) and name in _NUMBERS:
            raise ValueError(f"`{name}` must be a number, but got {value}.")


def _field_names(kind: type[Any]) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [one.name for one in dataclasses.fields(kind)]
    return list(kind.model_fields)


class Branch(Config):
    """One way to go of a nested choice."""

    value: Any = None
    """What the choice's own key is set to; left out, the key is only a name for the choice."""
    parameters: Parameters = {}
    """What is searched where this branch is taken."""

    @field_validator("value", mode="before")
    @classmethod
    def _plain_value(cls, value: Any) -> Any:
        return Choice((value,)).options[0]

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_for_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Here a truth value is welcome."""
        return value

    @property
    def has_value(self) -> bool:
        """Whether taking this branch sets the choice's own key."""
        return "value" in self.model_fields_set

    def __eq__(self, other: object) -> bool:
        is_alike = isinstance(other, Branch) and self.has_value == other.has_value
        return is_alike and super().__eq__(other)

    @model_serializer(mode="plain")
    def _without_what_is_not_set(self) -> dict[str, Any]:
        value = {"value": self.value} if self.has_value else {}
        return {**value, **({"parameters": plain(self.parameters)} if self.parameters else {})}


class Nested(Config):
    """A choice between branches, each with parameters of its own."""

    type: Literal["nested"] = "nested"
    branches: dict[str, Branch]
    """The branches by name."""

    @field_validator("branches")
    @classmethod
    def _names_fit_into_tuners(cls, branches: dict[str, Branch]) -> dict[str, Branch]:
        if not branches:
            raise ValueError("must hold at least one branch, but is empty.")
        for name in branches:
            if not _BRANCH_NAME.fullmatch(name):
                raise ValueError(
                    f"a branch's name must have neither brackets nor '=', but got {name!r}."
                )
        return branches

    @property
    def latent(self) -> Label:
        """What a tuner sees."""
        return Label(tuple(self.label(name) for name in self.branches))

    def name(self, key: str) -> str:
        """Returns the name of the latent: `choose(key)` unless labels are the key's own values."""
        return key if self._labels_are_values else f"choose({key})"

    @property
    def _labels_are_values(self) -> bool:
        branches = self.branches.items()
        is_more_than_a_choice = any(branch.parameters for _, branch in branches)
        return is_more_than_a_choice and all(
            branch.has_value and same(branch.value, name) for name, branch in branches
        )

    def label(self, name: str) -> str:
        """Returns what a tuner calls a branch: its name, and its value where they differ."""
        branch = self.branches[name]
        if self._labels_are_values or not branch.has_value:
            return name
        return f"{name} = {json.dumps(branch.value)}"

    def chosen(self, label: Any) -> str:
        """Returns the name of the branch that a tuner calls `label`.

        Raises:
            ValueError: there is none.
        """
        self.latent.require(label)
        return next(name for name in self.branches if self.label(name) == label)


_KINDS: dict[str, type[Any]] = {
    "float": Float,
    "int": Int,
    "power_of_two": PowerOfTwo,
    "one_minus": OneMinus,
    "normal": Normal,
    "choice": Choice,
    "nested": Nested,
}

_NUMBERS = ("low", "high", "step", "mu", "sigma")

Kind = Float | Int | PowerOfTwo | OneMinus | Normal | Choice | Nested
"""Every kind of range."""


def _word_of(data: Any) -> Any:
    return data["type"] if isinstance(data, Mapping) else data.type


_Tagged = (
    Annotated[Float, Tag("float")]
    | Annotated[Int, Tag("int")]
    | Annotated[PowerOfTwo, Tag("power_of_two")]
    | Annotated[OneMinus, Tag("one_minus")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[Nested, Tag("nested")]
)

Parameter = Annotated[
    Annotated[_Tagged, Discriminator(_word_of)],
    WrapValidator(_parameter),
]
"""What one setting may be."""

Parameters = Annotated[dict[str, Parameter], AfterValidator(_check_keys)]
"""What settings may be, by dotted path."""

Branch.model_rebuild()
Nested.model_rebuild()


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns plain values that `json.dumps` takes, without what is as by default."""
    return {key: _plain(one) for key, one in parameters.items()}


def _plain(one: Any) -> dict[str, Any]:
    if isinstance(one, Nested):
        return one.model_dump()
    fields = [entry for entry in dataclasses.fields(one) if entry.name != "type"]
    values = {entry.name: getattr(one, entry.name) for entry in fields}
    if isinstance(one, Choice):
        values["options"] = list(one.options)
    changed = {
        entry.name: values[entry.name] for entry in fields if values[entry.name] != entry.default
    }
    return {"type": one.type, **changed}
