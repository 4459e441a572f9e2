"""What masks cost: lanes that differ in batch size or updates per step, in one engine or in several.

    python benchmarks/masking.py [--device cpu] [--lanes 12] [--save]

A third of the lanes has each value. Together they are one engine, which computes them in parts or
with masks; apart they are three engines, trained one after the other. The ratio is time apart over
time together for the same environment steps of every lane: above 1, one engine pays.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import torch
from lanes import CASES, Population, config_of
from rows import show

from sweeprl.config import Discrete, EnvSpec
from sweeprl.engine import Learner
from sweeprl.launcher import versions
from sweeprl.launcher.surroundings import keep_memory
from sweeprl.testing import random_transitions

SPEC = EnvSpec(4, Discrete(2))
VALUES: list[tuple[str, list[Any]]] = [
    ("batch_size", [32, 64, 128]),
    ("batch_size", [16, 128, 1024]),
    ("updates_per_step", [0.25, 0.5, 1.0]),
]


def seconds_per_chunk(values: list[Any], name: str, per_value: int, device: torch.device) -> float:
    """Median seconds in which an engine stores 64 steps of every lane and makes the updates."""
    config = config_of(CASES["dqn"], 64, "torch", None)
    frame = Population(CASES["dqn"], 1, config, torch.device("cpu")).frame
    frames = []
    for value in values * per_value:
        own = config.frame_config.model_copy(
            update={name: value, "replay_size": 2000, "warmup_steps": 0}
        )
        frames.append(type(frame)(own, frame.spec, frame.resolver))
    learner = Learner(frames, range(len(frames)), 1, device, replay_device=device, is_tolerant=True)
    chunk = random_transitions(SPEC, 64, len(frames))
    taken = []
    for _ in range(9):
        started = time.perf_counter()
        learner.store(chunk)
        learner.update()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lanes", type=int, action="append")
    parser.add_argument("--save", action="store_true", help="append to results/masking.jsonl")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    device = torch.device(arguments.device)
    with keep_memory():
        for name, values in VALUES:
            for num_lanes in arguments.lanes or [3, 12, 48, 192]:
                per_value = num_lanes // len(values)
                together = seconds_per_chunk(values, name, per_value, device)
                apart = [seconds_per_chunk([value], name, per_value, device) for value in values]
                row = dict(
                    device=torch.cuda.get_device_name(0) if device.type == "cuda" else "cpu", setting=name, values=values,
                    lanes=num_lanes, milliseconds_together=round(1e3 * together, 1),
                    milliseconds_apart=[round(1e3 * t, 1) for t in apart], ratio=round(sum(apart) / together, 2),
                    versions=versions(),
                )  # fmt: skip
                show(row, "masking", arguments.save)


if __name__ == "__main__":
    main()
