import numpy as np
import torch

from sweeprl import registry
from sweeprl.config import Discrete, EnvSpec
from sweeprl.engine import Learner
from sweeprl.engine.multi_step import joined

SPEC = EnvSpec(1, Discrete(2))


def run(**changes):
    """Three steps in a row from state 0 to state 3, with rewards 1, 2 and 4."""
    steps = torch.arange(3.0)
    fields = {
        "state": steps.unsqueeze(1),
        "action": 10 + steps.unsqueeze(1),
        "reward": 2**steps,
        "next_state": 1 + steps.unsqueeze(1),
        "terminated": torch.zeros(3),
        "weight": torch.ones(3),
    }
    return fields | {key: torch.tensor(value) for key, value in changes.items()}


def told(fields, is_stored=(True, True, True)):
    found = joined(fields, torch.tensor(is_stored))
    assert (found["state"].tolist(), found["action"].tolist()) == ([0], [10])
    numbers = (found[key].item() for key in ("num_steps", "next_state", "terminated"))
    return found["reward"].tolist(), *numbers


def test_steps_that_go_on_are_joined():
    assert told(run()) == ([1, 2, 4], 3, 3, 0)


def test_what_is_not_stored_yet_does_not_belong():
    assert told(run(), (True, True, False)) == ([1, 2, 0], 2, 2, 0)
    assert told(run(), (True, False, False)) == ([1, 0, 0], 1, 1, 0)


def test_a_terminal_state_ends_the_transition():
    assert told(run(terminated=[0.0, 1.0, 0.0])) == ([1, 2, 0], 2, 2, 1)
    assert told(run(terminated=[0.0, 0.0, 1.0])) == ([1, 2, 4], 3, 3, 1)


def test_an_episode_that_was_cut_short_ends_it_and_keeps_its_bootstrap():
    begun_anew = run(state=[[0.0], [1.0], [9.0]])
    assert told(begun_anew) == ([1, 2, 0], 2, 2, 0)


def test_a_gap_is_not_bridged():
    assert told(run(state=[[0.0], [9.0], [2.0]])) == ([1, 0, 0], 1, 1, 0)


def test_a_row_that_is_no_transition_does_not_belong():
    assert told(run(weight=[1.0, 0.0, 1.0])) == ([1, 0, 0], 1, 1, 0)


def chain(steps, num_envs, first=0):
    """`num_envs` environments that count their steps, each from a hundred of its own."""
    state = first + np.arange(steps)[:, None] + 100 * np.arange(num_envs)
    scalars = np.zeros((steps, num_envs), np.float32)
    state = state.astype(np.float32)[..., None]
    return dict(
        state=state, action=np.zeros_like(state), reward=scalars + 1, next_state=state + 1,
        terminated=scalars, truncated=scalars, weight=scalars + 1,
    )  # fmt: skip


def test_a_learner_joins_steps_of_one_environment_across_chunks():
    frame = registry.frames.get("RAINBOW")
    config = frame.Config(batch_size=64, warmup_steps=0, replay_size=64, reward_future_steps=3)
    learner = Learner([frame(config, SPEC)], [0], num_envs=2)
    for first in range(0, 40, 4):
        learner.store(chain(4, 2, first))
    learner._owed[:] = 1
    batch = next(learner._batches(np.array([1]), 1, 64))
    torch.testing.assert_close(batch["next_state"], batch["state"] + batch["num_steps"][:, None])
    newest = batch["state"].squeeze(1) % 100
    assert torch.equal(batch["num_steps"], (40 - newest).clamp_max(3))
    assert torch.equal(batch["reward"].sum(1), batch["num_steps"])
