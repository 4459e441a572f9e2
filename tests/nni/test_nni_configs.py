from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "nni_configs"
EXPERIMENTS = sorted(path.parent.name for path in FOLDER.glob("*/config.yml"))


def generate(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_all(folder)


def contents(folder: Path) -> dict[str, str]:
    paths = sorted(folder.glob("*-*/*"))
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def test_the_committed_experiments_are_those_that_the_script_writes(tmp_path):
    generate(tmp_path)
    assert contents(tmp_path) == contents(FOLDER)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_nni_reads_each(name, home):
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").touch()  # of the machines
    from nni.experiment.config import ExperimentConfig

    config = ExperimentConfig.load(FOLDER / name / "config.yml")
    config.canonical_copy().validate()


def test_there_are_experiments_for_other_machines():
    platforms = {
        yaml.safe_load((FOLDER / name / "config.yml").read_text())["trainingService"]["platform"]
        for name in EXPERIMENTS
    }
    assert platforms == {"local", "remote"}
