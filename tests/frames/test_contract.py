import pytest

from sweeprl import registry
from sweeprl.config import AgentSpec, Continuous, Discrete, EnvSpec, MultiDiscrete
from sweeprl.errors import UnsupportedSpaceError
from sweeprl.testing import FRAME_CHECKS

SPECS = {
    Discrete: EnvSpec(4, Discrete(3)),
    MultiDiscrete: EnvSpec(4, MultiDiscrete((2, 3))),
    Continuous: EnvSpec(3, Continuous(2)),
}
OF_AGENTS = EnvSpec(
    5,
    MultiDiscrete((2, 3)),
    agents=(AgentSpec("one", 2, Discrete(2)), AgentSpec("two", 3, Discrete(3))),
)
CASES = [
    pytest.param(name, spec, id=f"{name}-{kind.__name__}")
    for name in registry.frames.names()
    for kind, spec in SPECS.items()
] + [
    pytest.param(name, OF_AGENTS, id=f"{name}-agents")
    for name in registry.frames.names()
    if registry.frames.get(name).needs_agents
]


@pytest.mark.parametrize("check", FRAME_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name, spec", CASES)
def test_every_frame_keeps_the_contract(name, spec, check):
    frame = registry.frames.get(name)
    if frame.needs_agents and not spec.agents and isinstance(spec.action, frame.actions):
        with pytest.raises(UnsupportedSpaceError, match=f"{name} needs .* tells several agents"):
            frame(frame.Config(), spec)
    elif isinstance(spec.action, frame.actions):
        check(frame, spec)
    else:
        with pytest.raises(UnsupportedSpaceError, match=f"{name} needs .* actions"):
            frame(frame.Config(), spec)
