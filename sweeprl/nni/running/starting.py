"""Starts NNI's manager: `python -m sweeprl.nni.running.starting create CONFIG PORT`.

A process of its own, since `import nni` changes loggers and takes a second, and since the manager
is then nobody's child. It calls what the `nnictl` script calls, but not the script: that needs
pkg_resources, which newer setuptools lack, and does not tell the new experiment's ID to a program.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from typing import Any

__all__ = ["main"]

_TRIES = 30
"""A second apart, until the manager answers. NNI gives it three seconds, which are over on a busy
machine before its server has loaded what answers; until then it says what is no JSON. How long, NNI
lets nobody choose from outside."""


def main() -> None:
    """Starts an experiment and tells how that went, as JSON in the last line of output."""
    action, *arguments = sys.argv[1:]
    # Any: nni has no annotations that hold.
    steps: dict[str, Any] = {"create": _create, "resume": _resume}
    _be_patient()
    sys.stdout.write(f"\n{json.dumps(steps[action](*arguments))}\n")


def _be_patient() -> None:
    from nni.experiment import launcher

    launcher._check_rest_server = partial(launcher._check_rest_server, retry=_TRIES)


def _create(config_file: str, port: str) -> dict[str, str]:
    from nni.experiment import Experiment, RunMode
    from nni.experiment.config import ExperimentConfig

    try:
        config = ExperimentConfig.load(config_file)
        config.validate()
    except Exception as error:
        return {"refused": str(error) or repr(error)}
    experiment = Experiment(config)
    try:
        experiment.start(int(port), run_mode=RunMode.Detach)
    except Exception as error:
        return {"id": experiment.id, "failed": str(error) or repr(error)}
    return {"id": experiment.id}


def _resume(experiment_id: str, port: str, root: str) -> dict[str, str]:
    from nni.tools.nnictl.launcher import resume_experiment

    options = {"id": experiment_id, "port": int(port), "experiment_dir": root}
    try:
        resume_experiment(argparse.Namespace(debug=False, foreground=False, **options))
    except Exception as error:
        return {"id": experiment_id, "failed": str(error) or repr(error)}
    return {"id": experiment_id}


if __name__ == "__main__":
    main()
