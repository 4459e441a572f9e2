"""A manager of NNI that is only played."""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SPACE = {
    "log2(batch_size)": {"_type": "quniform", "_value": [4, 6, 1]},
    "learning_rate": {"_type": "loguniform", "_value": [1e-4, 1e-2]},
}


class Manager:
    """Answers what trials ask the real one."""

    def __init__(self) -> None:
        self.proposals: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"log2(batch_size)": 5.0, "learning_rate": 0.002}
        )
        """Of each trial."""
        self.space: dict[str, Any] | None = SPACE
        self.concurrency = 2
        self.knows_after = 0
        """Requests for its parameters before a trial is known."""
        self.metrics: list[dict] = []
        self.server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = self.channel("abcde")

    def channel(self, trial: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/prefix/env/local-env/{trial}"

    def environ(self, trial: str, folder: Path, experiment: str = "exp") -> dict[str, str]:
        """What a trial's process is started with."""
        return {
            "NNI_PLATFORM": "local",
            "NNI_EXP_ID": experiment,
            "NNI_TRIAL_JOB_ID": trial,
            "NNI_OUTPUT_DIR": str(folder),
            "NNI_TRIAL_COMMAND_CHANNEL": self.channel(trial),
        }

    @property
    def proposal(self) -> dict[str, Any]:
        return self.proposals["abcde"]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def values(self, kind: str, trial: str = "abcde") -> list[dict]:
        return [
            json.loads(metric["value"])
            for metric in self.metrics
            if (metric["type"], metric["trial_job_id"]) == (kind, trial)
        ]

    def answer(self, path: str):
        _, _, name = path.rpartition("/")
        if path == f"/prefix/api/v1/nni/trial-jobs/{name}":
            self.knows_after -= 1
            if self.knows_after >= 0:
                return {"id": name}
            record = json.dumps({"parameter_id": 7, "parameters": self.proposals[name]})
            return {"hyperParameters": [record]}
        if path.endswith("/experiment"):
            return {"params": {"searchSpace": self.space, "trialConcurrency": self.concurrency}}
        assert path == f"/prefix/api/v1/nni/metric-data/{name}"
        return [metric for metric in self.metrics if metric["trial_job_id"] == name]

    def _handler(manager):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(manager.answer(self.path))

            def do_PUT(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                metric = json.loads(content["metric"])
                assert content["type"] == "metric"
                assert self.path == f"/prefix/env/local-env/{metric['trial_job_id']}"
                manager.metrics.append(metric)
                self.reply({})

            def reply(self, content) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *arguments) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 64


ODD_ANSWERS = {
    "killed in the middle": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing at all": b"",
    "empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    "other JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[[null]]",
}
"""What else may come from a manager's port."""


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Answers every request with the same bytes, and hangs up; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # the end
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
