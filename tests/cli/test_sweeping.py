from __future__ import annotations

import csv
import io
import json
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sweeprl import load_config
from sweeprl.search_spaces import Choice, Float, Nested, SearchSpace, save_space
from sweeprl.search_spaces.parameters import Branch
from sweeprl.sweeps import Sweep
from tests.cli.conftest import SMALL_SETTINGS
from tests.cli.test_app import FAILING
from tests.sweeps.fakes import FakeExecutor

COMMANDS = ["sweep", "confirm", "test", "trials", "best", "show", "reproduce", "importance"]
TINY = [*SMALL_SETTINGS, "--set", "max_env_steps=300", "--set", "report_every_env_steps=100"]
SPACE = SearchSpace(
    parameters={
        "learning_rate": Float(1e-4, 1e-2, log=True),
        "exploration_steps": Choice((None, 200)),
        "mode": Nested(
            branches={
                "double": Branch(value="double", parameters={"epsilon_end": Float(0.0, 0.1)}),
                "vanilla": Branch(value="vanilla", parameters={}),
            }
        ),
    }
)
DOCS = Path(__file__).parents[2] / "docs" / "sweeps.md"


@pytest.fixture
def space_file(tmp_path):
    """None values, and values that only a branch has."""
    save_space(SPACE, tmp_path / "space.yaml")
    return tmp_path / "space.yaml"


@pytest.fixture
def sweep(cli, config_file, space_file):
    """`sweep("--trials", 3)`: a real sweep of tiny trials, in this process."""

    def run(*arguments):
        files = ["--config", config_file, "--space", space_file]
        return cli("sweep", *files, "--executor", "in-process", *TINY, *arguments)

    return run


@pytest.fixture(scope="session")
def swept(tmp_path_factory):
    """The folder of a finished sweep with fake trials; look, do not touch."""
    from sweeprl import generate_algorithm_config, generate_env_config, generate_training_config

    plain = generate_env_config("gymnasium", generate_algorithm_config("DQN"))
    config = generate_training_config(config=plain, max_env_steps=600, report_every_env_steps=100)
    config["gpus"] = None
    folder = tmp_path_factory.mktemp("swept") / "sweep"

    def ending(config):
        rate = config.frame_config.learning_rate
        return ("failed", "it diverged") if rate > 8e-3 else None

    Sweep(
        config,
        SPACE,
        60,
        seeds=2,
        pruner="none",
        executor=FakeExecutor(ending=ending),
        root_dir=folder,
        max_equal_failures=100,
    ).run()
    return folder


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


# ---- help


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    result = cli(command, "--help")
    assert result.code == 0
    assert f"sweeprl {command}" in result.out


def test_help_needs_nothing_heavy():
    loaded = "import sys, sweeprl.cli.app; sys.exit(any(m in sys.modules for m in {}))"
    heavy = ["torch", "optuna", "rich.table", "pydantic", "pytorch_lightning"]
    done = subprocess.run([sys.executable, "-c", loaded.format(heavy)], timeout=60)
    assert done.returncode == 0


# ---- a real sweep, from the command to a trial that is trained again


def test_from_the_command_to_the_winner_and_back(sweep, cli, tmp_path):
    result = sweep("--trials", 4, "--seeds", 2)
    assert result.code == 0
    assert "search: 0/4 trials" in result.err
    assert "4/4 trials" in result.err
    assert re.search(r"^winner +trial \d", result.out, re.MULTILINE)
    assert "confirmed" in result.out
    assert "sweeprl run --config sweep/best.json" in result.out
    assert re.search(r"^seeds +search 0 to 1, confirmation 1000", result.out, re.MULTILINE)
    assert "[I " not in result.err  # Optuna's own log

    judged = cli("best", "sweep", "--json")
    found = strict(judged.out)
    assert found["is_confirmed"]
    assert found["trials"] == {"finished": 4}
    winner = found["winner"]
    assert re.search(rf"^winner +trial {winner}\b", cli("best", "sweep").out, re.MULTILINE)

    printed = json.loads(cli("best", "sweep", "--print").out)
    assert printed == json.loads((tmp_path / "sweep" / "best.json").read_text())
    assert cli("best", "sweep", "--output", "mine.yaml").code == 0
    assert load_config(tmp_path / "mine.yaml").to_dict() == printed

    rows = strict(cli("trials", "sweep", "--sort", "number", "--json").out)
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["params"]["learning_rate"] == 0.001  # the config's own
    assert {row["seeds"] for row in rows} == {2}

    shown = cli("show", "sweep", 0).out
    assert "the config as it was given" in shown
    assert "seed 0: " in shown
    assert "seed 1000: finished" in shown

    again = cli("reproduce", "sweep", 0, "--json")
    assert again.code == 0
    same = strict(again.out)
    assert same["same"]
    assert [(one["seed"], one["rows"] > 0) for one in same["seeds"]] == [(0, True), (1, True)]
    nulls = [row["number"] for row in rows[1:] if row["params"]["exploration_steps"] is None]
    number = nulls[0] if nulls else 1
    again = cli("reproduce", "sweep", number, "--seed", 1, "--quiet")
    assert again.code == 0
    assert "the same in all" in again.out
    shutil.rmtree(tmp_path / "sweep" / "trials" / "0003")  # as on another machine
    without = cli("reproduce", "sweep", 3, "--seed", 0, "--root-dir", "elsewhere")
    assert without.code == 0
    assert "no curve to compare with" in without.out
    assert (tmp_path / "elsewhere" / "seed-0" / "metrics.csv").exists()


def test_a_trial_that_differs_is_told(sweep, cli, tmp_path):
    assert sweep("--trials", 1, "--confirmation", 0).code == 0
    metrics = tmp_path / "sweep" / "trials" / "0000" / "metrics.csv"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join([*lines[:3], lines[3].replace(".", "1."), *lines[4:]]) + "\n")
    result = cli("reproduce", "sweep", 0)
    assert result.code == 1
    assert "differs from env step" in result.out
    assert "same versions" in result.out


def test_sweep_as_json(sweep):
    result = sweep("--trials", 2, "--json", "--confirmation", 0)
    assert (result.code, result.err) == (0, "")
    events = [strict(line) for line in result.out.splitlines()]
    assert [e["event"] for e in events if e["event"] != "report"][-1] == "sweep_ended"
    assert events[-1]["num_trials"] == 2


def test_sweep_quietly(sweep):
    result = sweep("--trials", 1, "--quiet", "--confirmation", 0)
    assert (result.code, result.out, result.err) == (0, "", "")


def test_env_steps_may_be_the_budget(sweep):
    result = sweep("--env-steps", 900, "--quiet", "--json", "--confirmation", 0.3)
    assert result.code == 0


def test_a_sweep_whose_trials_all_fail_ends_with_exit_code_1(cli, config_file, tmp_path):
    (tmp_path / "module_of_failing.py").write_text(FAILING.format(name="Failing"))
    config = json.loads(config_file.read_text()) | {"env": "module_of_failing:Failing"}
    del config["train_env_config"], config["test_env_config"]
    config_file.write_text(json.dumps(config))
    own = [one for one in TINY[1::2] if "render" not in one]
    settings = [part for one in [*own, "train_env_config.broken=true"] for part in ("--set", one)]
    result = cli("sweep", "--config", config_file, "--executor", "in-process", *settings)
    assert result.code == 1
    assert "Error: At most 4 trials in a row may fail in the same way" in result.err
    assert "Traceback" not in result.err


# ---- signals


def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(config_file, cli, tmp_path):
    arguments = ["sweep", "--config", "config.json", *TINY, "--trials", "3", "--confirmation", "0"]
    arguments += ["--executor", "in-process", "--set", "max_env_steps=1500"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeprl", *arguments, "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if json.loads(line)["event"] == "report":
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert err == ""
    assert json.loads(out.splitlines()[-1])["status"] == "stopped"

    rows = strict(cli("trials", "sweep", "--json").out)
    assert {row["state"] for row in rows} <= {"waiting", "finished"}
    result = cli(*arguments)
    assert result.code == 0
    assert re.search(r"^trials +3: 3 finished", result.out, re.MULTILINE)


def test_a_signal_while_nothing_trains_ends_cleanly_too(sweep, monkeypatch):
    def interrupted(*arguments, **settings):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("sweeprl.sweeps.choosing.choose_executor", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    result = sweep("--trials", 2)
    assert result.code == 128 + signal.SIGTERM
    assert "Stopped by signal 15. Nothing is lost: the same command goes on." in result.err
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_said_at_a_stop_holds_no_password(sweep, monkeypatch, capsys):
    from sweeprl.cli import watched

    monkeypatch.setattr(sys, "argv", ["sweeprl", "sweep", "--storage", "postgresql://me:pw@h/d"])
    assert watched.command_line() == "sweeprl sweep --storage 'postgresql://me:***@h/d'"


# ---- wrong settings


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--sampler", "tpee"], "Did you mean 'tpe'?"),
        (["--pruner", "asah"], "Did you mean 'asha'?"),
        (["--executor", "lane"], "Did you mean 'lanes'?"),
        (["--objective", "score", "--objective", "second"], "Did you mean 'seconds'?"),
        (["--seeds", "many"], "seeds must be a number, race:N, or auto, but got 'many'."),
        (["--trials", "0"], "trials must be positive, but got 0."),
        (["--confirmation", "1"], "confirmation must be a share"),
        (["--set", "lerning_rate=1"], "Did you mean 'learning_rate'?"),
        (["--space", "nowhere.yaml"], "nowhere.yaml"),
        (["--seconds-per-trial", "5"], "needs the executor processes, but got 'in-process'"),
    ],
)
def test_sweep_refuses_wrong_settings(sweep, arguments, message):
    result = sweep(*arguments)
    assert result.code == 2
    assert message in result.err
    assert "Traceback" not in result.err


# ---- looking at a sweep


def test_trials_are_listed_best_first(cli, swept):
    lines = cli("trials", swept).out.splitlines()
    assert lines[0].split()[:4] == ["trial", "state", "score", "seeds"]
    scores = [float(line.split()[2]) for line in lines[1:] if line.split()[1] == "finished"]
    assert scores == sorted(scores, reverse=True)
    assert lines[len(scores)].split()[1] == "finished"
    assert {line.split()[1] for line in lines[1 + len(scores) :]} == {"failed"}


def test_trials_can_be_chosen_and_sorted(cli, swept):
    rows = strict(cli("trials", swept, "--state", "failed", "--json").out)
    assert rows
    assert {row["state"] for row in rows} == {"failed"}
    rows = strict(cli("trials", swept, "--sort", "learning_rate", "--top", 3, "--json").out)
    rates = [row["params"]["learning_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 3


def test_trials_as_csv(cli, swept, tmp_path):
    rows = list(csv.DictReader(io.StringIO(cli("trials", swept, "--csv", "-").out)))
    assert len(rows) == 60
    assert {row["exploration_steps"] for row in rows} == {"null", "200"}
    assert {row["epsilon_end"] == "" for row in rows} == {True, False}
    assert "Wrote 2 trials to all.csv" in cli("trials", swept, "--top", 2, "--csv", "all.csv").out
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 3


def test_show_as_json(cli, swept):
    found = strict(cli("show", swept, 0, "--json").out)
    assert found["number"] == 0
    assert set(found["scores"]) == {"0", "1"}
    assert found["attempts"] == 1
    assert {run["seed"] for run in found["confirmation"]} >= {1000}


def test_importance(cli, swept):
    result = cli("importance", swept)
    assert result.code == 0
    assert "PED-ANOVA" in result.out
    assert re.search(r"^learning_rate +[01]\.\d\d +█+$", result.out, re.MULTILINE)
    assert "mode[double].epsilon_end" in result.out
    assert "within 90 % of the best" in result.out
    found = strict(cli("importance", swept, "--json").out)
    finished = strict(cli("trials", swept, "--state", "finished", "--json").out)
    assert found["num_trials"] in (len(finished), len(finished) - 1)  # trial 0 may lie outside
    assert next(iter(found["importances"])) == "learning_rate"
    pytest.importorskip("sklearn")
    assert "fANOVA" in cli("importance", swept, "--method", "fanova").out


@pytest.mark.parametrize("command", [["trials"], ["best"], ["show", "0"], ["reproduce", "0"]])
def test_a_folder_without_a_sweep_is_answered_with_one_line(refused, command, tmp_path):
    said = refused(command[0], tmp_path, *command[1:])
    assert "must be the folder of a sweep, but holds no sweep.json" in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trials", "--state", "finnished"], "Did you mean 'finished'?"),
        (["trials", "--sort", "lerning_rate"], "Did you mean 'learning_rate'?"),
        (["show", "99"], "N must be the number of a trial"),
        (["importance", "--method", "fanov"], "Did you mean 'fanova'?"),
        (["reproduce", "0", "--seed", "7"], "--seed must be one that the trial was trained on"),
    ],
)
def test_looking_refuses_wrong_words(refused, swept, arguments, message):
    assert message in refused(arguments[0], swept, *arguments[1:])


def test_a_sweep_that_has_not_begun(refused, tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    pointer = {"name": "sweep", "storage": None, "config_folder": ""}
    (folder / "sweep.json").write_text(json.dumps(pointer))
    assert "must have begun, but its database holds nothing of it" in refused("trials", folder)


# ---- a database elsewhere


def test_another_database_is_found_again(sweep, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPRL_STORAGE", f"sqlite:///{tmp_path}/other.db")
    assert sweep("--trials", 1, "--quiet", "--confirmation", 0).code == 0
    assert not (tmp_path / "sweep" / "study.db").exists()
    monkeypatch.setenv("SWEEPRL_STORAGE", f"sqlite:///{tmp_path}/a-third.db")
    assert len(strict(cli("trials", "sweep", "--json").out)) == 1


# ---- the documentation


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_names_commands_and_options_that_exist(cli):
    for block in blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["sweeprl"]:
                continue
            helped = cli(words[1], "--help").out
            for word in words[2:]:
                if word.startswith("--"):
                    assert word.partition("=")[0] in helped, line


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(blocks("python")):
        (tmp_path / f"example_{number}.py").write_text(block)
        runpy.run_path(f"example_{number}.py")
    assert list(tmp_path.glob("*/best.json"))


# ---- confirming what a search has found


def test_a_search_is_confirmed_afterwards(sweep, cli, tmp_path):
    assert sweep("--trials", 3, "--seeds", 1, "--confirmation", 0, "--quiet").code == 0
    assert "not confirmed" in cli("best", "sweep").out
    result = cli("confirm", "sweep", "--executor", "in-process", "--runs", 3)
    assert result.code == 0, result.err
    assert "confirmation: 0/3 runs" in result.err
    assert re.search(r"^confirmed +\d", result.out, re.MULTILINE)
    assert re.search(r"^rank +trial +estimate +confirmed", result.out, re.MULTILINE)
    count = len(list((tmp_path / "sweep" / "confirmation").iterdir()))
    assert 2 <= count <= 3
    result = cli("confirm", "sweep", "--executor", "in-process", "--runs", 3, "--json")
    assert result.events[-1]["event"] == "sweep_ended"
    assert result.events[-1]["num_confirmation_runs"] == count
    result = cli("confirm", "sweep", "--executor", "in-process")
    assert f"Confirmed already, with {count} runs. For more: --runs {2 * count}" in result.out
    assert "sweeprl test sweep" in result.out

    result = cli("test", "sweep", "--executor", "in-process", "--seeds", 1)
    assert result.code == 0, result.err
    count = len(list((tmp_path / "sweep" / "test").iterdir()))
    assert f"test: 0/{count} runs" in result.err
    assert re.search(r"^tested +\S+ \(one seed\)", result.out, re.MULTILINE)
    assert re.search(r"test 100000, never used 100001 on", result.out)
    again = cli("test", "sweep", "--executor", "in-process", "--seeds", 1)
    assert f"Tested already, with {count} runs. For more: --seeds 2" in again.out
    assert json.loads(cli("best", "sweep", "--json").out)["num_test_runs"] == count


def test_confirming_refuses_what_is_no_sweep(refused, tmp_path):
    assert "holds no sweep.json" in refused("confirm", tmp_path)
