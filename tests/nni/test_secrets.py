from __future__ import annotations

import pytest

from sweeprl.errors import ConfigError
from sweeprl.nni.writing.optuna_sections import optuna_tuner
from sweeprl.nni.writing.secrets import check_no_password
from tests.nni.played import SPACE


@pytest.mark.parametrize(
    "storage",
    [
        "postgresql://ada:secret@db/study",
        "postgres://ada:se%40cret@db/study",
        "postgresql://ada@db/study?password=secret",
    ],
)
def test_a_password_is_refused_and_not_shown(storage):
    with pytest.raises(ConfigError, match="must hold no password, .* ~/.pgpass") as raised:
        check_no_password({"storage": storage})
    assert "cret" not in str(raised.value)
    with pytest.raises(ConfigError, match="must hold no password"):
        optuna_tuner("tpe", SPACE, {"storage": storage})


@pytest.mark.parametrize(
    "arguments",
    [{}, {"storage": None}, {"storage": "study.db"}, {"storage": "postgresql://ada@db/study"}],
)
def test_what_holds_none_is_taken(arguments):
    check_no_password(arguments)
