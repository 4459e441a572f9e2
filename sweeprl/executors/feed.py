"""Trials as they come, sorted by what they can be trained with."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from sweeprl.config import ReplayConfig, TrialConfig, structure_of
from sweeprl.engine import LANES_COLLECT_STEPS
from sweeprl.executors.capacity import replay_rows
from sweeprl.executors.seats import Seat
from sweeprl.trials import Tally, Trial

__all__ = ["Feed", "as_lane", "cohort_of", "cohort_of_trial"]


def cohort_of(config: TrialConfig) -> str:
    """Returns what trials must share to be lanes of one engine, as a key."""
    shared = config.model_dump(mode="json", exclude=_OF_ONE_LANE)
    shared["replay_rows"] = replay_rows(config)
    return json.dumps({**shared, **structure_of(config.frame_config)}, sort_keys=True, default=str)


def cohort_of_trial(trial: Trial) -> str:
    """Returns what trials must share, the modules that they may name included, as a key."""
    return f"{trial.config_folder} {cohort_of(as_lane(trial.configs()[0]))}"


_OF_ONE_LANE = {"seed", "root_dir", "frame_config", "schedule", "max_env_steps"}
"""What lanes need not share; of `frame_config`, the structure."""


class Feed:
    """Hands out seats, cohort by cohort, and asks for no more trials than it has use for.

    Args:
        trials: where they come from.
        most_waiting: most seats of other cohorts that may wait while one is trained.
    """

    def __init__(self, trials: Iterable[Trial], most_waiting: int) -> None:
        self._trials: Iterator[Trial] = iter(trials)
        self._most_waiting = most_waiting
        self._waiting: dict[str, deque[Seat]] = {}
        """Seats by cohort."""
        self._handed: list[Seat] = []
        """Those handed out that have not begun."""

    def next_cohort(self) -> str | None:
        """The cohort that most seats wait for; None where no trial is left."""
        if not any(self._waiting.values()) and not self._pull():
            return None
        return max(self._waiting, key=lambda cohort: len(self._waiting[cohort]))

    def next_seat(self, cohort: str) -> Seat | None:
        """Who is to sit in a free lane of `cohort`; None where nobody is to."""
        seat = self._take(cohort)
        self._handed = [one for one in self._handed if not one.is_told and one.record is None]
        if seat is not None:
            self._handed.append(seat)
        return seat

    def _take(self, cohort: str) -> Seat | None:
        while True:
            while not self._waiting.get(cohort):
                others = sum(len(seats) for seats in self._waiting.values())
                if others >= self._most_waiting or not self._pull():
                    return None
            seat = self._waiting[cohort].popleft()
            if seat.tally.trial.is_cancelled():
                seat.refuse("cancelled before it began", "stopped")
            elif seat.tally.should_stop:
                seat.pass_over()
            else:
                return seat

    def has_others(self, cohort: str) -> bool:
        """Whether seats of another cohort wait."""
        return any(seats for name, seats in self._waiting.items() if name != cohort)

    def trials_from(self, seat: Seat, cohort: str) -> Iterator[Trial]:
        """The trial of a seat and all after it in a cohort that has to be trained otherwise."""
        self._handed.remove(seat)
        following: Seat | None = seat
        tally: Tally | None = None
        while following is not None:
            if following.tally is not tally:
                tally = following.tally
                yield tally.trial
            following = self._take(cohort)

    def close(self, reason: str) -> None:
        """Tells the trials that wait, or have not begun, that they will not be trained."""
        self.abandon(reason)
        waiting, self._waiting = self._waiting, {}
        for seat in chain.from_iterable(waiting.values()):
            seat.refuse(reason, "stopped")

    def abandon(self, reason: str) -> None:
        """Tells those that were handed out what has kept them from beginning."""
        handed, self._handed = self._handed, []
        for seat in handed:
            if not seat.is_told and seat.record is None:
                seat.refuse(reason, "stopped")

    def _pull(self) -> bool:
        trial = next(self._trials, None)
        if trial is None:
            return False
        configs = [as_lane(config) for config in trial.configs()]
        tally = Tally(trial, len(configs))
        waiting = self._waiting.setdefault(cohort_of_trial(trial), deque())
        waiting.extend(Seat(config, tally) for config in configs)
        return True


def as_lane(config: TrialConfig) -> TrialConfig:
    """Sets what a lane cannot leave open: it has no round of updates after every episode."""
    frame_config = config.frame_config
    if not isinstance(frame_config, ReplayConfig) or frame_config.collect_steps is not None:
        return config
    update: dict[str, Any] = {"collect_steps": LANES_COLLECT_STEPS}
    return config.model_copy(update={"frame_config": frame_config.model_copy(update=update)})
