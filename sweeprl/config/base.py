"""What every config has in common: frozen, no unknown keys, errors that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sweeprl.errors import ConfigError, did_you_mean

__all__ = ["Config", "build"]


class Config(BaseModel):
    """A frozen set of settings that refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        unknown = [key for key in data if key not in cls.model_fields]
        if unknown:
            hints = (f"'{key}'.{did_you_mean(str(key), cls.model_fields)}" for key in unknown)
            raise PydanticCustomError(
                "unknown_key", "Unknown key {hints}", {"hints": " ".join(hints)}
            )
        return data

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_for_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`true` would otherwise be taken for 1."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (annotation, *get_args(annotation)):
            raise ValueError(f"must not be a truth value, but got {value}.")
        return value


ConfigT = TypeVar("ConfigT", bound=BaseModel)


def build(model: type[ConfigT], data: Any, path: str = "") -> ConfigT:
    """Validates `data` as a `model`.

    Args:
        model: the config class.
        data: a mapping, or an instance already.
        path: where `data` stands in the whole config, for error messages.

    Raises:
        ConfigError: naming each field that is wrong, its value and the rule.
    """
    if isinstance(data, model):
        return data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_describe(model, details, path) for details in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _describe(model: type[BaseModel], details: Any, path: str) -> str:
    location = ".".join(str(part) for part in (path, *details["loc"]) if part != "")
    message = details["msg"].removeprefix("Value error, ")
    message = message[0].upper() + message[1:]
    if details["type"] in ("unknown_key", "value_error"):
        return f"{location}: {message}" if location else message
    field = model.model_fields.get(str(details["loc"][0])) if len(details["loc"]) == 1 else None
    default = "" if field is None or field.is_required() else f" The default is {field.default!r}."
    return f"{location or 'The config'}: {message}, but got {details['input']!r}.{default}"
