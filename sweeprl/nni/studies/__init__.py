"""The stored study behind an NNI experiment, which the commands of a sweep read."""

from __future__ import annotations

__all__: list[str] = []
