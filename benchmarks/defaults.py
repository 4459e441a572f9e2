"""What a freshly generated config reaches, as it is and with the specification's patience of 3 epochs.

    python benchmarks/defaults.py            # trains, appends to results/defaults.jsonl
    python benchmarks/defaults.py --table

The return is that of the final test: 20 greedy episodes of the best checkpoint.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sweeprl

RESULTS = Path(__file__).parent / "results" / "defaults.jsonl"
TABLE = Path(__file__).parent / "results" / "defaults.md"

CASES: dict[str, dict[str, Any]] = {
    "DQN CartPole-v1, as generated": dict(frame="DQN", env="CartPole-v1"),
    "DQN CartPole-v1, early_stopping_patience 3": dict(frame="DQN", env="CartPole-v1", early_stopping_patience=3),
    "PPO CartPole-v1, as generated": dict(frame="PPO", env="CartPole-v1"),
    "PPO CartPole-v1, gae_lambda 0.95": dict(frame="PPO", env="CartPole-v1", frame_config=dict(gae_lambda=0.95)),
}  # fmt: skip


def train(case: dict[str, Any], seed: int) -> dict[str, Any]:
    settings = dict(case)
    config = sweeprl.generate_algorithm_config(settings.pop("frame"))
    config["frame_config"].update(settings.pop("frame_config", {}))
    env = dict(env_name=settings.pop("env"), render_every_episode=0)
    config = sweeprl.generate_env_config("gymnasium", config, **env)
    config = sweeprl.generate_training_config(
        root_dir=tempfile.mkdtemp() + "/trial", config=config, seed=seed, gpus=None, **settings
    )
    record = sweeprl.launch(config, view="none")
    return dict(
        seed=seed,
        test_return=record.test_return,
        score=record.score,
        env_steps=record.env_steps,
        seconds=record.seconds,
    )


def table() -> str:
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    lines = ["| config | seeds | test return | score | env steps |", "|---|---|---|---|---|"]
    for case in CASES:
        mine = [row for row in rows if row["case"] == case]
        if mine:
            seeds = ",".join(str(row["seed"]) for row in mine)
            cells = []
            for key, digits in (("test_return", 1), ("score", 1), ("env_steps", 0)):
                values = [row[key] for row in mine]
                low, high = min(values), max(values)
                cells.append(
                    f"{np.mean(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
                )
            lines.append(f"| {case} | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.table:
        for case in arguments.case or CASES:
            for seed in range(arguments.seeds):
                row = dict(case=case, **train(CASES[case], seed))
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)
    TABLE.write_text(table())
    print(table())


if __name__ == "__main__":
    main()
