"""NNI's web page in a real browser."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from pathlib import Path

import pytest

from sweeprl.nni import create, stop
from sweeprl.nni.reading.listing import find
from tests.nni.folders import change, copy_ready, free_port, read, with_own_python

PAGE = Path(__file__).parents[2] / "docs" / "nni_page.py"


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs Chromium and its driver")
def test_the_page_shows_the_curves_of_trials_that_run(home, tmp_path, monkeypatch):
    pytest.importorskip("selenium")
    monkeypatch.setenv("PATH", with_own_python(os.environ)["PATH"])
    folder = tmp_path / "dqn-tpe"
    copy_ready("dqn-tpe", folder)
    settings = read(folder / "base.json")["frame_config"]
    settings |= {"warmup_steps": 100, "exploration_steps": 100}
    change(
        folder / "base.json",
        max_env_steps=10**6,
        report_every_env_steps=250,
        frame_config=settings,
    )
    rates = {"_type": "choice", "_value": [1e-6, 1e-2]}  # one learns, and one does not
    (folder / "search_space.json").write_text(json.dumps({"learning_rate": rates}))
    change(folder / "config.yml", tuner={"name": "GridSearch"})
    experiment = find(create(folder, free_port()))
    try:
        photograph = runpy.run_path(str(PAGE))["photograph"]
        photograph(experiment.port, tmp_path / "page.png", num_curves=2, seconds=180.0)
    finally:
        stop(experiment.id)
