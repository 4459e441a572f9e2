"""Trials of an NNI experiment as lanes of one resident worker."""

from __future__ import annotations

__all__: list[str] = []
