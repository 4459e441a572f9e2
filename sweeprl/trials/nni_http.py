"""HTTP with NNI's manager, whose every failure is an OSError.

A manager that is killed while it answers, another program on its port, an answer that is empty:
Python's `http.client` and `json` have errors of their own for each, and whoever asks would have to
know them all. https://docs.python.org/3/library/http.client.html#http.client.HTTPException
"""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["HttpClient", "understood"]

_SHOWN = 80
"""Bytes of an answer that are shown where it cannot be read."""


class HttpClient:
    """Asks a manager; a proxy named in the environment is not for it.

    Args:
        timeout: seconds that it may take to answer.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, url: str) -> Any:
        """Returns the JSON of an answer; None of an empty one.

        Raises:
            OSError: nobody answered, or not with JSON.
        """
        text = self.send("GET", url)
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            raise OSError(
                f"NNI's manager must answer with JSON, but at {url} got {text[:_SHOWN]!r}."
            ) from error

    def send(self, method: str, url: str, content: Any = None) -> bytes:
        """Sends a request, with content as JSON; returns the body of the answer.

        Raises:
            OSError: nobody answered, not with HTTP, or not to the end.
        """
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                body: bytes = answer.read()
                return body
        except http.client.HTTPException as error:
            raise OSError(
                f"NNI's manager must answer with whole HTTP, but at {url}: {error!r}. Does another "
                "program listen there?"
            ) from error


@contextmanager
def understood(url: str) -> Iterator[None]:
    """Lets an answer of another shape than the one that is read be an OSError, too."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise OSError(
            f"NNI's manager must answer as NNI's does, but at {url} did not: {error!r}. Does "
            "another program listen there?"
        ) from error
