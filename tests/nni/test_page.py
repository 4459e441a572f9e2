"""NNI's web page in a real browser."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from sweeprl.nni import create, stop
from sweeprl.nni.reading.listing import find
from tests.nni.folders import free_port

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs Chromium and its driver")
def test_the_page_shows_the_curves_of_trials_that_run(home, tmp_path, monkeypatch):
    pytest.importorskip("selenium")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    folder = tmp_path / "dqn-tpe"
    shutil.copytree(ROOT / "nni_configs" / "dqn-tpe", folder)
    base = json.loads((folder / "base.json").read_text())
    base |= {"max_env_steps": 10**6, "report_every_env_steps": 250}
    base["frame_config"] |= {"warmup_steps": 100, "exploration_steps": 100}
    (folder / "base.json").write_text(json.dumps(base))
    rates = {"_type": "choice", "_value": [1e-6, 1e-2]}  # one learns, and one does not
    (folder / "search_space.json").write_text(json.dumps({"learning_rate": rates}))
    config = yaml.safe_load((folder / "config.yml").read_text())
    config |= {"tuner": {"name": "GridSearch"}}
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    experiment = find(create(folder, free_port()))
    try:
        photograph = runpy.run_path(str(ROOT / "docs" / "nni_page.py"))["photograph"]
        photograph(experiment.port, tmp_path / "page.png", num_curves=2, seconds=180.0)
    finally:
        stop(experiment.id)
