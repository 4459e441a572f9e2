"""The folder of an NNI experiment, checked before NNI sees it: NNI itself checks nothing."""

from __future__ import annotations

__all__: list[str] = []
