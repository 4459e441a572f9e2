from __future__ import annotations

import random

import pytest

from sweeprl.config import merge
from sweeprl.errors import UnknownNameError
from sweeprl.search_spaces import preset, presets
from tests.search_spaces.strategies import FRAMES, config_of

ALL = [(frame, name) for frame in FRAMES for name in presets(frame)]


@pytest.mark.parametrize("frame", FRAMES)
def test_every_frame_has_the_two_sources_by_name(frame):
    assert {"rl_zoo3", "arlbench"} <= set(presets(frame))
    assert all("https://github.com/" in source for source in presets(frame).values())
    assert presets(frame.lower()) == presets(frame)


@pytest.mark.parametrize("frame, name", ALL)
def test_a_preset_gives_valid_configs(frame, name):
    config, space, rng = config_of(frame), preset(frame, name), random.Random(0)
    space.check(config)
    for _ in range(100):
        merge(config, space.resolve(config, space.sample(rng)))


@pytest.mark.parametrize("frame, name", ALL)
def test_a_preset_has_a_part_for_lanes(frame, name):
    config = config_of(frame)
    kept = preset(frame, name).for_lanes(config).parameters
    assert kept
    assert "model_kwargs.*.hidden" not in kept


@pytest.mark.parametrize(
    "frame, name, message",
    [
        ("DQN", "rl_zoo", "No preset named 'rl_zoo' for DQN. Did you mean 'rl_zoo3'"),
        ("DQM", "rl_zoo3", "No frame named 'DQM'. Did you mean 'DQN'"),
    ],
)
def test_an_unknown_preset_is_refused(frame, name, message):
    with pytest.raises(UnknownNameError, match=message):
        preset(frame, name)
