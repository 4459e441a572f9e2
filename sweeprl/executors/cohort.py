"""The LightningModule of a cohort: trials that come and go in the lanes of one engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from sweeprl.config import TrialConfig
from sweeprl.engine import AgentRows, Judge, Learner, kept_after_dropping
from sweeprl.envs import Budget, EnvExtension, Episode, LanesDataset, LanesResult, Stage
from sweeprl.errors import ConfigError
from sweeprl.executors.ledger import LaneLedger
from sweeprl.executors.seats import Seat
from sweeprl.frames import Frame
from sweeprl.launcher import (
    LearningModule,
    StopOnSignal,
    crossed,
    global_rng,
    loader,
    share_of,
)

__all__ = ["CohortModule"]

_IDLE_SHARE = 1 / 8
"""Share of idle lanes from which on the engine shrinks; it has to trace its rules anew then."""

_LOOKS_EVERY_SECONDS = 0.01
"""How often a cohort that stays open looks for trials while it trains none."""

_CHECKPOINT_SHARE = 0.05
"""Most of the time that is spent on checkpoints to go on from."""


class CohortModule(LearningModule):
    """Trains the trials of a cohort; a lane whose trial has ended is given to the next one.

    Args:
        learner: as many agents as there are seats to begin with.
        data: what they experience.
        extension: builds the environments that judge them.
        seats: who sits in which lane.
        next_seat: who is to sit in a free lane; None where nobody is to.
        frame_of: builds the frame of a seat's config.
        signals: tells which signal asked for the end, where one did.
        is_open: whether further trials may come at any time; None where only trials that end make
            others begin.
    """

    def __init__(
        self,
        learner: Learner,
        data: LanesDataset,
        extension: EnvExtension,
        seats: Sequence[Seat | None],
        next_seat: Callable[[], Seat | None],
        frame_of: Callable[[TrialConfig], Frame],
        signals: StopOnSignal,
        is_open: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(learner)
        self.data = data
        self.seats: list[Seat | None] = list(seats)
        self.lane_steps = 0
        """Environment steps of all lanes so far."""
        self._extension, self._next_seat, self._frame_of = extension, next_seat, frame_of
        self._signals, self._is_open = signals, is_open
        self._config = next(seat.config for seat in seats if seat is not None)
        self.error: ConfigError | None = None
        """What was wrong with a trial that was to begin."""
        self._ledger = LaneLedger(len(seats), learner.num_envs)
        self._best: AgentRows = learner.rows()
        self._endings: dict[int, tuple[str, str]] = {}
        self._due: list[int] = []
        self._updates_before = learner.updates.copy()
        self._started_at, self._spent_saving = time.monotonic(), 0.0

    def open(self) -> None:
        """Lets all seats begin, or go on.

        Raises:
            ConfigError: one of them cannot.
        """
        for lane, seat in enumerate(self.seats):
            if seat is not None:
                seat.open()
                if seat.goes_on:
                    self._restore(lane, seat)

    # ---- data

    def train_dataloader(self) -> DataLoader[LanesResult]:
        """Experience of all lanes, a chunk at a time."""
        return loader(self.data)

    def val_dataloader(self) -> DataLoader[Any]:
        """One evaluation of all lanes that are due."""
        return loader(
            _Once(lambda: self._judge(self._due, self.learner.rows(self._due), "evaluation"))
        )

    # ---- training

    def on_train_start(self) -> None:
        """Starts the clock."""
        self._started_at = time.monotonic()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Between two chunks, ends trials, lets others begin, and saves what is due.

        Lightning's first hook there: whatever evaluation was due has been made.
        """
        if self.stop_requested:
            self._end_all()
        self._end_cancelled()
        self._turn_over()
        self._admit()
        if not self._occupied():
            self.trainer.should_stop = True
            return -1
        self._keep_to_schedules()
        self._save_some()
        self._updates_before = self.learner.updates.copy()
        return None

    def _keep_to_schedules(self) -> None:
        for lane in self._occupied():
            seat = self.seats[lane]
            if seat is None or not seat.config.schedule:
                continue
            env_steps = int(self.data.env_steps[lane])
            num = seat.config.num_changes(env_steps)
            if num != seat.num_changes:
                self.learner.adjust(lane, self._frame_of(seat.config.at(env_steps)))
                seat.num_changes = num

    def on_train_end(self) -> None:
        """Ends the trials that a callback has broken off."""
        self._end_all()
        self._turn_over(refill=False)

    def _end_all(self) -> None:
        signal = self._signals.received
        ending = ("finished", "a callback stopped it")
        if signal is not None:
            ending = ("stopped", f"signal {signal}")
        for lane in self._occupied():
            self._endings.setdefault(lane, ending)

    def _end_cancelled(self) -> None:
        for lane in self._occupied():
            seat = self.seats[lane]
            if seat is not None and seat.tally.trial.is_cancelled():
                self._endings.setdefault(lane, ("stopped", "cancelled"))

    def _admit(self) -> None:
        """Offers idle lanes to trials that have come; waits for one where nothing is trained."""
        while self._is_open is not None and self._is_open() and not self.stop_requested:
            for lane, seat in enumerate(self.seats):
                if seat is None and not self._refill(lane):
                    break
            if self._occupied() or self.error is not None:
                return
            time.sleep(_LOOKS_EVERY_SECONDS)

    def remember(self, result: LanesResult, logs: dict[str, torch.Tensor]) -> None:
        """Adds a chunk to the ledger, and finds out which lanes are due for what."""
        self.lane_steps += int(result.transitions["weight"].sum())
        has_learned = self.learner.updates > self._updates_before
        numbers = {name: values.double().cpu().numpy() for name, values in logs.items()}
        self._ledger.add(result, numbers, has_learned)
        for lane, fault in {**self.data.envs.faults, **self.learner.faults}.items():
            if self.seats[lane] is not None:
                self._endings.setdefault(lane, ("failed", str(fault)))
        if self._config.early_stopping_patience is not None:
            self._try_patience(result)
        self._due = self._look_around()

    def is_due(self) -> bool:
        """After every chunk: trials end and begin, and rows are written, lane by lane."""
        return True

    def _look_around(self) -> list[int]:
        """Closes the rows and makes the reports that are due; returns who is to be evaluated."""
        every, exhausted = self._config.evaluation.every_env_steps, self.data.exhausted
        due = []
        for lane in self._occupied():
            seat, now = self.seats[lane], int(self.data.env_steps[lane])
            assert seat is not None
            if self._has_failed(lane) or now == seat.reported_at:  # went on with its budget spent
                continue
            is_last = bool(exhausted[lane])
            if is_last or crossed(seat.reported_at, now, self._config.report_every_env_steps):
                self._report(lane, seat, now)
            if is_last:
                self._endings.setdefault(lane, ("finished", "the budget is spent"))
            if is_last or (every is not None and crossed(seat.evaluated_at, now, every)):
                due.append(lane)
        return due

    def _has_failed(self, lane: int) -> bool:
        return self._endings.get(lane, ("",))[0] == "failed"

    def _report(self, lane: int, seat: Seat, now: int) -> None:
        """Closes a row, and reports the grid points that it passed."""
        self._ledger.close_row(lane, now)
        every = self._config.report_every_env_steps
        for point in range(seat.reported_at // every + 1, now // every + 1):
            score = self._ledger.score(lane, point * every, share_of(self._config.score))
            if score is not None:
                seat.tally.report(point * every, score)
        seat.reported_at = now
        if seat.tally.should_stop:
            self._endings[lane] = ("pruned", seat.tally.reason)

    def _try_patience(self, result: LanesResult) -> None:
        for lane in np.unique(result.episodes.lane):
            seat = self.seats[lane]
            returns = result.episodes.total[result.episodes.lane == lane].tolist()
            has_ever_learned = bool(self.learner.updates[lane])
            if seat is not None and seat.has_lost_patience(returns, has_ever_learned):
                reason = "no better mean return for early_stopping_patience epochs"
                self._endings.setdefault(int(lane), ("finished", reason))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Lets Lightning evaluate where that is due."""
        # Lightning validates after every batch for which this is above zero.
        self.trainer.limit_val_batches = 1 if self._due else 0

    # ---- evaluation

    def validation_step(self, batch: NDArray[np.float64], batch_idx: int) -> None:
        """Takes note of the evaluation, returns `(K, M)`, of the lanes that were due."""
        better = []
        for lane, mean in zip(self._due, batch.mean(1).tolist(), strict=True):
            seat = self.seats[lane]
            if seat is None or self._has_failed(lane):
                continue
            seat.evaluated_at = int(self.data.env_steps[lane])
            self._ledger.rows[lane].append((seat.evaluated_at, {"val/return": mean}))
            if seat.best is None or mean > seat.best:
                seat.best = mean
                better.append(lane)
        if better:
            self._best.put(better, self.learner.rows(better))

    def _judge(self, lanes: Sequence[int], rows: AgentRows, stage: Stage) -> NDArray[np.float64]:
        """Lets some agents play the episodes of a stage, all at once; returns `(K, M)`.

        Where an environment raises, its trial has failed.
        """
        seeds = [seat.config.seed for lane in lanes if (seat := self.seats[lane]) is not None]
        envs = self._extension.create_lanes(self._config, seeds, stage, self.learner.device)
        judge = Judge(self.learner.frame, rows, self.learner.device)
        act_kwargs = {"greedy": True, **self._config.test_env_config.act_kwargs}
        try:
            returns = envs.play_once(judge, act_kwargs)
        finally:
            envs.close()
        self._endings |= {lanes[row]: ("failed", str(f)) for row, f in envs.faults.items()}
        return returns

    # ---- lanes that come and go

    def _occupied(self) -> list[int]:
        return [lane for lane, seat in enumerate(self.seats) if seat is not None]

    def _turn_over(self, refill: bool = True) -> None:
        """Ends the trials that are over, and gives their lanes to others."""
        if not self._endings:
            return
        is_finished = {lane: status == "finished" for lane, (status, _) in self._endings.items()}
        tests = self._test([lane for lane in self._endings if is_finished[lane]])
        endings, self._endings = self._endings, {}
        for lane, (status, reason) in endings.items():
            self._end(lane, status, reason, tests.get(lane, []))
        if refill:
            self._fill(endings)
        if self._is_open is None:
            self._shrink()

    def _fill(self, ended: Iterable[int]) -> None:
        """Gives lanes to trials that wait: those that ended, and others that had none before."""
        idle = [lane for lane, seat in enumerate(self.seats) if seat is None]
        while idle and self._refill(idle[0]):
            idle.pop(0)
        for lane in set(ended).intersection(idle):
            self.data.stop(lane)

    def _test(self, lanes: Sequence[int]) -> dict[int, list[float]]:
        if not lanes:
            return {}
        never_judged = [k for k in lanes if (s := self.seats[k]) is not None and s.best is None]
        if never_judged:
            self._best.put(never_judged, self.learner.rows(never_judged))
        returns = self._judge(lanes, self._best.take(lanes), "test").tolist()
        return {k: r for k, r in zip(lanes, returns, strict=True) if not self._has_failed(k)}

    def _end(self, lane: int, status: str, reason: str, test_returns: list[float]) -> None:
        seat = self.seats[lane]
        assert seat is not None
        has_best = seat.best is not None or bool(test_returns)
        if has_best:
            seat.save_best(self.learner.weights_in(self._best, lane))
        seat.save_last(self._content(lane, seat))
        seat.save_curves(self._ledger.rows[lane])
        env_steps = int(self.data.env_steps[lane])
        test_return = sum(test_returns) / len(test_returns) if test_returns else None
        seat.end(
            {
                "status": status,
                "reason": reason,
                "score": self._score(lane, env_steps, test_return),
                "test_return": test_return,
                "test_returns": test_returns,
                "env_steps": env_steps,
                "episodes": int(self._ledger.num_episodes[lane]),
                "updates": int(self.learner.updates[lane]),
            }
        )
        self.seats[lane] = None

    def _score(self, lane: int, env_steps: int, test_return: float | None) -> float | None:
        if self._config.score == "eval":
            return test_return
        return self._ledger.score(lane, env_steps, share_of(self._config.score))

    def _refill(self, lane: int) -> bool:
        """Gives a lane to the next trial; whether there is one."""
        seat = self._seat_that_can_begin()
        if seat is None:
            return False
        self.seats[lane] = seat  # from here on `abandon` tells it where an error comes
        budget = Budget(seat.config.max_env_steps, seat.config.max_episodes)
        self.data.begin(lane, seat.config.seed, budget)
        self._ledger.begin(lane)
        self.learner.place(lane, self._frame_of(seat.config), seat.config.seed)
        if seat.goes_on:
            self._restore(lane, seat)
        return True

    def _seat_that_can_begin(self) -> Seat | None:
        """Who is next; nobody once a config was wrong: what runs is trained to its end first."""
        if self.stop_requested or self.error is not None:
            return None
        seat = None
        try:
            seat = self._next_seat()
            if seat is not None:
                seat.open()
        except ConfigError as error:
            self.error = error
            if seat is not None:
                seat.refuse(str(error))
            return None
        return seat

    def _shrink(self) -> None:
        """Drops idle lanes, if they are many."""
        idle = {lane for lane, seat in enumerate(self.seats) if seat is None}
        if not idle or len(idle) == len(self.seats) or len(idle) < _IDLE_SHARE * len(self.seats):
            return
        kept = kept_after_dropping(len(self.seats), idle)
        self.seats = [self.seats[lane] for lane in kept]
        self._best = self._best.take(kept)
        self.learner.keep(kept)
        self.data.keep(kept)
        self._ledger.keep(kept)

    # ---- checkpoints

    def _content(self, lane: int, seat: Seat) -> dict[str, Any]:
        """What a single trial's `on_save_checkpoint` would say of a lane."""
        episodes = [tuple(episode) for episode in self._ledger.episodes(lane)]
        return {
            "callbacks": seat.callback_states(),
            "learner": self.learner.state_dict(lane),
            "train_data": self.data.state_dict(lane),
            "global_rng": global_rng(),
            "curves": {
                "episodes": episodes,
                "latest_returns": [total for _, _, total in episodes[-20:]],
                "best_evaluation": seat.best,
                "epoch_returns": list(seat.epoch_returns),
                "pending": self._ledger.pending(lane),
                "marks": (seat.evaluated_at, seat.reported_at),
            },
        }

    def _save_some(self) -> None:
        """Writes the checkpoints that are due, the oldest first, as far as time is left for it."""
        started = time.monotonic()
        allowed = _CHECKPOINT_SHARE * (started - self._started_at) - self._spent_saving
        due = [
            (seat.saved_at, lane)
            for lane, seat in enumerate(self.seats)
            if seat is not None and started - seat.saved_at > seat.config.checkpoint_every_seconds
        ]
        for _, lane in sorted(due):
            if time.monotonic() - started > allowed:
                break
            seat = self.seats[lane]
            assert seat is not None
            if seat.best is not None:
                seat.save_best(self.learner.weights_in(self._best, lane))
            seat.save_curves(self._ledger.rows[lane])
            seat.save_last(self._content(lane, seat))
        self._spent_saving += time.monotonic() - started

    def _restore(self, lane: int, seat: Seat) -> None:
        """Goes on from a seat's last checkpoint."""
        content = torch.load(seat.folder.last, map_location="cpu", weights_only=True)
        self.learner.load_state_dict(content["learner"], lane, seat.config.seed)
        if not self.data.load_state_dict(lane, content["train_data"]):
            self.learner.begin_episodes(lane)
        curves = content["curves"]
        episodes = [Episode(*episode) for episode in curves["episodes"]]
        rows = seat.folder.load_curves(int(self.data.env_steps[lane]))
        self._ledger.begin(lane, episodes, rows, curves["pending"])
        seat.evaluated_at, seat.reported_at = curves["marks"]
        seat.best, seat.epoch_returns = curves["best_evaluation"], curves["epoch_returns"]
        seat.load_callback_states(content["callbacks"])
        if self.data.exhausted[lane]:
            self._endings[lane] = ("finished", "the budget is spent")
        self._best.put([lane], self.learner.rows([lane]))
        if seat.best is not None and seat.folder.best.exists():
            best = torch.load(seat.folder.best, map_location="cpu", weights_only=True)
            now = self.learner.weights(lane)
            self.learner.load_weights(best["weights"], lane)
            self._best.put([lane], self.learner.rows([lane]))
            self.learner.load_weights(now, lane)

    def abandon(self, reason: str) -> None:
        """Stops all trials that run, after what was not their own doing."""
        begun = [(k, seat) for k, seat in enumerate(self.seats) if seat and seat.record]
        for lane, seat in begun:
            env_steps = int(self.data.env_steps[lane])
            seat.note({"status": "stopped", "reason": reason, "env_steps": env_steps})
        for lane, seat in begun:
            self.seats[lane] = None
            with suppress(Exception):  # what comes of the first error is raised in its place
                seat.tell()


class _Once(IterableDataset[Any]):
    """Yields what a function returns, once in every pass."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def __iter__(self) -> Iterator[Any]:
        yield self._function()

    def __len__(self) -> int:
        return 1
