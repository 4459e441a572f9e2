"""A home of its own for NNI."""

from __future__ import annotations

import pytest

from tests.cli.conftest import cli

__all__ = ["cli", "home"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where NNI keeps its list and its experiments."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"
