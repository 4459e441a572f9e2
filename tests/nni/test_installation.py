"""What `pip install` has left: NNI does not declare all that its own command imports."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


def test_the_command_of_nni_runs():
    nnictl = Path(sys.executable).with_name("nnictl")
    ended = subprocess.run(
        [nnictl, "--version"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(rf"^{re.escape(version('nni'))}$", ended.stdout, re.MULTILINE)
