"""Faults in NNI experiments: what a bare script and NNI 3.0 make of them, and what sweeprl does.

    python benchmarks/nni_faults.py bare --seed 0 --save
    python benchmarks/nni_faults.py sweeprl --seed 0 --save
    python benchmarks/nni_faults.py --table

An experiment has 16 trials of DQN, two at a time, proposed by TPE and stopped early by Medianstop.
Of these one ends before it asks for its parameters, one is killed with -9, one has rewards that are
no numbers and one a setting that cannot be; and NNI's manager is killed with -9 once, and resumed
at once. What each trial was really given, and how it really ended, is compared with what NNI says.
The bare script saves no checkpoint when it is stopped, as nothing tells its author to.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from nni_experiments import versions, write
from rows import RESULTS, show

sys.path.insert(0, str(Path(__file__).parents[1]))  # the scripts of the tests

from sweeprl.launcher import TrialFolder
from sweeprl.nni import create, stop, watch
from sweeprl.nni.confinement import confined_environment
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.listing import Experiment, find
from sweeprl.nni.running.processes import find_processes
from sweeprl.trials.nni import NNITrialFile
from tests.nni.folders import FAULTY

TRIALS, STEPS, EVERY = 16, 4000, 500
FAULTS = ("ends before it asks", "killed", "not a number", "impossible")
HUNG_SECONDS = 90.0
"""Without a trial that runs or ends."""

TRIAL = """\
import json, os, pathlib, signal, sys, time

command, faults, flags = {command!r}, {faults!r}, {flags!r}
folder, number = pathlib.Path(os.environ["NNI_OUTPUT_DIR"]), 0
while True:  # a number that no other trial has, and that this one keeps after an interruption
    claim = pathlib.Path("claims", str(number))
    try:
        claim.parent.mkdir(exist_ok=True)
        with claim.open("x") as file:
            file.write(folder.name)
    except FileExistsError:
        if claim.read_text() != folder.name:
            number += 1
            continue
    break
fault = faults.get(number)
(folder / "fault").write_text(str(fault))
if fault == "ends before it asks":
    sys.exit(3)
command += flags.get(fault, [])
if fault == "killed" and os.fork() == 0:
    trial = os.getppid()
    while not any((folder / name).exists() and {reported!r} in (folder / name).read_text()
                  for name in ("truth.json", "nni.json")):
        time.sleep(0.02)
    os.kill(trial, signal.SIGKILL)
    os._exit(0)
os.execv(command[0], command)
"""


def begin(kind: str, folder: Path, rng: random.Random) -> Experiment:
    """Writes an experiment whose trials meet the faults, and starts it."""
    places = rng.sample(range(1, TRIALS - 2), len(FAULTS))
    write(
        folder,
        "bare" if kind == "bare" else "cold",
        steps=STEPS,
        report_every=EVERY,
        trials=TRIALS,
        concurrency=2,
        assessor="Medianstop",
    )
    content = yaml.safe_load((folder / "config.yml").read_text())
    command = content["trialCommand"].split()
    if kind == "bare":
        flags = {"not a number": ["--env", "faulty:NaN-v0"], "impossible": ["--replay-size", "8"]}
        reported = '"reports"'
    else:
        name = 'train_env_config.env_name="faulty:NaN-v0"'
        flags = {"not a number": ["--set", name], "impossible": ["--set", "replay_size=8"]}
        reported = '"num_delivered": 1'
    faults = dict(zip(places, FAULTS, strict=True))
    text = TRIAL.format(command=command, faults=faults, flags=flags, reported=reported)
    (folder / "trial.py").write_text(text)
    (folder / "faulty.py").write_text(FAULTY)
    content["trialCommand"] = f"{sys.executable} trial.py"
    (folder / "config.yml").write_text(yaml.safe_dump(content))
    return find(create(folder))


def look_after_bare(experiment: Experiment, kill_at: int) -> str:
    """What a user without a watchdog does: waits, and resumes when the manager is gone."""
    moved_at, before, was_killed = time.monotonic(), None, False
    while time.monotonic() - moved_at < HUNG_SECONDS:
        time.sleep(1.0)
        try:
            status, _ = experiment.manager.status()
            jobs = experiment.manager.jobs()
        except OSError:
            continue
        if status in ("DONE", "ERROR"):
            return status
        state = [(job.id, job.status) for job in jobs]
        if state != before or any(not job.is_over for job in jobs):
            before, moved_at = state, time.monotonic()
        if not was_killed and sum(job.is_over for job in jobs) >= kill_at:
            was_killed = True
            kill_manager(experiment)
            resume = ["nnictl", "resume", experiment.id, "--port", str(experiment.port)]
            subprocess.run(resume, env=confined_environment(os.environ), capture_output=True)
    return "hung"


def look_after(experiment: Experiment, kill_at: int) -> str:
    """Lets the watchdog do it."""
    is_killed = []

    def kill_once() -> bool:
        try:
            ended = sum(job.is_over for job in experiment.manager.jobs())
        except OSError:
            return False
        if ended >= kill_at and not is_killed:
            is_killed.append(True)
            kill_manager(experiment)
        return False

    return watch(experiment.id, print, should_stop=kill_once, keep_open=True).status.upper()


def kill_manager(experiment: Experiment) -> None:
    for manager in find_processes(experiment.id).managers:
        manager.kill()
        manager.wait()


def truths(kind: str, experiment: Experiment) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is true of each trial: `params`, `final`, `end` and whether a checkpoint is there."""
    for folder in (experiment.folder / "environments" / "local-env" / "trials").iterdir():
        fault = folder / "fault"
        truth: dict[str, Any] = {"fault": fault.read_text() if fault.exists() else "None"}
        if kind == "bare":
            path = folder / "truth.json"
            truth |= json.loads(path.read_text()) if path.exists() else {}
            truth["has_checkpoint"] = bool(list(folder.glob("*.zip")))
        elif (kept := NNITrialFile.load(folder)) is not None:
            truth |= {"params": kept.proposal, "final": kept.final}
            truth["has_checkpoint"] = TrialFolder(folder).last.exists()
        yield folder.name, truth


def count(kind: str, experiment: Experiment, end: str) -> dict[str, Any]:
    """Compares what NNI says, in its database, with the truth."""
    found: Counter[str] = Counter()
    jobs = {job.id: job for job in ExperimentDatabase(experiment.folder).jobs()}
    for name, truth in truths(kind, experiment):
        job = jobs.get(name)
        found["trials"] += 1
        is_right = job is not None and truth.get("params") == job.label
        found["mislabelled"] += "params" in truth and not is_right
        status = "none" if job is None else job.status
        is_shown = job is not None and status == "SUCCEEDED" and job.final is not None
        has_result = truth.get("final") is not None
        found["results"] += has_result
        found["lost results"] += has_result and not (is_shown and is_right)
        is_stopped = not has_result and status in ("USER_CANCELED", "EARLY_STOPPED")
        was_asked = is_stopped and truth["fault"] == "None"
        expected = "SUCCEEDED" if has_result else "FAILED"
        found["wrong end states"] += status != expected and not was_asked
        found["stopped early"] += was_asked
        found["checkpoints of these"] += was_asked and truth.get("has_checkpoint", False)
    found["never begun"] = TRIALS - found["trials"]
    return {"end": end, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", choices=("bare", "sweeprl"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        table()
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["HOME"] = home
        began = time.monotonic()
        experiment = begin(options.kind, Path(home) / "experiment", rng)
        attend = look_after_bare if options.kind == "bare" else look_after
        end = attend(experiment, kill_at=rng.randrange(5, 9))
        experiment = find(experiment.id)  # its port may be another one
        counts = count(options.kind, experiment, end)
        stop(experiment.id)
    row = {"kind": options.kind, "seed": options.seed, **counts}
    row |= {"seconds": round(time.monotonic() - began), "versions": versions()}
    show(row, "nni_faults", options.save)


def table() -> None:
    rows = [json.loads(line) for line in (RESULTS / "nni_faults.jsonl").read_text().splitlines()]
    print("| | bare script | sweeprl |")
    print("|---|---|---|")
    sums = {kind: [row for row in rows if row["kind"] == kind] for kind in ("bare", "sweeprl")}

    def line(title: str, cell: Any) -> None:
        print(f"| {title} | " + " | ".join(str(cell(sums[kind])) for kind in sums) + " |")

    def total(name: str) -> Any:
        return lambda own: sum(row[name] for row in own)

    line("experiments", len)
    line("that did not end by themselves", lambda own: sum(row["end"] != "DONE" for row in own))
    line("trials asked for", lambda own: TRIALS * len(own))
    line("of these never begun", total("never begun"))
    line("mislabelled", total("mislabelled"))
    line("results", total("results"))
    line("of these lost, or under other parameters", total("lost results"))
    line("wrong end states", total("wrong end states"))
    line("stopped early", total("stopped early"))
    line("of these with a checkpoint", total("checkpoints of these"))


if __name__ == "__main__":
    main()
