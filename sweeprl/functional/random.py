"""Random numbers by counting: the number at a place of a stream is a function of key and place.

A stream needs no state but how far it was read, and gives the same numbers on every device, in any
order, and whatever other streams are read beside it.

Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators, figure 16,
https://doi.org/10.1145/2660193.2660195 (SplitMix64).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["normal_at", "stream_key", "uniform_at"]

_WORD = 2**64
_GAMMA, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def stream_key(*numbers: int) -> int:
    """Returns the key of a stream, a signed 64-bit integer; other numbers give another stream.

    Args:
        *numbers: what the stream is for, non-negative: a seed, a purpose, the number of a copy.
    """
    key = 0
    for number in numbers:
        key = _mix((key + number + 1) * _GAMMA % _WORD)
    return _signed(key)


def uniform_at(key: Tensor, place: Tensor) -> Tensor:
    """Returns numbers uniform in [0, 1), float32, multiples of 2 ** -24.

    Args:
        key: of the streams, int64.
        place: which numbers of the streams, int64, broadcast against `key`.
    """
    return _upper(_hash(key, place))


def normal_at(key: Tensor, place: Tensor) -> Tensor:
    """Returns standard normal numbers, float32; none is farther out than 5.8.

    Box and Muller 1958, A Note on the Generation of Random Normal Deviates,
    https://doi.org/10.1214/aoms/1177706645.

    Args:
        key: of the streams, int64.
        place: which numbers of the streams, int64, broadcast against `key`.
    """
    bits = _hash(key, place)
    radius = (-2 * torch.log1p(-_upper(bits))).sqrt_()
    return radius.mul_(_lower(bits).mul_(2 * math.pi).cos_())


def _hash(key: Tensor, place: Tensor) -> Tensor:
    """The output of SplitMix64 at `place`, started from `key`; int64 arithmetic wraps around."""
    bits = key + (place + 1) * _signed(_GAMMA)
    bits ^= (bits >> 30) & 0x3FFFFFFFF  # torch shifts the sign in; the mask takes it out
    bits *= _signed(_MIX_1)
    bits ^= (bits >> 27) & 0x1FFFFFFFFF
    bits *= _signed(_MIX_2)
    bits ^= (bits >> 31) & 0x1FFFFFFFF
    return bits


def _upper(bits: Tensor) -> Tensor:
    return ((bits >> 40) & 0xFFFFFF).float().mul_(2.0**-24)


def _lower(bits: Tensor) -> Tensor:
    return (bits & 0xFFFFFF).float().mul_(2.0**-24)


def _mix(bits: int) -> int:
    bits = (bits ^ bits >> 30) * _MIX_1 % _WORD
    bits = (bits ^ bits >> 27) * _MIX_2 % _WORD
    return bits ^ bits >> 31


def _signed(bits: int) -> int:
    return bits - _WORD if bits >= _WORD // 2 else bits
