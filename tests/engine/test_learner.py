import numpy as np
import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.config import Discrete, EnvSpec, build, traced
from sweeprl.engine import Learner, parts
from sweeprl.errors import ConfigError, Diverged
from sweeprl.testing import random_transitions
from tests.engine.agents import (
    REPLAY,
    SPECS,
    assert_same_lane,
    frame_of,
    of_lane,
    steps_of,
)
from tests.engine.agents import chunk as chunk_of

SPEC = EnvSpec(4, Discrete(2))


def dqn(**settings):
    frame = registry.frames.get("DQN")
    small = dict(batch_size=8, replay_size=200, warmup_steps=0)
    return frame(build(frame.Config, {**small, **settings}), SPEC)


def chunk(steps, num=1, seed=0):
    return random_transitions(SPEC, steps, num, seed)


def test_updates_follow_the_steps_exactly():
    learner = Learner([dqn(updates_per_step=0.3, warmup_steps=10)], [0])
    for steps in (7, 7, 7, 7):
        learner.store(chunk(steps))
        learner.update()
    assert learner.env_steps == 28
    assert learner.updates == int((28 - 10) * 0.3)


def test_polyak_average_moves_the_target_by_its_rate():
    learner = Learner([dqn(update_rate=0.25)], [0])
    before = learner.weights()["networks"]
    learner.store(chunk(1))
    learner.update()
    after = learner.weights()["networks"]
    for name, old in before["qnet_target"].items():
        expected = 0.75 * old + 0.25 * after["qnet"][name]
        torch.testing.assert_close(after["qnet_target"][name], expected)


def test_full_copy_comes_every_update_steps():
    learner = Learner([dqn(update_rate=None, update_steps=3)], [0])
    equal = []
    for seed in range(6):
        learner.store(chunk(1, seed=seed))
        learner.update()
        networks = learner.weights()["networks"]
        equal.append(
            all(torch.equal(v, networks["qnet_target"][k]) for k, v in networks["qnet"].items())
        )
    assert equal == [False, False, True, False, False, True]


def test_rows_of_weight_zero_teach_nothing():
    one, other = (Learner([dqn(batch_size=4)], [0]) for _ in range(2))
    first, second = chunk(40), chunk(40)
    for data in (first, second):
        data["weight"][::2] = 0.0
    second["reward"][::2] = 1e6
    for learner, data in ((one, first), (other, second)):
        learner.store(data)
        learner.update()
    for name, value in one.weights()["networks"]["qnet"].items():
        assert torch.equal(value, other.weights()["networks"]["qnet"][name])


def test_epsilon_falls_from_one_to_its_end():
    frame = dqn(epsilon_decay=0.5, epsilon_end=0.1, warmup_steps=2)
    hp = {name: torch.tensor(value) for name, value in frame.hyperparameters().items()}
    found = [float(frame.epsilon(hp, torch.tensor(float(step)))) for step in range(6)]
    assert found == pytest.approx([1, 1, 0.25, 0.125, 0.1, 0.1])
    frame = dqn(exploration_steps=10, epsilon_end=0.2)
    hp = {name: torch.tensor(value) for name, value in frame.hyperparameters().items()}
    found = [float(frame.epsilon(hp, torch.tensor(float(step)))) for step in (0, 5, 10, 99)]
    assert found == pytest.approx([1, 0.6, 0.2, 0.2])


def test_random_actions_of_the_warm_up_are_uniform():
    learner = Learner([dqn(warmup_steps=10**6)], [0])
    actions = learner.act(np.zeros((20_000, 4), np.float32))
    assert abs(actions.mean() - 0.5) < 0.02


def test_diverged_round_leaves_the_learner_as_it_was():
    learner = Learner([dqn(learning_rate=1e38)], [0])
    before = learner.weights()["networks"]
    learner.store(chunk(30))
    with pytest.raises(Diverged, match="must be finite.*Lower the learning rate"):
        learner.update()
    after = learner.weights()["networks"]
    for role, named in before.items():
        for name, value in named.items():
            assert torch.equal(value, after[role][name])


@pytest.mark.parametrize("key", ["reward", "state", "next_state"])
def test_what_is_not_finite_is_not_stored(key):
    learner = Learner([dqn()], [0])
    data = chunk(5)
    data[key].reshape(-1)[3] = np.nan
    with pytest.raises(Diverged, match="must be finite, but one is nan"):
        learner.store(data)
    assert learner.env_steps == 0


def test_lanes_that_differ_in_structure_are_refused():
    with pytest.raises(ConfigError, match="share 'mode'"):
        Learner([dqn(), dqn(mode="vanilla")], [0, 1])


class WithBuffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))

    def forward(self, state):
        return self.layers(state)


def test_networks_with_running_statistics_are_refused():
    with pytest.raises(ConfigError, match="must not keep buffers, but WithBuffers does"):
        Learner([dqn(models=[WithBuffers, WithBuffers])], [0])


def test_weights_of_another_network_are_refused():
    other = Learner([dqn(model_kwargs=[dict(hidden=[8]), dict(hidden=[8])])], [0])
    with pytest.raises(ConfigError, match="Has the model changed"):
        Learner([dqn()], [0]).load_weights(other.weights())


# ---- lanes of different ages and settings


def assert_same_logs(found, own):
    """What a single run logs is what the lane logs; what it does not log is nan there."""
    assert own.keys() <= found.keys()
    for key, value in found.items():
        expected = float(own[key][0]) if key in own else np.nan
        assert float(value) == pytest.approx(expected, rel=1e-3, abs=1e-4, nan_ok=True), key


def train(learner, name, seeds, num=None):
    for seed in seeds:
        learner.store(chunk_of(name, num or learner.num_lanes, seed))
        learner.update()


NORMAL = dict(normalize_observation=True, normalize_reward=True)


@pytest.mark.parametrize("name", SPECS)
def test_a_placed_lane_equals_a_fresh_learner_and_the_others_do_not_notice(name):
    frames = [frame_of(name, discount=0.9 + 0.02 * lane, **NORMAL) for lane in range(3)]
    learner, undisturbed = (Learner(frames, [0, 1, 2], is_tolerant=True) for _ in range(2))
    late = frame_of(name, discount=0.5, gradient_max=0.5, **NORMAL)
    fresh = Learner([late], [9])
    train(learner, name, range(3))
    learner.place(1, late, 9)
    train(learner, name, range(3, 6))
    train(undisturbed, name, range(6))
    for seed in range(3, 6):
        fresh.store(of_lane(chunk_of(name, 3, seed), 1))
        fresh.update()
    assert_same_lane(learner, 1, fresh, atol=1e-5)
    for lane in (0, 2):
        assert_same_lane(learner, lane, undisturbed, lane, atol=1e-5)


@pytest.mark.parametrize("name", ["DQNPer", "SAC", "PPO"])
def test_an_adjusted_lane_goes_on_with_other_settings_and_the_others_do_not_notice(name):
    decay = dict(lr_scheduler="ExponentialLR", lr_scheduler_kwargs=dict(gamma=0.9), **NORMAL)
    frames = [frame_of(name, discount=0.9 + 0.02 * lane, **decay) for lane in range(3)]
    learner, undisturbed = (Learner(frames, [0, 1, 2], is_tolerant=True) for _ in range(2))
    rates = {key: 3e-3 for key in traced(type(frames[0].config)) if key.endswith("rate")}
    other = frame_of(name, discount=0.5, gradient_max=0.5, **rates, **decay)
    before = Learner([other], [1])
    train(learner, name, range(3))
    for seed in range(3):
        before.store(of_lane(chunk_of(name, 3, seed), 1))
        before.update()
    before.load_state_dict(learner.state_dict(1))
    for one, lane in ((learner, 1), (before, 0)):
        one.adjust(lane, other)
    train(learner, name, range(3, 6))
    train(undisturbed, name, range(6))
    for seed in range(3, 6):
        before.store(of_lane(chunk_of(name, 3, seed), 1))
        before.update()
    assert_same_lane(learner, 1, before, atol=1e-5)
    for lane in (0, 2):
        assert_same_lane(learner, lane, undisturbed, lane, atol=1e-5)
    with pytest.raises(AssertionError):
        assert_same_lane(learner, 1, undisturbed, 1, atol=1e-5)


def test_random_numbers_begin_anew_where_another_seed_goes_on():
    learner, again, other = (Learner([frame_of("SAC")], [seed]) for seed in (0, 0, 1))
    train(learner, "SAC", range(3))
    state = learner.state_dict()
    again.load_state_dict(state, seed=0)
    other.load_state_dict(state, seed=1)
    assert again.state_dict()["streams"] == state["streams"]
    fresh = other.state_dict()["streams"]
    assert fresh["seed"] == 1
    assert set(fresh["places"].values()) == {0}


@pytest.mark.parametrize(
    "name, kept", [*((name, [2, 1]) for name in SPECS), ("DQN", [1]), ("SAC", [1])]
)
def test_lanes_that_are_kept_go_on_as_if_nothing_was(name, kept):
    frames = [frame_of(name, discount=0.9 + 0.02 * lane, **NORMAL) for lane in range(3)]
    learner, whole = (Learner(frames, [0, 1, 2]) for _ in range(2))
    train(learner, name, range(2))
    learner.keep(kept)
    for seed in range(2, 4):
        data = chunk_of(name, 3, seed)
        learner.store({key: np.ascontiguousarray(value[:, kept]) for key, value in data.items()})
        learner.update()
    train(whole, name, range(4))
    for place, lane in enumerate(kept):
        assert_same_lane(learner, place, whole, lane, atol=1e-5)


MASKED = [
    dict(batch_size=8, updates_per_step=0.3, warmup_steps=5),
    dict(batch_size=3, updates_per_step=1.0, warmup_steps=20),
    dict(batch_size=16, updates_per_step=0.125, warmup_steps=0),
]


@pytest.mark.parametrize("launch", [0.0, parts._LAUNCH["cpu"]], ids=["in parts", "at once"])
@pytest.mark.parametrize("follow", [{}, dict(update_rate=None)], ids=["polyak", "copies"])
@pytest.mark.parametrize("name", REPLAY)
def test_masked_settings_of_a_lane_are_those_of_a_single_run(name, follow, launch, monkeypatch):
    monkeypatch.setitem(parts._LAUNCH, "cpu", launch)
    every = [dict(update_steps=3 + lane) if follow else {} for lane in range(3)]
    frames = [
        frame_of(name, **own, **follow, **steps) for own, steps in zip(MASKED, every, strict=True)
    ]
    together = Learner(frames, [0, 1, 2], is_tolerant=True)
    alone = [Learner([frame], [seed]) for seed, frame in enumerate(frames)]
    for seed in range(6):
        data = chunk_of(name, 3, seed)
        together.store(data)
        logs = together.update()
        for lane, learner in enumerate(alone):
            learner.store(of_lane(data, lane))
            assert_same_logs({k: values[lane] for k, values in logs.items()}, learner.update())
    for lane, learner in enumerate(alone):
        assert_same_lane(together, lane, learner, atol=1e-5)
    assert any(parts for one in together._divisions for parts in one._kept.values()) is (
        launch == 0.0
    )


@pytest.mark.parametrize("name", SPECS)
def test_what_a_lane_plays_beyond_its_budget_leaves_no_trace(name):
    counts = [steps_of(name) // 3, steps_of(name), 0]
    frames = [frame_of(name, **NORMAL) for _ in range(3)]
    together = Learner(frames, [0, 1, 2], is_tolerant=True)
    alone = [Learner([frame], [seed]) for seed, frame in enumerate(frames)]
    for seed in range(3):
        data = chunk_of(name, 3, seed)
        kept = counts if seed == 2 else [steps_of(name)] * 3
        for lane, count in enumerate(kept):
            data["weight"][count:, lane] = 0.0
        together.store(data)
        logs = together.update()
        for lane, count in enumerate(kept):
            own = {}
            if count:
                alone[lane].store(of_lane(data, lane, count))
                own = alone[lane].update()
            assert_same_logs({key: values[lane] for key, values in logs.items()}, own)
    for lane, learner in enumerate(alone):
        assert_same_lane(together, lane, learner, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_a_lane_that_diverges_costs_the_others_no_update(name):
    def learner(rate):
        fields = registry.frames.get(name).Config.model_fields
        key = "learning_rate" if "learning_rate" in fields else "critic_learning_rate"
        return Learner(
            [frame_of(name, **{key: value}) for value in (1e-3, rate, 1e-3)],
            [0, 1, 2],
            is_tolerant=True,
        )

    ill, well = learner(3e38), learner(1e-3)
    for seed in range(4):
        for one in (ill, well):
            one.store(chunk_of(name, 3, seed))
            one.update()
    assert list(ill.faults) == [1]
    assert "must be finite" in str(ill.faults[1])
    for lane in (0, 2):
        assert_same_lane(ill, lane, well, lane, atol=1e-6)


def test_a_lane_that_diverged_before_any_copy_was_made_costs_the_others_no_update():
    frames = [dqn(learning_rate=rate) for rate in (1e-3, 1e-3)]
    ill, well = (Learner(frames, [0, 1], is_tolerant=True) for _ in range(2))
    weights = ill.weights(1)
    weights["networks"]["qnet"] = {k: v * np.nan for k, v in weights["networks"]["qnet"].items()}
    ill.load_weights(weights, 1)
    for seed in range(3):
        for one in (ill, well):
            one.store(chunk(8, 2, seed))
            one.update()
    assert_same_lane(ill, 0, well, 0, atol=1e-6)


def test_the_first_lane_going_back_leaves_the_others_their_step_counts():
    ill, well = (Learner([dqn(), dqn(), dqn()], [0, 1, 2], is_tolerant=True) for _ in range(2))
    for number in range(140):  # 1,120 updates: more than between two copies
        for one in (ill, well):
            one.store(chunk(8, 3, number))
            if number == 125:
                weights = ill.weights(0)
                weights["networks"]["qnet"] = {
                    name: value * np.nan for name, value in weights["networks"]["qnet"].items()
                }
                ill.load_weights(weights, 0)
            one.update()
    assert list(ill.faults) == [0]
    assert ill.updates[0] < ill.updates[1] == well.updates[1] == 1120
    for lane in (1, 2):
        assert_same_lane(ill, lane, well, lane, atol=1e-4)
        steps = [one.state_dict(lane)["optimizers"][0]["moments"]["step"] for one in (ill, well)]
        assert steps[0] == steps[1] == 1120


def test_what_is_not_finite_is_not_kept_of_a_tolerated_lane():
    learner = Learner([dqn(normalize_observation=True)] * 2, [0, 1], is_tolerant=True)
    data = chunk(20, 2)
    data["reward"][3, 0] = np.nan
    learner.store(data)
    learner.update()
    assert list(learner.faults) == [0]
    assert learner.state_dict(0)["replay"]["rows"].shape[0] == 0
    assert learner.state_dict(1)["replay"]["rows"].shape[0] == 20
    assert learner.env_steps.tolist() == [0, 20]


def test_a_lane_that_begins_has_a_way_back_at_once():
    learner = Learner([dqn()] * 2, [0, 1], is_tolerant=True)
    learner.store(chunk(8, 2))
    learner.update()
    learner.place(1, dqn(), 5)
    fresh = learner.weights(1)["networks"]["qnet"]
    weights = learner.weights(1)
    weights["networks"]["qnet"] = {k: v * np.nan for k, v in fresh.items()}
    learner.load_weights(weights, 1)
    for seed in range(130):
        learner.store(chunk(8, 2, seed))
        learner.update()
    assert list(learner.faults) == [1]
    assert all(value.isfinite().all() for value in learner.weights(1)["networks"]["qnet"].values())
