"""How each range is made from what a tuner sees: steps, powers of two, 1 - x, quantiles, labels.

A codec's name for its latent says the transform in words that a person can read off a dashboard:

    learning_rate               the value itself
    1 - discount                the distance to one
    log2(batch_size)            the exponent
    unrounded(x, 16)            a number that is rounded to a multiple of 16
    unrounded(x, 16, low)       ... to the range's low end and a multiple of 16
    unrounded_int(x, 16)        ... to an integer
    unordered(x)                integers that have nothing to do with their neighbours
    normal_cdf(x, 0, 1)         the share of the distribution below the value
    lognormal_cdf(x, 0, 1, 16)  ... which is rounded to a multiple of 16
    json(x)                     the text of a list or mapping
"""

from __future__ import annotations

import json
from typing import Any

from sweeprl.config.ranges import Choice, Range, same
from sweeprl.search_spaces.codec import Codec, is_number
from sweeprl.search_spaces.latents import Label
from sweeprl.search_spaces.number_codecs import NUMBER_CODECS

__all__ = ["codec_of", "label_of"]


class _ChoiceCodec(Codec[Choice]):
    @property
    def latent(self) -> Label:
        options = self.range.options
        return Label(tuple(label_of(one) for one in options) if self._is_structured else options)

    @property
    def _is_structured(self) -> bool:
        return any(isinstance(option, (list, dict)) for option in self.range.options)

    def name(self, key: str) -> str:
        return f"json({key})" if self._is_structured else key

    def decode(self, latent: Any) -> Any:
        if self._is_structured:
            return json.loads(latent)
        return next(option for option in self.range.options if same(option, latent))

    def encode(self, value: Any) -> Any:
        return self.latent.options[self._index(value)]

    def _index(self, value: Any) -> int:
        options = self.range.options
        for index, option in enumerate(options):
            if same(option, value):
                return index
        numbers = [index for index, option in enumerate(options) if is_number(option)]
        if not (numbers and is_number(value)):
            raise TypeError
        return min(numbers, key=lambda index: abs(options[index] - value))

    def ends(self) -> list[Any]:
        return [self.decode(label) for label in self.latent.options]

    def largest(self, bound: float) -> Any:
        fitting = [one for one in self.range.options if is_number(one) and one <= bound]
        return max(fitting, default=None)


def codec_of(range: Range) -> Codec[Any]:
    """Returns the codec of a range."""
    if isinstance(range, Choice):
        return _ChoiceCodec(range)
    return NUMBER_CODECS[type(range)](range)


def label_of(option: Any) -> str:
    """Returns the text under which tuners know a list or a mapping."""
    return json.dumps(option, sort_keys=True)
