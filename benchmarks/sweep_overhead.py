"""What a sweep costs beside the training: the coordinator, starting up, a worker for each trial.

    python benchmarks/sweep_overhead.py --save
    python benchmarks/sweep_overhead.py --postgresql --save    # the coordinator, on a server

Coordinator: a sweep whose executor trains nothing, on SQLite, beside bare Optuna that asks, reports
and tells the same on its stock storage and on the storage of sweeprl; random sampler, no pruner, 5
parameters, 20 reports a trial. `--at-once` trials are open at the same time, as with so many
workers. With `--postgresql` all use a database each on one PostgreSQL server, which is started for
it on this machine and does not wait for the disk (fsync off).
Start: from the command `sweeprl sweep` to the first report, whose interval is one environment step.
Worker: the wall-clock of a trial of 300 steps in a warm worker, and in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from rows import show

sys.path.insert(0, str(Path(__file__).parents[1]))  # the servers of the tests

import sweeprl
from sweeprl.executors import ProcessExecutor
from sweeprl.launcher import TrialRecord
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.optuna import suggest, to_optuna
from sweeprl.sweeps import Sweep
from sweeprl.sweeps.storage import ask, close_storage, open_storage
from sweeprl.trials import MemoryReporter, Tally, Trial

KEYS = ("learning_rate", "discount", "batch_size", "update_rate", "epsilon_end")
REPORTS = 20


def config_of(root_dir: str, **settings: Any) -> sweeprl.TrialConfig:
    config = sweeprl.generate_algorithm_config("DQN")
    config["frame_config"].update(warmup_steps=100, batch_size=32)
    config = sweeprl.generate_env_config("gymnasium", config, render_every_episode=0)
    defaults = dict(
        root_dir=root_dir, gpus=None, logger=["csv"], max_env_steps=1000 * REPORTS,
        evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1),
    )  # fmt: skip
    return sweeprl.TrialConfig.of(
        sweeprl.generate_training_config(config=config, **{**defaults, **settings})
    )


class NoTraining:
    """Reports on the grid, and is done."""

    was_stopped = False

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once

    def run(self, trials: Any) -> None:
        open_trials: list[tuple[Tally, Any]] = []
        while True:
            while len(open_trials) < self.at_once and (trial := next(trials, None)):
                open_trials.append((Tally(trial, 1), trial.configs()[0]))
            if not open_trials:
                return
            for step in range(1, REPORTS + 1):
                for tally, _ in open_trials:
                    tally.report(1000 * step, float(step))
            for tally, config in open_trials:
                record = TrialRecord.begun(config, "", 0.0)
                facts = dict(status="finished", score=1.0, env_steps=1000 * REPORTS)
                tally.finish(record.model_copy(update=facts))
            open_trials = []

    def close(self) -> None:
        pass


Place = Callable[[str], str]
"""Address of a new database of that name."""


@contextmanager
def files() -> Iterator[Place]:
    """SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        yield lambda name: f"sqlite:///{folder}/{name}.db"


@contextmanager
def postgresql() -> Iterator[Place]:
    """A server of its own, on a loopback port."""
    from tests.sweeps.servers import PostgreSQL, running

    with running(PostgreSQL) as server:

        def place(name: str) -> str:
            server.create(name)
            return server.url(name)

        yield place


def of_sweep(address: str, trials: int, at_once: int) -> float:
    base = config_of("unused")
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(
            base, SearchSpace.of_config(base).only(*KEYS), trials, root_dir=Path(folder) / "sweep",
            sampler="random", pruner="none", confirmation=0.0, executor=NoTraining(at_once),
            storage=None if address.startswith("sqlite") else address,
        )  # fmt: skip
        started = time.perf_counter()
        sweep.run()
        return time.perf_counter() - started


def of_optuna(address: str, trials: int, at_once: int, is_stock: bool) -> float:
    space = SearchSpace.of_config(config_of("unused")).only(*KEYS)
    started = time.perf_counter()
    stock = address.replace("postgresql:", "postgresql+psycopg:")
    storage = optuna.storages.RDBStorage(stock) if is_stock else open_storage(address)
    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )  # fmt: skip
    distributions = to_optuna(space)
    for _ in range(0, trials, at_once):
        open_trials = []
        for _ in range(at_once):
            trial = study.ask(distributions) if is_stock else ask(study)
            if not is_stock:
                suggest(trial, space)
            open_trials.append(trial)
        for step in range(1, REPORTS + 1):
            for trial in open_trials:
                trial.report(float(step), 1000 * step)
                trial.should_prune()
        for trial in open_trials:
            study.tell(trial, 1.0)
    seconds = time.perf_counter() - started
    close_storage(study._storage)
    return seconds


def coordinator(database: str, place: Place, trials: int, at_once: int) -> dict[str, Any]:
    """Milliseconds for each trial, its 20 reports included."""
    cost: dict[str, Callable[[str], float]] = {
        "sweeprl": lambda address: of_sweep(address, trials, at_once),
        "optuna_same_storage": lambda address: of_optuna(address, trials, at_once, False),
        "optuna_stock": lambda address: of_optuna(address, trials, at_once, True),
    }
    found = {
        name: round(1000 * run(place(f"{name}_{at_once}")) / trials, 1)
        for name, run in cost.items()
    }
    ratio = found["sweeprl"] / found["optuna_stock"]
    return dict(
        what="coordinator", database=database, trials=trials, at_once=at_once,
        milliseconds_per_trial=found,
        trials_per_minute=round(60_000 / found["sweeprl"]), ratio_to_stock_optuna=round(ratio, 2),
    )  # fmt: skip


def start() -> dict[str, Any]:
    """Seconds from the command to the first report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        sweeprl.save_config(config_of("unused", max_env_steps=300, report_every_env_steps=1), path)
        found = {}
        for executor in ("in-process", "processes", "lanes"):
            command = [
                sys.executable, "-m", "sweeprl", "sweep", "--config", str(path), "--trials", "2", "--json",
                "--executor", executor, "--confirmation", "0", "--root-dir", f"{folder}/{executor}",
            ]  # fmt: skip
            started = time.perf_counter()
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            assert process.stdout is not None
            for line in process.stdout:
                if '"event": "report"' in line:
                    break
            found[executor] = round(time.perf_counter() - started, 2)
            process.stdout.read()
            process.wait()
    return dict(what="start", seconds_to_first_report=found)


def worker(count: int = 8) -> dict[str, Any]:
    """Seconds for a trial of 300 steps."""

    def train(executor: ProcessExecutor, folder: Path) -> float:
        config = config_of(str(folder), max_env_steps=300)
        started = time.perf_counter()
        executor.run([Trial(config, MemoryReporter())])
        return time.perf_counter() - started

    with tempfile.TemporaryDirectory() as folder:
        with ProcessExecutor(1) as executor:
            warm = [train(executor, Path(folder) / f"warm{n}") for n in range(count)][1:]
        cold = []
        for n in range(3):
            with ProcessExecutor(1) as executor:
                cold.append(train(executor, Path(folder) / f"cold{n}"))
    return dict(
        what="worker", seconds_warm=round(statistics.median(warm), 2),
        seconds_cold=round(statistics.median(cold), 2),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--at-once", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database = "postgresql" if arguments.postgresql else "sqlite"
    with postgresql() if arguments.postgresql else files() as place:
        for at_once in arguments.at_once:
            row = coordinator(database, place, arguments.trials, at_once)
            show(row, "sweep_overhead", arguments.save)
    if not arguments.postgresql:
        show(worker(), "sweep_overhead", arguments.save)
        show(start(), "sweep_overhead", arguments.save)


if __name__ == "__main__":
    main()
