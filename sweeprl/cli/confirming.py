"""`sweeprl confirm`: trains the best of a search anew, on fresh seeds."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sweeprl.cli.options import Directory, Storage
from sweeprl.cli.watched import GO_ON, Watched, command_line, stopped_like_ctrl_c

__all__ = ["confirm"]


def confirm(
    root_dir: Directory,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most runs in all, earlier ones included; by default as in a sweep."
        ),
    ] = None,
    executor: Annotated[str, typer.Option(help="auto, lanes, processes or in-process.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(help="Processes at a time; with lanes, those that share them.")
    ] = None,
    lanes: Annotated[int | None, typer.Option(help="Lanes at a time, of all processes.")] = None,
    storage: Storage = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Progress and result as JSON lines.")
    ] = False,
) -> None:
    """Trains the best of any stored search on fresh seeds; run again, it goes on or adds runs."""
    from sweeprl import sweeps
    from sweeprl.cli.outcome import show_outcome
    from sweeprl.cli.reading import read_sweep, storage_with_password
    from sweeprl.sweeps.views import make_view

    storage = storage or storage_with_password(sweeps.SweepFolder(root_dir))
    before = sum(run.is_over for run in read_sweep(root_dir, storage).runs)
    stream = sys.stdout if as_json else sys.stderr
    view = Watched(make_view("none" if quiet else "json" if as_json else "auto", stream))
    with view.closed_at_the_end(), stopped_like_ctrl_c():
        result = sweeps.confirm(
            root_dir,
            runs,
            executor=executor,
            storage=storage,
            num_workers=workers,
            num_lanes=lanes,
            view=view,
        )
    if not (quiet or as_json):
        if result.status == "stopped":
            typer.echo(f"Stopped. {GO_ON}\n  {command_line()}")
        elif result.num_runs == before:
            typer.echo(_why_none(before, runs))
        show_outcome(read_sweep(root_dir, storage))
    if result.status == "stopped":
        raise typer.Exit(128 + view.signal)


def _why_none(before: int, runs: int | None) -> str:
    if runs is not None and runs > before:
        return f"No run was added to the {before} there are: they tell which config is the best."
    return f"Confirmed already, with {before} runs. For more: --runs {2 * before}"
