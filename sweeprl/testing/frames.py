"""The contract of frames: checks that every algorithm passes, sweeprl's own and yours.

A test of your own frame runs them all:

    @pytest.mark.parametrize("check", FRAME_CHECKS)
    def test_contract(check):
        check(MyFrame, EnvSpec(4, Discrete(2)))
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweeprl.config import (
    Continuous,
    Discrete,
    EnvSpec,
    FrameConfig,
    OneMinus,
    RolloutConfig,
    SearchConfig,
    Transitions,
    build,
    parts_of,
    ranges,
    traced_of,
)
from sweeprl.engine import Learner
from sweeprl.frames import Frame, Trajectories

__all__ = [
    "FRAME_CHECKS",
    "check_acting_in_lanes",
    "check_defaults_lie_in_their_ranges",
    "check_lane_equals_single_run",
    "check_lanes_leave_each_other_alone",
    "check_state_goes_on",
    "random_trajectories",
    "random_transitions",
]

NUM_LANES = 5


def random_transitions(spec: EnvSpec, steps: int, num: int, seed: int = 0) -> Transitions:
    """Returns made-up experience of `num` environments, reproducible from `seed`."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(steps + 1, num, spec.observation_size)).astype(np.float32)
    terminated = (rng.random((steps, num)) < 0.1).astype(np.float32)
    truncated = (rng.random((steps, num)) < 0.1).astype(np.float32) * (1 - terminated)
    made_up = Transitions(
        state=states[:-1],
        action=_random_actions(spec, rng, (steps, num)),
        reward=rng.normal(size=(steps, num)).astype(np.float32),
        next_state=states[1:],
        terminated=terminated,
        truncated=truncated,
        weight=np.ones((steps, num), np.float32),
    )
    if spec.agents:
        rewards = rng.normal(size=(steps, num, len(spec.agents))).astype(np.float32)
        made_up |= {"reward": rewards.sum(-1), "agent_rewards": rewards}
    return made_up


def _random_actions(spec: EnvSpec, rng: np.random.Generator, shape: tuple[int, int]) -> Any:
    action = spec.action
    if isinstance(action, Continuous):
        return rng.uniform(-0.9, 0.9, (*shape, action.size)).astype(np.float32)
    nums = (action.num,) if isinstance(action, Discrete) else action.nums
    return np.stack([rng.integers(num, size=shape) for num in nums], -1).astype(np.float32)


def random_trajectories(spec: EnvSpec, path: Path, episodes: int = 4) -> None:
    """Writes made-up episodes of 16 steps, as `sweeprl evaluate --save-trajectories` would."""
    played = [random_transitions(spec, 16, 1, seed) for seed in range(episodes)]
    Trajectories.of(played).save(path, spec)


@functools.cache
def _expert(spec: EnvSpec) -> Path:
    """A file for frames that learn from an expert; it goes when the process ends."""
    folder = tempfile.mkdtemp(prefix="sweeprl-expert-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    random_trajectories(spec, Path(folder, "trajectory.data"))
    return Path(folder, "trajectory.data")


_SMALL = {
    "batch_size": 8,
    "rollout_steps": 16,
    "warmup_steps": 0,
    "replay_size": 512,
    "rollout_num": 2,
    "used_rollout_num": 1,
    "actor_update_times": 2,
    "critic_update_times": 3,
    "conjugate_iterations": 4,  # more would amplify round-off
}


def _small(frame: type[Frame], spec: EnvSpec, **changes: Any) -> FrameConfig:
    """The frame's defaults on a scale at which a check takes a second."""
    expert = {"expert_trajectory_path": str(_expert(spec))}
    return _known(frame.Config, {**_SMALL, **expert, **changes})


def _known(kind: type[FrameConfig], settings: Mapping[str, Any]) -> FrameConfig:
    """A config with those of the settings that it, or one nested in it, has."""
    default = build(kind, {})
    known = {name: value for name, value in settings.items() if name in kind.model_fields}
    inner = {name: value for name, value in settings.items() if name not in _OF_ENVIRONMENT}
    nested = {name: _known(type(part), inner) for name, part in default.sections.items()}
    return build(kind, {**known, **nested})


_OF_ENVIRONMENT = ("normalize_reward",)
"""Settings that only the outermost config has: what is nested is not given those rewards."""


def _rates(frame: type[Frame], rate: float) -> dict[str, float]:
    names = (name.split(".")[-1] for name in traced_of(build(frame.Config, {})))
    return {name: rate for name in names if name.endswith("learning_rate")}


def _lane_configs(frame: type[Frame], spec: EnvSpec) -> list[FrameConfig]:
    rates = [1e-4 * (lane + 1) for lane in range(NUM_LANES)]
    return [_small(frame, spec, **_rates(frame, rate)) for rate in rates]


def _learner(
    frame: type[Frame], configs: list[FrameConfig], seeds: list[int], spec: EnvSpec
) -> Learner:
    return Learner([frame(config, spec) for config in configs], seeds)


def _train(learner: Learner, chunks: list[Transitions]) -> None:
    for chunk in chunks:
        learner.store(chunk)
        learner.update()


def _chunks(spec: EnvSpec, num: int, config: FrameConfig) -> list[Transitions]:
    experience = config.experience
    steps = experience.rollout_steps if isinstance(experience, RolloutConfig) else 8
    if isinstance(config, SearchConfig):
        steps = 64  # some episodes end in it
    return [random_transitions(spec, steps, num, seed) for seed in range(3)]


def _lane_of(chunk: Transitions, lane: int) -> Any:
    return {key: value[:, lane : lane + 1] for key, value in chunk.items()}  # type: ignore[index]


def _assert_same_weights(
    one: Learner, lane: int, other: Learner, other_lane: int, **kwargs: Any
) -> None:
    mine, theirs = one.weights()["networks"], other.weights()["networks"]
    for role, named in mine.items():
        for name, value in named.items():
            torch.testing.assert_close(
                value[lane],
                theirs[role][name][other_lane],
                msg=f"{role}.{name} differs",
                **kwargs,
            )


def check_defaults_lie_in_their_ranges(frame: type[Frame], spec: EnvSpec) -> None:
    """A range that excludes the default would keep a tuner from ever proposing it."""
    for prefix, part in parts_of(build(frame.Config, {})).items():
        for name, tuning_range in ranges(type(part)).items():
            value = getattr(part, name)
            is_limit = isinstance(tuning_range, OneMinus) and value == 1.0
            is_open = value is None or value == float("inf") or is_limit
            inside = is_open or tuning_range.contains(value)
            assert inside, f"{prefix}{name}={value} outside {tuning_range}"


def check_lane_equals_single_run(frame: type[Frame], spec: EnvSpec) -> None:
    """Lane k of five goes where a run alone with that lane's settings, seed and data goes."""
    configs, seeds = _lane_configs(frame, spec), list(range(10, 10 + NUM_LANES))
    chunks = _chunks(spec, NUM_LANES, configs[0])
    together = _learner(frame, configs, seeds, spec)
    _train(together, chunks)
    for lane in range(NUM_LANES):
        alone = _learner(frame, [configs[lane]], [seeds[lane]], spec)
        start = alone.weights()["networks"]
        _train(alone, [_lane_of(chunk, lane) for chunk in chunks])
        assert _moved(start, alone.weights()["networks"]), "nothing was learned"
        _assert_almost_same_weights(alone, together, lane)


def _assert_almost_same_weights(alone: Learner, together: Learner, lane: int) -> None:
    """Compares to float tolerance; a unit at the kink of its ReLU may fall to either side of it."""
    mine, theirs = alone.weights()["networks"], together.weights()["networks"]
    for role, named in mine.items():
        for name, value in named.items():
            is_close = torch.isclose(value[0], theirs[role][name][lane], rtol=1e-4, atol=1e-5)
            assert is_close.float().mean() >= 0.99, f"{role}.{name} differs"


def _moved(before: Any, after: Any) -> bool:
    return any(
        not torch.equal(value, after[role][name])
        for role, named in before.items()
        for name, value in named.items()
    )


def check_lanes_leave_each_other_alone(frame: type[Frame], spec: EnvSpec) -> None:
    """Changing one lane's settings leaves the other lanes where they are, to the bit."""
    configs, seeds = _lane_configs(frame, spec), list(range(NUM_LANES))
    chunks = _chunks(spec, NUM_LANES, configs[0])
    changed = list(configs)
    changed[2] = _small(frame, spec, **_rates(frame, 5e-2))
    one, other = (_learner(frame, each, seeds, spec) for each in (configs, changed))
    _train(one, chunks)
    _train(other, chunks)
    for lane in (0, 1, 3, 4):
        _assert_same_weights(one, lane, other, lane, rtol=0, atol=0)
    assert _moved(_only(one, 2), _only(other, 2)), "the changed lane did not change"


def _only(learner: Learner, lane: int) -> Any:
    networks = learner.weights()["networks"]
    return {role: {n: v[lane] for n, v in named.items()} for role, named in networks.items()}


def check_acting_in_lanes(frame: type[Frame], spec: EnvSpec) -> None:
    """Each lane acts as it would alone, exploring and greedily."""
    configs, seeds = [_small(frame, spec)] * NUM_LANES, list(range(NUM_LANES))
    numbers = np.random.default_rng(0).normal(size=(NUM_LANES, spec.observation_size))
    states = numbers.astype(np.float32)
    for greedy in (False, True):
        together = _learner(frame, configs, seeds, spec).act(states, greedy=greedy)
        for lane in range(NUM_LANES):
            alone = _learner(frame, [configs[lane]], [seeds[lane]], spec)
            action = alone.act(states[lane : lane + 1], greedy=greedy)
            np.testing.assert_allclose(action[0], together[lane], rtol=1e-5, atol=1e-6)


def check_state_goes_on(frame: type[Frame], spec: EnvSpec) -> None:
    """A learner restored from its state learns on to the bit."""
    config = _small(frame, spec, normalize_observation=True, normalize_reward=True)
    chunks = _chunks(spec, 1, config)
    whole, first, second = (_learner(frame, [config], [seed], spec) for seed in (3, 3, 4))
    _train(whole, chunks)
    _train(first, chunks[:2])
    second.load_state_dict(first.state_dict())
    _train(second, chunks[2:])
    _assert_same_weights(whole, 0, second, 0, rtol=0, atol=0)


FRAME_CHECKS: list[Callable[[type[Frame], EnvSpec], None]] = [
    check_defaults_lie_in_their_ranges,
    check_lane_equals_single_run,
    check_lanes_leave_each_other_alone,
    check_acting_in_lanes,
    check_state_goes_on,
]
"""Each takes a frame class and an environment whose action space it serves."""
