"""Real processes, real signals. Starting a process takes seconds: most tests share a pool."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch
from filelock import FileLock
from torch import nn

import sweeprl
from sweeprl.errors import ConfigError, SweepRLError
from sweeprl.executors import ProcessExecutor, _pool, _worker, processes
from sweeprl.executors._isolation import as_before
from sweeprl.executors._worker import Raised
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import (
    assert_same_end,
    last,
    outcomes,
    record,
    small_config,
    wrapped_config,
)

BYSTANDER = "another trial's error ended the run"
ENDLESS = dict(max_env_steps=10**7, checkpoint_every_seconds=1e-3)


class AtStep(gym.Wrapper):
    """Does something after some steps."""

    at, steps = 150, 0

    def step(self, action):
        self.steps += 1
        if self.steps == self.at:
            self.act()
        return self.env.step(action)


class DiesOnce(AtStep):
    """Is killed where nobody has been before."""

    def act(self):
        if not Path("was-here").exists():
            Path("was-here").touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Exits(AtStep):
    def act(self):
        os._exit(3)


class Hangs(AtStep):
    at = 20

    def act(self):
        while True:
            pass


class IsRude(AtStep):
    """Leaves nothing as it was."""

    def act(self):
        random.seed(3)
        np.random.seed(3)
        torch.manual_seed(3)
        torch.set_num_threads(2)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        warnings.simplefilter("error")
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        os.chdir("/")
        sys.path.insert(0, "/nowhere")
        type(self).was_here = True
        raise ValueError("enough")


class IsCurious(gym.Wrapper):
    """Raises where a rude one has left traces."""

    def __init__(self, env):
        super().__init__(env)
        found = (
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            signal.getsignal(signal.SIGUSR1),
            "/nowhere" in sys.path,
            Path.cwd() == Path("/"),
            hasattr(IsRude, "was_here"),
        )
        expected = (1, torch.float32, True, signal.SIG_DFL, False, False, False)
        assert found == expected, found
        warnings.warn("which is not an error", stacklevel=1)


class TwoInputs(nn.Module):
    """No network for DQN."""

    def forward(self, state, other):
        return state


class Buggy(nn.Module):
    """Works for a while."""

    calls = 0

    def __init__(self, state_dim, action_num):
        super().__init__()
        self.layer = nn.Linear(state_dim, action_num)

    def forward(self, state):
        Buggy.calls += 1
        if Buggy.calls > 100:
            raise KeyError("a bug of the user's")
        return self.layer(state)


@pytest.fixture(scope="module")
def pool():
    before = pids()
    with ProcessExecutor(2, say=print) as executor:
        yield executor
        assert pids() > before
    assert pids() == before


def run(executor, configs, reporters=None, **settings):
    reporters = reporters or [MemoryReporter() for _ in configs]
    executor.run(Trial(c, r, **settings) for c, r in zip(configs, reporters, strict=True))
    return reporters


def pids() -> set[int]:
    return {process.pid for process in multiprocessing.active_children()}


# ---- workers


def test_workers_go_on_from_run_to_run_and_end_with_the_executor(tmp_path):
    before = pids()
    executor = ProcessExecutor(1)
    run(executor, [small_config(tmp_path / "0")])
    (mine,) = pids() - before
    assert os.getsid(mine) == mine
    (reporter,) = run(executor, [small_config(tmp_path / "1")])
    assert pids() - before == {mine}
    assert not executor.was_stopped
    with pytest.raises(ValueError, match="not my day"):
        run(executor, [small_config(tmp_path / "2")], [Broken("finish")])
    del executor
    assert pids() == before
    assert reporter.outcome.status == "finished"
    assert list(reporter.scores)[-1] == 300
    sweeprl.launch({**small_config(tmp_path / "alone").to_dict()}, view="none")
    assert_same_end(tmp_path / "1", tmp_path / "alone")


def test_a_used_worker_is_as_good_as_a_fresh_one(tmp_path):
    folders = ["fresh", "rude", "curious", "used"]
    configs = [small_config(tmp_path / folder, env="gymnasium") for folder in folders]
    configs[1:3] = [
        wrapped_config(tmp_path / "rude", f"{__name__}.IsRude"),
        wrapped_config(tmp_path / "curious", f"{__name__}.IsCurious"),
    ]
    reporters = run(ProcessExecutor(1), configs)
    assert outcomes(reporters) == ["finished", "failed", "finished", "finished"]
    assert "enough" in reporters[1].outcome.reason
    curves = [(tmp_path / f / "metrics.csv").read_text() for f in ("fresh", "curious", "used")]
    assert curves[0] == curves[1] == curves[2]


def test_every_config_has_the_modules_beside_it(pool, tmp_path):
    trials = []
    for name, hidden in (("a", 3), ("b", 5), ("c", 7), ("d", 9)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "width.py").write_text(f"HIDDEN = {hidden}\n")
        (folder / "qnet.py").write_text(
            "from torch import nn\nfrom width import HIDDEN\n\n"
            "class QNet(nn.Sequential):\n"
            "    def __init__(self, state_dim, action_num):\n"
            "        layers = nn.Linear(state_dim, HIDDEN), nn.Linear(HIDDEN, action_num)\n"
            "        super().__init__(*layers)\n"
            "    def forward(self, state):\n"
            "        return super().forward(state)\n"
        )
        settings = dict(models=["qnet.QNet"] * 2, model_kwargs=[{}] * 2)
        config = small_config(tmp_path / name / "trial", frame_config=settings, max_env_steps=60)
        trials.append(Trial(config, MemoryReporter(), config_folder=str(folder)))
    pool.run(iter(trials))
    for name, hidden in (("a", 3), ("b", 5), ("c", 7), ("d", 9)):
        weights = last(tmp_path / name / "trial")["learner"]["weights"]["networks"]["qnet"]
        assert hidden in next(iter(weights.values())).shape


def test_a_module_that_the_main_script_had_imported_gives_way_for_a_trial(tmp_path, monkeypatch):
    for name in ("main", "config"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"HOME = '{name}'\n")
    monkeypatch.syspath_prepend(tmp_path / "main")
    import mine

    with as_before([tmp_path / "config"]):
        sys.path.insert(0, str(tmp_path / "config"))
        import mine as other

        assert other.HOME == "config"
    assert sys.modules.pop("mine") is mine
    assert mine.HOME == "main"


# ---- processes that end, or do not


def test_a_killed_process_ends_alone_and_its_trial_can_go_on(pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = dict(checkpoint_every_seconds=1e-3)
    configs = [
        wrapped_config(tmp_path / "0", f"{__name__}.DiesOnce", **settings),
        small_config(tmp_path / "1", seed=1),
        small_config(tmp_path / "2", seed=2),
        wrapped_config(tmp_path / "3", f"{__name__}.Exits"),
    ]
    reporters = [MemoryReporter() for _ in configs]
    reporters[2] = MemoryReporter(prune=lambda scores: max(scores) >= 200)
    run(pool, configs, reporters)
    assert outcomes(reporters) == ["stopped", "finished", "pruned", "stopped"]
    assert reporters[0].outcome.reason == "its process was killed by signal 9"
    assert record(tmp_path / "0")["reason"] == "its process was killed by signal 9"
    assert record(tmp_path / "3")["reason"] == "its process ended with exit code 3"
    assert max(reporters[2].scores) == 200
    assert 0 < last(tmp_path / "0")["learner"]["counts"][0] < 150
    (later,) = run(pool, configs[:1], resume=True)
    assert later.outcome.status == "finished"
    run(pool, [wrapped_config(tmp_path / "whole", f"{__name__}.DiesOnce", **settings)])
    assert_same_end(tmp_path / "0", tmp_path / "whole")


def test_what_takes_too_long_is_stopped_and_what_hangs_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE_AT_LIMIT", 0.5)
    lines = []
    configs = [
        wrapped_config(tmp_path / "hangs", f"{__name__}.Hangs"),
        small_config(tmp_path / "long", **ENDLESS),
    ]
    reporters = run(ProcessExecutor(2, seconds_per_trial=1.5, say=lines.append), configs)
    assert outcomes(reporters) == ["failed", "failed"]
    for name, reporter in zip(("hangs", "long"), reporters, strict=True):
        assert reporter.outcome.reason == "it took longer than seconds_per_trial=1.5"
        assert record(tmp_path / name)["reason"] == reporter.outcome.reason
        assert any(str(tmp_path / name) in line for line in lines)
    assert last(tmp_path / "long")["learner"]["counts"][0] > 0
    assert record(tmp_path / "long")["env_steps"] == last(tmp_path / "long")["learner"]["counts"][0]


# ---- signals


class Signals(MemoryReporter):
    """Sends this process a signal, after a report or at the end."""

    def __init__(self, at=("report",), once=True):
        super().__init__()
        self.at = set(at)

    def report(self, env_steps, score):
        super().report(env_steps, score)
        self._send("report")

    def finish(self, outcome):
        super().finish(outcome)
        self._send("finish")

    def _send(self, when):
        if when in self.at:
            self.at.remove(when)
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_stops_all_processes_and_resume_goes_on(pool, tmp_path):
    def config(folder, seed=0):
        return small_config(tmp_path / folder, max_env_steps=1500, seed=seed)

    reporter, other, never = Signals(), MemoryReporter(), MemoryReporter()
    configs = [config("parts"), config("other", 1), config("never")]
    run(pool, configs, [reporter, other, never])
    assert pool.was_stopped
    assert pool.received == signal.SIGTERM
    assert outcomes([reporter, other]) == ["stopped", "stopped"]
    assert reporter.outcome.reason == f"signal {int(signal.SIGTERM)}"
    assert record(tmp_path / "parts")["reason"] == reporter.outcome.reason
    assert never.outcome is None
    assert not (tmp_path / "never").exists()
    (later,) = run(pool, [config("parts")], resume=True)
    assert not pool.was_stopped
    assert later.outcome.status == "finished"
    assert min(later.scores) > max(reporter.scores)
    sweeprl.launch(config("whole"), view="none")
    assert_same_end(tmp_path / "parts", tmp_path / "whole")


def test_who_does_not_stop_is_killed_after_a_grace(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 1.0)
    hanging = wrapped_config(tmp_path / "0", f"{__name__}.Hangs")
    reporters = run(
        pool, [hanging, small_config(tmp_path / "1", **ENDLESS)], [MemoryReporter(), Signals()]
    )
    assert outcomes(reporters) == ["stopped", "stopped"]
    assert record(tmp_path / "0")["reason"] == f"signal {int(signal.SIGTERM)}"


def test_a_second_signal_kills(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 1e6)
    hanging = wrapped_config(tmp_path / "0", f"{__name__}.Hangs")
    reporters = [MemoryReporter(), Signals(at=("report", "finish"))]
    run(pool, [hanging, small_config(tmp_path / "1", **ENDLESS)], reporters)
    assert outcomes(reporters) == ["stopped", "stopped"]


def test_seeds_that_wait_are_told_of_the_end(pool, tmp_path):
    reporter = Signals()
    config = small_config(tmp_path / "0", **ENDLESS)
    first = Trial(config, MemoryReporter(), seeds=[1, 2, 3])
    second = Trial(small_config(tmp_path / "1", **ENDLESS), reporter)
    pool.run(iter([second, first]))
    assert reporter.outcome.status == "stopped"
    assert first.reporter.outcome.status == "stopped"
    assert [r.seed for r in first.reporter.outcome.records] == [1, 2, 3]
    assert not (tmp_path / "0" / "seed-3").exists()


SCRIPT = """
import sys
from pathlib import Path
from sweeprl.executors import ProcessExecutor
from tests.executors.test_processes import endless_trials

if __name__ == "__main__":
    ProcessExecutor(2).run(endless_trials(Path(sys.argv[1])))
"""


def endless_trials(root):
    """One that hangs, and one that trains."""
    yield Trial(wrapped_config(root / "hangs", f"{__name__}.Hangs"), MemoryReporter())
    yield Trial(small_config(root / "long", **ENDLESS), MemoryReporter())


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds=60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_nothing_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    wait_until(lambda: (tmp_path / "long" / "checkpoints" / "last.ckpt").exists())
    wait_until(lambda: (tmp_path / "hangs" / "record.json").exists())
    descendants = psutil.Process(process.pid).children(recursive=True)
    assert len(descendants) >= 3  # the workers, and what they were forked from
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_alive, descendants)), seconds=2)
    assert record(tmp_path / "long")["status"] == "running"


class NoteSurroundings(gym.Wrapper):
    """Writes beside the trial what its process was begun with."""

    def __init__(self, env):
        super().__init__(env)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        names = ("NOTED", "OMP_NUM_THREADS")
        noted = [*(os.environ.get(name) for name in names), len(blocked), os.getcwd()]
        Path(os.environ["NOTE"]).write_text(repr(noted))


def test_a_worker_has_the_surroundings_of_the_moment_that_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTE", str(tmp_path / "note"))
    for value in ("1", "2"):
        monkeypatch.setenv("NOTED", value)
        monkeypatch.chdir(tmp_path)
        wrapper = f"{__name__}.NoteSurroundings"
        config = wrapped_config(tmp_path / value, wrapper, max_env_steps=30)
        with ProcessExecutor(1) as executor:
            run(executor, [config], [MemoryReporter()])
        assert (tmp_path / "note").read_text() == repr([value, "1", 0, str(tmp_path)])


def begins_by_itself():
    reporter = MemoryReporter()
    with tempfile.TemporaryDirectory() as folder, ProcessExecutor(1) as executor:
        run(executor, [small_config(Path(folder, "0"), max_env_steps=30)], [reporter])
    os._exit(0 if reporter.outcome.status == "finished" else 1)


def test_a_process_that_was_forked_begins_workers_of_its_own(pool, tmp_path):
    run(pool, [small_config(tmp_path / "0", max_env_steps=30)], [MemoryReporter()])
    process = multiprocessing.get_context("fork").Process(target=begins_by_itself)
    process.start()
    process.join(120)
    assert process.exitcode == 0


OWN_SERVER = """
import multiprocessing, os, signal, sys
from pathlib import Path
from sweeprl.executors import ProcessExecutor, _pool
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import small_config

def threads(queue):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    queue.put((os.environ.get("OMP_NUM_THREADS"), len(blocked)))

def own():
    context = multiprocessing.get_context("forkserver")
    queue = context.SimpleQueue()
    process = context.Process(target=threads, args=(queue,))
    process.start()
    found = queue.get()
    process.join()
    return found

if __name__ == "__main__":
    if sys.argv[2] == "before":
        print(own())
    print(_pool.ensure_template(), "template")
    reporter = MemoryReporter()
    with ProcessExecutor(1) as executor:
        executor.run([Trial(small_config(Path(sys.argv[1], "0"), max_env_steps=30), reporter)])
    print(reporter.outcome.status)
    if sys.argv[2] == "after":
        print(own())
    print(os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fork_server_of_somebody_elses_is_left_alone(tmp_path, when):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "script.py").write_text(OWN_SERVER)
    (tmp_path / "filelock.py").write_text("raise RuntimeError('not this one')")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environ.pop("OMP_NUM_THREADS", None)
    out = subprocess.check_output(
        [sys.executable, str(tmp_path / "code" / "script.py"), str(tmp_path), when],
        cwd=tmp_path,
        env=environ,
        text=True,
    ).splitlines()
    its = "(None, 0)"  # its threads, and the signals that it does not hear
    before, after = [its, "False template", "finished"], ["True template", "finished", its]
    assert out == [*(before if when == "before" else after), "None"]


def test_a_template_that_is_gone_is_begun_anew(tmp_path):
    with ProcessExecutor(1) as executor:
        for name in ("before", "after"):
            reporter = MemoryReporter()
            run(executor, [small_config(tmp_path / name, max_env_steps=30)], [reporter])
            assert reporter.outcome.status == "finished"
            executor.close()
            if _pool.ensure_template():
                os.kill(multiprocessing.forkserver._forkserver._forkserver_pid, signal.SIGKILL)


# ---- the folder's lock

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_trial_waits_until_its_folder_is_free(pool, tmp_path):
    path = tmp_path / "0" / ".lock"
    path.parent.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    timer = threading.Timer(2.0, holder.communicate)
    timer.start()
    started_at = time.monotonic()
    (reporter,) = run(pool, [small_config(tmp_path / "0")])
    timer.join()
    assert time.monotonic() - started_at > 2
    assert reporter.outcome.status == "finished"


def test_a_folder_that_stays_taken_is_an_error(tmp_path):
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(ConfigError, match=f"another one has trained in '{tmp_path}' for 0.1 s"),
        _worker._locked(tmp_path, 0.1),
    ):
        pass


# ---- errors


def test_what_is_refused_in_a_process_is_raised_here(pool, tmp_path):
    settings = dict(models=[TwoInputs] * 2, model_kwargs=[{}] * 2)
    wrong = small_config(tmp_path / "0", frame_config=settings)
    reporters = [MemoryReporter(), MemoryReporter()]
    with pytest.raises(ConfigError, match="TwoInputs must play the role 'qnet'"):
        run(pool, [wrong, small_config(tmp_path / "1", **ENDLESS)], reporters)
    assert outcomes(reporters) == ["failed", "stopped"]
    assert "TwoInputs" in reporters[0].outcome.reason
    assert reporters[1].outcome.reason == BYSTANDER


def test_a_bug_is_raised_here_with_its_traceback_and_the_others_can_go_on(pool, tmp_path):
    settings = dict(models=[Buggy] * 2, model_kwargs=[{}] * 2)
    wrong = small_config(tmp_path / "0", frame_config=settings)
    reporters = [MemoryReporter(), MemoryReporter()]
    other = small_config(tmp_path / "1", **ENDLESS)
    with pytest.raises(KeyError, match="a bug of the user's") as caught:
        run(pool, [other, wrong], reporters)
    assert ", in forward\n" in str(caught.value.__cause__)
    assert outcomes(reporters) == ["stopped", "failed"]
    assert record(tmp_path / "0")["status"] == "failed"
    assert "a bug of the user's" in record(tmp_path / "0")["reason"]
    assert reporters[0].outcome.reason == BYSTANDER
    if (tmp_path / "1" / "record.json").exists():  # it may not have begun yet
        assert record(tmp_path / "1")["reason"] == BYSTANDER
    (reporter,) = run(pool, [other.model_copy(update=dict(max_env_steps=300))], resume=True)
    assert reporter.outcome.status == "finished"


class Odd(Exception):
    def __init__(self, one, other):
        super().__init__(one)


class Local(Exception):
    def __reduce__(self):
        raise TypeError("not me")


@pytest.mark.parametrize("error", [Odd("odd", 2), Local("odd")])
def test_an_error_that_cannot_be_sent_is_told_by_its_text(error):
    found = Raised.of(error).error()
    assert type(found) is SweepRLError
    assert str(found) == f"{type(error).__name__}: odd"
    assert f"{type(error).__name__}: odd" in str(found.__cause__)


class Broken(MemoryReporter):
    """Does not take what it is told."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def report(self, env_steps, score):
        super().report(env_steps, score)
        self._raise("report")

    def should_stop(self):
        self._raise("should_stop")
        return False

    def finish(self, outcome):
        super().finish(outcome)
        self._raise("finish")

    def _raise(self, here):
        if self.at == here:
            raise ValueError("not my day")


@pytest.mark.parametrize("at", ["report", "should_stop", "finish"])
def test_what_a_reporter_raises_ends_the_run(at, pool, tmp_path):
    reporters = [Broken(at), MemoryReporter()]
    settings = {} if at == "finish" else ENDLESS
    configs = [small_config(tmp_path / "0", **settings), small_config(tmp_path / "1", **ENDLESS)]
    with pytest.raises(ValueError, match="not my day"):
        run(pool, configs, reporters)
    if at == "finish":
        assert record(tmp_path / "0")["status"] == "finished"
    else:
        assert reporters[0].outcome is None
        assert record(tmp_path / "0")["status"] == "stopped"
        assert record(tmp_path / "0")["reason"] == "ValueError: not my day"
    assert reporters[1].outcome.reason == BYSTANDER


def test_what_the_trials_raise_ends_the_run(pool, tmp_path):
    reporter = MemoryReporter()

    def trials():
        yield Trial(small_config(tmp_path / "0", **ENDLESS), reporter)
        raise ValueError("no more ideas")

    with pytest.raises(ValueError, match="no more ideas"):
        pool.run(trials())
    assert reporter.outcome.reason == BYSTANDER


UNGUARDED = """
from pathlib import Path
from sweeprl.executors import ProcessExecutor
from tests.executors.test_processes import endless_trials

ProcessExecutor(1).run(endless_trials(Path("x")))
"""


def test_a_script_without_a_guard_is_told_what_to_do(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert 'under if __name__ == "__main__": in it, but it does not' in ended.stderr
    assert "must begin, but it ended with exit code 1" in ended.stderr
    assert list(tmp_path.iterdir()) == [script]


# ---- trials as they come


class Hesitant:
    """Has its second trial only when the first has ended."""

    def __init__(self, root):
        self.root, self.reporters = root, []

    def __iter__(self):
        return self

    def __next__(self):
        if any(reporter.outcome is None for reporter in self.reporters) or len(self.reporters) > 2:
            raise StopIteration
        config = small_config(self.root / str(len(self.reporters)), max_env_steps=60)
        self.reporters.append(MemoryReporter())
        return Trial(config, self.reporters[-1])


def test_an_iterator_that_has_none_is_asked_again_after_every_end(pool, tmp_path):
    trials = Hesitant(tmp_path)
    pool.run(trials)
    assert outcomes(trials.reporters) == ["finished"] * 3


def test_seeds_share_a_trial_and_a_thread_other_than_the_main_one_will_do(pool, tmp_path):
    class InOneThread(MemoryReporter):
        threads = set()

        def report(self, env_steps, score):
            super().report(env_steps, score)
            self.threads.add(threading.current_thread())

    reporter, failing = InOneThread(), MemoryReporter()
    trials = [
        Trial(small_config(tmp_path / "0"), reporter, seeds=[1, 2, 3]),
        Trial(wrapped_config(tmp_path / "1", f"{__name__}.IsRude"), failing, seeds=[1, 2, 3]),
    ]
    thread = threading.Thread(target=pool.run, args=(iter(trials),))
    thread.start()
    thread.join()
    assert reporter.outcome.status == "finished"
    assert list(reporter.scores)[-1] == 300
    assert reporter.threads == {thread}
    assert failing.outcome.status == "failed"
    assert {r.status for r in failing.outcome.records} == {"failed", "pruned"}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(num_workers=0), "num_workers must be at least 1, but got 0"),
        (dict(seconds_per_trial=0), "seconds_per_trial must be positive, but got 0"),
    ],
)
def test_numbers_must_be_positive(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ProcessExecutor(**arguments)
