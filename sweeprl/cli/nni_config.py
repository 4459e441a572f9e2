"""`sweeprl nni-config`: an NNI experiment's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeprl.cli.settings import changes_of, load_changed
from sweeprl.errors import ConfigError
from sweeprl.registry import importable

if TYPE_CHECKING:
    from sweeprl.nni.writing.configuration import ExperimentFolder
    from sweeprl.nni.writing.platforms import Remote

__all__ = ["nni_config"]

_PORT = 8080
"""Of the manager, where the user has no other wish."""


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
    tuner_settings: Annotated[
        list[str] | None,
        typer.Option("--tuner-set", help="key=value of the tuner, population_size=10 for example."),
    ] = None,
    assessor: Annotated[
        str | None, typer.Option(help="Stops bad trials early: Medianstop, of NNI; or Optuna.")
    ] = None,
    assessor_settings: Annotated[
        list[str] | None,
        typer.Option("--assessor-set", help="key=value of the assessor, start_step=8 for example."),
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
    trial_minutes: Annotated[
        float | None, typer.Option(help="After which a trial is stopped.")
    ] = None,
    gpus_per_trial: Annotated[
        int | None,
        typer.Option(help="1 gives each trial a GPU of its own, 0 hides them from all of them."),
    ] = None,
    trials_per_gpu: Annotated[int, typer.Option(help="How many trials share a GPU.")] = 1,
    machines: Annotated[
        list[str] | None,
        typer.Option(
            "--machine", metavar="USER@HOST[:PORT]", help="Train there over SSH; repeatable."
        ),
    ] = None,
    machine_python: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder of the machines' python, with sweeprl: /home/ada/venv/bin."
        ),
    ] = None,
    ssh_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            resolve_path=True,
            help="Private key for the machines; by default ~/.ssh/id_ed25519.",
        ),
    ] = None,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm",
            help="Train trials that run at once together, as lanes of one worker: many times "
            "faster for small ones.",
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, dotted keys; a bare key is one of frame_config."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Writes an NNI experiment: config.yml, search_space.json and base.json."""
    base = load_changed(config, changes_of(settings or []))

    from sweeprl.nni.writing.configuration import write_experiment
    from sweeprl.nni.writing.gpus import Gpus
    from sweeprl.nni.writing.warm_conditions import keys_of_their_own
    from sweeprl.search_spaces import load_space

    remote = _remote(machines or [], machine_python, ssh_key)
    chosen = None if space is None else load_space(space)
    with importable([config.resolve().parent, output, Path.cwd()]):
        files = write_experiment(
            base,
            output,
            chosen,
            tuner=tuner,
            tuner_settings=changes_of(tuner_settings or [], option="--tuner-set"),
            assessor=assessor,
            assessor_settings=changes_of(assessor_settings or [], option="--assessor-set"),
            sampler=sampler,
            pruner=pruner,
            trials=trials,
            concurrency=concurrency,
            hours=hours,
            trial_minutes=trial_minutes,
            gpus=Gpus(gpus_per_trial, trials_per_gpu),
            remote=remote,
            warm=warm,
            overwrite=overwrite,
        )
        alone = keys_of_their_own(chosen, base) if warm and chosen is not None else []
    typer.echo(_next_steps(files, output, remote))
    if alone:
        typer.echo(
            f"Trials that differ in {', '.join(alone)} cannot be trained together: while others "
            "run, they train in processes of their own. `sweeprl space --lanes` leaves such keys "
            "out."
        )


def _remote(machines: Sequence[str], python: str | None, ssh_key: Path | None) -> Remote | None:
    from sweeprl.nni.writing.platforms import Machine, Remote

    if not machines:
        if python is not None or ssh_key is not None:
            raise ConfigError(
                "--machine-python and --ssh-key must come with the machines that they are of, but "
                "there is no --machine. Add one: --machine ada@gpu1"
            )
        return None
    if python is None:
        raise ConfigError(
            "--machine must come with --machine-python, the folder there that holds the python "
            "that sweeprl is installed for, since a login by SSH knows no virtual environment. "
            "Add it, --machine-python /home/ada/venv/bin for example."
        )
    key = {} if ssh_key is None else {"ssh_key": str(ssh_key)}
    return Remote([Machine.of(text) for text in machines], python, **key)


def _next_steps(files: ExperimentFolder, output: Path, remote: Remote | None) -> str:
    wrote = f"Wrote {files.config}, {files.space.name} and {files.base.name}."
    if remote is None:
        return (
            f"{wrote} Run with: sweeprl nni create {output}\n"
            f"`nnictl create --config {files.config}` runs it too, but other machines can reach it "
            "and nobody looks after it."
        )
    from sweeprl.nni.writing.platforms import tunnel_command

    tunnels = [tunnel_command(machine, _PORT, remote.ssh_key) for machine in remote.machines]
    return "\n".join(
        [
            f"{wrote} Trials report through a tunnel; keep these running:",
            *(f"    {tunnel}" for tunnel in dict.fromkeys(tunnels)),
            f"Run with: sweeprl nni create {output} --port {_PORT}",
        ]
    )
