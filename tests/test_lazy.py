"""What commands import: nobody waits for torch who only looks, and NNI waits 10 s for its tuner."""

from __future__ import annotations

import subprocess
import sys

import pytest

TRAINING = {"pytorch_lightning", "torch"}

LIGHT = {
    "sweeprl": TRAINING | {"optuna", "pydantic"},
    "sweeprl.cli.app": TRAINING | {"optuna", "pydantic"},
    "sweeprl.cli.reading": TRAINING,
    "sweeprl.nni": TRAINING | {"optuna"},
    "sweeprl.nni.tuner": TRAINING,
    "sweeprl.nni.assessor": TRAINING,
    "sweeprl.nni.studies.opening": TRAINING,
    "sweeprl.sweeps.views": TRAINING,
    "sweeprl.frames": {"pytorch_lightning"},
    "sweeprl.launcher.launching": {"scipy.signal"},
}


@pytest.mark.parametrize("module", LIGHT)
def test_a_module_that_trains_nothing_does_not_import_what_trains(module):
    code = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert LIGHT[module].isdisjoint(found)


def test_what_is_spared_can_be_imported_afterwards():
    code = (
        "import sweeprl.lightning, scipy.signal\n"
        "from scipy.signal import windows\n"
        "print(scipy.signal.lfilter([1.0], [1.0], [2.0]), windows.hamming(3).round(2))"
    )
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert found == "[2.] [0.08 1.   0.08]\n"


@pytest.mark.parametrize("wish", ["signal import lfilter", "signal.windows import hamming"])
def test_who_wants_more_of_what_is_spared_meanwhile_gets_it(wish):
    code = (
        "from sweeprl.lightning import _spared\n"
        "import sys\n"
        "with _spared('scipy.signal', 'hamming'):\n"
        "    import scipy.signal\n"
        "    print(scipy.signal.hamming)\n"
        f"    from scipy.{wish}\n"
        "print(sys.modules['scipy.signal'].__file__[-11:])"
    )
    found = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert found == "None\n__init__.py\n"
