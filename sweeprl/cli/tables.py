"""Tables on a terminal, as wide as it is; in a pipe, no line is broken."""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["parameter_lines", "print_pairs", "print_table", "value_text"]


def value_text(value: Any) -> str:
    """Returns a parameter's value.

    >>> [value_text(value) for value in (0.00123456, 64, True, None, [64, 64], "Adam")]
    ['0.001235', '64', 'true', 'null', '[64, 64]', 'Adam']
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def parameter_lines(params: Mapping[str, Any]) -> Iterator[str]:
    """Yields parameters, and what a schedule changes, each as a line.

    >>> change = {"env_steps": 2000, "settings": {"discount": 0.9, "gae_lambda": 1.0}}
    >>> list(parameter_lines({"discount": 0.99, "schedule": [change]}))
    ['discount = 0.99', 'from env step 2,000 on: discount = 0.9, gae_lambda = 1']
    """
    for name, value in params.items():
        if name != "schedule":
            yield f"{name} = {value_text(value)}"
            continue
        for change in value:
            settings = ", ".join(f"{k} = {value_text(v)}" for k, v in change["settings"].items())
            yield f"from env step {change['env_steps']:,} on: {settings}"


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Prints names with what is to be said of them."""
    table = Table.grid(padding=(0, 2))
    for name, text in pairs:
        table.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    _print(table)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Prints rows under titles; numbers stand to the right.

    Returns:
        The titles of the last columns, where they were left out since the terminal is narrow.
    """
    columns = list(zip(titles, *rows, strict=True))
    kept = _num_fitting(columns)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for title, *cells in columns[:kept]:
        table.add_column(title, justify="right" if all(map(_is_number, cells)) else "left")
    for row in zip(*(column[1:] for column in columns[:kept]), strict=True):
        table.add_row(*map(Text, row))
    _print(table)
    return [column[0] for column in columns[kept:]]


def _num_fitting(columns: Sequence[Sequence[str]]) -> int:
    if not sys.stdout.isatty():
        return len(columns)
    room = Console().width + 2
    widths = itertools.accumulate(max(map(len, column)) + 2 for column in columns)
    return max(1, sum(width <= room for width in widths))


def _is_number(text: str) -> bool:
    return not text or text[0].isdigit() or text[0] in "-+["


def _print(table: Table) -> None:
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(highlight=False, file=io.StringIO(), width=1000)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip())
