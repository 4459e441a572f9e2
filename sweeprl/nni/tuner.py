"""A tuner for NNI that proposes with a sampler of Optuna's.

tuner:
  className: sweeprl.nni.tuner.OptunaTuner
  codeDirectory: .
  classArgs: {sampler: tpe}
"""

from __future__ import annotations

from typing import Any

import nni
from nni.tuner import Tuner

from sweeprl.nni.reading.logs import LOGGER, OPENING, PROPOSING
from sweeprl.nni.studies.shared import SEARCH, harmless

__all__ = ["OptunaTuner"]


class OptunaTuner(Tuner):  # type: ignore[misc]  # nni has no annotations that hold
    """Proposes with Optuna, and keeps the study as `sweeprl sweep` does.

    Trial 0 is the config as it was given. Where something goes wrong, the experiment ends in order,
    with the reason in `log/dispatcher.log`.

    Args:
        sampler: auto, random, qmc, tpe, gp, cmaes, nsgaii, or `module:Class`.
        seed: of the sampler; the config's own by default. After a resume another one is derived
            from it, since a sampler would repeat itself.
        root_dir: folder of the sweep, from the experiment's files on; by default `sweep` in NNI's
            folder of the experiment.
        storage: URL of a database for it; by default a file in that folder.
    """

    def __init__(
        self,
        sampler: str = "tpe",
        seed: int | None = None,
        root_dir: str | None = None,
        storage: str | None = None,
    ) -> None:
        super().__init__()
        SEARCH.settings.sampler, SEARCH.settings.seed = sampler, seed
        SEARCH.settings.root_dir, SEARCH.settings.storage = root_dir, storage

    def update_search_space(self, search_space: dict[str, Any]) -> None:
        """Opens the study; a space that is changed afterwards is not what it was made for."""
        with harmless(OPENING):
            SEARCH.open()

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> dict[str, Any]:
        """Proposes a trial, under the number that the study gives it.

        Raises:
            nni.NoMoreTrialError: the sampler has no more, or something is wrong.
        """
        proposal = None
        with harmless(PROPOSING):
            proposal = SEARCH.propose()
        if proposal is None:
            LOGGER.info("No more trials are proposed.")
            raise nni.NoMoreTrialError
        return proposal

    def receive_trial_result(
        self, parameter_id: int, parameters: dict[str, Any], value: Any, **kwargs: Any
    ) -> None:
        """Waits for the trial's end: how long it took is not known before."""

    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Tells the study how the trial went."""
        with harmless("Taking note of a trial's end"):
            SEARCH.settle()

    def import_data(self, data: list[dict[str, Any]]) -> None:
        """Tells the study of trials that were left over when the experiment was resumed."""
        with harmless("Taking note of earlier trials"):
            SEARCH.settle()

    def _on_exit(self) -> None:
        with harmless("Writing what was found"):
            SEARCH.close()

    _on_error = _on_exit
