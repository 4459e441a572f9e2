from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import tensor

from sweeprl.config import Continuous, Discrete, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.frames.td3 import TD3
from sweeprl.testing import random_transitions

REAL, CHOICE = EnvSpec(3, Continuous(2)), EnvSpec(3, Discrete(3))
SMALL = dict(batch_size=8, warmup_steps=0, replay_size=512, model_kwargs=[{"hidden": [16]}] * 6)


def td3(spec=REAL, **settings):
    return TD3(build(TD3.Config, {**SMALL, **settings}), spec)


def hp_of(frame):
    return {name: tensor(value) for name, value in frame.hyperparameters().items()}


# ---- what is learned


def total(state, action):
    """A critic that adds up what it sees."""
    return (state.sum(-1) + action.sum(-1)).unsqueeze(-1)


NETWORKS = SimpleNamespace(
    actor=lambda state: torch.full((len(state), 2), 0.25),
    actor_target=lambda state: torch.full((len(state), 2), 0.5),
    critic=total,
    critic2=lambda state, action: 2 * total(state, action),
    critic_target=lambda state, action: 3 * total(state, action),
    critic2_target=lambda state, action: 10 + total(state, action),
)


def batch_of(**changes):
    batch = {
        "state": torch.zeros(2, 3),
        "action": tensor([[0.5, 0.0], [-0.5, 0.0]]),
        "reward": tensor([1.0, 2.0]),
        "next_state": tensor([[1.0, 1.0, 1.0], [9.0, 9.0, 9.0]]),
        "terminated": tensor([0.0, 0.0]),
        "weight": torch.ones(2),
        "noise": torch.zeros(2, 2),
    }
    return batch | changes


def test_the_smaller_of_two_critics_is_bootstrapped_from():
    frame = td3(discount=0.5)
    target = frame.target(NETWORKS, batch_of(), hp_of(frame))
    # The first state is worth 3 * 4 or 10 + 4, the second 3 * 28 or 10 + 28.
    torch.testing.assert_close(target, tensor([1 + 0.5 * 12, 2 + 0.5 * 38]))
    ended = frame.target(NETWORKS, batch_of(terminated=tensor([1.0, 0.0])), hp_of(frame))
    assert ended.tolist() == [1.0, 21.0]


def test_the_target_actors_action_is_smoothed_within_bounds():
    frame = td3(discount=1.0, target_noise=0.1, target_noise_clip=0.3)
    noise = tensor([[1.0, -2.0], [9.0, -9.0]])
    smoothed = frame.target(NETWORKS, batch_of(noise=noise), hp_of(frame))
    # 0.5 + 0.1 and 0.5 - 0.2; then 0.5 + 0.3 and 0.5 - 0.3.
    torch.testing.assert_close(smoothed, tensor([1 + 3 * 3.9, 2 + 38.0]))
    frame = td3(discount=1.0, target_noise=0.1, target_noise_clip=9.0)
    smoothed = frame.target(NETWORKS, batch_of(noise=noise * 10), hp_of(frame))
    # 0.5 + 1 and 0.5 - 2, and farther out: all are cut to 1 and -1.
    torch.testing.assert_close(smoothed, tensor([1 + 3 * 3.0, 2 + 37.0]))


def test_the_loss_is_that_of_both_critics():
    frame = td3(discount=0.0)
    loss, logs = frame.critic_loss(NETWORKS, batch_of(), hp_of(frame))
    first = (0.5 - 1) ** 2 + (1.0 - 1) ** 2
    second = (-0.5 - 2) ** 2 + (-1.0 - 2) ** 2
    assert float(loss) == pytest.approx((first + second) / 2)
    assert float(logs["q_value"]) == 0.0


def test_discrete_actions_are_smoothed_as_probabilities():
    frame = td3(CHOICE, discount=1.0, target_noise=1.0, target_noise_clip=0.5)
    seen = []
    networks = SimpleNamespace(
        actor_target=lambda state: tensor([[0.5, 0.3, 0.2]]),
        critic_target=lambda state, action: seen.append(action) or torch.zeros(1, 1),
        critic2_target=lambda state, action: torch.zeros(1, 1),
    )
    batch = {
        "next_state": torch.zeros(1, 3),
        "reward": torch.zeros(1),
        "terminated": torch.zeros(1),
        "noise": tensor([[0.3, -0.9, 0.0]]),
    }
    frame.target(networks, batch, hp_of(frame))
    torch.testing.assert_close(seen[0], tensor([[0.8, 0.0, 0.2]]))


# ---- the delayed actor


def weights(learner, role, lane=0):
    named = learner.weights(lane)["networks"][role]
    return torch.cat([value.flatten() for value in named.values()])


def movements(learner, steps, lane=0):
    """Whether critic, actor and the targets of both moved in each of some updates."""
    roles = ("critic", "actor", "critic_target", "actor_target")
    found = []
    for seed in range(steps):
        before = [weights(learner, role, lane) for role in roles]
        learner.store(random_transitions(REAL, 1, learner.num_lanes, seed))
        learner.update()
        after = [weights(learner, role, lane) for role in roles]
        moved = [not torch.equal(*pair) for pair in zip(before, after, strict=True)]
        found.append("".join(name[0] if m else "-" for name, m in zip("CATT", moved, strict=True)))
    return found


@pytest.mark.parametrize(
    "delay, expected",
    [(1, ["CATT"] * 4), (2, ["C---", "CATT"] * 2), (3, ["C---", "C---", "CATT", "C---"])],
)
def test_actor_and_targets_move_once_in_so_many_updates(delay, expected):
    assert movements(Learner([td3(policy_delay=delay)], [0]), 4) == expected


def test_full_copies_keep_their_own_count():
    learner = Learner([td3(policy_delay=2, update_rate=None, update_steps=3)], [0])
    assert movements(learner, 4) == ["C---", "CA--", "C-TT", "CA--"]


@pytest.mark.parametrize("delays", [(1, 2, 3), (2, 2, 2)])
def test_each_lane_has_its_own_delay(delays):
    frames = [td3(policy_delay=delay, updates_per_step=1.0) for delay in delays]
    together = Learner(frames, [0, 1, 2], is_tolerant=True)
    alone = [Learner([frame], [seed]) for seed, frame in enumerate(frames)]
    for seed in range(7):
        data = random_transitions(REAL, 1 + seed % 2, 3, seed)
        together.store(data)
        logs = together.update()
        for lane, learner in enumerate(alone):
            learner.store({k: np.ascontiguousarray(v[:, lane : lane + 1]) for k, v in data.items()})
            mine = learner.update()
            for name, values in logs.items():
                if name in mine:
                    torch.testing.assert_close(values[lane], mine[name][0], atol=1e-4, rtol=1e-4)
                else:
                    assert values[lane].isnan()
    for lane, learner in enumerate(alone):
        for role in ("critic", "critic2_target", "actor", "actor_target"):
            torch.testing.assert_close(
                weights(together, role, lane), weights(learner, role), atol=1e-5, rtol=1e-4
            )


def test_a_lane_given_to_another_agent_counts_from_its_first_update():
    together = Learner([td3(policy_delay=2)] * 2, [0, 1], is_tolerant=True)
    movements(together, 3)
    together.place(0, td3(policy_delay=3), 5)
    assert movements(together, 4, lane=0) == ["C---", "C---", "CATT", "C---"]
