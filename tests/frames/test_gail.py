import math

import pytest
import torch
from torch import nn

from sweeprl import registry
from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete, build
from sweeprl.engine import Learner
from sweeprl.errors import ConfigError
from sweeprl.functional import discriminator_loss, imitation_reward
from sweeprl.testing import random_trajectories, random_transitions

SPEC = EnvSpec(3, Discrete(3), "three arms")
SMALL = {"rollout_steps": 16, "batch_size": 8, "critic_update_times": 2, "actor_update_times": 1}


@pytest.fixture
def path(tmp_path):
    random_trajectories(SPEC, tmp_path / "expert.data")
    return tmp_path / "expert.data"


def gail(path, spec=SPEC, policy=(), **settings):
    frame = registry.frames.get("GAIL")
    section = f"{settings.get('constrained_policy_optimization', 'PPO')}_config"
    own = {"batch_size": 8, "expert_trajectory_path": str(path), section: {**SMALL, **dict(policy)}}
    return frame(build(frame.Config, {**own, **settings}), spec)


def test_worked_numbers():
    """D(agent) = 1/5 and D(expert) = 3/4."""
    agent, expert = torch.tensor([-math.log(4)]), torch.tensor([math.log(3)])
    expected = -math.log(4 / 5) - math.log(3 / 4)
    assert float(discriminator_loss(agent, expert)) == pytest.approx(expected, rel=1e-6)
    assert float(imitation_reward(agent)) == pytest.approx(-math.log(4 / 5), rel=1e-6)
    assert float(imitation_reward(torch.tensor(80.0))) == 80.0


def rollout_of(frame, steps=16):
    learner = Learner([frame], [3])
    learner.store(random_transitions(frame.spec, steps, 1))
    return learner, {key: value[0] for key, value in learner._prepared_rollout().items()}


def test_the_discriminators_rewards_take_the_place_of_the_environments(path):
    frame = gail(path)
    learner, rollout = rollout_of(frame)
    networks = learner._lanes._networks
    with torch.no_grad():
        one_hot = torch.eye(3)[rollout["action"]]
        chance = networks.discriminator(state=rollout["state"], action=one_hot).sigmoid()[:, 0]
    torch.testing.assert_close(rollout["reward"], -(1 - chance).log())
    values = networks.critic(state=rollout["state"])[:, 0]
    torch.testing.assert_close(rollout["return"], rollout["advantage"] + values)


def test_each_step_has_a_pair_of_the_experts_beside_it(path):
    _, rollout = rollout_of(gail(path, expert_replay_size=20))
    expert = torch.load(path, weights_only=True)
    kept = torch.cat([expert["state"], expert["action"]], 1)[:20].tolist()
    pairs = torch.cat([rollout["expert_state"], rollout["expert_action"].unsqueeze(1)], 1).tolist()
    assert all(pair in kept for pair in pairs)
    assert len({tuple(pair) for pair in pairs}) > 4


def test_expert_and_agent_are_normalised_by_the_same_moments(path):
    learner, _ = rollout_of(gail(path, policy={"normalize_observation": True}))
    learner.store(random_transitions(SPEC, 16, 1, 1))
    expert = torch.load(path, weights_only=True)["state"]
    moments = random_transitions(SPEC, 16, 1)["state"][:, 0]
    normal = (expert - torch.from_numpy(moments.mean(0))) / torch.from_numpy(moments.std(0))
    for state in learner._rollout["expert_state"][0, :, 0]:
        assert (normal - state).abs().max(1).values.min() < 1e-3


def test_the_discriminator_learns_to_tell_them_apart(path):
    frame = gail(path, discriminator_learning_rate=0.02, discriminator_update_times=5)
    learner = Learner([frame], [3])
    logs = []
    for seed in range(8):
        chunk = random_transitions(SPEC, 16, 1, seed + 100)
        chunk["state"] = chunk["state"] + 3.0
        learner.store(chunk)
        logs.append({key: float(value[0]) for key, value in learner.update().items()})
    assert logs[0]["discriminator_loss"] > 2 * logs[-1]["discriminator_loss"]
    assert logs[-1]["chance_of_agent"] < 0.2 < 0.8 < logs[-1]["chance_of_expert"]


@pytest.mark.parametrize(
    "spec, action, expected",
    [
        (EnvSpec(3, Discrete(3)), [2, 0], [[0, 0, 1], [1, 0, 0]]),
        (EnvSpec(3, MultiDiscrete((2, 3))), [[1, 2]], [[0, 1, 0, 0, 1]]),
        (EnvSpec(3, Continuous(2)), [[-1.5, 0.5]], [[-1.0, 0.5]]),
    ],
)
def test_the_discriminator_is_given_what_the_environment_is(spec, action, expected, path):
    encoded = gail(path, spec).encoded(torch.tensor(action))
    assert encoded.tolist() == expected


def test_minibatches_are_those_of_each_config(path):
    learner, _ = rollout_of(gail(path, batch_size=4, policy={"batch_size": 16}))
    learner.update()
    assert learner.updates.tolist() == [16 // 4 + 1 + 1]


def test_trpo_improves_the_policy_where_it_is_named(path):
    settings = {"conjugate_iterations": 4}
    learner, _ = rollout_of(gail(path, policy=settings, constrained_policy_optimization="TRPO"))
    logs = learner.update()
    assert {"kl", "step_share", "critic_loss", "discriminator_loss"} <= set(logs)


class Probable(nn.Module):
    """It returns two numbers where one is asked for."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, state, action):
        return self.layer(state)


def test_a_discriminator_has_to_return_log_odds(path):
    with pytest.raises(ConfigError, match=r"role 'discriminator'.*return the log-odds .*\(B, 1\)"):
        gail(path, models=[Probable]).networks()


def test_the_policys_networks_are_named_by_its_config(path):
    with pytest.raises(ConfigError, match=r"No model named 'Akteur'"):
        gail(path, policy={"models": ["Akteur", "Critic"]}).networks()


# ---- the expert's file


def written(path, content):
    torch.save(content, path)


KEY = "frame_config.expert_trajectory_path"
REMEDY = "sweeprl evaluate TRIAL"


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda p: p.unlink(), "must be a file of trajectories, but '.*expert.data' is none"),
        (lambda p: p.write_text("no"), "must be a file of trajectories, but .* cannot be read"),
        (lambda p: p.write_bytes(b""), "must be a file of trajectories, but .* cannot be read"),
        (lambda p: written(p, [1, 2]), "but .* lacks state, action, .* action_space"),
        (
            lambda p: random_trajectories(EnvSpec(4, Discrete(3), "four"), p),
            "must hold trajectories that fit three arms, with observations of size 3 .*"
            "are of four, with observations of size 4",
        ),
        (
            lambda p: random_trajectories(EnvSpec(3, Continuous(3)), p),
            r"actions \['Discrete', 3\], but .* actions \['Continuous', 3\]",
        ),
        (
            lambda p: written(p, {k: v[:0] if hasattr(v, "shape") else v for k, v in load(p)}),
            "must hold transitions, but .* has none",
        ),
    ],
    ids=["missing", "text", "empty file", "another file", "sizes", "actions", "no steps"],
)
def test_a_file_that_does_not_fit_is_refused(path, spoil, message):
    spoil(path)
    with pytest.raises(ConfigError, match=f"{KEY} .*{message}") as info:
        _ = gail(path).demonstrations
    assert REMEDY in str(info.value)


def load(path):
    return torch.load(path, weights_only=True).items()


def test_a_device_that_is_not_there_is_refused(path):
    with pytest.raises(ConfigError, match="expert_replay_device must be a torch device .*'foo'"):
        _ = gail(path, expert_replay_device="foo").demonstrations
