"""`sweeprl importance`: which parameters mattered, and how the score goes with each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeprl.cli.options import Directory, Json, Storage

if TYPE_CHECKING:
    from sweeprl.cli.reading import Reading
    from sweeprl.sweeps.analysis import Bin, Sample, Sensitivity

__all__ = ["importance"]

_MEANINGS = {
    "ped-anova": "for being among the best tenth (PED-ANOVA)",
    "fanova": "for the score of all (fANOVA)",
}

_BAR = 16


def importance(
    root_dir: Directory,
    method: Annotated[str, typer.Option(help="ped-anova or fanova.")] = "ped-anova",
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Tells which parameters mattered, and how the score goes with each."""
    from sweeprl.cli.reading import read_sweep
    from sweeprl.sweeps import analysis
    from sweeprl.sweeps.views import json_text

    reading = read_sweep(root_dir, storage)
    samples = analysis.samples_of(reading.search, reading.space, reading.base)
    shares = analysis.importances(samples, reading.space, method)
    found = analysis.sensitivities(samples, reading.space)
    ranks = {name: rank for rank, name in enumerate(shares)}
    found.sort(key=lambda one: ranks.get(one.parameter, len(ranks)))
    notes = list(_notes(samples, found))
    if as_json:
        typer.echo(json_text(_plain(method, samples, shares, found, notes)))
        return
    _print(reading, method, samples, shares, found)
    for note in notes:
        sys.stderr.write(f"Warning: {note}\n")


def _notes(samples: list[Sample], found: list[Sensitivity]) -> Iterator[str]:
    from sweeprl.cli.tables import value_text
    from sweeprl.sweeps.analysis import ENOUGH

    if len(samples) < ENOUGH:
        yield (
            f"{len(samples)} finished trials are few; below {ENOUGH}, importances are little more "
            "than chance."
        )
    for one in found:
        if one.edge is not None:
            yield (
                f"the five best trials have {one.parameter} at the boundary of its range, "
                f"{value_text(one.edge)}. The best may lie beyond; widen it with --space."
            )


def _plain(
    method: str,
    samples: list[Sample],
    shares: dict[str, float],
    found: list[Sensitivity],
    notes: list[str],
) -> dict[str, Any]:
    from sweeprl.sweeps.analysis import num_near_best

    return {
        "method": method,
        "num_trials": len(samples),
        "num_within_90_percent_of_best": num_near_best(samples),
        "importances": shares,
        "sensitivities": {
            one.parameter: {
                "boundary": one.edge,
                "bins": [
                    {
                        "low": b.low,
                        "high": b.high,
                        "n": len(b.scores),
                        "mean": b.mean,
                        "best": b.best,
                    }
                    for b in one.bins
                ],
            }
            for one in found
        },
        "warnings": notes,
    }


def _print(
    reading: Reading,
    method: str,
    samples: list[Sample],
    shares: dict[str, float],
    found: list[Sensitivity],
) -> None:
    from sweeprl.cli.tables import print_table
    from sweeprl.sweeps.analysis import num_near_best
    from sweeprl.sweeps.drawing import number

    typer.echo(f"What mattered {_MEANINGS[method]}, from {len(samples)} finished trials:\n")
    largest = max(shares.values(), default=1.0) or 1.0
    bars = [
        [name, f"{share:.2f}", "█" * round(_BAR * share / largest)]
        for name, share in shares.items()
    ]
    print_table(["parameter", "share", ""], bars)

    scores = [sample.score for sample in samples]
    typer.echo(
        f"\nHow the score goes with each, from {number(min(scores))} to {number(max(scores))}:\n"
    )
    titles = ["parameter", "from", "to", "trials", "mean", "best", "best at"]
    print_table(titles, [_curves(one, min(scores), max(scores)) for one in found])

    near = num_near_best(samples)
    share = f"{near / len(samples):.0%}"
    typer.echo(f"\n{near} of {len(samples)} trials ({share}) are within 90 % of the best.")
    default = next((entry for entry in reading.search if entry.is_default), None)
    if default is not None and default.score is not None:
        best = max(*scores, default.score)
        gap = f"{best - default.score:+#.4g}" if best > default.score else "no better"
        typer.echo(
            f"Trial 0 scored {number(default.score)}, the best {number(best)} ({gap}), both as the "
            "search saw them."
        )


def _curves(one: Sensitivity, low: float, high: float) -> list[str]:
    from sweeprl.cli.tables import value_text
    from sweeprl.sweeps.drawing import sparkline

    counts = [float(len(part.scores)) for part in one.bins]
    return [
        one.parameter,
        value_text(one.bins[0].low if _is_rising(one) else one.bins[0].high),
        value_text(one.bins[-1].high if _is_rising(one) else one.bins[-1].low),
        sparkline([count or None for count in counts], 0.0),
        sparkline([part.mean for part in one.bins], low, high),
        sparkline([part.best for part in one.bins], low, high),
        _where(one.peak),
    ]


def _is_rising(one: Sensitivity) -> bool:
    """Whether values grow from left to right; those of `1 - discount` fall."""
    first, last = one.bins[0].low, one.bins[-1].low
    is_ordered = isinstance(first, (int, float)) and isinstance(last, (int, float))
    return not is_ordered or first <= last


def _where(part: Bin) -> str:
    from sweeprl.cli.tables import value_text

    if part.low == part.high:
        return value_text(part.low)
    return f"{value_text(part.low)} to {value_text(part.high)}"
