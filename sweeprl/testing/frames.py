"""The contract of frames: checks that every algorithm passes, sweeprl's own and yours.

A test of your own frame runs them all:

    @pytest.mark.parametrize("check", FRAME_CHECKS)
    def test_contract(check):
        check(MyFrame, EnvSpec(4, Discrete(2)))
"""

from __future__ import annotations

from collections.abc import Callable
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
    ranges,
    traced,
)
from sweeprl.engine import Learner
from sweeprl.frames import Frame

__all__ = [
    "FRAME_CHECKS",
    "check_acting_in_lanes",
    "check_defaults_lie_in_their_ranges",
    "check_lane_equals_single_run",
    "check_lanes_leave_each_other_alone",
    "check_state_goes_on",
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


def _small(frame: type[Frame], **changes: Any) -> FrameConfig:
    """The frame's defaults on a scale at which a check takes a second."""
    fields = frame.Config.model_fields
    small = {"batch_size": 8, "rollout_steps": 16, "warmup_steps": 0, "replay_size": 512}
    small |= {"rollout_num": 2, "used_rollout_num": 1}
    small |= {"actor_update_times": 2, "conjugate_iterations": 4}  # more would amplify round-off
    known = {name: value for name, value in {**small, **changes}.items() if name in fields}
    return frame.Config(**known)


def _learning_rates(frame: type[Frame]) -> list[str]:
    return [name for name in traced(frame.Config) if name.endswith("learning_rate")]


def _lane_configs(frame: type[Frame]) -> list[FrameConfig]:
    rates = [1e-4 * (lane + 1) for lane in range(NUM_LANES)]
    return [_small(frame, **dict.fromkeys(_learning_rates(frame), rate)) for rate in rates]


def _learner(
    frame: type[Frame], configs: list[FrameConfig], seeds: list[int], spec: EnvSpec
) -> Learner:
    return Learner([frame(config, spec) for config in configs], seeds)


def _train(learner: Learner, chunks: list[Transitions]) -> None:
    for chunk in chunks:
        learner.store(chunk)
        learner.update()


def _chunks(spec: EnvSpec, num: int, config: FrameConfig) -> list[Transitions]:
    steps = config.rollout_steps if isinstance(config, RolloutConfig) else 8
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
    for name, tuning_range in ranges(frame.Config).items():
        default = frame.Config.model_fields[name].default
        is_limit = isinstance(tuning_range, OneMinus) and default == 1.0
        is_open = default is None or default == float("inf") or is_limit
        assert is_open or tuning_range.contains(default), f"{name}={default} outside {tuning_range}"


def check_lane_equals_single_run(frame: type[Frame], spec: EnvSpec) -> None:
    """Lane k of five goes where a run alone with that lane's settings, seed and data goes."""
    configs, seeds = _lane_configs(frame), list(range(10, 10 + NUM_LANES))
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
    configs, seeds = _lane_configs(frame), list(range(NUM_LANES))
    chunks = _chunks(spec, NUM_LANES, configs[0])
    changed = list(configs)
    changed[2] = configs[2].model_copy(update=dict.fromkeys(_learning_rates(frame), 5e-2))
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
    configs, seeds = [_small(frame)] * NUM_LANES, list(range(NUM_LANES))
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
    config = _small(frame, normalize_observation=True, normalize_reward=True)
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
