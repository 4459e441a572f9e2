from __future__ import annotations

import json

import pytest

from sweeprl.errors import ConfigError, SweepFailed
from sweeprl.nni.reading.listing import find


def test_an_unknown_id_is_refused(home):
    (home / "nni-experiments").mkdir()
    listed = {"abcdefgh": {"logDir": str(home), "startTime": 0, "port": 1}}
    (home / "nni-experiments" / ".experiment").write_text(json.dumps(listed))
    with pytest.raises(ConfigError, match="the ID 'abcdefgg'. Did you mean 'abcdefgh'?"):
        find("abcdefgg")


def test_a_broken_list_is_an_error(home):
    (home / "nni-experiments").mkdir()
    (home / "nni-experiments" / ".experiment").write_text("{")
    with pytest.raises(SweepFailed, match="must be JSON"):
        find("abcdefgh")
