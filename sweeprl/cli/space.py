"""`sweeprl space`: what a sweep may change, to look at or to edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sweeprl import registry
from sweeprl.cli.settings import check_output
from sweeprl.errors import ConfigError

if TYPE_CHECKING:
    from sweeprl.config import TrialConfig
    from sweeprl.search_spaces import SearchSpace

__all__ = ["space"]

Form = Literal["yaml", "json", "nni"]


def space(
    algo: Annotated[
        str | None, typer.Option(help="The algorithm, see `sweeprl list --algo`.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The config that the space is for and is checked on.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Ranges from the literature: rl_zoo3, arlbench.")
    ] = None,
    lanes: Annotated[
        bool, typer.Option("--lanes", help="Only what trials trained together may differ in.")
    ] = False,
    form: Annotated[
        Form, typer.Option("--format", help="nni is a search_space.json for nnictl.")
    ] = "yaml",
    output: Annotated[
        Path | None, typer.Option(help="Where to write; printed where it is left out.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    list_presets: Annotated[
        bool, typer.Option("--presets", help="List presets with their sources.")
    ] = False,
) -> None:
    """Prints or writes a search space."""
    if list_presets:
        _list(algo)
        return
    folders = [Path.cwd(), *([config.resolve().parent] if config else [])]
    with registry.importable(folders):
        base = _base(algo, config)
        found = _space(base, preset)
        if lanes:
            found = found.for_lanes(base)
        found.check(base)
    text = _text(found, form)
    if output is None:
        typer.echo(text, nl=False)
        return
    _write(output, text, form, overwrite)
    typer.echo(f"Wrote {output}.")


def _list(algo: str | None) -> None:
    from sweeprl.search_spaces import presets

    names = registry.frames.names() if algo is None else [registry.frames.resolve(algo)]
    for frame in names:
        for name, source in presets(frame).items():
            typer.echo(f"{frame:<6} {name:<10} {source}")


def _base(algo: str | None, path: Path | None) -> TrialConfig:
    """The config at `path`, or a generated one."""
    from sweeprl import config as configs

    if path is None and algo is None:
        raise ConfigError(
            "At least one of --algo and --config must be given. "
            "See which algorithms there are with: sweeprl list --algo"
        )
    if path is None:
        plain = configs.generate_algorithm_config(str(algo))
        plain = configs.generate_env_config("gymnasium", plain)
        return configs.TrialConfig.of(configs.generate_training_config(config=plain))
    loaded = configs.load_config(path)
    if algo is not None and registry.frames.resolve(algo) != loaded.frame:
        raise ConfigError(
            f"--algo must be the config's, but '{path}' is for {loaded.frame} and --algo is "
            f"{algo}. Leave --algo out."
        )
    return loaded


def _space(base: TrialConfig, preset: str | None) -> SearchSpace:
    from sweeprl import search_spaces

    if preset is None:
        return search_spaces.SearchSpace.of_config(base)
    return search_spaces.preset(base.frame, preset)


def _text(found: SearchSpace, form: Form) -> str:
    from sweeprl.search_spaces import format_space, to_nni

    if form == "nni":
        return json.dumps(to_nni(found), indent=4) + "\n"
    return format_space(found, as_yaml=form == "yaml")


def _write(output: Path, text: str, form: Form, overwrite: bool) -> None:
    from sweeprl.config.io import write_text

    suffixes = (".yaml", ".yml") if form == "yaml" else (".json",)
    if output.suffix.lower() not in suffixes:
        raise ConfigError(
            f"--output must end in {' or '.join(suffixes)} for the format {form}, but is "
            f"'{output}'. Choose another --output or --format."
        )
    check_output(output, overwrite)
    write_text(output, text)
