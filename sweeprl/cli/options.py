"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["STORAGE_VARIABLE", "Directory", "Json", "Storage"]

STORAGE_VARIABLE = "SWEEPRL_STORAGE"
"""The environment variable that may hold a database's URL, so that no password is typed."""

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The sweep's root_dir.")]

Json = Annotated[bool, typer.Option("--json", help="For a program to read.")]

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The sweep's database, where its password is needed; also from $SWEEPRL_STORAGE.",
    ),
]
