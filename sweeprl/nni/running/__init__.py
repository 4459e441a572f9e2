"""NNI experiments that run: started confined, looked after, resumed, ended."""

from __future__ import annotations

__all__: list[str] = []
