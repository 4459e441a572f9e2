from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import tensor

from sweeprl.config import AgentSpec, Continuous, Discrete, EnvSpec, MultiDiscrete, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError
from sweeprl.frames.maddpg import MADDPG
from sweeprl.networks import ProbabilityActor
from sweeprl.testing import random_transitions

REAL = EnvSpec(
    3,
    Continuous(2),
    "real",
    (AgentSpec("one", 2, Continuous(1)), AgentSpec("two", 1, Continuous(1))),
)
CHOICE = EnvSpec(
    3,
    MultiDiscrete((2, 3)),
    "choice",
    (AgentSpec("one", 2, Discrete(2)), AgentSpec("two", 1, Discrete(3))),
)
SMALL = dict(batch_size=4, warmup_steps=0, replay_size=64, model_kwargs=[{"hidden": [8]}] * 4)


def maddpg(spec=REAL, **settings):
    return MADDPG(build(MADDPG.Config, {**SMALL, **settings}, "frame_config"), spec)


def hp_of(frame):
    return {name: tensor(value) for name, value in frame.hyperparameters().items()}


def of_state(factor):
    """An actor that returns the sum of what it sees, times a factor."""
    return lambda state: factor * state.sum(-1, keepdim=True)


def networks(**others):
    """Critics say what they see and are told of, weighted by place: 1, 2, 3, ..."""

    def critic(state, action):
        everything = torch.cat([state, action], -1)
        weights = torch.arange(1.0, everything.shape[-1] + 1)
        return (everything * weights).sum(-1, keepdim=True)

    names = ("critic_0", "critic_1", "critic_target_0", "critic_target_1")
    return SimpleNamespace(**dict.fromkeys(names, critic), **others)


def batch(**others):
    fields = dict(
        state=tensor([[1.0, 2.0, 3.0]]),
        action=tensor([[0.5, -0.5]]),
        next_state=tensor([[2.0, 4.0, 1.0]]),
        agent_rewards=tensor([[10.0, 20.0]]),
        reward=tensor([30.0]),
        terminated=tensor([0.0]),
        weight=tensor([1.0]),
    )
    return {**fields, **others}


def values(found):
    return [float(value) for value in found]


# ---- learning


def test_targets_are_of_all_target_actors_next_actions_worked_by_hand():
    frame = maddpg(discount=0.5)
    nets = networks(actor_target_0=of_state(0.1), actor_target_1=of_state(-1.0))
    # Next actions 0.6 and -1; 1 * 2 + 2 * 4 + 3 * 1 + 4 * 0.6 - 5 * 1 = 10.4 for both critics.
    assert values(frame.targets(nets, batch(), hp_of(frame))) == pytest.approx([15.2, 25.2])
    over = batch(terminated=tensor([1.0]))
    assert values(frame.targets(nets, over, hp_of(frame))) == pytest.approx([10.0, 20.0])
    loss, logs = frame.critic_loss(nets, batch(), hp_of(frame))
    # 1 + 4 + 9 + 2 - 2.5 = 13.5 of what was done.
    assert float(loss) == pytest.approx((13.5 - 15.2) ** 2 + (13.5 - 25.2) ** 2)
    assert float(logs["q_value"]) == pytest.approx(13.5)


def test_a_critic_sees_only_the_agents_that_it_is_told_of():
    frame = maddpg(discount=0.5, critic_visible_actors=[[0], [1, 0]])
    nets = networks(actor_target_0=of_state(0.1), actor_target_1=of_state(-1.0))
    # 2 + 8 + 3 * 0.6 = 11.8; for the second, in its order: 1 + 2 * 2 + 3 * 4 - 4 + 5 * 0.6 = 16.
    assert values(frame.targets(nets, batch(), hp_of(frame))) == pytest.approx([15.9, 28.0])
    sizes = {
        role.name: (spec.observation_size, spec.action.size)
        for role in frame.roles
        for spec in [frame.network_spec(role)]
    }
    assert sizes["critic_0"] == sizes["critic_target_0"] == (2, 1)
    assert sizes["critic_1"] == (3, 2)
    assert (sizes["actor_0"], sizes["actor_target_1"]) == ((2, 1), (1, 1))


def test_an_actor_climbs_by_its_own_action_among_those_taken():
    frame = maddpg()
    slope = [torch.ones(1, requires_grad=True) for _ in range(2)]
    nets = networks(actor_0=of_state(slope[0]), actor_1=of_state(slope[1]))
    loss, _ = frame.actor_loss(nets, batch(), hp_of(frame))
    # Own actions 3 and 3: 14 + 4 * 3 - 5 * 0.5 and 14 + 4 * 0.5 + 5 * 3.
    assert float(loss.detach()) == pytest.approx(-(23.5 + 31.0))
    loss.backward()
    assert [float(s.grad) for s in slope] == [-4 * 3, -5 * 3]


def test_critics_take_discrete_actions_as_probabilities():
    frame = maddpg(CHOICE, discount=0.5)
    probabilities = tensor([[0.25, 0.75]]), tensor([[0.5, 0.5, 0.0]])
    nets = networks(
        actor_target_0=lambda state: probabilities[0],
        actor_target_1=lambda state: probabilities[1],
    )
    given = batch(action=tensor([[1, 2]]))
    # 13 + 4 * 0.25 + 5 * 0.75 + 6 * 0.5 + 7 * 0.5 = 24.25 of the next ones.
    assert values(frame.targets(nets, given, hp_of(frame))) == pytest.approx([22.125, 32.125])
    _, logs = frame.critic_loss(nets, given, hp_of(frame))
    assert float(logs["q_value"]) == pytest.approx(14 + 5 + 8)


def test_each_transition_goes_to_one_policy_of_an_ensemble():
    frame = maddpg(discount=1.0, sub_policy_num=1)
    names = ("actor_0", "actor_0_1", "actor_1", "actor_1_1")
    slopes = {name: torch.ones(1, requires_grad=True) for name in names}
    actors = {name: of_state(slope) for name, slope in slopes.items()}
    two = {key: value.repeat(2, *[1] * (value.dim() - 1)) for key, value in batch().items()}
    noise = tensor([[-1.0, 1.0], [1.0, 1.0]])  # first and second policy; second and second
    loss, _ = frame.actor_loss(networks(**actors), {**two, "noise": noise}, hp_of(frame))
    loss.backward()
    found = {name: float(slope.grad) for name, slope in slopes.items()}
    assert found == {"actor_0": -6, "actor_0_1": -6, "actor_1": 0, "actor_1_1": -15}
    targets = {
        name.replace("actor", "actor_target"): of_state(float(number))
        for number, name in enumerate(names)
    }
    found = frame.targets(networks(**targets), {**two, "noise": noise}, hp_of(frame))
    # Actions 0 * 6 and 3 * 1; 1 * 6 and 3 * 1.
    assert found[0].tolist() == [10 + 13 + 15, 10 + 13 + 24 + 15]


# ---- acting


def test_agents_act_each_on_its_own_observation():
    frame = maddpg(REAL)
    nets = SimpleNamespace(actor_0=of_state(0.1), actor_1=of_state(-0.2))
    state, noise = tensor([[1.0, 2.0, 3.0]]), tensor([[1.0, -9.0, 0.0, 0.0]])
    act = frame.act(nets, state, noise, hp_of(frame), tensor(1.0))
    assert act[0].tolist() == pytest.approx([0.4, -1.0])
    greedy = frame.act(nets, state, 0 * noise, hp_of(frame), tensor(1.0), greedy=True)
    assert greedy[0].tolist() == pytest.approx([0.3, -0.6])


def test_agents_draw_discrete_actions_each_from_its_own_probabilities():
    frame = maddpg(CHOICE, warmup_steps=10)
    nets = SimpleNamespace(
        actor_0=lambda state: tensor([[0.9, 0.1]]),
        actor_1=lambda state: tensor([[0.1, 0.2, 0.7]]),
    )

    def act(noise, step=20.0, **act_kwargs):
        noise = tensor([[*[0.0] * 5, *noise, *[0.0] * 5]])
        state = torch.zeros(1, 3)
        return frame.act(nets, state, noise, hp_of(frame), tensor(step), **act_kwargs)[0].tolist()

    assert act([0.5, 0.0]) == [0, 2]  # quantiles 0.69 and 0.5
    assert act([2.0, -1.0]) == [1, 1]  # 0.98 and 0.16
    assert act([0.5, 0.0], step=5.0) == [1, 1]  # uniform
    assert act([2.0, -1.0], greedy=True) == [0, 2]


def test_an_episode_is_played_by_policies_drawn_at_its_start():
    frame = maddpg(sub_policy_num=1)
    learner = Learner([frame], [3], num_envs=40)
    states = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    quiet = dict(noise_param=[0.0, 0.0])
    first = learner.act(states, begins=np.ones(40, bool), **quiet)
    np.testing.assert_array_equal(learner.act(states, **quiet), first)
    again = learner.act(states, begins=np.ones(40, bool), **quiet)
    changed = (again != first).mean(0)
    assert ((changed > 0.2) & (changed < 0.8)).all()
    assert np.array_equal(learner.act(states, greedy=True), learner.act(states, greedy=True))


# ---- settings


def test_networks_are_for_every_agent_or_for_each():
    frame = maddpg(
        CHOICE,
        models=[[ProbabilityActor, "Actor"], ["Actor"], "Critic", ["Critic"]],
        model_kwargs=[[{"hidden": [8]}, {"hidden": [5]}]] * 2 + [{"hidden": [4]}] * 2,
    )
    built = frame.networks()
    found = {name: network.layers[0].out_features for name, network in built.items()}
    assert (found["actor_0"], found["actor_1"], found["actor_target_1"]) == (8, 5, 5)
    assert found["critic_0"] == found["critic_1"] == 4
    for name, value in built["actor_0"].state_dict().items():
        assert torch.equal(value, built["actor_target_0"].state_dict()[name])


@pytest.mark.parametrize(
    "settings, message",
    [
        (
            {"models": [["Actor"] * 3, *[["Critic"]] * 3]},
            r"models must hold one .* or 2, .*holds 3",
        ),
        ({"models": [["Actr"], *[["Critic"]] * 3]}, "No model named 'Actr'.*Did you mean 'Actor'"),
        ({"critic_visible_actors": [[0]]}, r"must hold 2 lists.*but is \[\[0\]\]"),
        ({"critic_visible_actors": []}, r"must hold 2 lists.*but is \[\]"),
        ({"critic_visible_actors": [[0, 2], [1]]}, "numbers from 0 to 1"),
        ({"critic_visible_actors": [[1], [1]]}, r"actors\[0\]` must hold 0, the agent itself"),
        ({"critic_visible_actors": [[0, 0], [1]]}, "no number twice"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        maddpg(**settings).networks()


def test_the_target_networks_of_all_agents_follow():
    frame = maddpg(update_rate=None, update_steps=1, sub_policy_num=1, normalize_reward=True)
    learner = Learner([frame], [0])
    before = learner.weights()["networks"]
    learner.store(random_transitions(REAL, 8, 1))
    learner.update()
    after = learner.weights()["networks"]
    followers = [role for role in frame.roles if role.follows]
    assert len(followers) == 6
    for role in followers:
        for name, value in after[role.name].items():
            torch.testing.assert_close(value, after[role.follows][name])
        assert any(not torch.equal(v, before[role.name][k]) for k, v in after[role.name].items())
