"""Training one trial with PyTorch Lightning."""

from sweeprl.launcher.devices import choose_device
from sweeprl.launcher.evaluation import evaluate
from sweeprl.launcher.launching import build_learner, build_module, launch
from sweeprl.launcher.module import TrialModule
from sweeprl.launcher.record import TrialFolder, TrialRecord
from sweeprl.launcher.score import step_weighted_return

__all__ = [
    "TrialFolder",
    "TrialModule",
    "TrialRecord",
    "build_learner",
    "build_module",
    "choose_device",
    "evaluate",
    "launch",
    "step_weighted_return",
]
