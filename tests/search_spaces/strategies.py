"""Spaces of every kind for hypothesis, and configs to try them on."""

from __future__ import annotations

from hypothesis import strategies as st

from sweeprl.config import (
    TrialConfig,
    generate_algorithm_config,
    generate_env_config,
    generate_training_config,
)
from sweeprl.search_spaces import (
    Branch,
    Choice,
    Float,
    Int,
    Nested,
    Normal,
    OneMinus,
    PowerOfTwo,
    SearchSpace,
)

FRAMES = ("DQN", "PPO", "SAC")

numbers = st.floats(-1e4, 1e4, allow_nan=False).map(lambda x: round(x, 4))
positive = st.floats(1e-6, 1e4).map(lambda x: float(f"{x:.4g}"))
widths = st.floats(1e-3, 1e4).map(lambda x: float(f"{x:.4g}"))
steps = st.sampled_from([0.1, 0.25, 0.3, 1.0, 2.5, 16.0, 1e-3])
whole = st.integers(-1000, 1000)


def config_of(frame: str, **settings) -> TrialConfig:
    """A generated config, with `settings` set in the frame's own section."""
    plain = generate_algorithm_config(frame, {"frame_config": settings})
    plain = generate_env_config("gymnasium", plain)
    return TrialConfig.of(generate_training_config(config=plain))


@st.composite
def floats(draw):
    log = draw(st.booleans())
    low = draw(positive if log else numbers)
    if draw(st.booleans()):
        return Float(low, low + draw(widths), log=log)
    step = draw(steps)
    if draw(st.booleans()):
        return Float(low, low + step + draw(widths), log=log, step=step, anchor="zero")
    first = draw(st.integers(1 if log else -50, 50))
    last = first + draw(st.integers(1, 50))
    return Float(round(first * step, 3), round(last * step, 3), log=log, step=step)


@st.composite
def ints(draw):
    log = draw(st.booleans())
    low = draw(st.integers(1, 1000) if log else whole)
    count, step = draw(st.integers(1, 50)), draw(st.integers(1, 20))
    anchor = draw(st.sampled_from(["low", "zero"])) if step > 1 else "low"
    if step == 1 and not log and draw(st.booleans()):
        return Int(low, low + count, ordered=False)
    extra = draw(st.integers(0, step - 1)) if anchor == "zero" else 0
    return Int(low, low + count * step + extra, log=log, step=step, anchor=anchor)


@st.composite
def powers(draw):
    low = draw(st.integers(0, 8))
    return PowerOfTwo(low, low + draw(st.integers(1, 6)))


@st.composite
def one_minuses(draw):
    low = draw(st.floats(1e-5, 1e-2))
    return OneMinus(low, low * draw(st.floats(2, 50)))


normals = st.builds(
    Normal,
    st.floats(-3, 3).map(lambda x: round(x, 3)),
    st.floats(0.1, 2).map(lambda x: round(x, 3)),
    st.booleans(),
    st.none() | steps,
)
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=5)
values = scalars | st.lists(st.integers(0, 9), max_size=3) | st.just({"a": 1})


def differ(options: list) -> bool:
    return all(one != other for i, one in enumerate(options) for other in options[:i])


choices = st.lists(values, min_size=1, max_size=5).filter(differ).map(lambda x: Choice(tuple(x)))
simple = floats() | ints() | powers() | one_minuses() | normals | choices


KEYS = ("a", "b.c", "d.*.e", "f.0")


@st.composite
def parameters(draw, depth: int, prefix: str):
    """Ranges under keys that start with `prefix`, with choices nested up to `depth`."""
    found = {}
    for name in draw(st.lists(st.sampled_from(KEYS), max_size=4, unique=True)):
        key = prefix + name
        kinds = simple | nested(depth - 1, f"{key}_") if depth else simple
        found[key] = draw(kinds)
    return found


@st.composite
def nested(draw, depth: int, prefix: str):
    branches = {}
    for name in draw(st.lists(st.sampled_from(["Adam", "b c", "x.y"]), min_size=1, unique=True)):
        children = draw(parameters(depth, prefix))
        value = draw(st.sampled_from(["none", "name", "other"]))
        set_to = {"none": {}, "name": {"value": name}, "other": {"value": draw(values)}}[value]
        branches[name] = Branch(parameters=children, **set_to)
    return Nested(branches=branches)


def spaces(depth: int = 2):
    return parameters(depth, "top_").map(lambda found: SearchSpace(parameters=found))
