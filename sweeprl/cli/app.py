"""The commands. Whatever is heavy is imported inside the command that needs it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeprl import registry
from sweeprl.cli.confirming import confirm, final_test
from sweeprl.cli.looking import best, show, trials
from sweeprl.cli.nni import nni
from sweeprl.cli.nni_config import nni_config
from sweeprl.cli.options import JsonLines, Quiet
from sweeprl.cli.reproduction import reproduce
from sweeprl.cli.sensitivity import importance
from sweeprl.cli.settings import changes_of, check_output, load_changed
from sweeprl.cli.space import space
from sweeprl.cli.sweeping import sweep
from sweeprl.errors import ConfigError

if TYPE_CHECKING:
    from sweeprl.config import TrialConfig
    from sweeprl.launcher import TrialRecord

__all__ = ["app"]

app = typer.Typer(
    help="Hyperparameter sweeps for reinforcement learning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(space)
app.command()(sweep)
app.command()(confirm)
app.command("test")(final_test)
for _command in (trials, best, show, reproduce, importance, nni_config):
    app.command()(_command)
app.add_typer(nni, name="nni")


@app.command("list")
def list_names(
    algo: Annotated[bool, typer.Option("--algo", help="Algorithms only.")] = False,
    env: Annotated[bool, typer.Option("--env", help="Environment extensions only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Lists algorithms and environment extensions."""
    sections: dict[str, dict[str, str]] = {}
    if algo or not env:
        sections["algorithms"] = registry.frames.names()
    if env or not algo:
        sections["environments"] = registry.envs.names()
    if as_json:
        typer.echo(json.dumps(sections))
        return
    for title, names in sections.items():
        typer.echo(title)
        for name, summary in names.items():
            typer.echo(f"  {name:<12} {summary}")


@app.command()
def generate(
    algo: Annotated[str, typer.Option(help="The algorithm, see `sweeprl list --algo`.")],
    env: Annotated[
        str, typer.Option(help="The environment extension, see `sweeprl list --env`.")
    ] = "gymnasium",
    env_name: Annotated[
        str | None, typer.Option(help="The environment's id, Pendulum-v1 for example.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where to write; .json, .yaml or .yml.")] = Path(
        "config.json"
    ),
    to_screen: Annotated[
        bool, typer.Option("--print", help="Print the config instead of writing it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Writes a complete config."""
    from sweeprl import config as configs
    from sweeprl.registry import importable

    settings = {"env_name": env_name} if env_name else {}
    with importable([Path.cwd()]):
        plain = configs.generate_algorithm_config(algo)
        plain = configs.generate_env_config(env, plain, **settings)
        plain = configs.generate_training_config(config=plain)
        configs.TrialConfig.of(plain)
    if to_screen:
        typer.echo(configs.format_config(plain), nl=False)
        return
    check_output(output, overwrite)
    configs.save_config(plain, output)
    typer.echo(f"Wrote {output}. Train with: sweeprl run --config {output}")


@app.command()
def run(
    config: Annotated[Path | None, typer.Option(help="The config, JSON or YAML.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, dotted keys; a bare key is one of frame_config."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the config's seed.")] = None,
    root_dir: Annotated[
        Path | None, typer.Option(help="Replaces the config's folder for results.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the interrupted trial in this folder.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another trial's results.")
    ] = False,
    quiet: Quiet = False,
    as_json: JsonLines = False,
    warm: Annotated[
        bool,
        typer.Option(
            "--warm", help="In an NNI experiment: train together with the trials that run now."
        ),
    ] = False,
) -> None:
    """Trains one trial; in an NNI experiment, the one that NNI has started the process for."""
    changes = changes_of(settings or [], seed, root_dir)
    if config is not None and "NNI_PLATFORM" in os.environ:
        from sweeprl.cli.proposed import run_in_experiment

        run_in_experiment(config, changes, warm)
        return
    if warm:
        raise ConfigError(
            "--warm must stand in the trial command of an NNI experiment, where trials run at "
            "once, but this is none. Leave it out; many trials are trained by: sweeprl sweep"
        )
    folder: Path | None
    if config is not None and resume is None:
        trial, folder = load_changed(config, changes), config.resolve().parent
    elif config is None and resume is not None:
        trial, folder = _load_interrupted(resume, changes)
    else:
        raise ConfigError(
            "Exactly one of --config and --resume must be given. "
            "Write a config with: sweeprl generate --algo DQN"
        )

    from sweeprl.launcher import launch

    view: Any = "none" if quiet else "json" if as_json else "auto"
    record = launch(
        trial,
        resume=resume is not None,
        overwrite=overwrite,
        config_folder=folder,
        view=view,
        stream=sys.stdout if as_json else sys.stderr,
    )
    if as_json:
        typer.echo(json.dumps({"event": record.status, **record.model_dump(mode="json")}))
    elif not quiet:
        _show(record, Path(trial.root_dir))
    if record.status == "stopped":
        raise typer.Exit(128 + int(record.reason.rpartition(" ")[2]))


@app.command()
def evaluate(
    root_dir: Annotated[Path, typer.Argument(help="A trial's folder.")],
    episodes: Annotated[
        int | None, typer.Option(min=1, help="How many; as in the final test by default.")
    ] = None,
    video: Annotated[bool, typer.Option("--video", help="Film the first episode.")] = False,
    save_trajectories: Annotated[
        Path | None, typer.Option(help="Write what was done to this file, for GAIL to imitate.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Plays a trial's best checkpoint, greedily."""
    from sweeprl import launcher

    if save_trajectories is not None:
        check_output(save_trajectories, overwrite, "--save-trajectories")
        if not save_trajectories.absolute().parent.is_dir():
            raise ConfigError(
                f"--save-trajectories must name a file in a folder that exists, but "
                f"'{save_trajectories.absolute().parent}' does not. Create it first."
            )
    returns, videos = launcher.evaluate(root_dir, episodes, video, save_trajectories)
    mean = sum(returns) / len(returns)
    if as_json:
        found = [str(path) for path in videos]
        typer.echo(json.dumps({"mean": mean, "returns": returns, "videos": found}))
        return
    typer.echo(
        f"{len(returns)} episodes: mean return {mean:.1f}, worst {min(returns):.1f}, "
        f"best {max(returns):.1f}"
    )
    for path in videos:
        typer.echo(f"video: {path}")
    if save_trajectories is not None:
        typer.echo(f"trajectories: {save_trajectories}")


_EXTENDABLE = ("max_env_steps", "max_episodes", "gpus")


def _load_interrupted(root_dir: Path, changes: dict[str, Any]) -> tuple[TrialConfig, Path | None]:
    from sweeprl.config import merge
    from sweeprl.launcher import TrialFolder

    fixed = [key for key in changes if key not in _EXTENDABLE]
    if fixed:
        raise ConfigError(
            f"A resumed trial keeps its settings; only {', '.join(_EXTENDABLE)} may change, "
            f"but got {', '.join(fixed)}."
        )
    folder = TrialFolder(root_dir)
    loaded, record = folder.load_config(), folder.load_record()
    if not folder.last.exists():
        raise ConfigError(
            f"'{folder.last}' must exist to go on, but does not: the trial ended before its first "
            f"checkpoint. Start it again with: sweeprl run --config {folder.config} --overwrite"
        )
    trial = merge(loaded, {**changes, "root_dir": str(root_dir)})
    return trial, Path(record.config_folder) if record.config_folder else None


def _show(record: TrialRecord, root_dir: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    rows = {
        "status": f"{record.status}: {record.reason}",
        "score": f"{_number(record.score)} ({record.score_kind})",
        "test return": f"{_number(record.test_return)} over {len(record.test_returns)} episodes "
        "of the best checkpoint",
        "trained": f"{record.env_steps:,} env steps, {record.episodes:,} episodes, "
        f"{record.seconds:.1f} s",
        "results": str(root_dir),
    }
    films = sorted((root_dir / "videos").glob("test-*.mp4"))
    if films:
        rows["video"] = str(films[0])
    if record.status == "stopped":
        rows["go on"] = f"sweeprl run --resume {root_dir}"
    else:
        rows["play again"] = f"sweeprl evaluate {root_dir} --video"
    table = Table.grid(padding=(0, 2))
    for name, text in rows.items():
        table.add_row(f"[bold]{name}[/]", text)
    Console(soft_wrap=True).print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
