"""An assessor for NNI that stops trials with a pruner of Optuna's, beside `OptunaTuner`.

assessor:
  className: sweeprl.nni.assessor.OptunaAssessor
  codeDirectory: .
  classArgs: {pruner: auto}
"""

from __future__ import annotations

from typing import Any

from nni.assessor import Assessor, AssessResult

from sweeprl.nni.studies.shared import SEARCH, harmless

__all__ = ["OptunaAssessor"]


class OptunaAssessor(Assessor):  # type: ignore[misc]  # nni has no annotations that hold
    """Stops the trials that are not worth the rest of their budget.

    NNI does not show it the reports of trials that go on after a resume: those are not stopped.

    Args:
        pruner: auto, none, median, percentile, asha, hyperband, patient, or `module:Class`.
    """

    def __init__(self, pruner: str = "auto") -> None:
        super().__init__()
        SEARCH.settings.pruner = pruner

    def assess_trial(self, trial_job_id: str, trial_history: list[Any]) -> AssessResult:
        """Tells the study of the trial's scores, and asks its pruner."""
        is_bad = False
        with harmless("Assessing a trial"):
            reports = {int(one["env_steps"]): float(one["default"]) for one in trial_history}
            is_bad = SEARCH.report(int(trial_history[-1]["trial"]), reports)
        return AssessResult.Bad if is_bad else AssessResult.Good
