"""NNI's manager played by a test: a database as NNI writes it, and NNI's own dispatcher."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from nni.runtime import msg_dispatcher
from nni.runtime.msg_dispatcher import MsgDispatcher
from nni.runtime.tuner_command_channel import CommandType

from sweeprl import SearchSpace, TrialConfig
from sweeprl.launcher import TrialFolder, TrialRecord
from sweeprl.nni import assessor, tuner, write_experiment
from sweeprl.nni.studies.shared import Search
from sweeprl.trials.nni import NNITrialFile

SPACE = SearchSpace.of(
    {
        "learning_rate": {"_type": "loguniform", "_value": [1e-4, 1e-2]},
        "log2(batch_size)": {"_type": "quniform", "_value": [4, 6, 1]},
    }
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS TrialJobEvent (timestamp integer, trialJobId text, event text,
    data text, logPath text, sequenceId integer, message text, environmentId text);
CREATE TABLE IF NOT EXISTS MetricData (timestamp integer, trialJobId text, parameterId text,
    type text, sequence integer, data text);
CREATE TABLE IF NOT EXISTS ExperimentProfile (params text, id text, execDuration integer,
    startTime integer, endTime integer, logDir text, nextSequenceId integer, revision integer);
"""


class Database:
    """What NNI would have written, a second after the other."""

    def __init__(self, folder: Path, profile: dict[str, Any]) -> None:
        self.folder = folder
        self.moment = 1_700_000_000_000
        self._file = folder / "db" / "nni.sqlite"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        (folder / "log").mkdir(exist_ok=True)
        with closing(sqlite3.connect(self._file)) as database, database:
            database.executescript(SCHEMA)
        self.write("ExperimentProfile", json.dumps(profile), folder.name, 60, 0, 0, "", 0, 1)

    def write(self, table: str, *values: Any) -> None:
        marks = ", ".join("?" * len(values))
        with closing(sqlite3.connect(self._file)) as database, database:
            database.execute(f"INSERT INTO {table} VALUES ({marks})", values)

    def event(self, job: str, event: str, content: str = "") -> None:
        self.moment += 1000
        self.write("TrialJobEvent", self.moment, job, event, content, "", 0, "", "local-env")

    def metric(self, job: str, parameter: int, kind: str, value: Any, sequence: int = 0) -> None:
        self.moment += 1000
        data = json.dumps(json.dumps(value))
        self.write("MetricData", self.moment, job, str(parameter), kind, sequence, data)

    def job_folder(self, job: str) -> Path:
        return self.folder / "environments" / "local-env" / "trials" / job


class Played:
    """An experiment with our tuner and assessor."""

    def __init__(self, folder: Path, config: TrialConfig, monkeypatch, **settings: Any) -> None:
        self.files = write_experiment(
            config, folder / "files", SPACE, tuner="Optuna", overwrite=True
        )
        self.folder = folder / "experiment"
        trials = settings.pop("trials", 20)
        arguments = {key: value for key, value in settings.items() if key != "pruner"}
        self.database = Database(self.folder, self.profile(trials, arguments))
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("NNI_LOG_DIRECTORY", str(self.folder / "log"))
        self.begin(**settings)

    def profile(self, trials: int, arguments: dict[str, Any]) -> dict[str, Any]:
        written = yaml.safe_load(self.files.config.read_text())
        written["tuner"]["classArgs"] = arguments
        space = json.loads(self.files.space.read_text())
        return {
            **written,
            "trialCodeDirectory": str(self.files.root),
            "searchSpace": space,
            "maxTrialNumber": trials,
        }

    @property
    def sweep(self) -> Path:
        return self.folder / "sweep"

    def begin(self, pruner: str | None = None, **settings: Any) -> None:
        """NNI's process of tuner and assessor starts, perhaps once more."""
        self._monkeypatch.setattr(msg_dispatcher, "_trial_history", defaultdict(dict))
        self._monkeypatch.setattr(msg_dispatcher, "_ended_trials", set())
        for module in (tuner, assessor):
            self._monkeypatch.setattr(module, "SEARCH", search := Search())
        self._monkeypatch.setattr(tuner, "SEARCH", search)
        self.tuner = tuner.OptunaTuner(**settings)
        judge = None if pruner is None else assessor.OptunaAssessor(pruner)
        self._dispatcher = MsgDispatcher("ws://_unittest_played", self.tuner, judge)
        self.sent: list[tuple[CommandType, Any]] = []
        self._dispatcher.send = lambda command, data: self.sent.append((command, data))
        self.say(CommandType.Initialize, json.loads(self.files.space.read_text()))

    def end(self) -> None:
        self.tuner._on_exit()

    def say(self, command: CommandType, data: Any) -> None:
        self._dispatcher.process_command(command, data)

    def request(self, count: int = 1) -> list[dict[str, Any]]:
        """What NNI is told to train."""
        first = len(self.sent)
        self.say(CommandType.RequestTrialJobs, count)
        new = self.sent[first:]
        return [json.loads(data) for command, data in new if command is CommandType.NewTrialJob]

    def start(self, count: int = 1) -> list[PlayedJob]:
        """Trials that NNI has begun."""
        return [PlayedJob(self, content) for content in self.request(count)]

    @property
    def killed(self) -> list[str]:
        return [json.loads(d) for command, d in self.sent if command is CommandType.KillTrialJob]


class PlayedJob:
    """A trial of it."""

    def __init__(self, played: Played, content: dict[str, Any]) -> None:
        self._played, self.content = played, content
        self.parameter = content["parameter_id"]
        self.number = content["parameters"]["_trial"]
        self.id = f"job{self.number}"
        self.folder = played.database.job_folder(self.id)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kept = NNITrialFile(
            "experiment", self.id, self.parameter, content["parameters"], reports=[]
        )
        played.database.event(self.id, "RUNNING", json.dumps(content))

    def report(self, *scores: float, every: int = 100) -> None:
        """Reports on the grid."""
        for score in scores:
            place = len(self.kept.reports)
            self.kept.reports.append(((place + 1) * every, score))
            self.kept.save(self.folder)
            value = {"default": score, "env_steps": (place + 1) * every, "trial": self.number}
            self._played.database.metric(self.id, self.parameter, "PERIODICAL", value, place)
            metric = {
                "parameter_id": self.parameter,
                "trial_job_id": self.id,
                "type": "PERIODICAL",
                "sequence": place,
                "value": json.dumps(value),
            }
            self._played.say(CommandType.ReportMetricData, metric)

    def record(self, status: Any, score: float | None = None, **facts: Any) -> None:
        """What the trial itself writes."""
        steps = self.kept.reports[-1][0] if self.kept.reports else 0
        found = TrialRecord(status=status, score=score, env_steps=steps, seconds=1.5, **facts)
        TrialFolder(self.folder).save_record(found)

    def noted(self, event: str) -> None:
        """NNI notes its end, whether or not it gets to say so."""
        self._played.database.event(self.id, event)

    def end(self, event: str) -> None:
        """NNI notes its end, and says so."""
        self.noted(event)
        content = {"trial_job_id": self.id, "event": event}
        self._played.say(
            CommandType.TrialEnd, {**content, "hyper_params": json.dumps(self.content)}
        )

    def finish(self, score: float) -> None:
        self.record("finished", score, reason="its budget ran out")
        self.end("SUCCEEDED")
