"""Which pruner, and how much confirmation, give the better winner: searches replayed.

    python benchmarks/strategies.py train --case dqn-cartpole --configs 200 --seeds 20    # on a GPU
    python benchmarks/strategies.py replay --case dqn-cartpole --trials 16 --trials 64
    python benchmarks/strategies.py table

`train` draws configs from a frame's space, trains each on the same seeds as lanes, and keeps every
score on the grid of reports in `results/strategies/CASE.npz`. `replay` has searches take their
trials and confirmation runs from there, hundreds of times: with the budgets, the pruners, the choice
of what is confirmed, and the confirmation of `sweeprl sweep`, one seed for each trial. What a winner
is worth is the mean score of its config on seeds that neither search nor confirmation has seen. All
strategies draw the same trials on the same seeds in each repetition, so that they are compared in
pairs, and have the same environment steps, except where trials are counted: then a pruner saves
steps. The sampler has no part in it: trials are drawn at random.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import time
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
import torch
from optuna.trial import TrialState
from rows import RESULTS, show

import sweeprl
from sweeprl.config import TrialConfig, merge
from sweeprl.executors import LanesExecutor
from sweeprl.launcher import versions
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.confirmation import Confirmation, planned_confirmation, ranking
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.pruners import make_pruner
from sweeprl.sweeps.result import winner_and_default
from sweeprl.sweeps.seeds import CONFIRMATION_SEEDS
from sweeprl.trials import MemoryReporter, Trial
from sweeprl.trials.budget import learning_starts

CASES: dict[str, dict[str, Any]] = {
    "dqn-cartpole": dict(frame="DQN", env="CartPole-v1", steps=20_000, worst=0.0),
    "dqn-acrobot": dict(frame="DQN", env="Acrobot-v1", steps=20_000, worst=-500.0),
}
FOLDER = RESULTS / "strategies"
FEWEST_UNSEEN = 4
"""Seeds on which a winner is judged at least."""


# ---- training


def base_of(case: str, root_dir: Path) -> TrialConfig:
    """The generated config, with 20 reports and no evaluations on the way."""
    settings = CASES[case]
    config = sweeprl.generate_algorithm_config(settings["frame"])
    config = sweeprl.generate_env_config("torch", config, env_name=settings["env"])
    plain = sweeprl.generate_training_config(
        root_dir=str(root_dir), config=config, max_env_steps=settings["steps"], logger=[],
        max_episodes=10**9, report_every_env_steps=settings["steps"] // 20,
        evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1),
    )  # fmt: skip
    return TrialConfig.of(plain)


def train(case: str, num_configs: int, num_seeds: int) -> None:
    """Trains all configs on all seeds; the first config is the generated one."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        base = base_of(case, Path(folder))
        space, rng = SearchSpace.of_config(base), random.Random(0)
        drawn = [space.resolve(base, space.sample(rng)) for _ in range(num_configs - 1)]
        params: list[dict[str, Any]] = [{}, *drawn]
        reporters = [[MemoryReporter() for _ in range(num_seeds)] for _ in params]
        trials = (
            Trial(
                merge(base, {**own, "seed": seed, "root_dir": f"{folder}/{number}/{seed}"}),
                reporters[number][seed],
            )
            for number, own in enumerate(params)
            for seed in range(num_seeds)
        )
        LanesExecutor(num_configs * num_seeds).run(trials)
    every = base.report_every_env_steps
    steps = np.arange(every, CASES[case]["steps"] + 1, every)
    curves = [
        [[one.scores.get(int(step), np.nan) for step in steps] for one in own] for own in reporters
    ]
    scores = [[score_of(one) for one in own] for own in reporters]
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    told = dict(device=device, seconds=round(time.monotonic() - began, 1), versions=versions())
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(
        FOLDER / f"{case}.npz",
        params=np.array(json.dumps(params)),
        told=np.array(json.dumps(told)),
        steps=steps,
        curves=np.round(np.array(curves, np.float32), 1),
        scores=np.round(np.array(scores, np.float32), 2),
    )
    print(told, Bank.load(case).summary())


def score_of(reporter: MemoryReporter) -> float:
    """NaN where a trial has diverged."""
    assert reporter.outcome is not None
    assert reporter.outcome.status in ("finished", "failed")
    score = reporter.outcome.score
    is_known = reporter.outcome.status == "finished" and score is not None
    return score if is_known and score is not None else np.nan


@dataclass(frozen=True)
class Bank:
    """What was trained: C configs on S seeds, with T reports."""

    case: str
    steps: np.ndarray
    """Environment steps of the reports, `(T,)`."""
    curves: np.ndarray
    """Scores on the grid, `(C, S, T)`; NaN before the first episode has ended."""
    scores: np.ndarray
    """At the end, `(C, S)`; NaN where a trial has diverged."""

    @classmethod
    def load(cls, case: str) -> Bank:
        """Reads it."""
        with np.load(FOLDER / f"{case}.npz") as file:
            return cls(case, file["steps"], file["curves"], file["scores"])

    @property
    def budget(self) -> int:
        """Environment steps of a trial."""
        return int(self.steps[-1])

    def worth(self, config: int, seeds: Any) -> float:
        """Mean score on some seeds."""
        found = self.scores[config, seeds]
        return float(np.where(np.isnan(found), CASES[self.case]["worst"], found).mean())

    def summary(self) -> dict[str, float]:
        """What the configs are worth on all seeds, and how far seeds of one config lie apart."""
        means = np.sort([self.worth(config, slice(None)) for config in range(len(self.scores))])
        return {
            "default": round(self.worth(0, slice(None)), 1),
            "median": round(float(np.median(means)), 1),
            "best tenth": round(float(means[-len(means) // 10]), 1),
            "best": round(float(means[-1]), 1),
            "deviation between seeds": round(float(np.nanmean(np.nanstd(self.scores, axis=1))), 1),
        }


# ---- replaying


@dataclass(frozen=True)
class Strategy:
    """How a search spends its environment steps."""

    pruner: str
    confirmation: float
    """Share of the budget."""
    lanes: int
    """Trials at once."""
    counts: Literal["steps", "trials"] = "steps"
    """What the budget is one of: as many trials as the steps allow, or so many trials."""

    def __str__(self) -> str:
        budget = "" if self.counts == "steps" else "; trials counted"
        return f"{self.pruner}, {self.confirmation:.0%} confirmed, {self.lanes} at once{budget}"

    def budget(self, trials: int, env_steps: int) -> SweepBudget:
        """That of a sweep."""
        if self.counts == "trials":
            return SweepBudget(trials=trials, confirmation=self.confirmation)
        return SweepBudget(env_steps=trials * env_steps, confirmation=self.confirmation)


def replay(bank: Bank, base: TrialConfig, strategy: Strategy, trials: int, draw: int) -> Outcome:
    """One search, and its confirmation."""
    # The same for all strategies, and different for the numbers of trials.
    rng = np.random.default_rng([draw, trials, zlib.crc32(bank.case.encode())])
    order = [0, *(1 + rng.permutation(len(bank.scores) - 1))]
    seeds = rng.permutation(bank.scores.shape[1])
    budget = strategy.budget(trials, bank.budget)
    found = search(bank, base, strategy, budget, order, int(seeds[0]), draw)
    chosen, num_runs = planned_confirmation(found, budget, bank.budget)
    runs = confirm(bank, base, budget, chosen, num_runs, order, seeds[1:-FEWEST_UNSEEN])
    standings = ranking(runs, found)
    winner, _ = winner_and_default(found, standings)
    if winner is None:  # all trials failed
        return Outcome(CASES[bank.case]["worst"], CASES[bank.case]["worst"], len(found), 0, 0)
    claimed = standings[0].value if standings else winner.score
    assert claimed is not None
    places = [place_of(run.trial.user_attrs["seed"], base) for run in runs]
    num_seen = 1 + len(set(places))  # each config's runs begin with the first seeds
    return Outcome(
        bank.worth(order[winner.number], seeds[num_seen:]),
        claimed,
        len(found),
        sum(entry.state == "finished" for entry in found),
        sum(entry.env_steps for entry in [*found, *runs]),
    )


@dataclass(frozen=True)
class Outcome:
    """How a replay ended."""

    worth: float
    claimed: float
    """What the sweep itself would say."""
    num_trials: int
    num_whole: int
    """Trials that were not stopped."""
    env_steps: int
    """Of search and confirmation."""


def search(
    bank: Bank,
    base: TrialConfig,
    strategy: Strategy,
    budget: SweepBudget,
    order: list[int],
    seed: int,
    draw: int,
) -> list[Entry]:
    """Trials in lock-step, and others in the place of those that end."""
    starts = learning_starts(base)
    pruner = make_pruner(strategy.pruner, bank.budget, int(bank.steps[0]), starts, budget.trials)
    study = optuna.create_study(
        study_name=f"{bank.case} {draw}",  # Hyperband draws brackets from it
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(0),
        pruner=pruner,
    )
    running: list[tuple[optuna.Trial, int]] = []
    entries: list[Entry] = []
    is_changed = True
    while is_changed or running:
        if is_changed:
            entries = entries_of(study.get_trials(deepcopy=False))
        while (
            is_changed
            and len(running) < strategy.lanes
            and len(entries) < len(order)
            and budget.allows_search(entries, 0.0, bank.budget)
        ):
            trial = study.ask()
            trial.set_user_attr("is_default", trial.number == 0)
            running.append((trial, 0))
            entries = entries_of(study.get_trials(deepcopy=False))
        num_before = len(running)
        running = [
            (trial, place + 1)
            for trial, place in running
            if not is_over(bank, study, trial, order[trial.number], seed, place)
        ]
        is_changed = len(running) < num_before
    return entries_of(study.get_trials(deepcopy=False))


def is_over(
    bank: Bank, study: optuna.Study, trial: optuna.Trial, config: int, seed: int, place: int
) -> bool:
    """Trains until the next report; whether the trial ends there."""
    score, step = float(bank.curves[config, seed, place]), int(bank.steps[place])
    if not np.isnan(score):
        trial.report(score, step)
    if place + 1 < len(bank.steps):
        if np.isnan(score) or not trial.should_prune():
            return False
        trial.set_user_attr("outcome", {"status": "pruned", "env_steps": step})
        study.tell(trial, state=TrialState.PRUNED)
        return True
    end(study, trial, float(bank.scores[config, seed]), step)
    return True


def end(study: optuna.Study, trial: optuna.Trial, score: float, env_steps: int) -> None:
    """Tells the study of a trial that was trained to its end; NaN is one that has diverged."""
    has_failed = bool(np.isnan(score))
    status = "failed" if has_failed else "finished"
    trial.set_user_attr("outcome", {"status": status, "env_steps": env_steps})
    if has_failed:
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, score)


def place_of(seed: int, base: TrialConfig) -> int:
    """Which of the seeds of confirmation it is."""
    return int(seed) - base.seed - CONFIRMATION_SEEDS


def confirm(
    bank: Bank,
    base: TrialConfig,
    budget: SweepBudget,
    chosen: list[Entry],
    num_runs: int,
    order: list[int],
    seeds: np.ndarray,
) -> list[Entry]:
    """Runs of the best, one after the other; fewer where the bank has no more seeds."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    if not chosen:
        return []
    stage = Confirmation(base, chosen, num_runs, Path(), budget, Clock())
    runs: list[Entry] = []
    while stage.wants_more(runs):
        stage.enqueue(study, runs)
        run = study.ask()
        place = place_of(run.user_attrs["seed"], base)
        if place >= len(seeds):
            break
        config = order[run.user_attrs["candidate"]]
        end(study, run, float(bank.scores[config, seeds[place]]), bank.budget)
        runs = entries_of(study.get_trials(deepcopy=False))
    return runs


STRATEGIES = [
    *(Strategy("none", share, 16) for share in (0.0, 0.15, 0.3, 0.45)),
    *(Strategy("asha", share, 16) for share in (0.0, 0.15, 0.3, 0.45)),
    *(Strategy("median", 0.3, lanes) for lanes in (2, 16)),
    *(Strategy("hyperband", 0.3, lanes) for lanes in (2, 16)),
    Strategy("none", 0.3, 16, "trials"),
    *(Strategy("median", 0.3, lanes, "trials") for lanes in (2, 16)),
    Strategy("asha", 0.3, 16, "trials"),
]
"""With two processes, and with lanes. ASHA goes by the order in which trials come to a rung, which is
the same with any number at once."""


def replay_all(case: str, trials: int, draws: int, processes: int) -> dict[str, Any]:
    """A row: for each strategy the outcomes of all draws."""
    bank = Bank.load(case)
    base = base_of(case, Path("unused"))
    row: dict[str, Any] = dict(case=case, trials=trials, draws=draws, bank=bank.summary())
    with multiprocessing.get_context("spawn").Pool(processes, quieten) as pool:
        for strategy in STRATEGIES:
            one = partial(replay, bank, base, strategy, trials)
            outcomes = pool.map(one, range(draws), chunksize=10)
            row[str(strategy)] = dict(
                worth=[round(o.worth, 2) for o in outcomes],
                claimed=round(float(np.mean([o.claimed for o in outcomes])), 1),
                num_trials=round(float(np.mean([o.num_trials for o in outcomes])), 1),
                num_whole=round(float(np.mean([o.num_whole for o in outcomes])), 1),
                env_steps=round(float(np.mean([o.env_steps for o in outcomes]))),
            )
            print(strategy, np.mean(row[str(strategy)]["worth"]).round(1), flush=True)
    return row


def quieten() -> None:
    """Optuna tells of every trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.set_num_threads(1)


# ---- the table


def rows_of(path: Path) -> list[dict[str, Any]]:
    """What was replayed."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(reference: str, before: Path | None) -> None:
    """Prints what winners are worth; differences, within each draw, are to the strategy `reference`,
    or to the same strategy in the rows of an earlier version."""
    rows = rows_of(RESULTS / "strategies.jsonl")
    earlier = {(row["case"], row["trials"]): row for row in rows_of(before)} if before else {}
    heads = [f"{row['case']}, {row['trials']} trials" for row in rows]
    print("| strategy | " + " | ".join(heads) + " |")
    print("|---" * (1 + len(heads)) + "|")
    for name in map(str, STRATEGIES):
        cells = [name]
        for row in rows:
            other = earlier[row["case"], row["trials"]][name] if before else row[reference]
            worth, first = (np.array(one["worth"]) for one in (row[name], other))
            margin = 1.96 * (worth - first).std(ddof=1) / len(worth) ** 0.5
            difference = f"{(worth - first).mean():+.1f} ± {margin:.1f}"
            share = row[name]["env_steps"] / other["env_steps"]
            told = f"{difference}; {row[name]['claimed']:.0f}; {share:.0%}"
            cells.append(f"{worth.mean():.1f} ({told})")
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "replay", "table"))
    parser.add_argument("--case", choices=CASES, default="dqn-cartpole")
    parser.add_argument("--configs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, action="append", help="whose steps a search may use")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--reference", choices=list(map(str, STRATEGIES)), default=str(STRATEGIES[0]),
        metavar="STRATEGY", help="what the table compares with, as it is named there",
    )  # fmt: skip
    parser.add_argument("--before", type=Path, help="rows of an earlier version, to compare with")
    parser.add_argument("--save", action="store_true", help="append to results/strategies.jsonl")
    options = parser.parse_args()
    if options.what == "train":
        train(options.case, options.configs, options.seeds)
    elif options.what == "replay":
        for trials in options.trials or [16, 64]:
            row = replay_all(options.case, trials, options.draws, options.processes)
            show(row, "strategies", options.save)
    else:
        table(options.reference, options.before)


if __name__ == "__main__":
    main()
