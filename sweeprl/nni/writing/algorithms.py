"""What is known of NNI's tuners and assessors: which of them work, on which spaces, and how.

Each was run with NNI 3.0 and current packages; a broken one is refused with what works instead,
since NNI would say nothing and propose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ASSESSORS", "TUNERS", "Algorithm", "Plan"]


@dataclass(frozen=True)
class Plan:
    """How an experiment goes, as far as the settings of tuners and assessors depend on it.

    Args:
        trials: how many.
        concurrency: how many at a time.
        random_reports: the most reports of one trial that may come before its first update.
    """

    trials: int = 20
    concurrency: int = 2
    random_reports: int = 0

    @property
    def population_size(self) -> int:
        """Random individuals that evolution begins with; with NNI's 32, 20 trials never evolve.

        A third of the trials, and twice as many as run at once: that many have no result yet.
        """
        return max(self.trials // 3, 2 * self.concurrency)

    @property
    def start_step(self) -> int:
        """The first report that a trial is judged on: a learned one, and not before the fifth."""
        return max(5, self.random_reports + 1)


@dataclass(frozen=True)
class Algorithm:
    """A tuner or an assessor of NNI's.

    Args:
        settings: its `classArgs` in an experiment; all maximise.
        is_flat: whether its space must not have nested choices.
        trouble: why it does not work; empty where it does.
    """

    settings: Callable[[Plan], Mapping[str, Any]] = lambda plan: {}
    is_flat: bool = False
    trouble: str = ""


_MAXIMIZE = {"optimize_mode": "maximize"}

TUNERS = {
    "TPE": Algorithm(lambda plan: _MAXIMIZE),
    "Random": Algorithm(),
    "GridSearch": Algorithm(),
    "Evolution": Algorithm(lambda plan: {**_MAXIMIZE, "population_size": plan.population_size}),
    "PBT": Algorithm(
        lambda plan: {
            **_MAXIMIZE,
            "population_size": max(4, plan.concurrency),
            "factor": 0.2,
        },
        is_flat=True,
    ),
    "Anneal": Algorithm(trouble="it does not run with numpy 2"),
    "Batch": Algorithm(trouble="it tries a list of whole configs and has no search space"),
    "BOHB": Algorithm(trouble="it does not run with a current ConfigSpace"),
    "DNGO": Algorithm(trouble="it cannot read choices of words, and needs a package of its own"),
    "GP": Algorithm(trouble="it raises on its first proposal with numpy 2"),
    "Hyperband": Algorithm(trouble="it raises after its first trial"),
    "Metis": Algorithm(trouble="it cannot read logarithmic ranges"),
    "NetworkMorphism": Algorithm(trouble="it proposes networks and no parameters"),
    "PPO": Algorithm(trouble="it searches for network architectures, and needs tensorflow"),
    "RegularizedEvolutionTuner": Algorithm(trouble="it searches for network architectures"),
    "SMAC": Algorithm(trouble="its package cannot be built any more"),
    "TPE_legacy": Algorithm(trouble="it needs hyperopt, which does not run with numpy 2"),
}
"""By the name that NNI knows them under."""

ASSESSORS = {
    "Medianstop": Algorithm(lambda plan: {**_MAXIMIZE, "start_step": plan.start_step}),
    "Curvefitting": Algorithm(trouble="it falls behind where there is more than a report a second"),
}
"""By the name that NNI knows them under."""
