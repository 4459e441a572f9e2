"""What a user may tell NNI's tuners and assessors; NNI finds a mistake when it is running."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from sweeprl.errors import ConfigError, did_you_mean

__all__ = ["check_class_arguments"]


def check_class_arguments(
    kind: str, name: str, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Refuses `classArgs` that a tuner or assessor does not take.

    Args:
        kind: "tuner" or "assessor".
        name: as NNI knows it.
        settings: all of them.
        given: those that the user has chosen.

    Raises:
        ConfigError: naming the setting and the rule.
    """
    known = _known(kind, name)
    for key in given:
        if key not in known:
            raise ConfigError(
                f"The {kind} {name} must be told only what it knows, but got '{key}'."
                f"{did_you_mean(key, known)} Known: {', '.join(known) or 'nothing'}."
            )
    if settings.get("optimize_mode", "maximize") != "maximize":
        raise ConfigError(
            f"The {kind} {name} must have `optimize_mode: maximize`, since a score is a return, "
            f"but got {settings['optimize_mode']!r}. Leave it out."
        )
    _validate(kind, name, settings)


def _known(kind: str, name: str) -> list[str]:
    from nni.tools.package_utils.tuner_factory import get_builtin_module_class_name

    module, class_name = get_builtin_module_class_name(f"{kind}s", name)
    parameters = inspect.signature(getattr(importlib.import_module(module), class_name)).parameters
    return list(parameters)


def _validate(kind: str, name: str, settings: Mapping[str, Any]) -> None:
    from nni.tools.package_utils.tuner_factory import create_validator_instance

    validator = create_validator_instance(f"{kind}s", name)
    if validator is None:
        return
    try:
        validator.validate_class_args(**settings)
    except Exception as error:  # of the package `schema`
        reason = " ".join(str(error).split())
        if "Wrong key" in reason:  # PBT's validator does not know what its constructor does
            return
        raise ConfigError(
            f"The {kind} {name} must be told what it can use, but got {dict(settings)}: {reason}"
        ) from None
