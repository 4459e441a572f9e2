from __future__ import annotations

import random
import signal
import time

import pytest

from sweeprl.launcher import TrialFolder
from sweeprl.sweeps import SweepFolder, entries_of
from tests.disks import filled, small_disk
from tests.sweeps.faults import Victim, attempts_at, check_nothing_is_lost

LONG = {"max_env_steps": 1200, "report_every_env_steps": 100}


def kill_a_worker(victim, rng):
    victim.kill(*rng.sample(victim.workers(), 1))


def kill_the_coordinator(victim, rng):
    victim.kill(victim.process.pid)


def kill_both(victim, rng):
    workers = victim.workers()
    victim.kill(victim.process.pid, *workers)


def test_kills_at_random_moments_lose_nothing(tmp_path):
    root, rng, victims = tmp_path / "sweep", random.Random(0), []
    settings = dict(trial=LONG, executor="processes", num_workers=2, confirmation=0.0)
    for fault in (kill_a_worker, kill_the_coordinator, kill_both):
        victim = Victim(root, **settings)
        victims.append(victim)
        victim.wait_for("report", 1 + rng.randrange(6))
        time.sleep(rng.random())
        if victim.workers():
            fault(victim, rng)
        if fault is kill_a_worker:
            time.sleep(rng.random())
            victim.kill(victim.process.pid)
        victim.end()
    last = Victim(root, **settings)
    assert last.end() == 0, last.errors
    check_nothing_is_lost(root, 6, [*victims, last])


def test_an_interrupted_trial_goes_on_from_its_checkpoint(tmp_path):
    root = tmp_path / "sweep"
    settings = dict(
        trials=1,
        trial={**LONG, "max_env_steps": 3000},
        executor="processes",
        num_workers=1,
        confirmation=0.0,
    )
    first = Victim(root, **settings)
    first.wait_for("report", 15)
    kill_both(first, random)
    first.end()
    second = Victim(root, **settings)
    assert second.end() == 0, second.errors
    check_nothing_is_lost(root, 1, [first, second])
    again = [report["env_steps"] for report in second.heard("report")]
    assert min(again) > 100  # it did not begin anew
    assert TrialFolder(root / "trials" / "0000").load_record().env_steps == 3000


@pytest.mark.parametrize("executor", ["processes", "lanes", "in-process"])
def test_sigterm_ends_within_the_grace_of_a_cluster(tmp_path, executor):
    root = tmp_path / "sweep"
    settings = dict(trial=LONG, executor=executor, confirmation=0.0)
    first = Victim(root, **settings)
    first.wait_for("report", 5)
    started = time.monotonic()
    first.kill(first.process.pid, number=signal.SIGTERM)
    assert first.end() == 143, first.errors
    assert time.monotonic() - started < 10
    states = {attempt.state.name for attempt in attempts_at(root)}
    assert "RUNNING" not in states
    assert "WAITING" in states
    second = Victim(root, **settings)
    assert second.end() == 0, second.errors
    check_nothing_is_lost(root, 6, [first, second])


def test_lanes_survive_a_kill(tmp_path):
    root = tmp_path / "sweep"
    settings = dict(trial=LONG, executor="lanes", num_lanes=4, confirmation=0.0)
    first = Victim(root, **settings)
    first.wait_for("report", 9)
    kill_the_coordinator(first, random)
    first.end()
    second = Victim(root, **settings)
    assert second.end() == 0, second.errors
    check_nothing_is_lost(root, 6, [first, second])


def test_confirmation_goes_on_after_a_kill(tmp_path):
    root = tmp_path / "sweep"
    settings = dict(trials=4, trial=LONG, executor="processes", num_workers=2, confirmation=0.5)
    first = Victim(root, **settings)
    first.wait_for("stage_begun", 2)
    first.wait_for("report", len(first.heard("report")) + 3)
    kill_both(first, random)
    first.end()
    second = Victim(root, **settings)
    assert second.end() == 0, second.errors
    runs = SweepFolder(root).runs()
    assert all(run.is_over for run in runs)
    pairs = [(r.trial.user_attrs["candidate"], r.trial.user_attrs["seed"]) for r in runs]
    assert len(pairs) == len(set(pairs)) <= 4
    assert (root / "best.json").exists()


def test_a_trial_that_hangs_is_ended_and_the_sweep_goes_on(tmp_path):
    victim = Victim(
        tmp_path / "sweep",
        trials=3,
        trial=LONG,
        wrapper="tests.executors.test_processes.Hangs",
        executor="processes",
        num_workers=2,
        seconds_per_trial=3.0,
        confirmation=0.0,
    )
    assert victim.end() == 0, victim.errors
    entries = entries_of(attempts_at(tmp_path / "sweep"))
    assert {entry.state for entry in entries} == {"failed"}
    assert all("3" in entry.outcome["reason"] for entry in entries)


def test_postgresql_restarts_and_one_of_two_coordinators_dies(tmp_path, postgres, postgres_server):
    settings = dict(
        trials=10,
        trial=LONG,
        executor="in-process",
        confirmation=0.3,
        storage=postgres,
        name="shared",
        grace_seconds=4,
    )
    root = tmp_path / "sweep"
    victims = [Victim(root, **settings), Victim(root, **settings)]
    for victim in victims:
        victim.wait_for("report", 2)
    postgres_server.stop("immediate")
    time.sleep(1.0)
    postgres_server.start()
    for victim in victims:
        victim.wait_for("report", len(victim.heard("report")) + 2)
    kill_the_coordinator(victims[0], random)
    victims[0].end()
    assert victims[1].end() == 0, victims[1].errors
    check_nothing_is_lost(root, 10, victims, postgres)
    assert "s3cret" not in (root / "sweep.json").read_text() + victims[1].errors


@pytest.mark.parametrize("executor", ["processes", "lanes"])
def test_a_full_disk_loses_nothing(tmp_path, executor):
    with small_disk(tmp_path, "24m") as disk:
        root = disk / "sweep"
        often = {**LONG, "max_env_steps": 2400, "checkpoint_every_seconds": 0.001}
        settings = dict(trial=often, executor=executor, confirmation=0.0, folder=tmp_path)
        first = Victim(root, **settings)
        first.wait_for("report", 4)
        with filled(disk):
            time.sleep(7)
        if first.end() == 0:  # the database waited; what trials write waits for nothing
            assert "has no room left on its disk" in str(first.heard("note"))
        else:
            assert "No space left on device" in first.errors
            assert "Free some space" in first.errors
        second = Victim(root, **settings)
        assert second.end() == 0, second.errors
        check_nothing_is_lost(root, 6, [first, second])
