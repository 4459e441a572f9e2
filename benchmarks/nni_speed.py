"""Trials per minute of NNI experiments: a bare script, sweeprl's trials, and its resident worker.

    python benchmarks/nni_speed.py --concurrency 16 --trials 32 --save
    python benchmarks/nni_speed.py --table

Each trial is 10,000 steps of DQN on CartPole-v1 with stable-baselines3's defaults; the tuner draws
at random, so that no tuner's own time is in the figure. The rate is over the time from the first
trial's start to the last one's end, as NNI notes them; the worker's own start is within it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from nni_experiments import versions, write
from rows import RESULTS, show

from sweeprl.executors.capacity import num_cores

KINDS = ("bare", "cold", "warm")


def measure(kind: str, trials: int, concurrency: int, steps: int) -> dict[str, float]:
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
    began = min(job["startTime"] for job in jobs) / 1000
    ended = max(job["endTime"] for job in jobs) / 1000
    succeeded = sum(job["status"] == "SUCCEEDED" for job in jobs)
    assert (outcome.status, succeeded) == ("done", trials), lines
    return {
        "trials_per_minute": round(60 * trials / (ended - began), 2),
        "seconds": round(ended - began, 1),
        "seconds_to_first_trial": round(began - asked_at, 1),
    }


def table() -> None:
    rows = [json.loads(line) for line in (RESULTS / "nni_speed.jsonl").read_text().splitlines()]
    print("| at once | trials | kind | trials per minute: min, median, max | times bare | runs |")
    print("|---|---|---|---|---|---|")
    for concurrency, trials in sorted({(row["concurrency"], row["trials"]) for row in rows}):
        own = [r for r in rows if (r["concurrency"], r["trials"]) == (concurrency, trials)]
        rates = {k: [row[k]["trials_per_minute"] for row in own if k in row] for k in KINDS}
        for kind, found in rates.items():
            if found:
                middle = statistics.median(found)
                spread = ", ".join(f"{value:.1f}" for value in (min(found), middle, max(found)))
                ratio = f"{middle / statistics.median(rates['bare']):.2f}"
                cells = (concurrency, trials, kind, spread, ratio, len(found))
                print("| " + " | ".join(map(str, cells)) + " |")


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
