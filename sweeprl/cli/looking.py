"""`sweeprl trials`, `best` and `show`: looking at a sweep's trials."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeprl.cli.options import Directory, Json, Storage
from sweeprl.cli.settings import check_output
from sweeprl.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from sweeprl.cli.reading import Reading
    from sweeprl.sweeps import Entry

__all__ = ["best", "show", "trials"]

_STATES = ("finished", "pruned", "failed", "running", "waiting")


def trials(
    root_dir: Directory,
    state: Annotated[
        list[str] | None, typer.Option(help="Only these: finished, pruned, failed, running, ...")
    ] = None,
    sort: Annotated[
        str, typer.Option(help="score, number, seeds, env_steps, seconds, or a parameter.")
    ] = "score",
    top: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    to_csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write a CSV file; - prints it.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Lists the trials of a sweep."""
    from sweeprl.cli.reading import read_sweep
    from sweeprl.sweeps.views import json_text

    reading = read_sweep(root_dir, storage)
    for one in state or ():
        if one not in _STATES:
            raise ConfigError(
                f"No state named '{one}'.{did_you_mean(one, _STATES)} Known: {', '.join(_STATES)}."
            )
    rows = [_row(reading, entry) for entry in reading.search if not state or entry.state in state]
    rows = _sorted(rows, sort)[:top]
    if as_json:
        typer.echo(json_text(rows))
    elif to_csv is not None:
        _write_csv(rows, reading, to_csv)
    elif rows:
        _print(rows)
    else:
        typer.echo(f"No such trial in '{root_dir}'.")


_FACTS = ("number", "state", "score", "seeds", "env_steps", "seconds")


def _row(reading: Reading, entry: Entry) -> dict[str, Any]:
    """One trial in plain values; its other objectives stand beside the score."""
    values = entry.trial.values or []
    others = zip(reading.declared["objectives"][1:], values[1:], strict=False)
    return {
        "number": entry.number,
        "state": entry.state,
        "score": _score(entry),
        "seeds": len(entry.scores),
        "env_steps": entry.env_steps,
        "seconds": entry.outcome.get("seconds"),
        "objectives": dict(others),
        "population": _place(entry),
        "params": reading.params_of(entry),
    }


def _place(entry: Entry) -> dict[str, Any]:
    """Where it stands in a population; nothing in another search."""
    if entry.generation is None:
        return {}
    return {"generation": entry.generation, "member": entry.member, "parent": entry.parent}


def _agent(place: dict[str, Any]) -> str:
    begun = "" if place["parent"] is None else f", goes on from trial {place['parent']}"
    return f"member {place['member']} in generation {place['generation']}{begun}"


def _score(entry: Entry) -> float | None:
    """Its score; of one that has none the latest on the grid, as far as it came."""
    if entry.score is not None or not entry.reports:
        return entry.score
    return entry.reports[max(entry.reports)]


def _sorted(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """The best, or largest, first; by number the smallest. What has no value stands last."""
    params = list(dict.fromkeys(name for row in rows for name in row["params"]))
    known = [*_FACTS, *params]
    if rows and key not in known:
        raise ConfigError(
            f"--sort must be one of {', '.join(known)}, but is '{key}'.{did_you_mean(key, known)}"
        )
    if key == "number":
        return rows

    def rank(row: dict[str, Any]) -> tuple[bool, bool, Any]:
        value = row[key] if key in _FACTS else row["params"].get(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_whole = key != "score" or row["state"] == "finished"
        return (is_whole and is_number, is_number, value if is_number else 0.0)

    return sorted(rows, key=rank, reverse=True)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    facts = {key: row[key] for key in _FACTS}
    return {**facts, **row["objectives"], **row["population"], **row["params"]}


def _write_csv(rows: list[dict[str, Any]], reading: Reading, where: str) -> None:
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys([*_FACTS, *(name for row in flat for name in row)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in flat:
        structured = (list, dict, bool, type(None))
        params = {k: json.dumps(v) for k, v in row.items() if isinstance(v, structured)}
        empty = {k: "" for k in _FACTS if row[k] is None}
        writer.writerow({**row, **params, **empty})
    if where == "-":
        typer.echo(text.getvalue(), nl=False)
        return
    from sweeprl.config.io import write_text

    write_text(where, text.getvalue())
    typer.echo(f"Wrote {len(flat)} trials to {where}.")


def _print(rows: list[dict[str, Any]]) -> None:
    from sweeprl.cli.tables import print_table, value_text
    from sweeprl.sweeps.drawing import number

    objectives, places = list(rows[0]["objectives"]), list(rows[0]["population"])
    params = list(dict.fromkeys(name for row in rows for name in row["params"]))
    table = []
    for row in rows:
        others = [number(row["objectives"].get(name)) for name in objectives]
        others += [value_text(row["population"].get(name)) for name in places]
        values = [_cell(name, row["params"]) for name in params]
        facts = [str(row["number"]), row["state"], number(row["score"]), str(row["seeds"])]
        spent = "-" if row["seconds"] is None else f"{row['seconds']:.1f}"
        table.append([*facts, f"{row['env_steps']:,}", spent, *others, *values])
    titles = ["trial", "state", "score", "seeds", "env steps", "seconds"]
    left_out = print_table([*titles, *objectives, *places, *params], table)
    if left_out:
        typer.echo(f"Not shown, for the terminal is narrow: {', '.join(left_out)}.")


def _cell(name: str, params: dict[str, Any]) -> str:
    from sweeprl.cli.tables import value_text

    if name not in params:
        return ""
    if name == "schedule":
        return f"{len(params[name])} changes"
    return value_text(params[name])


def best(
    root_dir: Directory,
    output: Annotated[
        Path | None, typer.Option(help="Write the winner's config; .json, .yaml or .yml.")
    ] = None,
    to_screen: Annotated[
        bool, typer.Option("--print", help="Print the winner's config and nothing else.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Shows the winner of a sweep, and writes its config."""
    from sweeprl.cli.outcome import outcome_of, show_outcome
    from sweeprl.cli.reading import read_sweep
    from sweeprl.config import format_config, save_config
    from sweeprl.sweeps.views import json_text

    reading = read_sweep(root_dir, storage)
    if as_json:
        typer.echo(json_text(outcome_of(reading)))
        return
    found = reading.result.config
    if output is None and not to_screen:
        show_outcome(reading)
        return
    if found is None:
        raise ConfigError(
            f"A trial in '{root_dir}' must have finished to be the best, but none has."
        )
    if to_screen:
        typer.echo(format_config(found), nl=False)
        return
    assert output is not None
    check_output(output, overwrite)
    save_config(found, output)
    typer.echo(f"Wrote {output}. Train with: sweeprl run --config {output}")


def show(
    root_dir: Directory,
    number: Annotated[int, typer.Argument(metavar="N", help="The trial's number.")],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Shows all that is known of one trial."""
    from sweeprl.cli.reading import read_sweep
    from sweeprl.cli.tables import print_pairs
    from sweeprl.sweeps.views import json_text

    reading = read_sweep(root_dir, storage)
    entry = reading.trial(number)
    if as_json:
        typer.echo(json_text(_all_of(reading, entry)))
        return
    print_pairs(_told(reading, entry))


def _all_of(reading: Reading, entry: Entry) -> dict[str, Any]:
    return {
        **_row(reading, entry),
        "reason": entry.outcome.get("reason", ""),
        "scores": entry.scores,
        "test_returns": entry.outcome.get("test_returns", {}),
        "reports": entry.reports,
        "attempts": reading.attempts[entry.number],
        "folder": str(reading.folder_of(entry)),
        "confirmation": [
            {"seed": run.trial.user_attrs["seed"], "state": run.state, "score": run.score}
            for run in reading.runs_of(entry.number)
        ],
    }


def _told(reading: Reading, entry: Entry) -> Iterator[tuple[str, str]]:
    from sweeprl.cli.tables import parameter_lines
    from sweeprl.sweeps.drawing import along, number, sparkline
    from sweeprl.trials.budget import budget_of

    facts = _all_of(reading, entry)
    reason = f": {facts['reason']}" if facts["reason"] else ""
    yield "trial", f"{entry.number}{' (the config as it was given)' if entry.is_default else ''}"
    yield "state", f"{entry.state}{reason}"
    for index, (seed, score) in enumerate(entry.scores.items()):
        test = facts["test_returns"].get(str(seed))
        tested = "" if test is None else f", final test {number(test)}"
        yield "" if index else "scores", f"seed {seed}: {number(score)}{tested}"
    yield "score", number(facts["score"])
    for name, value in facts["objectives"].items():
        yield name, number(value)
    if entry.reports:
        low, high = min(entry.reports.values()), max(entry.reports.values())
        ends = f"{number(low)} to {number(high)}, {len(entry.reports)} reports"
        curve = sparkline(along(entry.reports, budget_of(reading.base), 40))
        yield "curve", f"{curve}  {ends}"
    spent = "" if facts["seconds"] is None else f" in {facts['seconds']:.1f} s"
    again = f", {facts['attempts']} attempts" if facts["attempts"] > 1 else ""
    yield "used", f"{entry.env_steps:,} env steps{spent}{again}"
    if entry.generation is not None:
        yield "agent", _agent(facts["population"])
    for index, line in enumerate(parameter_lines(facts["params"])):
        yield "" if index else "parameters", line
    for index, run in enumerate(facts["confirmation"]):
        text = f"seed {run['seed']}: {run['state']} {number(run['score'])}"
        yield "" if index else "confirmation", text
    folder = reading.folder_of(entry)
    yield "folder", f"{folder}{'' if folder.exists() else ' (not on this machine)'}"
    yield "train it again", f"sweeprl reproduce {reading.folder.root} {entry.number}"
