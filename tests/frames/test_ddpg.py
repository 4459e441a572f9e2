from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn, tensor

import sweeprl
from sweeprl.config import Continuous, Discrete, EnvSpec, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError
from sweeprl.frames.ddpg import DDPG
from sweeprl.networks import QNet
from sweeprl.testing import random_transitions

REAL, CHOICE = EnvSpec(3, Continuous(2)), EnvSpec(3, Discrete(3))
SMALL = dict(batch_size=16, warmup_steps=0, replay_size=512, model_kwargs=[{"hidden": [16]}] * 4)
OU = dict(mode="ou", noise_param=[0.0, 0.3, 0.15, 1.0])


def ddpg(spec=REAL, **settings):
    return DDPG(build(DDPG.Config, {**SMALL, **settings}), spec)


def hp_of(frame):
    return {name: tensor(value) for name, value in frame.hyperparameters().items()}


def act(frame, action, white, carried=(0.0, 0.0, 0.0), step=1e6, **act_kwargs):
    """What it does where the actor returns `action`."""
    networks = SimpleNamespace(actor=lambda state: tensor([action]))
    noise = torch.cat([tensor([white]), tensor([carried[: frame.width]])], -1)
    state = torch.zeros(1, 3)
    return frame.act(networks, state, noise, hp_of(frame), tensor(step), **act_kwargs)[0].tolist()


# ---- exploration


@pytest.mark.parametrize(
    "act_kwargs, expected",
    [
        ({}, [0.3, 0.6]),
        ({"noise_param": [0.1, 0.2]}, [0.5, 0.6]),
        ({"noise_param": {"std": 0.2}, "ratio": 0.5}, [0.3, 0.6]),
        ({"mode": "clipped_normal"}, [0.4, 0.5]),
        ({"mode": "clipped_normal", "noise_param": [0, 2, -0.1, 0.3]}, [0.5, 0.6]),
        ({"mode": "uniform", "noise_param": [0, 2]}, [1.0, 1.0]),
        ({"noise_param": [[0, 0.5], [-0.2, 0.1]]}, [0.7, 0.4]),
        ({"greedy": True}, [0.2, 0.7]),
    ],
)
def test_noise_of_each_kind_worked_by_hand(act_kwargs, expected):
    found = act(ddpg(), [0.2, 0.7], [1.0, -1.0], **act_kwargs)
    assert found == pytest.approx(expected)


def test_correlated_noise_is_what_was_carried():
    assert act(ddpg(), [0.2, 0.0], [9.0, 9.0], [0.1, -0.3], **OU) == pytest.approx([0.3, -0.3])
    starts = dict(mode="ou", noise_param=[{"x0": 0.5}, {"x0": -0.5}], ratio=0.5)
    assert act(ddpg(), [0.2, 0.0], [9.0, 9.0], [0.1, -0.3], **starts) == pytest.approx([0.5, -0.4])


def test_correlated_noise_moves_from_its_start():
    noise_param = {"mu": 0.5, "sigma": 0.3, "theta": 0.2, "dt": 0.25, "x0": 1.0}
    frame, moved = ddpg(), torch.zeros(1, 2)
    for z in (2.0, -1.0):
        act_kwargs = {"mode": "ou", "noise_param": noise_param}
        moved = frame.carry(moved, tensor([[z, z]]), act_kwargs)
    first = 1.0 + 0.05 * (0.5 - 1.0) + 0.15 * 2.0
    second = first + 0.05 * (0.5 - first) - 0.15
    torch.testing.assert_close(1.0 + moved, torch.full((1, 2), second))
    assert frame.carry(moved, moved, {"mode": "uniform"}) is moved


def test_actions_stay_in_their_space():
    assert act(ddpg(), [0.9, -0.9], [5.0, -5.0]) == [1.0, -1.0]


def test_the_warm_up_is_uniform():
    frame = ddpg(warmup_steps=10)
    assert act(frame, [0.9, 0.9], [0.0, 9.0], step=9) == pytest.approx([0.0, 1.0])
    assert act(frame, [0.5, 0.5], [0.0, 1.0], step=10) == pytest.approx([0.5, 0.6])


@pytest.mark.parametrize(
    "white, expected",
    [
        # Probabilities 0.5, 0.3, 0.2 and the quantile of 0.2: 0.579.
        ([0.0, 0.0, 0.0, 0.2], 1),
        # 0.5 + 0.4, 0.3 - 0.3 and 0.2 + 0.1 over their sum 1.2: 0.75, 0, 0.25.
        ([4.0, -3.0, 1.0, 0.2], 0),
        ([4.0, -3.0, 1.0, 0.8], 2),
        # What is below 0 counts as 0.
        ([-9.0, 0.0, -9.0, -5.0], 1),
    ],
)
def test_noise_on_probabilities_worked_by_hand(white, expected):
    assert act(ddpg(CHOICE), [0.5, 0.3, 0.2], white) == expected


def test_the_likeliest_action_is_the_greedy_one_and_the_warm_up_knows_no_likelier_one():
    frame = ddpg(CHOICE, warmup_steps=10)
    assert act(frame, [0.2, 0.5, 0.3], [0.0] * 4, greedy=True) == 1
    white = [0.0, 0.0, 0.0]
    drawn = [act(frame, [1.0, 0.0, 0.0], [*white, z], step=5) for z in (-1.0, 0.0, 1.0)]
    assert drawn == [0, 1, 2]


@pytest.mark.parametrize(
    "act_kwargs, message",
    [
        ({"mode": "normall"}, r"`mode` must be one of .* but is 'normall'\. Did you mean 'normal'"),
        ({"noise_param": [0, 1, 2]}, r"hold the numbers mean, std, .*but is \[0, 1, 2\]"),
        ({"noise_param": [0, -1]}, r"deviations not negative .*but is \[0, -1\]"),
        ({"noise_param": {"sigma": 1}}, r"hold the numbers mean, std"),
        ({"noise_param": ["a"]}, r"hold the numbers mean, std"),
        ({"noise_param": 0.1}, r"hold the numbers mean, std, .*but is 0\.1"),
        ({"mode": "uniform", "noise_param": [1, -1]}, r"ranges from low to high, but is \[1, -1\]"),
        ({"mode": "ou", "noise_param": [[0], [0]]}, r"a list for each of 1 components.*holds 2"),
        ({"epsilon": 0.1}, r"act_kwargs\.epsilon: DDPG has no such option.*mode, noise_param"),
    ],
)
def test_wrong_noise_is_refused_before_training(act_kwargs, message, tmp_path):
    config = sweeprl.generate_algorithm_config("DDPG")
    config = sweeprl.generate_env_config("gymnasium", config, env_name="Pendulum-v1")
    config["train_env_config"]["act_kwargs"] = act_kwargs
    config = sweeprl.generate_training_config(root_dir=str(tmp_path / "a"), config=config)
    with pytest.raises(ConfigError, match=message):
        sweeprl.launch(config, view="none")
    assert not (tmp_path / "a").exists()


# ---- what is carried from step to step


def states(num):
    return np.random.default_rng(0).normal(size=(num, 3)).astype(np.float32)


def noises(learner, steps, begins, **act_kwargs):
    """What each of some steps adds to the action, `(T, N, A)`."""
    num = learner.num_lanes * learner.num_envs
    plain = learner.act(states(num), greedy=True)
    found = []
    for step in range(steps):
        start = np.array(begins[step]) if step in begins else None
        found.append(learner.act(states(num), begins=start, **act_kwargs) - plain)
    return np.stack(found)


@pytest.mark.parametrize("spec", [REAL, CHOICE], ids=["real", "choice"])
def test_each_lane_and_environment_carries_its_own_noise(spec):
    frames, begins = [ddpg(spec)] * 2, {0: [True] * 6, 3: [False, True, False] * 2}
    together = noises(Learner(frames, [5, 6], num_envs=3), 6, begins, **OU)
    begins = {step: where[:3] for step, where in begins.items()}
    for lane in range(2):
        alone = Learner(frames[:1], [5 + lane], num_envs=3)
        plain = alone.act(states(6)[3 * lane :][:3], greedy=True)
        for step in range(6):
            start = np.array(begins[step]) if step in begins else None
            seen = states(6)[3 * lane :][:3]
            found = alone.act(seen, begins=start, **OU) - plain
            np.testing.assert_allclose(found, together[step, 3 * lane :][:3], atol=1e-6)


def test_noise_goes_back_to_its_start_with_each_episode():
    still = dict(mode="ou", noise_param=dict(mu=1.0, sigma=0.0, theta=0.5, dt=1.0))
    frame = ddpg(model_kwargs=[{"hidden": []}] * 4)
    learner = Learner([frame], [0], num_envs=2)
    learner._lanes.stacks[1].flat.zero_()  # an actor that does nothing
    begins = {0: [True, True], 2: [False, True]}
    first, second = noises(learner, 4, begins, **still)[:, :, 0].T
    assert first == pytest.approx([0.5, 0.75, 0.875, 0.9375])
    assert second == pytest.approx([0.5, 0.75, 0.5, 0.75])


def test_an_evaluation_leaves_the_noise_of_training_where_it_is():
    one, other = (Learner([ddpg()], [0]) for _ in range(2))
    for learner in (one, other):
        noises(learner, 3, {0: [True]}, **OU)
    other.act(states(1), is_judged=True, begins=np.array([True]), **OU)
    other.act(states(4), is_judged=True, **OU)
    np.testing.assert_array_equal(noises(one, 2, {}, **OU), noises(other, 2, {}, **OU))


def test_noise_goes_on_where_a_state_was_taken():
    whole, first, second = (Learner([ddpg()], [seed]) for seed in (0, 0, 9))
    expected = noises(whole, 6, {0: [True]}, **OU)
    noises(first, 4, {0: [True]}, **OU)
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(noises(second, 2, {}, **OU), expected[4:])


def test_a_lane_given_to_another_agent_starts_its_noise_anew():
    learner = Learner([ddpg()] * 3, [0, 1, 2])
    noises(learner, 3, {}, **OU)
    learner.place(0, ddpg(), 9)
    learner.keep([0, 2])
    found = noises(learner, 1, {}, **OU)
    fresh = noises(Learner([ddpg()], [9]), 1, {}, **OU)
    np.testing.assert_allclose(found[:, 0], fresh[:, 0], atol=1e-6)


# ---- learning


def batch_of(**changes):
    batch = {
        "state": torch.zeros(2, 3),
        "action": tensor([[0.5, 0.0], [-0.5, 0.0]]),
        "reward": tensor([1.0, 2.0]),
        "next_state": torch.ones(2, 3),
        "terminated": tensor([0.0, 1.0]),
        "weight": torch.ones(2),
    }
    return batch | changes


def total(state, action):
    """A critic that adds up what it sees."""
    return (state.sum(-1) + action.sum(-1)).unsqueeze(-1)


NETWORKS = SimpleNamespace(
    actor=lambda state: torch.full((len(state), 2), 0.25),
    actor_target=lambda state: torch.full((len(state), 2), 0.5),
    critic=total,
    critic_target=lambda state, action: 2 * total(state, action),
)


def test_the_critics_loss_worked_by_hand():
    frame = ddpg(discount=0.5)
    loss, logs = frame.critic_loss(NETWORKS, batch_of(), hp_of(frame))
    # Targets: 1 + 0.5 * 2 * (3 + 1) = 5 and 2, as the second one terminated; values 0.5 and -0.5.
    assert float(loss) == pytest.approx((4.5**2 + 2.5**2) / 2)
    assert float(logs["q_value"]) == 0.0


def test_the_actors_loss_worked_by_hand():
    frame = ddpg()
    batch = batch_of(state=tensor([[1.0, 0.0, 0.0], [9.0, 0.0, 0.0]]), weight=tensor([1.0, 0.0]))
    loss, _ = frame.actor_loss(NETWORKS, batch, hp_of(frame))
    assert float(loss) == pytest.approx(-1.5)


def test_the_critic_sees_a_discrete_action_as_probabilities():
    frame = ddpg(CHOICE)
    taken = frame.taken({"action": tensor([2, 0])})
    assert taken.tolist() == [[0, 0, 1], [1, 0, 0]]


class Quadratic(nn.Module):
    """A critic that knows that the best action is 0.5."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, state, action):
        return self.unused - ((action - 0.5) ** 2).sum(-1, keepdim=True)


def test_the_actor_climbs_to_the_best_action():
    frame = ddpg(
        models=["Actor", "Actor", Quadratic, Quadratic],
        model_kwargs=[{"hidden": [16]}] * 2 + [{}] * 2,
        actor_learning_rate=0.01,
        critic_learning_rate=1e-9,
    )
    learner = Learner([frame], [0])
    for seed in range(4):
        learner.store(random_transitions(REAL, 100, 1, seed))
        learner.update()
    np.testing.assert_allclose(learner.act(states(5), greedy=True), 0.5, atol=0.05)


def test_the_actor_of_discrete_actions_finds_the_one_that_pays():
    frame = ddpg(CHOICE, discount=0.0, actor_learning_rate=0.01, critic_learning_rate=0.01)
    learner = Learner([frame], [0])
    for seed in range(4):
        data = random_transitions(CHOICE, 100, 1, seed)
        data["reward"] = (data["action"][..., 0] == 1).astype(np.float32)
        learner.store(data)
        learner.update()
    assert learner.act(states(5), greedy=True).tolist() == [1] * 5


# ---- networks


class Unbounded(nn.Linear):
    def __init__(self, state_dim, action_dim):
        super().__init__(state_dim, action_dim)
        nn.init.constant_(self.bias, 3.0)

    def forward(self, state):
        return super().forward(state)


@pytest.mark.parametrize(
    "spec, actor, message",
    [
        (REAL, QNet, None),
        (REAL, Unbounded, r"must take `state` .* return an action inside \[-1, 1\] \(B, 2\)"),
        (CHOICE, Unbounded, r"return probabilities, which sum to 1, \(B, 3\)"),
    ],
)
def test_an_actor_has_to_fit_the_actions(spec, actor, message):
    frame = ddpg(spec, models=[actor, actor, "Critic", "Critic"], model_kwargs=[{}] * 4)
    if message is None:
        assert frame.networks()["actor"](state=torch.zeros(1, 3)).shape == (1, 2)
    else:
        with pytest.raises(ConfigError, match=message):
            frame.networks()


def test_networks_of_discrete_actions_have_as_many_outputs():
    networks = ddpg(CHOICE).networks()
    p = networks["actor"](state=torch.zeros(1, 3))
    assert p.shape == (1, 3)
    assert networks["critic"](state=torch.zeros(1, 3), action=p).shape == (1, 1)
