"""What a sweep has found, in words for its user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from sweeprl.cli.reading import Reading
from sweeprl.cli.tables import parameter_lines, print_pairs, print_table
from sweeprl.sweeps import SweepResult
from sweeprl.sweeps.confirmation import Standing
from sweeprl.sweeps.drawing import duration, interval_text, number

__all__ = ["outcome_of", "show_outcome"]

_RANKED = 10
"""Most rows of the ranking."""


def show_outcome(reading: Reading) -> None:
    """Prints the winner, how it was found, and what to do next."""
    result = reading.result
    print_pairs([*_winner(reading, result), *_used(reading, result)])
    if result.standings:
        typer.echo()
        _print_ranking(result)
    typer.echo()
    print_pairs(_next(reading, result))


def outcome_of(reading: Reading) -> dict[str, Any]:
    """Returns the same in plain values."""
    result = reading.result
    return {
        **result.to_dict(),
        "params": None if result.winner is None else reading.params_of(result.winner),
        "trials": dict(reading.counts),
        "seeds": reading.declared["seeds"],
    }


def _winner(reading: Reading, result: SweepResult) -> Iterator[tuple[str, str]]:
    winner = result.winner
    if winner is None:
        yield "winner", "none: no trial has finished"
        return
    is_default = " (the config as it was given)" if winner.is_default else ""
    yield "winner", f"trial {winner.number}{is_default}"
    if result.test is not None:
        yield "tested", _measured(result.test, "seeds that chose nothing")
    if result.is_confirmed:
        best = result.standings[0]
        yield "confirmed", _measured(best, "fresh seeds")
        if best.optimism is not None:
            yield "search said", _search_said(best)
    else:
        seeds = len(winner.scores)
        counted = f"{seeds} seed{'s' if seeds != 1 else ''}"
        yield "score", f"{number(winner.score)} on {counted} of the search, not confirmed"
    yield from _gain(result)
    for index, line in enumerate(parameter_lines(reading.params_of(winner))):
        yield "" if index else "with", line


def _measured(one: Standing, seeds: str) -> str:
    count = len(one.scores)
    if count == 1:
        return f"{number(one.value)} (one seed)"
    interval = interval_text(one.interval.low, one.interval.high)
    return f"{number(one.value)} {interval} (mean of the middle half, 95 %; {count} {seeds})"


def _search_said(best: Standing) -> str:
    assert best.optimism is not None
    word = "optimistic" if best.optimism > 0 else "pessimistic"
    return f"{number(best.search_score)}, {word} by {number(abs(best.optimism))}"


def _gain(result: SweepResult) -> Iterator[tuple[str, str]]:
    if result.winner is not None and result.winner.is_default:
        yield "tuning gained", "nothing: trial 0 is the best"
    elif result.gain is not None:
        probability = result.probability_of_improvement
        chance = f"a run of it beats one of trial 0 with probability {probability:.2f}"
        yield "tuning gained", f"{result.gain:+#.4g} over trial 0; {chance}"


def _used(reading: Reading, result: SweepResult) -> Iterator[tuple[str, str]]:
    ended = ", ".join(f"{count} {state}" for state, count in sorted(reading.counts.items()))
    runs = f"; {result.num_runs} confirmation runs" if result.num_runs else ""
    runs += f"; {result.num_test_runs} test runs" if result.num_test_runs else ""
    yield "trials", f"{result.num_trials}: {ended}{runs}"
    yield "used", f"{result.env_steps:,} env steps in {duration(result.seconds)}"
    yield "seeds", _seeds(reading)


def _seeds(reading: Reading) -> str:
    declared = reading.declared["seeds"]
    confirmed, tested = (
        sorted({seed for run in runs for seed in run.scores})
        for runs in (reading.runs, reading.tests)
    )
    used = {"search": declared["search"], "confirmation": confirmed, "test": tested}
    spans = [f"{stage} {_span(seeds)}" for stage, seeds in used.items() if seeds]
    unused = tested[-1] + 1 if tested else declared["test_from"]
    return ", ".join([*spans, f"never used {unused} on"])


def _span(seeds: list[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _print_ranking(result: SweepResult) -> None:
    titles = [
        "rank", "trial", "estimate", "confirmed", "95 % interval", "seeds", "search", "optimism",
    ]  # fmt: skip
    rows = []
    for rank, one in enumerate(result.standings, 1):
        interval = interval_text(one.interval.low, one.interval.high)
        name = f"{one.number} (given)" if one.is_default else str(one.number)
        is_shown = rank <= _RANKED or one.is_default
        if is_shown:
            fresh = [number(one.value), interval, str(len(one.scores))]
            search = [number(one.search_score), number(one.optimism)]
            rows.append([str(rank), name, number(one.estimate), *fresh, *search])
    print_table(titles, rows)


def _next(reading: Reading, result: SweepResult) -> Iterator[tuple[str, str]]:
    root = reading.folder.root
    if result.config is not None and reading.folder.best.exists():
        yield "train the winner", f"sweeprl run --config {reading.folder.best}"
    yield "all trials", f"sweeprl trials {root}"
    if result.winner is not None and result.test is None:
        yield "what it is worth", f"sweeprl test {root}"
    if result.winner is not None:
        yield "one trial", f"sweeprl show {root} {result.winner.number}"
        yield "train it again", f"sweeprl reproduce {root} {result.winner.number}"
    yield "what mattered", f"sweeprl importance {root}"
