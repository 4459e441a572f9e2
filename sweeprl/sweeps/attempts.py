"""Attempts at the trials of a study: how one begins, is given up, and is made again.

Whatever dies, and whenever, leaves a study from which the next coordinator can go on: each step
here is one write, and `Attempts.recover` finishes what was left between two of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._heartbeat import BaseHeartbeat
from optuna.trial import FrozenTrial, TrialState

from sweeprl.sweeps.entries import Entry, has_failed, is_surplus, root_of, successors
from sweeprl.sweeps.storage import ask

__all__ = ["Attempts", "Heart"]

_TRIES = 5
"""Attempts without a new report after which a trial has failed."""


class Attempts:
    """Begins, gives up and repeats attempts at the trials of a study.

    Args:
        study: the study; its storage keeps the heartbeats of running trials.
        worker: name of this coordinator; no two that live have the same one.
        is_alone: whether no other coordinator can work on the study.
        grace_seconds: without a sign of life, after which a coordinator is taken for dead.
    """

    def __init__(
        self, study: optuna.Study, worker: str, is_alone: bool, grace_seconds: float
    ) -> None:
        self.study, self._worker, self.is_alone = study, worker, is_alone
        self.grace_seconds = grace_seconds
        self._recovered_at = float("-inf")

    def all(self) -> list[FrozenTrial]:
        """Every attempt."""
        return self.study.get_trials(deepcopy=False)

    def begin(self) -> tuple[optuna.Trial, FrozenTrial]:
        """Asks for the next attempt: one that waits, or else a new trial."""
        trial = ask(self.study)
        self.beat([trial._trial_id])  # first: who dies before saying who it was is found by it
        trial.set_user_attr("worker", self._worker)
        return trial, self.study._storage.get_trial(trial._trial_id)

    def beat(self, trial_ids: Collection[int]) -> None:
        """Gives a sign of life for running attempts."""
        storage = self.study._storage
        if isinstance(storage, BaseHeartbeat) and not self.is_alone:
            for trial_id in trial_ids:
                storage.record_heartbeat(trial_id)

    def tell(self, trial: optuna.Trial | FrozenTrial, outcome: Mapping[str, Any]) -> None:
        """Ends an attempt with its outcome.

        Raises:
            UpdateFinishedTrialError: another coordinator has ended it.
        """
        self.study._storage.set_trial_user_attr(trial._trial_id, "outcome", dict(outcome))
        self._end(trial, outcome)

    def _end(self, trial: optuna.Trial | FrozenTrial, outcome: Mapping[str, Any]) -> None:
        values, state = outcome.get("values"), None
        if outcome["status"] != "finished":
            state = TrialState.PRUNED if outcome["status"] == "pruned" else TrialState.FAIL
        try:
            self.study.tell(trial.number, values, state=state)
        except ValueError:  # also what Optuna says of a trial that is over
            if self.study._storage.get_trial(trial._trial_id).state.is_finished():
                raise UpdateFinishedTrialError from None
            raise

    def give_up(self, trial: optuna.Trial) -> None:
        """Ends an attempt that should not have been asked for."""
        trial.set_user_attr("is_surplus", True)
        self._fail(trial._trial_id)

    def interrupt(
        self, trial_id: int, reason: str, is_innocent: bool = False
    ) -> dict[str, Any] | None:
        """Ends an attempt that has no outcome, and lets another one take its place.

        Args:
            trial_id: of the running attempt.
            reason: why it ended.
            is_innocent: whether it was not the trial's doing; such attempts are not counted.

        Returns:
            The outcome, where this was the last attempt.
        """
        storage = self.study._storage
        trial = storage.get_trial(trial_id)
        scores = trial.user_attrs.get("so_far", {}).get("scores", {})
        progress = [len(scores), max(Entry(0, "running", trial).reports, default=0)]
        has_moved = progress > trial.user_attrs.get("progress", [0, 0])
        tries = 0 if has_moved else trial.user_attrs.get("tries", 0)
        tries += 0 if is_innocent else 1
        notes: dict[str, Any] = {"tries": tries, "progress": progress, "interrupted": reason}
        if tries >= _TRIES:
            told = f"it was interrupted {tries} times without getting further, at last: {reason}"
            env_steps = Entry(0, "running", trial).env_steps
            notes["outcome"] = {"status": "failed", "reason": told, "env_steps": env_steps}
        with suppress(UpdateFinishedTrialError):  # another coordinator was faster
            for name, value in notes.items():
                storage.set_trial_user_attr(trial_id, name, value)
            if self._fail(trial_id):
                self._repeat(storage.get_trial(trial_id))
        return notes.get("outcome")

    def recover(self, live: Collection[int]) -> None:
        """Interrupts the attempts whose coordinators are dead; makes those again that were.

        Args:
            live: ids of this coordinator's own running attempts.
        """
        trials = self.all()
        stale = set(self._stale_ids())
        for trial in trials:
            if trial.state is not TrialState.RUNNING or trial._trial_id in live:
                continue
            if trial._trial_id not in stale and not self._is_orphan(trial):
                continue
            if "outcome" in trial.user_attrs:  # it had ended, but for the last write
                with suppress(UpdateFinishedTrialError):
                    self._end(trial, trial.user_attrs["outcome"])
            else:
                self.interrupt(trial._trial_id, "its coordinator is gone")
        has_successor = successors(trials)
        for trial in trials:
            is_cut_off = trial.state is TrialState.FAIL and "interrupted" in trial.user_attrs
            if is_cut_off and trial.number not in has_successor and self._is_settled(trial):
                self._repeat(trial)
        self._recovered_at = time.monotonic()

    def recover_now_and_then(self, live: Collection[int]) -> None:
        """Recovers, unless that was done a short while ago."""
        if not self.is_alone and time.monotonic() - self._recovered_at > self.grace_seconds / 4:
            self.recover(live)

    def _stale_ids(self) -> list[int]:
        storage = self.study._storage
        if self.is_alone or not isinstance(storage, BaseHeartbeat):
            return []
        return storage._get_stale_trial_ids(self.study._study_id)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether it was begun by who is known to be dead, or by nobody who got to say so."""
        worker = trial.user_attrs.get("worker")
        if self.is_alone or worker == self._worker:
            return True
        return worker is None and _age(trial.datetime_start) > self.grace_seconds

    def _is_settled(self, trial: FrozenTrial) -> bool:
        """Whether nobody else can be about to repeat it."""
        is_own = self.is_alone or trial.user_attrs.get("worker") == self._worker
        return is_own or _age(trial.datetime_complete) > self.grace_seconds

    def _fail(self, trial_id: int) -> bool:
        """Ends an attempt; False where another coordinator has done so."""
        try:
            self.study._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return False
        return True

    def _repeat(self, trial: FrozenTrial) -> None:
        """Lets another attempt wait, unless this was the last one, or needs none."""
        if has_failed(trial) or is_surplus(trial):
            return
        attributes = {k: v for k, v in trial.user_attrs.items() if k not in _OF_ONE_ATTEMPT}
        repeated = optuna.trial.create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={**attributes, "root": root_of(trial), "again_of": trial.number},
            system_attrs={k: v for k, v in trial.system_attrs.items() if k == "fixed_params"},
            intermediate_values=trial.intermediate_values,
        )
        self.study.add_trial(repeated)


_OF_ONE_ATTEMPT = ("worker", "interrupted", "again_of", "outcome")


def _age(moment: datetime | None) -> float:
    """Seconds since a moment that a storage tells in UTC without saying so."""
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    return (now - moment) / timedelta(seconds=1) if moment else 0.0


class Heart:
    """Gives signs of life for running attempts, from a thread of its own.

    Args:
        beat: gives one.
        every_seconds: between two of them.
    """

    def __init__(self, beat: Callable[[], None], every_seconds: float) -> None:
        self._beat, self._every_seconds = beat, every_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True, name="sweeprl-heart")

    def __enter__(self) -> Heart:
        """Starts."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stops."""
        self._stopped.set()
        self._thread.join(timeout=1.0)  # in an outage it waits for the database

    def _go(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            with suppress(Exception):  # an outage: whoever writes next waits, and tells
                self._beat()
