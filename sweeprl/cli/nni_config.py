"""`sweeprl nni-config`: an NNI experiment's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeprl.cli.settings import changes_of, load_changed
from sweeprl.registry import importable

__all__ = ["nni_config"]


def nni_config(
    config: Annotated[Path, typer.Option(help="The config, JSON or YAML.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    space: Annotated[
        Path | None,
        typer.Option(
            help="What may be tuned, see `sweeprl space`; by default what the algorithm declares."
        ),
    ] = None,
    tuner: Annotated[
        str,
        typer.Option(help="TPE, Random, GridSearch, Evolution or PBT, of NNI; or Optuna."),
    ] = "TPE",
    assessor: Annotated[
        str | None, typer.Option(help="Stops bad trials early: Medianstop, of NNI; or Optuna.")
    ] = None,
    sampler: Annotated[
        str,
        typer.Option(help="Of the tuner Optuna: auto, random, qmc, tpe, gp, cmaes, nsgaii, ..."),
    ] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(
            help="Of the assessor Optuna: auto, median, percentile, asha, hyperband, patient, ..."
        ),
    ] = "auto",
    trials: Annotated[int, typer.Option(help="How many.")] = 20,
    concurrency: Annotated[int, typer.Option(help="How many at a time.")] = 2,
    hours: Annotated[
        float | None, typer.Option(help="After which no trial begins any more.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, dotted keys; a bare key is one of frame_config."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Writes an NNI experiment: config.yml, search_space.json and base.json."""
    base = load_changed(config, changes_of(settings or []))

    from sweeprl.nni.configuration import write_experiment
    from sweeprl.search_spaces import load_space

    with importable([config.resolve().parent, output, Path.cwd()]):
        files = write_experiment(
            base,
            output,
            None if space is None else load_space(space),
            tuner=tuner,
            assessor=assessor,
            sampler=sampler,
            pruner=pruner,
            trials=trials,
            concurrency=concurrency,
            hours=hours,
            overwrite=overwrite,
        )
    typer.echo(
        f"Wrote {files.config}, {files.space.name} and {files.base.name}. "
        f"Run with: sweeprl nni create {output}\n"
        f"`nnictl create --config {files.config}` runs it too, but other machines can reach it and "
        "nobody looks after it."
    )
