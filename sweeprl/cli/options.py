"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "STORAGE_VARIABLE",
    "Directory",
    "Executor",
    "Json",
    "JsonLines",
    "Lanes",
    "Quiet",
    "Storage",
    "Workers",
]

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

Executor = Annotated[str, typer.Option(help="auto, lanes, processes or in-process.")]

Workers = Annotated[
    int | None, typer.Option(help="Processes at a time; with lanes, those that share them.")
]

Lanes = Annotated[int | None, typer.Option(help="Lanes at a time, of all processes.")]

Quiet = Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")]

JsonLines = Annotated[bool, typer.Option("--json", help="Progress and result as JSON lines.")]
