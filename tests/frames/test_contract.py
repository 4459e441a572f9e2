import pytest

from sweeprl import registry
from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete
from sweeprl.errors import UnsupportedSpaceError
from sweeprl.testing import FRAME_CHECKS

SPECS = {
    Discrete: EnvSpec(4, Discrete(3)),
    MultiDiscrete: EnvSpec(4, MultiDiscrete((2, 3))),
    Continuous: EnvSpec(3, Continuous(2)),
}
CASES = [
    pytest.param(name, spec, id=f"{name}-{kind.__name__}")
    for name in registry.frames.names()
    for kind, spec in SPECS.items()
]


@pytest.mark.parametrize("check", FRAME_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name, spec", CASES)
def test_every_frame_keeps_the_contract(name, spec, check):
    frame = registry.frames.get(name)
    if isinstance(spec.action, frame.actions):
        check(frame, spec)
    else:
        with pytest.raises(UnsupportedSpaceError, match=f"{name} needs .* actions"):
            frame(frame.Config(), spec)
