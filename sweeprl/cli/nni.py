"""`sweeprl nni create|resume|stop|status|import`: NNI experiments, confined and looked after."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sweeprl.nni.reading.listing import Experiment

__all__ = ["nni"]

nni = typer.Typer(help="NNI experiments, confined to this machine and looked after.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The experiment's ID.")]
_Port = Annotated[
    int | None, typer.Option(help="Of the web page; by default a free one from 8080 on.")
]
_KeepOpen = Annotated[
    bool, typer.Option("--keep-open", help="Keep the web page when all is done, until Ctrl-C.")
]
_Detach = Annotated[
    bool, typer.Option("--detach", help="Return at once; a background process looks after it.")
]
_Quiet = Annotated[
    float,
    typer.Option(min=0.0, help="Say so when there was no report for so long: a trial may hang."),
]


@nni.command()
def create(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="As `sweeprl nni-config` writes it.")
    ],
    port: _Port = None,
    keep_open: _KeepOpen = False,
    in_background: _Detach = False,
    quiet_minutes: _Quiet = 30.0,
) -> None:
    """Runs an NNI experiment that only this machine can reach, until it is done."""
    from sweeprl.nni.running import experiments

    begin = partial(experiments.create, folder, port)
    _run(begin, keep_open, in_background, 60 * quiet_minutes)


@nni.command()
def resume(
    experiment_id: _Id,
    port: _Port = None,
    keep_open: _KeepOpen = False,
    in_background: _Detach = False,
    quiet_minutes: _Quiet = 30.0,
) -> None:
    """Goes on with an NNI experiment that was stopped or has broken down."""
    from sweeprl.nni.running import experiments

    begin = partial(experiments.resume, experiment_id, port)
    _run(begin, keep_open, in_background, 60 * quiet_minutes)


@nni.command()
def stop(experiment_id: _Id) -> None:
    """Stops an NNI experiment; its trials save their checkpoints."""
    from sweeprl.nni.running import experiments

    experiments.stop(experiment_id)
    typer.echo(f"Stopped. Go on with: sweeprl nni resume {experiment_id}")


@nni.command()
def status(experiment_id: _Id) -> None:
    """Shows how an NNI experiment goes."""
    from sweeprl.cli.tables import print_pairs
    from sweeprl.nni.reading.listing import find

    experiment = find(experiment_id)
    about = [("experiment", experiment.id), ("folder", str(experiment.folder))]
    print_pairs([*about, *_facts(experiment), *_sweep_of(experiment)])


@nni.command("import")
def import_(
    place: Annotated[
        str, typer.Argument(metavar="ID|DIR", help="The experiment's ID, or NNI's folder of it.")
    ],
    root_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the sweep; by default `sweep` in NNI's folder of it."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The config of its trials; by default the trial command names it."),
    ] = None,
) -> None:
    """Makes a sweep of an NNI experiment, with the parameters that its trials really had."""
    from sweeprl.cli.tables import print_pairs
    from sweeprl.nni.studies.importing import experiment_at, import_experiment

    found = import_experiment(experiment_at(place), root_dir, config)
    for reason in found.unreadable:
        sys.stderr.write(f"Warning: left out {reason}\n")
    root = found.folder.root
    going_on = f"; {found.num_going_on} have not ended" if found.num_going_on else ""
    print_pairs(
        [
            ("experiment", found.experiment),
            ("trials", f"{found.num_new} new, {found.num_known} known before{going_on}"),
            ("labels", f"{found.num_mislabelled} wrong in NNI's database, repaired here"),
            ("best", f"sweeprl best {root}"),
            ("all trials", f"sweeprl trials {root}"),
            ("confirm", f"sweeprl confirm {root}"),
        ]
    )


def _facts(experiment: Experiment) -> list[tuple[str, str]]:
    if experiment.is_running:
        with suppress(OSError):  # its manager may end between two questions
            return list(_running(experiment))
    return list(_at_rest(experiment))


def _running(experiment: Experiment) -> Iterator[tuple[str, str]]:
    from sweeprl.nni.reading.tally import JobTally, is_maximized

    manager = experiment.manager
    tally, jobs = JobTally(is_maximized(manager.profile().get("params", {}))), manager.jobs()
    tally.add(jobs)
    word, errors = manager.status()
    yield "web page", experiment.address
    yield "status", "; ".join([word, *errors])
    yield "running", f"{len(jobs) - len(tally)} trials"
    yield "ended", tally.summary()


def _at_rest(experiment: Experiment) -> Iterator[tuple[str, str]]:
    from sweeprl.nni.running.processes import find_processes

    num_left = sum(map(len, find_processes(experiment.id)))
    yield "status", f"broken down; {num_left} processes are left" if num_left else "not running"
    yield "go on", f"sweeprl nni resume {experiment.id}"


def _run(
    begin: Callable[[], str], keep_open: bool, in_background: bool, quiet_seconds: float
) -> None:
    from sweeprl.nni.running.watching import attend, detach

    shown: list[str] = []

    def begin_and_show() -> str:
        shown.append(_shown(begin()))
        return shown[0]

    if in_background:
        log = detach(begin_and_show, keep_open=keep_open, quiet_seconds=quiet_seconds)
        if isinstance(log, Path):
            _show_next(("follow", f"tail -f {log}"), ("stop", f"sweeprl nni stop {shown[0]}"))
            return
        code = log
    else:
        code = attend(begin_and_show, typer.echo, keep_open=keep_open, quiet_seconds=quiet_seconds)
    if code:
        _show_next(("go on", f"sweeprl nni resume {shown[0]}"))
    sys.exit(code)


def _shown(experiment_id: str) -> str:
    from sweeprl.cli.tables import print_pairs
    from sweeprl.nni.reading.listing import find

    experiment = find(experiment_id)
    print_pairs(
        [
            ("experiment", experiment_id),
            ("web page", f"{experiment.address} (from this machine only)"),
            ("folder", str(experiment.folder)),
            *_sweep_of(experiment),
        ]
    )
    return experiment_id


def _sweep_of(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Where the study lies that our own tuner keeps, or an import has made."""
    tuner = experiment.profile().get("params", {})
    is_own = "OptunaTuner" in str(tuner.get("tuner"))
    root = experiment.folder / "sweep"
    if root.exists() or is_own:
        yield "all trials", f"sweeprl trials {root}"


def _show_next(*pairs: tuple[str, str]) -> None:
    from sweeprl.cli.tables import print_pairs

    typer.echo()
    print_pairs(pairs)
