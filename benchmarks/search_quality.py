"""Whose winner is better on fresh seeds, for the same environment steps: searches compared.

    python benchmarks/search_quality.py --case dqn-cartpole --method sweeprl --repetition 0
    python benchmarks/search_quality.py --all --jobs 16 --work FOLDER --minutes 25
    python benchmarks/search_quality.py --table

The methods: `sweeprl`, a sweep with its defaults, of whose budget 30 % confirm what it found;
`pbt`, the same with population-based training in five generations; `random`, the same space searched at random, where the best score wins; and `rl_zoo3`, which
`search_quality_zoo.py` runs. Each may use `--trials` times `--steps` environment steps. The winner
is retrained on seeds that no search uses, by its own library, and its last policies are judged on
the episodes of `evaluator.py`. Every job has one core and no GPU.

A job appends one row. `--all` runs the jobs that have no row yet; those that were cut off go on
from what lies in `--work`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import optuna
import torch
from evaluator import interquartile_mean
from evaluator_together import evaluate_together
from rows import RESULTS, show

import sweeprl
from sweeprl import registry
from sweeprl.config import TrialConfig, merge
from sweeprl.executors import Executor, LanesExecutor
from sweeprl.launcher import TrialFolder, build_learner
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps import Sweep
from sweeprl.sweeps.choosing import choose_executor
from sweeprl.sweeps.folder import SweepFolder
from sweeprl.trials import MemoryReporter, Trial

CASES: dict[str, dict[str, Any]] = {
    "dqn-cartpole": dict(frame="DQN", algo="dqn", env="CartPole-v1", worst=0.0),
    "dqn-acrobot": dict(frame="DQN", algo="dqn", env="Acrobot-v1", worst=-500.0),
    "ppo-cartpole": dict(frame="PPO", algo="ppo", env="CartPole-v1", worst=0.0),
    "ppo-acrobot": dict(frame="PPO", algo="ppo", env="Acrobot-v1", worst=-500.0),
}
METHODS: dict[str, dict[str, Any]] = {
    "sweeprl": dict(),
    "pbt": dict(sampler="pbt", generations=5),
    "random": dict(sampler="random", pruner="none", confirmation=0.0),
    "rl_zoo3": dict(),
}
LONGEST_FIRST = [
    ("dqn-cartpole", "rl_zoo3"), ("dqn-acrobot", "rl_zoo3"), ("ppo-cartpole", "rl_zoo3"),
    ("ppo-acrobot", "rl_zoo3"), ("dqn-cartpole", "random"), ("dqn-acrobot", "random"),
    ("dqn-cartpole", "sweeprl"), ("dqn-acrobot", "sweeprl"), ("dqn-cartpole", "pbt"),
    ("dqn-acrobot", "pbt"), ("ppo-cartpole", "random"), ("ppo-cartpole", "sweeprl"),
    ("ppo-cartpole", "pbt"), ("ppo-acrobot", "random"), ("ppo-acrobot", "sweeprl"),
    ("ppo-acrobot", "pbt"),
]  # fmt: skip
"""By what they take on one core."""

FIRST_HELD_OUT = 500_000
HELD_OUT_APART = 100
"""Between the seeds of retraining: environments beside each other are given consecutive ones."""
REPETITIONS_APART = 10_000
"""Between the seeds of sweeps; within one, the search begins at 0 and confirmation at 1,000."""
GRACE_SECONDS = 20.0
"""From the signal that ends a job until it is killed."""
KEY = ("case", "method", "repetition", "trials", "steps")


# ---- one job


def config_of(case: str, steps: int, seed: int, root_dir: Path) -> TrialConfig:
    """What is tuned: the generated config; evaluations on the way would only take time."""
    config = sweeprl.generate_algorithm_config(CASES[case]["frame"])
    config = sweeprl.generate_env_config(
        "gymnasium", config, env_name=CASES[case]["env"], render_every_episode=0
    )
    plain = sweeprl.generate_training_config(
        root_dir=str(root_dir), config=config, seed=seed, max_env_steps=steps, max_episodes=10**9,
        logger=[], gpus=None, evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1),
    )  # fmt: skip
    return TrialConfig.of(plain)


def executor_for(base: TrialConfig) -> tuple[Executor, str]:
    """The one that `auto` chooses, kept to one core, and why."""
    executor, reason = choose_executor("auto", base, SearchSpace.of_config(base), num_workers=1)
    if isinstance(executor, LanesExecutor):
        executor = LanesExecutor(num_threads=1)
    return executor, f"{type(executor).__name__}: {reason}"


def held_out(number: int) -> list[int]:
    """The seeds of retraining."""
    return [FIRST_HELD_OUT + HELD_OUT_APART * index for index in range(number)]


def run_sweep(job: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Searches with sweeprl and retrains the winner."""
    base = config_of(
        job.case, job.steps, REPETITIONS_APART * job.repetition, work / "sweep" / "base"
    )
    executor, reason = executor_for(base)
    try:
        result = Sweep(
            base,
            trials=int(0.7 * job.trials) if job.method == "pbt" else None,  # 0.3 confirm
            env_steps=job.trials * job.steps,
            executor=executor,
            root_dir=work / "sweep",
            **METHODS[job.method],
        ).run()
    finally:
        executor.close()
    if result.status != "finished" or result.config is None or result.winner is None:
        raise SystemExit(f"the search was {result.status}; no row is written")
    search = SweepFolder(work / "sweep").search()
    states = [trial.state.name for trial in search.get_trials(deepcopy=False)]
    returns, scores, retrained_env_steps = retrain(job, result.config, work / "retrained")
    return dict(
        env_steps=result.env_steps,
        seconds=round(result.seconds, 1),
        search_score=result.winner.score,
        confirmed=result.standings[0].value if result.is_confirmed else None,
        winner=result.winner.number,
        params=result.winner.params,
        num_trials=result.num_trials,
        num_pruned=states.count("PRUNED"),
        num_confirmation_runs=result.num_runs,
        gain_over_trial_0=result.gain,
        returns=returns,
        scores=scores,
        retrained_env_steps=retrained_env_steps,
        executor=reason,
        versions=dict(
            sweeprl=sweeprl.__version__, torch=torch.__version__, optuna=optuna.__version__
        ),
    )


def retrain(
    job: argparse.Namespace, winner: TrialConfig, folder: Path
) -> tuple[list[float | None], list[float | None], list[int]]:
    """Trains a config as lanes of one engine.

    Returns:
        Of each held-out seed: the mean return of the last policy, the score as the search measures
        it, and the environment steps. A seed that failed has neither return nor score.
    """
    shutil.rmtree(folder, ignore_errors=True)
    seeds = held_out(job.held_out)
    configs = [merge(winner, {"seed": s, "root_dir": str(folder / str(s))}) for s in seeds]
    reporters = [MemoryReporter() for _ in seeds]
    LanesExecutor(num_threads=1).run(
        [Trial(config, reporter) for config, reporter in zip(configs, reporters, strict=True)]
    )
    outcomes = [reporter.outcome for reporter in reporters]
    known = [outcome for outcome in outcomes if outcome is not None]
    if len(known) < len(seeds) or any(o.status not in ("finished", "failed") for o in known):
        raise SystemExit("retraining was stopped; no row is written")
    env_id, episodes = CASES[job.case]["env"], job.episodes
    returns = [
        judge(config, env_id, episodes) if outcome.status == "finished" else None
        for config, outcome in zip(configs, known, strict=True)
    ]
    scores = [None if o.score is None else round(o.score, 3) for o in known]
    return returns, scores, [outcome.env_steps for outcome in known]


def judge(config: TrialConfig, env_id: str, episodes: int) -> float:
    """The mean return of a trial's last policy."""
    extension = registry.envs.get(config.env)()
    learner = build_learner(config, extension)
    last = torch.load(TrialFolder(Path(config.root_dir)).last, weights_only=True)
    learner.load_weights(last["learner"]["weights"])
    adapt = extension.create_copies(config, "evaluation")._adapt

    def policy(observations: np.ndarray) -> Any:
        return adapt(learner.act(observations.astype(np.float32), greedy=True))

    return round(float(np.mean(evaluate_together(policy, env_id, episodes))), 3)


def run_zoo(job: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Has rl_zoo3 search and retrain."""
    case = CASES[job.case]
    command = [
        job.zoo_python, Path(__file__).with_name("search_quality_zoo.py"),
        "--algo", case["algo"], "--env", case["env"], "--repetition", job.repetition,
        "--trials", job.trials, "--steps", job.steps, "--episodes", job.episodes,
        "--work", work, "--held-out", *held_out(job.held_out),
    ]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True)
    found: dict[str, Any] = json.loads((work / "found.json").read_text())
    return found


def run_job(job: argparse.Namespace) -> None:
    """Searches, retrains and appends the row."""
    torch.set_num_threads(1)
    began = time.monotonic()
    found = (run_zoo if job.method == "rl_zoo3" else run_sweep)(job, work_of(job))
    row = {name: getattr(job, name) for name in KEY}
    row |= found | dict(job_seconds=round(time.monotonic() - began, 1), machine=job.machine)
    show(row, job.results, is_saved=True)


# ---- all jobs


def work_of(job: argparse.Namespace) -> Path:
    """Where a job keeps what it has."""
    name = f"{job.case}-{job.method}-{job.repetition}-{job.trials}x{job.steps}"
    folder: Path = job.work / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def rows_of(results: str) -> list[dict[str, Any]]:
    """What has been measured so far."""
    path = RESULTS / f"{results}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def missing(options: argparse.Namespace) -> list[argparse.Namespace]:
    """The jobs that have no row, the longest first."""
    done = {tuple(row[name] for name in KEY) for row in rows_of(options.results)}
    jobs = [
        argparse.Namespace(**{**vars(options), "case": c, "method": m, "repetition": repetition})
        for repetition in range(options.repetitions)
        for c, m in LONGEST_FIRST
        if options.case in (None, c) and options.method in (None, m)
    ]
    jobs = [job for job in jobs if tuple(getattr(job, name) for name in KEY) not in done]
    return sorted(jobs, key=lambda job: LONGEST_FIRST.index((job.case, job.method)))


def start(job: argparse.Namespace) -> subprocess.Popen[bytes]:
    """A job as a process group of its own; what it says is kept in its folder."""
    names = (
        *KEY, "held_out", "episodes", "work", "results", "machine", "zoo_python",
    )  # fmt: skip
    command = [sys.executable, __file__]
    for name in names:
        command += [f"--{name.replace('_', '-')}", str(getattr(job, name))]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with (work_of(job) / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command, env=surroundings, stdout=log, stderr=log, start_new_session=True
        )


def signal_all(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    """Sends a signal to the whole groups."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


@contextlib.contextmanager
def ended_at_exit(processes: dict[subprocess.Popen[bytes], Any]) -> Iterator[None]:
    """Ends the jobs that still run when the context does, also where a signal ends it."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        running = [process for process in processes if process.poll() is None]
        signal_all(running, signal.SIGTERM)
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and any(process.poll() is None for process in running):
            time.sleep(0.1)
        signal_all(running, signal.SIGKILL)
        for process in running:
            process.wait()
        signal.signal(signal.SIGTERM, before)


def run_all(options: argparse.Namespace) -> None:
    """Runs what is missing, a few jobs at a time, until it is done or the time is over."""
    until = time.monotonic() + 60 * (options.minutes or float("inf")) - GRACE_SECONDS
    waiting = missing(options)
    print(f"{len(waiting)} jobs are missing", flush=True)
    running: dict[subprocess.Popen[bytes], argparse.Namespace] = {}
    with ended_at_exit(running):
        while (waiting or running) and time.monotonic() < until:
            while waiting and len(running) < options.jobs:
                job = waiting.pop(0)
                running[start(job)] = job
            time.sleep(0.5)
            for process in [process for process in running if process.poll() is not None]:
                job = running.pop(process)
                told = "done" if process.returncode == 0 else f"FAILED ({process.returncode})"
                print(f"{job.case} {job.method} {job.repetition}: {told}", flush=True)
        if running:
            print(f"the time is over; {len(running)} jobs are ended", flush=True)
    print(f"{len(missing(options))} jobs are missing", flush=True)


# ---- the table


def values_of(row: dict[str, Any], name: str) -> np.ndarray:
    """One number for each held-out seed; a training that failed has the worst possible one."""
    worst = CASES[row["case"]]["worst"]
    return np.array([worst if value is None else value for value in row[name]])


def hierarchical_interval(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 5000
) -> tuple[float, float]:
    """The percentile 95 % interval when searches, and then each one's seeds, are drawn again.

    Args:
        values: one row for each repetition of the search, `(R, S)`.
    """
    rng = np.random.default_rng(0)
    searches, seeds = values.shape
    drawn = []
    for _ in range(resamples):
        which = rng.integers(searches, size=searches)[:, None]
        drawn.append(statistic(values[which, rng.integers(seeds, size=values.shape)].ravel()))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


HEAD = """\
Each winner retrained on {seeds} held-out seeds, {episodes} greedy episodes each. Mean and
interquartile mean (IQM) are over all searches and seeds together. The 95 % intervals are percentile
bootstrap intervals of two stages: searches are drawn with replacement, then the seeds of each. The
search score is what the search itself says of its winner; `confirmed` is the interquartile mean of
its confirmation runs, and `gap` the search score less the mean of the held-out runs on the same
measure: `final`, of training episodes, for sweeprl and random; greedy returns for rl_zoo3. Seconds
and environment steps are the search's, confirmation included, on one core; rl_zoo3's evaluations are
not among its steps. All but the first columns are means over the searches.

| case | trials x steps | method | searches | mean | 95 % interval | IQM | 95 % interval | search score | confirmed | gap | seconds | env steps |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""  # noqa: E501


def table(options: argparse.Namespace) -> str:
    """One line for each case and method."""
    rows = rows_of(options.results)
    sizes = sorted({(row["trials"], row["steps"]) for row in rows})
    lines = []
    for case, (trials, steps), method in [(c, s, m) for c in CASES for s in sizes for m in METHODS]:
        kind = (case, method, trials, steps)
        mine = [r for r in rows if (r["case"], r["method"], r["trials"], r["steps"]) == kind]
        if not mine:
            continue
        values = np.array([values_of(row, "returns") for row in mine])
        statistics: list[str] = []
        for statistic in (np.mean, interquartile_mean):
            low, high = hierarchical_interval(values, statistic)
            statistics += [f"{statistic(values.ravel()):.1f}", f"{low:.1f} to {high:.1f}"]
        gaps = [row["search_score"] - values_of(row, "scores").mean() for row in mine]
        confirmed = [row["confirmed"] for row in mine if row["confirmed"] is not None]
        cells = [
            case, f"{trials} x {steps:,}", method, len(mine), *statistics,
            f"{np.mean([row['search_score'] for row in mine]):.1f}",
            f"{np.mean(confirmed):.1f}" if confirmed else "", f"{np.mean(gaps):+.1f}",
            f"{np.mean([row['seconds'] for row in mine]):,.0f}",
            f"{np.mean([row['env_steps'] for row in mine]):,.0f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    counts = sorted({len(row["returns"]) for row in rows})
    seeds = " or ".join(str(count) for count in counts)
    return HEAD.format(seeds=seeds, episodes=options.episodes) + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--repetition", type=int, default=0)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20_000, help="of one trial")
    parser.add_argument("--held-out", type=int, default=20, help="seeds of retraining")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--all", action="store_true", help="all jobs that have no row yet")
    parser.add_argument("--jobs", type=int, default=1, help="at a time")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="after which running jobs are ended")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "search_quality",
        help="folder of what jobs go on from",
    )  # fmt: skip
    parser.add_argument("--zoo-python", default=sys.executable, help="one that has rl_zoo3")
    parser.add_argument("--machine", default="", help="a few words for the rows")
    parser.add_argument(
        "--results", default="search_quality", help="name of the rows in results/, or a whole path"
    )
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.all:
        run_all(options)
    elif options.case and options.method:
        run_job(options)
    if options.table:
        text = table(options)
        (RESULTS / f"{options.results}.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()
