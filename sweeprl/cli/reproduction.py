"""`sweeprl reproduce`: trains a trial of a sweep once more, and compares."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeprl.cli.options import Directory, Json, Storage
from sweeprl.errors import ConfigError

if TYPE_CHECKING:
    from sweeprl.cli.reading import Reading
    from sweeprl.config import TrialConfig
    from sweeprl.launcher import TrialRecord
    from sweeprl.sweeps import Entry

__all__ = ["reproduce"]


def reproduce(
    root_dir: Directory,
    number: Annotated[int, typer.Argument(metavar="N", help="The trial's number.")],
    output: Annotated[
        Path | None,
        typer.Option("--root-dir", help="Where to; by default DIR/reproduced, made anew."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Only this one of the trial's seeds.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but the result.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Trains a trial again, with the same seeds, and compares; exit code 1 where it differs."""
    from sweeprl.cli.reading import read_sweep
    from sweeprl.sweeps.views import json_text

    reading = read_sweep(root_dir, storage)
    entry = reading.trial(number)
    _refuse_borrowed(reading, entry)
    target = output or reading.folder.root / "reproduced" / f"{number:04}"
    found = []
    for original in _chosen(list(_originals(reading, entry)), seed):
        if not (quiet or as_json):
            sys.stderr.write(f"Training trial {number} again, seed {original.config.seed}.\n")
        folder = target / f"seed-{original.config.seed}"
        view = "none" if quiet or as_json else "auto"
        record = _train(reading, original, folder, view, overwrite=output is None)
        found.append(_compared(original, record, folder))
    if as_json:
        typer.echo(json_text({"same": all(one.is_same for one in found), "seeds": _plain(found)}))
    else:
        _print(found)
    if not all(one.is_same for one in found):
        raise typer.Exit(1)


def _refuse_borrowed(reading: Reading, entry: Entry) -> None:
    """Refuses what went on with the agent of another member of its population.

    Raises:
        ConfigError: it did.
    """
    one = entry
    while one.parent is not None:
        before = reading.trial(one.parent)
        if before.member != one.member:
            folder = reading.folder_of(entry)
            raise ConfigError(
                "A trial that is to be trained again must have trained its own agent from the "
                f"start, but trial {entry.number} goes on with that of trial {before.number}. Its "
                f"schedule can be trained as another agent: sweeprl run --config "
                f"{folder}/config.json --root-dir DIR"
            )
        one = before


@dataclass(frozen=True)
class _Original:
    """What was recorded of one seed of a trial."""

    config: TrialConfig
    """As it was trained."""
    folder: Path | None
    """None where it lies on another machine."""
    record: TrialRecord | None
    score: float | None


def _originals(reading: Reading, entry: Entry) -> Iterator[_Original]:
    """Every seed that was begun; where no folder is here, those that the study knows."""
    from sweeprl.launcher import TrialFolder

    root = reading.folder_of(entry)
    folders = [TrialFolder(path) for path in [root, *sorted(root.glob("seed-*"))]]
    folders = [folder for folder in folders if folder.config.exists() and folder.record.exists()]
    for folder in folders:
        record = folder.load_record()
        yield _Original(folder.load_config(), folder.root, record, record.score)
    if folders:
        return
    if "params" not in entry.trial.user_attrs:  # it has not begun
        return
    config = reading.config_of(entry)
    scores: dict[int, float | None] = {**entry.scores} or {config.seed: entry.score}
    for seed, score in scores.items():
        yield _Original(config.model_copy(update={"seed": seed}), None, None, score)


def _chosen(originals: list[_Original], seed: int | None) -> list[_Original]:
    """In the order of their seeds.

    Raises:
        ConfigError: none was trained, or not on this seed.
    """
    originals.sort(key=lambda one: one.config.seed)
    seeds = [one.config.seed for one in originals]
    if not originals:
        raise ConfigError("A trial must have begun to be trained again, but this one has not.")
    if seed is not None and seed not in seeds:
        raise ConfigError(
            f"--seed must be one that the trial was trained on, but is {seed}. "
            f"These are: {', '.join(map(str, seeds))}."
        )
    return [one for one in originals if seed in (None, one.config.seed)]


class _StopsAt:
    """Ends a trial where the first one was ended, a listener in the sense of `sweeprl.trials`."""

    def __init__(self, env_steps: float) -> None:
        self._env_steps = env_steps
        self.should_stop = False

    def report(self, env_steps: int, score: float) -> None:
        """Looks at how far the trial is."""
        self.should_stop = env_steps >= self._env_steps


def _train(
    reading: Reading, original: _Original, folder: Path, view: Any, overwrite: bool
) -> TrialRecord:
    from sweeprl.errors import TrialFailed
    from sweeprl.launcher import TrialFolder, launch
    from sweeprl.trials import ReportOnGrid

    record, every = original.record, original.config.report_every_env_steps
    end = math.inf
    if record is not None and record.status in ("pruned", "stopped"):
        end = record.env_steps // every * every
    config = original.config.model_copy(update={"root_dir": str(folder)})
    try:
        return launch(
            config,
            [ReportOnGrid(_StopsAt(end))],
            overwrite=overwrite,
            config_folder=reading.folder.config_folder or None,
            view=view,
        )
    except TrialFailed:
        return TrialFolder(folder).load_record()


@dataclass(frozen=True)
class _Comparison:
    """One seed, then and now."""

    seed: int
    score_then: float | None
    score_now: float | None
    rows: int
    """Of the curves, those that both have."""
    differs_from: int | None
    """Environment steps of the first row that is not the same, if one is."""
    folder: Path
    versions: dict[str, tuple[str, str]]
    """Packages that are not what they were."""

    @property
    def is_same(self) -> bool:
        """Whether scores and curves are the same to the last bit."""
        return self.score_then == self.score_now and self.differs_from is None


def _compared(original: _Original, record: TrialRecord, folder: Path) -> _Comparison:
    from sweeprl.launcher import TrialFolder

    then = [] if original.folder is None else TrialFolder(original.folder).load_curves(sys.maxsize)
    now = TrialFolder(folder).load_curves(sys.maxsize)
    different = (old[0] for old, new in zip(then, now, strict=False) if old != new)
    first = next(different, None)
    if first is None and then and len(then) != len(now):
        first = max(then, now, key=len)[min(len(then), len(now))][0]
    before = original.record.versions if original.record else {}
    changed = {
        name: (version, record.versions.get(name, "none"))
        for name, version in before.items()
        if record.versions.get(name) != version
    }
    rows = min(len(then), len(now))
    return _Comparison(
        original.config.seed, original.score, record.score, rows, first, folder, changed
    )


def _plain(found: list[_Comparison]) -> list[dict[str, Any]]:
    return [
        {
            "seed": one.seed,
            "same": one.is_same,
            "score_then": one.score_then,
            "score_now": one.score_now,
            "rows": one.rows,
            "differs_from_env_steps": one.differs_from,
            "folder": str(one.folder),
            "versions": one.versions,
        }
        for one in found
    ]


def _print(found: list[_Comparison]) -> None:
    from sweeprl.cli.tables import print_table
    from sweeprl.sweeps.drawing import number

    rows = []
    for one in found:
        curve = f"the same in all {one.rows} rows" if one.rows else "no curve to compare with"
        if one.differs_from is not None:
            curve = f"differs from env step {one.differs_from:,} on"
        verdict = "the same" if one.is_same else "differs"
        scores = [number(one.score_then), number(one.score_now)]
        rows.append([str(one.seed), verdict, *scores, curve, str(one.folder)])
    print_table(["seed", "", "score then", "score now", "curve", "folder"], rows)
    if all(one.is_same for one in found):
        return
    changed = {name: pair for one in found for name, pair in one.versions.items()}
    for name, (then, now) in changed.items():
        typer.echo(f"{name} was {then}, and is {now}.")
    typer.echo(
        "A trial trained alone on a CPU comes out the same to the last bit, with the same versions "
        "and the same kind of CPU. One that was trained as a lane, or on a GPU, is another sample "
        "from the same distribution as soon as rounding differs."
    )
