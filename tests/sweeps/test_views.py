from __future__ import annotations

import io
import json
import math
import re
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from sweeprl.config import TrialConfig
from sweeprl.search_spaces import Float, SearchSpace
from sweeprl.sweeps import Sweep
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.progress import NoView, Progress, RunningTrial
from sweeprl.sweeps.views import EventView, LiveView, PlainView, make_view, share_done
from tests.sweeps.fakes import FakeExecutor, quality

SPACE = SearchSpace(parameters={"learning_rate": Float(1e-5, 1e-2, log=True)})


@pytest.fixture
def sweep(small_config, tmp_path):
    base = TrialConfig.of({**small_config("DQN"), "report_every_env_steps": 100})

    def run(view, executor=None, **settings):
        executor = executor or FakeExecutor(at_once=3)
        defaults = {"trials": 8, "root_dir": tmp_path / "sweep", "pruner": "none"}
        settings = {**defaults, "max_equal_failures": 100, **settings}
        return Sweep(base, SPACE, executor=executor, view=view, **settings).run()

    return run


@pytest.fixture
def progress():
    """Of a sweep that searches with trials of 1000 environment steps."""

    def build(clock=None, stage="search", planned=None, **limits):
        found = Progress(NoView(), clock or Clock(), SweepBudget(**limits), 1000)
        found.stage, found.planned = stage, planned
        return found

    return build


def strict(line):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(line, parse_constant=refuse)


class Terminal(io.StringIO):
    def isatty(self):
        return True


# ---- which view


def test_a_view_by_name():
    assert isinstance(make_view("auto", Terminal()), LiveView)
    assert isinstance(make_view("auto", io.StringIO()), PlainView)
    assert isinstance(make_view("json", Terminal()), EventView)
    stream = io.StringIO()
    make_view("none", stream).show({"event": "note", "text": "hello"}, None)
    assert stream.getvalue() == ""


# ---- how much is done


def test_the_nearest_limit_says_how_much_is_done(progress):
    found = progress(planned=10, trials=10, env_steps=20_000, confirmation=0.5)
    found.counts["finished"] = 2
    found.env_steps = 2000
    assert share_done(found) == 0.2  # trials and half of the env steps alike
    found.env_steps = 5000
    assert share_done(found) == 0.5


def test_time_is_a_limit_too(progress):
    clock = SimpleNamespace(seconds=35.0)
    assert share_done(progress(clock, seconds=100.0, confirmation=0.3)) == pytest.approx(0.5)
    clock.seconds = 90.0
    assert share_done(progress(clock, seconds=100.0, confirmation=0.3)) == 1.0


def test_running_trials_count_in_part(progress):
    found = progress(planned=2, trials=2)
    found.running = {0: RunningTrial("0", {250: 1.0, 500: 2.0}), 1: RunningTrial("1")}
    assert share_done(found) == 0.25


def test_confirmation_is_a_stage_of_its_own(progress):
    found = progress(stage="confirmation", planned=4, trials=2, env_steps=10_000)
    found.env_steps = 9000
    found.counts["finished"] = 1
    assert share_done(found) == 0.25


# ---- plain


def test_plain_has_a_line_for_every_trial_and_stage(sweep):
    stream = io.StringIO()
    result = sweep(PlainView(stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "search: 0/8 trials"
    assert sum(" finished " in line for line in lines) == 8 + result.num_runs
    assert "100%" in lines[8]
    assert "8/8 trials" in lines[8]
    assert lines[9] == "confirmation: 0/3 runs"
    assert "trial 0 on seed 1000" in "".join(lines[10:])
    assert "3/3 runs" in lines[-1]


def test_the_best_of_the_search_is_not_that_of_confirmation(sweep):
    stream = io.StringIO()
    sweep(PlainView(stream))
    search, _, confirmation = stream.getvalue().partition("confirmation: ")
    assert "best run" not in search
    assert all("best run " in line for line in confirmation.splitlines()[1:])


def test_plain_tells_why_a_trial_failed(sweep):
    stream = io.StringIO()
    sweep(PlainView(stream), FakeExecutor(ending=lambda config: ("failed", "it diverged")))
    assert "failed: it diverged" in stream.getvalue()
    assert "best -" in stream.getvalue()


def test_plain_shows_signs_of_life(sweep):
    stream = io.StringIO()
    view = PlainView(stream)
    view.every_seconds = 0.0
    sweep(view)
    assert " running " in stream.getvalue()


def test_the_best_has_an_interval_where_it_has_several_seeds(sweep):
    stream = io.StringIO()
    sweep(PlainView(stream), seeds=3)
    found = [line for line in stream.getvalue().splitlines() if "seeds)" in line]
    assert "best 100.3 [99.00, 101.0] (trial 0, 3 seeds)" in found[0]


# ---- JSON


def test_events_are_json_lines(sweep):
    stream = io.StringIO()
    result = sweep(EventView(stream))
    events = [strict(line) for line in stream.getvalue().splitlines()]
    assert events[0]["event"] == "stage_begun"
    assert events[-1]["event"] == "sweep_ended"
    assert events[-1]["status"] == "finished"
    ended = [event for event in events if event["event"] == "trial_ended"]
    assert len(ended) == 8 + result.num_runs
    times = [event["at"] for event in events]
    assert times == sorted(times)


def test_events_hold_no_nan(sweep):
    stream = io.StringIO()
    sweep(EventView(stream), FakeExecutor(score=lambda config: math.nan))
    events = [strict(line) for line in stream.getvalue().splitlines()]
    assert {event["score"] for event in events if event["event"] == "report"} == {None}


# ---- live


@pytest.fixture
def live():
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=24, force_terminal=True, color_system=None)
    view = LiveView(stream, console)
    yield view
    view.close()


def drawn(view):
    console = Console(file=io.StringIO(), width=80, height=24, color_system=None)
    console.print(view.render())
    return console.file.getvalue()


def test_live_shows_where_the_sweep_stands(sweep, live):
    screens = []

    def watched(config):
        screens.append(drawn(live))
        return quality(config)

    sweep(live, FakeExecutor(score=watched, at_once=30), trials=40)
    screens.append(drawn(live))
    last_of_search = next(screen for screen in reversed(screens) if "search" in screen)
    assert "/40 trials" in last_of_search
    assert "best " in last_of_search
    assert "finished" in last_of_search
    assert max(len(line) for screen in screens for line in screen.splitlines()) <= 80
    assert all(len(screen.splitlines()) < 24 for screen in screens)
    # At most 17: confirmation ends where only one config may still be the best.
    assert re.search(r"1\d/17 runs", screens[-1])


def test_live_shows_ten_trials_and_counts_the_others(progress, live):
    found = progress(planned=2000, trials=2000)
    found.running = {n: RunningTrial(str(n), {500: 1.0, 600: 3.0}) for n in range(1000)}
    live.show({"event": "report"}, found)
    screen = drawn(live)
    assert "and 990 more" in screen
    assert screen.count("  600  ") == 10
    assert "█" in screen
    assert "30%" in screen


def test_live_draws_before_anything_has_happened(live):
    assert "starting" in drawn(live)


def test_live_keeps_what_matters_on_the_screen(sweep, live):
    executor = FakeExecutor(ending=lambda config: ("failed", "it diverged"))
    sweep(live, executor)
    assert "trial 3 failed: it diverged" in live.console.file.getvalue()


def test_live_is_cheap(progress, live):
    found = progress(planned=2000, trials=2000)
    found.running = {n: RunningTrial(str(n), {500: 1.0}) for n in range(1000)}
    began = time.perf_counter()
    for _ in range(20_000):
        live.show({"event": "report"}, found)
    assert time.perf_counter() - began < 1.0


def test_a_view_may_be_closed_twice(live):
    live.close()
    live.close()
