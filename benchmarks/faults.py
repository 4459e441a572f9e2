"""Kills sweeps again and again, and counts what is lost.

    python benchmarks/faults.py --sweeps 4 --faults 6 --save

Each sweep is started anew after every fault: kill -9 of a worker, of the coordinator, or of all at
once, at random moments, or SIGTERM with the 10 seconds that clusters give. At the end every trial
must be there once and over, with every report that was acknowledged.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from rows import show

sys.path.insert(0, str(Path(__file__).parents[1]))  # the harness of the tests

from sweeprl.sweeps import SweepFolder, entries_of
from tests.sweeps.faults import Victim, attempts_at, check_nothing_is_lost

TRIAL = {"max_env_steps": 1200, "report_every_env_steps": 100}
KINDS = ("worker", "coordinator", "all", "SIGTERM")


def inject(victim: Victim, kind: str, rng: random.Random) -> None:
    workers, coordinator = victim.workers(), victim.process.pid
    if kind == "SIGTERM":
        victim.kill(coordinator, number=signal.SIGTERM)
    elif kind == "worker" and workers:
        victim.kill(rng.choice(workers))
        time.sleep(rng.random())
        victim.kill(coordinator)
    else:
        victim.kill(coordinator, *(workers if kind == "all" else []))


def one_sweep(root: Path, trials: int, num_faults: int, rng: random.Random) -> dict[str, int]:
    settings = dict(trials=trials, trial=TRIAL, executor="processes", num_workers=2)
    victims, counts = [], dict.fromkeys(KINDS, 0)
    for _ in range(num_faults):
        victim = Victim(root, **settings)
        victims.append(victim)
        while not victim.heard("report") and victim.process.is_alive():
            time.sleep(0.05)
        time.sleep(4 * rng.random())
        if victim.process.is_alive():
            kind = rng.choice(KINDS)
            inject(victim, kind, rng)
            counts[kind] += 1
        victim.end()
    last = Victim(root, **settings)
    assert last.end(600) == 0, last.errors
    check_nothing_is_lost(root, trials, [*victims, last])
    runs = [run.trial.user_attrs for run in SweepFolder(root).runs()]
    pairs = [(attributes["candidate"], attributes["seed"]) for attributes in runs]
    assert len(pairs) == len(set(pairs))
    reports = sum(len(victim.heard("report")) for victim in [*victims, last])
    entries = entries_of(attempts_at(root))
    return {
        **counts,
        "trials": len(entries) + len(pairs),
        "lost": trials - len(entries),
        "doubled": len(pairs) - len(set(pairs)),
        "acknowledged_reports": reports,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=4)
    parser.add_argument("--faults", type=int, default=6, help="for each sweep")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    for number in range(arguments.sweeps):
        rng = random.Random(arguments.seed + number)
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "sweep"
            found = one_sweep(root, arguments.trials, arguments.faults, rng)
        seconds = round(time.perf_counter() - started)
        row = {"seed": arguments.seed + number, **found, "seconds": seconds}
        show(row, "faults", arguments.save)


if __name__ == "__main__":
    main()
