"""`sweeprl sweep`: a search, and the confirmation of what it finds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeprl.cli.options import STORAGE_VARIABLE, Executor, JsonLines, Lanes, Quiet, Workers
from sweeprl.cli.settings import changes_of, load_changed
from sweeprl.cli.watched import GO_ON, Watched, command_line, stopped_like_ctrl_c

if TYPE_CHECKING:
    from sweeprl.sweeps import SweepResult

__all__ = ["sweep"]

_TRIALS = 64


def sweep(
    config: Annotated[Path, typer.Option(help="The config, JSON or YAML.")],
    space: Annotated[
        Path | None,
        typer.Option(
            help="What may be tuned, see `sweeprl space`; by default what the algorithm declares."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(help=f"Trials of the search; {_TRIALS} where no other budget is given."),
    ] = None,
    env_steps: Annotated[
        int | None, typer.Option(help="Environment steps of search and confirmation together.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Wall-clock minutes of both together.")
    ] = None,
    confirmation: Annotated[
        float, typer.Option(help="Share of the budget that trains the best anew on fresh seeds.")
    ] = 0.3,
    seeds: Annotated[
        str, typer.Option(help="Seeds of each trial: a number, race:N, or auto.")
    ] = "auto",
    sampler: Annotated[
        str,
        typer.Option(
            help="auto, random, qmc, tpe, gp, cmaes, nsgaii, or module:Class; or pbt, "
            "population-based training."
        ),
    ] = "tpe",
    generations: Annotated[
        int | None,
        typer.Option(
            help="Of pbt: parts of a training, after which the worst copy the best; 10 by default."
        ),
    ] = None,
    pruner: Annotated[
        str,
        typer.Option(
            help="auto, none, median, percentile, asha, hyperband, patient, wilcoxon, or "
            "module:Class."
        ),
    ] = "auto",
    executor: Executor = "auto",
    workers: Workers = None,
    lanes: Lanes = None,
    seconds_per_trial: Annotated[
        float | None, typer.Option(help="Wall-clock limit of a trial's seed; in processes.")
    ] = None,
    objectives: Annotated[
        list[str] | None,
        typer.Option("--objective", help="score, and more: env_steps_to:475, seconds, deviation."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, dotted keys; a bare key is one of frame_config."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the config's seed.")] = None,
    root_dir: Annotated[Path, typer.Option(help="Folder of everything the sweep writes.")] = Path(
        "sweep"
    ),
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar=STORAGE_VARIABLE,
            help="A database for several machines; by default a file in the root dir.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the study; by default that of the root dir.")
    ] = None,
    quiet: Quiet = False,
    as_json: JsonLines = False,
) -> None:
    """Searches for good settings and confirms them on fresh seeds; run again, it goes on."""
    base = load_changed(config, changes_of(settings or [], seed))

    import optuna

    from sweeprl.search_spaces import load_space
    from sweeprl.sweeps import Sweep
    from sweeprl.sweeps.views import make_view

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    stream = sys.stdout if as_json else sys.stderr
    view = Watched(make_view("none" if quiet else "json" if as_json else "auto", stream))
    with view.closed_at_the_end(), stopped_like_ctrl_c():
        result = Sweep(
            base,
            None if space is None else load_space(space),
            _num_trials(trials, env_steps, minutes),
            env_steps=env_steps,
            seconds=None if minutes is None else 60 * minutes,
            confirmation=confirmation,
            seeds=seeds,
            sampler=sampler,
            generations=generations,
            pruner=pruner,
            executor=executor,
            num_workers=workers,
            num_lanes=lanes,
            seconds_per_trial=seconds_per_trial,
            objectives=objectives or ("score",),
            root_dir=root_dir,
            storage=storage,
            name=name,
            config_folder=str(config.resolve().parent),
            view=view,
        ).run()
    if not (quiet or as_json):
        _show(result, root_dir, storage)
    if result.status == "stopped":
        raise typer.Exit(128 + view.signal)


def _num_trials(trials: int | None, env_steps: int | None, minutes: float | None) -> int | None:
    if trials is None and env_steps is None and minutes is None:
        return _TRIALS
    return trials


def _show(result: SweepResult, root_dir: Path, storage: str | None) -> None:
    from sweeprl.cli.outcome import show_outcome
    from sweeprl.cli.reading import read_sweep

    if result.status == "stopped":
        typer.echo(f"Stopped. {GO_ON}")
        typer.echo(f"  {command_line()}")
    show_outcome(read_sweep(root_dir, storage))
