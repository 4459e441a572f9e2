"""Rows of results: shown as they come, and appended to a file in results/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def show(row: dict[str, Any], name: str, is_saved: bool) -> None:
    """Prints a row, and appends it to results/`name`.jsonl if it is to be saved."""
    print(json.dumps(row), flush=True)
    if is_saved:
        with (RESULTS / f"{name}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
