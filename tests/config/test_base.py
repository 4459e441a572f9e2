from __future__ import annotations

import math

import pytest
from pydantic import Field, ValidationError

from sweeprl.config import Config, build
from sweeprl.errors import ConfigError


class Inner(Config):
    width: int = Field(4, gt=0)


class Outer(Config):
    inner: Inner = Inner()
    rate: float = Field(0.5, gt=0, le=1)
    flag: bool = False
    maybe: bool | None = None
    required: int | None = None
    names: list[str] = []


def test_a_config_is_frozen():
    config = build(Outer, {})
    with pytest.raises(ValidationError, match="frozen"):
        config.rate = 0.1


def test_a_valid_config_passes_through():
    config = Outer(rate=0.1)
    assert build(Outer, config) is config


@pytest.mark.parametrize(
    "data, message",
    [
        ({"rat": 1}, r"^Unknown key 'rat'\. Did you mean 'rate'\?$"),
        ({"zzz": 1}, r"^Unknown key 'zzz'\.$"),
        ({"zzz": 1, "flog": 2}, r"'zzz'\. 'flog'\. Did you mean 'flag'\?"),
        ({3: 1}, r"Unknown key '3'"),
        ({"inner": {"widht": 1}}, r"^inner: Unknown key 'widht'\. Did you mean 'width'\?$"),
        (
            {"rate": 0},
            r"^rate: Input should be greater than 0, but got 0\. The default is 0\.5\.$",
        ),
        ({"rate": 2}, r"^rate: .*less than or equal to 1, but got 2\."),
        ({"rate": math.nan}, r"^rate: .*but got nan"),
        ({"rate": "fast"}, r"^rate: .*valid number.*but got 'fast'"),
        ({"rate": None}, r"^rate: .*but got None"),
        ({"rate": True}, r"^rate: Must not be a truth value, but got True\.$"),
        ({"inner": {"width": False}}, r"^inner\.width: Must not be a truth value, but got False"),
        ({"required": True}, "required: Must not be a truth value"),
        ({"inner": {"width": 1.5}}, r"^inner\.width: .*but got 1\.5\.$"),
        ({"inner": 3}, r"^inner: .*but got 3"),
        ({"names": "abc"}, r"^names: .*valid list, but got 'abc'"),
        ({"names": [1]}, r"^names\.0: .*valid string, but got 1"),
        ({"rate": 0, "names": 1}, r"(?s)rate: .*\nnames: "),
        (3, r"^The config: .*but got 3"),
    ],
)
def test_what_is_wrong_is_said(data, message):
    with pytest.raises(ConfigError, match=message):
        build(Outer, data)


@pytest.mark.parametrize("data", [{"flag": True}, {"maybe": True}, {"rate": 1}, {"rate": "1e-3"}])
def test_what_can_be_read_is_taken(data):
    (name,) = data
    assert float(getattr(build(Outer, data), name)) == float(data[name])


def test_the_path_stands_before_the_field():
    with pytest.raises(ConfigError, match=r"^section\.rate: "):
        build(Outer, {"rate": 0}, "section")
    with pytest.raises(ConfigError, match=r"^section: Unknown key 'x'"):
        build(Outer, {"x": 0}, "section")


def test_defaults_are_validated_too():
    class Wrong(Config):
        rate: float = Field(-1.0, gt=0)

    with pytest.raises(ConfigError, match="rate: "):
        build(Wrong, {})
