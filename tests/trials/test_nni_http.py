from __future__ import annotations

import pytest

from sweeprl.trials.nni_http import HttpClient, understood
from tests.trials.managers import ODD_ANSWERS, answering


@pytest.mark.parametrize(
    "odd, message",
    [
        ("killed in the middle", "must answer with whole HTTP, .* IncompleteRead"),
        ("no HTTP", "must answer with whole HTTP, .* BadStatusLine.* another program"),
        ("nothing at all", "RemoteDisconnected|reset"),
        ("no JSON", "must answer with JSON, but at http://127.0.0.1.* got b'<html>'"),
    ],
)
def test_whatever_is_no_answer_is_an_os_error(odd, message):
    with answering(ODD_ANSWERS[odd]) as port, pytest.raises(OSError, match=message):
        HttpClient(timeout=5.0).get(f"http://127.0.0.1:{port}/")


def test_an_empty_answer_is_none():
    with answering(ODD_ANSWERS["empty"]) as port:
        assert HttpClient(timeout=5.0).get(f"http://127.0.0.1:{port}/") is None


@pytest.mark.parametrize("answer", [None, [], {}, {"a": "text"}])
def test_another_shape_is_an_os_error(answer):
    with pytest.raises(OSError, match="must answer as NNI's does, but at there did not"):
        with understood("there"):
            int(answer["a"])
