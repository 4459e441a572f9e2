"""The declaration of what a sweep may change."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import field_serializer, field_validator
from typing_extensions import Self

from sweeprl.config import TrialConfig, limits_of, parts_of, ranges
from sweeprl.config.base import Config, build
from sweeprl.config.merging import read
from sweeprl.config.ranges import Float, Int, Range
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.search_spaces.checking import check_corners, lane_keys
from sweeprl.search_spaces.codecs import codec_of
from sweeprl.search_spaces.coding import walk
from sweeprl.search_spaces.limits import Limit, moved
from sweeprl.search_spaces.parameters import Kind, Nested, Parameters, keys_of, plain, short

__all__ = ["SearchSpace"]


class SearchSpace(Config):
    """What a sweep may change, and in which ranges.

    >>> from sweeprl.search_spaces import Float, SearchSpace
    >>> space = SearchSpace(parameters={"learning_rate": Float(1e-5, 1e-2, log=True)})
    >>> space.to_dict()
    {'parameters': {'learning_rate': {'type': 'float', 'low': 1e-05, 'high': 0.01, 'log': True}}}
    """

    parameters: Parameters
    """Ranges by dotted path, as `merge` reads them."""
    limits: list[str] = []
    """Upper limits such as "batch_size <= rollout_steps * num_envs", beside those of the frame."""

    @field_validator("limits")
    @classmethod
    def _limits_can_be_read(cls, limits: list[str]) -> list[str]:
        for text in limits:
            try:
                Limit.of(text)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return limits

    @field_serializer("parameters")
    def _plain_parameters(self, parameters: dict[str, Kind]) -> dict[str, Any]:
        return plain(parameters)

    @classmethod
    def of(cls, data: Mapping[str, Any] | SearchSpace) -> SearchSpace:
        """Reads a space from plain values, in our form or as NNI's search_space.json.

        Raises:
            ConfigError: naming what is wrong, its value and the rule.
        """
        if isinstance(data, Mapping) and _is_nni(data):
            from sweeprl.search_spaces.nni import from_nni

            return from_nni(data)
        return build(cls, data)

    @classmethod
    def of_config(cls, config: TrialConfig) -> SearchSpace:
        """Returns the ranges that the config's frame declares.

        What the config sets to null although the frame does not is left out: something else takes
        its place, as `update_steps` does for `update_rate`.
        """
        frame_config = config.frame_config
        parameters = {
            f"{prefix}{name}": found
            for prefix, part in parts_of(frame_config).items()
            for name, found in ranges(type(part)).items()
            if getattr(part, name) is not None or type(part).model_fields[name].default is None
        }
        advice = limits_of(frame_config, "advice")
        kept = [text for text in advice if _can_be_kept(text, parameters, config)]
        texts = [*limits_of(frame_config), *kept]
        limits = [text for text in texts if Limit.of(text).key in parameters]
        return cls.model_validate({"parameters": parameters, "limits": limits})

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values that `json.dumps` takes."""
        limits = {"limits": list(self.limits)} if self.limits else {}
        return {"parameters": plain(self.parameters), **limits}

    def only(self, *keys: str) -> SearchSpace:
        """Returns the space with these parameters alone.

        Raises:
            ConfigError: there is no such parameter.
        """
        kept = {self._own(key) for key in keys}
        return self._with({key: one for key, one in self.parameters.items() if key in kept})

    def without(self, *keys: str) -> SearchSpace:
        """Returns the space without these parameters.

        Raises:
            ConfigError: there is no such parameter.
        """
        dropped = {self._own(key) for key in keys}
        return self._with({key: one for key, one in self.parameters.items() if key not in dropped})

    def updated(self, parameters: Mapping[str, Range | Nested | Mapping[str, Any]]) -> SearchSpace:
        """Returns the space with some ranges replaced or added.

        Raises:
            ConfigError: a range is wrong.
        """
        own = {short(key): key for key in self.parameters}
        renamed = {own.get(short(key), key): one for key, one in parameters.items()}
        return self._with({**self.parameters, **renamed})

    def for_lanes(self, config: TrialConfig) -> SearchSpace:
        """Returns the space of what lanes of one cohort may differ in.

        Args:
            config: gives all else; what the space would have changed there stays as it is.

        Raises:
            ConfigError: the space does not fit the config.
        """
        self.check(config)
        return self.only(*lane_keys(self.parameters, config, self.resolve))

    def narrowed(self, config: TrialConfig) -> SearchSpace:
        """Returns the space with fixed limits built into its ranges, for tuners that know none.

        A limit is fixed where nothing on its right is searched; the others stay limits.

        Args:
            config: gives what the right sides name.

        >>> from sweeprl import SearchSpace, TrialConfig, generate_algorithm_config
        >>> from sweeprl import generate_env_config, generate_training_config
        >>> plain = generate_env_config("gymnasium", generate_algorithm_config("DQN"))
        >>> plain = generate_training_config(config=plain, max_env_steps=20_000)
        >>> config = TrialConfig.of(plain)
        >>> SearchSpace.of_config(config).narrowed(config).parameters["warmup_steps"]
        Int(low=100, high=4000, log=True, step=1, anchor='low', ordered=True)
        """
        searched = {short(key) for key in keys_of(self.parameters)}
        narrow: dict[str, Any] = {}
        for limit in map(Limit.of, self.limits):
            own = self._own(limit.key) if short(limit.key) in map(short, self.parameters) else ""
            one = narrow.get(own) or self.parameters.get(own)
            is_fixed = not searched & {short(term) for _, term in limit.factors}
            bound = limit.bound(config, {}) if is_fixed else None
            if isinstance(one, (Float, Int)) and bound is not None and one.low < bound < one.high:
                narrow[own] = replace(one, high=codec_of(one).largest(bound))
        return self.updated(narrow)

    def resolve(self, base: TrialConfig, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `params` with each value above a limit moved to the largest that keeps it.

        Args:
            base: gives what `params` do not set, and its frame's own limits.
            params: values by dotted path.

        Raises:
            ConfigError: a range has no value that keeps a limit.
        """
        texts = dict.fromkeys([*self.limits, *limits_of(base.frame_config)])
        return moved([Limit.of(text) for text in texts], self.parameters, base, params)

    def check(self, base: TrialConfig) -> None:
        """Tries both ends of every range, every option and every branch on a config.

        Raises:
            ConfigError: a key leads nowhere or a value is not valid, naming key and remedy.
        """
        known = [short(key) for key in keys_of(self.parameters)]
        for text in self.limits:
            limit = Limit.of(text)
            if short(limit.key) not in known:
                raise ConfigError(
                    f"The left side of '{text}' must be a parameter of the space, but is not."
                    f"{did_you_mean(limit.key, known)}"
                )
            limit.bound(base, dict.fromkeys(known))
        check_corners(self.parameters, base, self.resolve)

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Draws one trial's values by dotted path, limits aside.

        >>> from sweeprl.search_spaces import Int, SearchSpace
        >>> SearchSpace(parameters={"batch_size": Int(1, 6)}).sample(random.Random(0))
        {'batch_size': 4}
        """
        return walk(self.parameters, lambda name, latent: latent.draw(rng))

    def values_of(self, config: TrialConfig) -> dict[str, Any]:
        """Returns what a config has under the space's keys; what is not set there is left out."""
        values = {}
        for key in keys_of(self.parameters):
            with suppress(ConfigError):
                found = read(config, key)
                if found and all(one == found[0] for one in found):
                    values[key] = found[0]
        return values

    def _own(self, key: str) -> str:
        """The key as this space spells it."""
        for own in self.parameters:
            if short(own) == short(key):
                return own
        known = list(self.parameters)
        raise ConfigError(
            f"'{key}' must be one of the space's parameters, but is not.{did_you_mean(key, known)} "
            f"Known: {', '.join(known)}."
        )

    def _with(self, parameters: Mapping[str, Any]) -> Self:
        left = {short(key) for key in parameters}
        limits = [text for text in self.limits if short(Limit.of(text).key) in left]
        return build(type(self), {"parameters": dict(parameters), "limits": limits})


def _can_be_kept(text: str, parameters: Mapping[str, Range], config: TrialConfig) -> bool:
    """Whether some value of the range keeps a limit; one that nothing is known of need not be."""
    limit = Limit.of(text)
    bound = limit.bound(config, {})
    found = parameters.get(limit.key)
    return found is not None and bound is not None and codec_of(found).largest(bound) is not None


def _is_nni(data: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) and "_type" in value for value in data.values())
