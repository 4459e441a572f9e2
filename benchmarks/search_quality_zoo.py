"""Searches with rl_zoo3's `-optimize`, and retrains its winner; `search_quality.py` calls this.

The search is rl_zoo3's own program. It goes on from its storage file: trials that were cut off are
marked as failed, as they would count as done, and the sampler gets another seed, as it would draw
the same trials again. The winner is built by rl_zoo3's ExperimentManager, from its YAML defaults
and the converted parameters of the best trial; they are handed over as `--hyperparams` are, because
`--trial-id 0` is ignored. It runs with an interpreter that has rl_zoo3, and needs no sweeprl.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import rl_zoo3
import stable_baselines3
import torch
from evaluator_together import evaluate_together
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from rl_zoo3.exp_manager import ExperimentManager
from rl_zoo3.hyperparams_opt import HYPERPARAMS_CONVERTER
from stable_baselines3.common.base_class import BaseAlgorithm

NUM_EVALUATIONS = 5
STARTUP_TRIALS = 10
SEEDS_APART = 1000
"""Between the sampler's seeds of a search that was cut off, and those of other repetitions."""
MOST_STARTS = 5
OVER = (TrialState.COMPLETE, TrialState.PRUNED)


def study_of(folder: Path) -> optuna.Study:
    """The study of the search."""
    backend = JournalFileBackend(str(folder / "study.log"))
    storage = JournalStorage(backend)
    return optuna.create_study(
        study_name="search", storage=storage, direction="maximize", load_if_exists=True
    )


def mend(folder: Path) -> int:
    """Fails the trials that were cut off, and returns how many trials there have been."""
    for lock in folder.glob("study.log*.lock"):
        lock.unlink(missing_ok=True)
    study = study_of(folder)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return len(study.get_trials(deepcopy=False))


def search(job: argparse.Namespace) -> list[FrozenTrial]:
    """Runs what is left of the search, and returns the trials that are over."""
    for _ in range(MOST_STARTS):
        so_far = mend(job.work)
        over = study_of(job.work).get_trials(states=OVER)
        if len(over) >= job.trials:
            return over
        command = [
            sys.executable, "-m", "rl_zoo3.train", "--algo", job.algo, "--env", job.env, "-optimize",
            "-n", job.steps, "--max-total-trials", job.trials,
            "--n-startup-trials", min(STARTUP_TRIALS, max(1, 2 * job.trials // 3)),
            "--n-evaluations", NUM_EVALUATIONS, "--study-name", "search",
            "--storage", job.work / "study.log", "--no-optim-plots", "--num-threads", 1,
            "--seed", job.repetition + SEEDS_APART * so_far, "--device", "cpu",
            "-f", job.work / "logs",
        ]  # fmt: skip
        subprocess.run([str(word) for word in command], check=False)
    raise SystemExit(f"the search was started {MOST_STARTS} times and is not over")


def manager_of(
    job: argparse.Namespace, seed: int, params: dict[str, Any] | None = None
) -> ExperimentManager:
    """What trains one model as rl_zoo3 does, without evaluations on the way."""
    return ExperimentManager(
        argparse.Namespace(),
        job.algo,
        job.env,
        str(job.work / "retrained"),
        n_timesteps=job.steps,
        eval_freq=-1,
        hyperparams=params,
        seed=seed,
        log_interval=-2,
        verbose=0,
        device="cpu",
    )


def env_steps_of(trial: FrozenTrial, job: argparse.Namespace, num_envs: int) -> int:
    """What a trial has trained on: whole rollouts, or up to the evaluation that pruned it."""
    if trial.state is TrialState.PRUNED:
        calls = max(int(job.steps / NUM_EVALUATIONS) // num_envs, 1)
        return max(trial.intermediate_values, default=0) * calls * num_envs
    if job.algo == "ppo":
        rollout = num_envs * 2 ** trial.params["n_steps_pow"]
    else:
        rollout = num_envs * trial.params["train_freq"]
    return math.ceil(job.steps / rollout) * rollout


def num_envs_of(job: argparse.Namespace) -> int:
    """How many environments the YAML defaults say."""
    manager = manager_of(job, 0)
    with contextlib.redirect_stdout(io.StringIO()):
        settings, _ = manager.read_hyperparameters()
    return int(settings.get("n_envs", 1))


def judge(model: BaseAlgorithm, env_id: str, episodes: int) -> float:
    """The mean return of a model, which sees observations as it did in training."""
    normalizer = model.get_vec_normalize_env()

    def policy(observations: np.ndarray) -> Any:
        if normalizer is not None:
            observations = normalizer.normalize_obs(observations)
        return model.predict(observations, deterministic=True)[0]

    return float(np.mean(evaluate_together(policy, env_id, episodes)))


def retrain(job: argparse.Namespace, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Trains the winner on the held-out seeds that are missing; one row for each."""
    path = job.work / "retrained.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for seed in job.held_out:
        if any(row["seed"] == seed for row in rows):
            continue
        row: dict[str, Any] = dict(seed=seed, returned=None, env_steps=None)
        with contextlib.redirect_stdout(io.StringIO()):
            manager = manager_of(job, seed, copy.deepcopy(params))
            experiment = manager.setup_experiment()
            assert experiment is not None
            model = experiment[0]
            try:
                manager.learn(model)
                row.update(returned=round(judge(model, job.env, job.episodes), 3))
            except (AssertionError, ValueError) as error:  # as in its search: weights became NaN
                row.update(error=str(error)[:200])
            row.update(env_steps=model.num_timesteps)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algo", required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--repetition", type=int, required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--held-out", type=int, nargs="+", required=True)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--work", type=Path, required=True)
    job = parser.parse_args()
    torch.set_num_threads(1)
    job.work.mkdir(parents=True, exist_ok=True)
    over = search(job)
    best = study_of(job.work).best_trial
    rows = retrain(job, HYPERPARAMS_CONVERTER[job.algo](best.params))
    num_envs = num_envs_of(job)
    spans = [t.datetime_complete - t.datetime_start for t in over]
    found = dict(
        env_steps=sum(env_steps_of(trial, job, num_envs) for trial in over),
        seconds=round(sum(span.total_seconds() for span in spans), 1),
        search_score=best.value,
        confirmed=None,
        winner=best.number,
        params=best.params,
        num_trials=len(over),
        num_pruned=sum(trial.state is TrialState.PRUNED for trial in over),
        returns=[row["returned"] for row in rows],
        scores=[row["returned"] for row in rows],
        retrained_env_steps=[row["env_steps"] for row in rows],
        executor=f"one process, {num_envs} environments",
        versions=dict(
            torch=torch.__version__, stable_baselines3=stable_baselines3.__version__,
            rl_zoo3=rl_zoo3.__version__, optuna=optuna.__version__,
        ),
    )  # fmt: skip
    temporary = job.work / "found.tmp"
    temporary.write_text(json.dumps(found))
    os.replace(temporary, job.work / "found.json")


if __name__ == "__main__":
    main()
