"""Trials per minute of NNI experiments: a bare script, sweeprl's trials, and its resident worker.

    python benchmarks/nni_speed.py --concurrency 16 --trials 32 --save
    python benchmarks/nni_speed.py --table

Each trial is 10,000 steps of DQN on CartPole-v1 with stable-baselines3's defaults; the tuner draws
at random, so that no tuner's own time is in the figure. The rate is over the time from the first
trial's start to the last one's end, as NNI notes them; the worker's own start is within it. Where
a trial's time goes is told by the moments at which NNI's database has its reports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from nni_experiments import versions, write
from rows import RESULTS, show

from sweeprl.executors.capacity import num_cores

KINDS = ("bare", "cold", "warm")
STAGES = ("to the first report", "to the last report", "to the end", "idle")


def measure(kind: str, trials: int, concurrency: int, steps: int) -> dict[str, Any]:
    from sweeprl.nni import create, watch
    from sweeprl.nni.reading.listing import find

    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        folder = Path(home) / "experiment"
        settings = dict(trials=trials, concurrency=concurrency, tuner="Random")
        write(folder, kind, steps=steps, report_every=1000, **settings)
        asked_at = time.time()
        experiment = find(create(folder))
        lines: list[str] = []
        outcome = watch(experiment.id, lines.append, keep_open=True)
        jobs = experiment.manager._get("/trial-jobs")
        from sweeprl.nni.running.experiments import stop

        stop(experiment.id)
        reports = reports_of(experiment.folder)
    began = min(job["startTime"] for job in jobs) / 1000
    ended = max(job["endTime"] for job in jobs) / 1000
    succeeded = sum(job["status"] == "SUCCEEDED" for job in jobs)
    assert (outcome.status, succeeded) == ("done", trials), lines
    return {
        "trials_per_minute": round(60 * trials / (ended - began), 2),
        "seconds": round(ended - began, 1),
        "seconds_to_first_trial": round(began - asked_at, 1),
        "stages": stages(jobs, reports, concurrency),
    }


def reports_of(folder: Path) -> dict[str, list[float]]:
    """When each trial's reports came, in seconds since 1970."""
    found: dict[str, list[float]] = {}
    query = "SELECT trialJobId, timestamp FROM MetricData WHERE type = 'PERIODICAL' ORDER BY 2"
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database:
        for job, moment in database.execute(query):
            found.setdefault(job, []).append(moment / 1000)
    return found


def stages(
    jobs: list[dict[str, Any]], reports: dict[str, list[float]], concurrency: int
) -> dict[str, float]:
    """Seconds of a trial in each of its stages: medians; and what cores idle, for each trial."""
    began = {job["trialJobId"]: job["startTime"] / 1000 for job in jobs}
    ended = {job["trialJobId"]: job["endTime"] / 1000 for job in jobs}
    whole = max(ended.values()) - min(began.values())
    used = sum(ended[job] - began[job] for job in began)
    seconds = (
        statistics.median(reports[job][0] - began[job] for job in began),
        statistics.median(reports[job][-1] - reports[job][0] for job in began),
        statistics.median(ended[job] - reports[job][-1] for job in began),
        (concurrency * whole - used) / len(jobs),
    )
    return {name: round(value, 2) for name, value in zip(STAGES, seconds, strict=True)}


def table() -> None:
    """Prints a line for each kind; it is compared with `bare` under the same versions only."""
    rows = [json.loads(line) for line in (RESULTS / "nni_speed.jsonl").read_text().splitlines()]
    print(
        "| torch | at once | trials | kind | trials per minute | times bare | " + " | ".join(STAGES)
    )
    print("|---" * (6 + len(STAGES)) + "|")
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["versions"]["torch"], row["concurrency"], row["trials"])
        groups.setdefault(key, []).append(row)
    for key, own in sorted(groups.items()):
        for kind in KINDS:
            found = [row[kind] for row in own if kind in row]
            if found:
                middle = rate(found)
                bare = [row["bare"] for row in own if "bare" in row]
                times = f"{middle / rate(bare):.2f}" if bare else ""
                told = found[-1].get("stages", {})
                cells = (
                    *key,
                    kind,
                    round(middle, 1),
                    times,
                    *(told.get(one, "") for one in STAGES),
                )
                print("| " + " | ".join(map(str, cells)) + " |")


def rate(found: list[dict[str, Any]]) -> float:
    """The median of some runs."""
    return statistics.median(one["trials_per_minute"] for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table()
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for _ in range(options.repeats):
        row = {
            "concurrency": options.concurrency,
            "trials": options.trials,
            "steps": options.steps,
            "cores": num_cores(),
            "machine": platform.machine(),
            "versions": versions(),
        }
        for kind in options.kinds:
            row[kind] = measure(kind, options.trials, options.concurrency, options.steps)
            print(kind, row[kind], flush=True)
        show(row, "nni_speed", options.save)


if __name__ == "__main__":
    main()
