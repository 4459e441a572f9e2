"""`sweeprl confirm` and `sweeprl test`: train the best of a search anew, on fresh seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeprl.cli.options import Directory, Executor, JsonLines, Lanes, Quiet, Storage, Workers
from sweeprl.cli.watched import GO_ON, Watched, command_line, stopped_like_ctrl_c

if TYPE_CHECKING:
    from sweeprl.cli.reading import Reading

__all__ = ["confirm", "final_test"]


def confirm(
    root_dir: Directory,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most runs in all, earlier ones included; by default as in a sweep."
        ),
    ] = None,
    executor: Executor = "auto",
    workers: Workers = None,
    lanes: Lanes = None,
    storage: Storage = None,
    quiet: Quiet = False,
    as_json: JsonLines = False,
) -> None:
    """Trains the best of any stored search on fresh seeds; run again, it goes on or adds runs."""
    from sweeprl import sweeps

    def count(reading: Reading) -> int:
        return sum(run.is_over for run in reading.runs)

    def why_none(before: int) -> str:
        if runs is not None and runs > before:
            return (
                f"No run was added to the {before} there are: they tell which config is the best."
            )
        return f"Confirmed already, with {before} runs. For more: --runs {2 * before}"

    settings = {"executor": executor, "num_workers": workers, "num_lanes": lanes}
    _train(sweeps.confirm, root_dir, runs, storage, settings, count, why_none, quiet, as_json)


def final_test(
    root_dir: Directory,
    seeds: Annotated[
        int, typer.Option(min=1, help="For each of the two, earlier ones included.")
    ] = 10,
    executor: Executor = "auto",
    workers: Workers = None,
    lanes: Lanes = None,
    storage: Storage = None,
    quiet: Quiet = False,
    as_json: JsonLines = False,
) -> None:
    """Trains the winner and trial 0 on seeds that chose neither: what tuning is worth."""
    from sweeprl import sweeps

    def count(reading: Reading) -> int:
        return sum(run.is_over for run in reading.tests)

    def why_none(before: int) -> str:
        return f"Tested already, with {before} runs. For more: --seeds {2 * seeds}"

    settings = {"executor": executor, "num_workers": workers, "num_lanes": lanes}
    _train(sweeps.final_test, root_dir, seeds, storage, settings, count, why_none, quiet, as_json)


def _train(
    work: Callable[..., Any],
    root_dir: Path,
    num: int | None,
    storage: str | None,
    settings: dict[str, Any],
    count: Callable[[Reading], int],
    why_none: Callable[[int], str],
    quiet: bool,
    as_json: bool,
) -> None:
    """Does the work on a sweep, and shows how it goes and what has come of it."""
    from sweeprl import sweeps
    from sweeprl.cli.outcome import show_outcome
    from sweeprl.cli.reading import read_sweep, storage_with_password
    from sweeprl.sweeps.views import make_view

    storage = storage or storage_with_password(sweeps.SweepFolder(root_dir))
    before = count(read_sweep(root_dir, storage))
    stream = sys.stdout if as_json else sys.stderr
    view = Watched(make_view("none" if quiet else "json" if as_json else "auto", stream))
    with view.closed_at_the_end(), stopped_like_ctrl_c():
        result = work(root_dir, num, storage=storage, view=view, **settings)
    if not (quiet or as_json):
        after = read_sweep(root_dir, storage)
        if result.status == "stopped":
            typer.echo(f"Stopped. {GO_ON}\n  {command_line()}")
        elif count(after) == before:
            typer.echo(why_none(before))
        show_outcome(after)
    if result.status == "stopped":
        raise typer.Exit(128 + view.signal)
