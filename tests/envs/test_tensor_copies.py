from __future__ import annotations

import numpy as np
import pytest
import torch

from sweeprl.envs._dynamics import dynamics
from sweeprl.envs._tensor_copies import TensorCopies
from sweeprl.functional import stream_key, uniform_at
from tests.envs.classic import NAMES, SYNC_STEPS, Reference, random_actions

CPU = torch.device("cpu")
SAVED = ["keys", "episode", "elapsed", "state", "observation"]


def copies_of(name, num, device=CPU, seed=0):
    """Copies whose keys are those of the numbers 0, 1... and whose first episodes have begun."""
    copies = TensorCopies(dynamics(name, {}), num, device)
    copies.set_keys(slice(None), [stream_key(seed, copy) for copy in range(num)])
    copies.restart(torch.ones(num, dtype=torch.bool, device=device))
    return copies


def contents(copies, rows=slice(None)):
    return [getattr(copies, name)[rows].clone() for name in SAVED]


def play(copies, name, num_steps, rng):
    """Random steps with restarts; returns every observation, `(T, N, D)`."""
    seen = []
    for _ in range(num_steps):
        _, _, terminated, truncated = copies.step(random_actions(name, copies.num, rng))
        copies.restart(terminated | truncated)
        seen.append(copies.observation.clone())
    return torch.stack(seen)


@pytest.mark.parametrize("name", NAMES)
def test_steps_and_restarts_are_gymnasiums(name):
    num, rng = 3, np.random.default_rng(0)
    copies, references = copies_of(name, num), [Reference(name) for _ in range(num)]
    for reference, state in zip(references, copies.state, strict=True):
        reference.begin(state)
    num_steps = copies.dynamics.max_episode_steps + 100
    num_episodes = 0
    for step in range(num_steps):
        actions = random_actions(name, num, rng)
        observations, rewards, terminated, truncated = copies.step(actions)
        over = terminated | truncated
        copies.restart(over)
        for one, reference in enumerate(references):
            outcome = reference.step(actions[one])
            np.testing.assert_allclose(observations[one], outcome.observation, rtol=1e-6, atol=1e-9)
            assert rewards[one].item() == pytest.approx(float(outcome.reward), rel=1e-6)
            assert (terminated[one], truncated[one]) == (outcome.terminated, outcome.truncated)
            if over[one]:
                num_episodes += 1
                reference.begin(copies.state[one])
            else:
                assert copies.observation[one].equal(observations[one])
                if step % SYNC_STEPS == 0:
                    copies.state[one] = torch.from_numpy(outcome.state)
    assert num_episodes >= (50 if name == "CartPole-v1" else num)
    assert copies.episode.sum() == num_episodes


def test_a_fall_at_the_time_limit_is_both_as_gymnasium_has_it():
    copies, reference = copies_of("CartPole-v1", 2), Reference("CartPole-v1")
    copies.state[0] = torch.tensor([2.39, 2.0, 0.0, 0.0])
    copies.elapsed.fill_(499)
    for one in (0, 1):
        reference.begin(copies.state[one])
        reference.env._elapsed_steps = 499
        outcome = reference.step(torch.tensor(1))
        assert (outcome.terminated, outcome.truncated) == (one == 0, True)
    _, _, terminated, truncated = copies.step(torch.tensor([1, 1]))
    assert terminated.tolist() == [True, False]
    assert truncated.tolist() == [True, True]


def test_an_episode_begins_with_the_next_numbers_of_its_stream():
    copies = copies_of("Pendulum-v1", 3)
    copies.restart(torch.tensor([False, True, True]))
    copies.restart(torch.tensor([False, False, True]))
    assert copies.episode.tolist() == [0, 1, 2]
    for one in range(3):
        key = torch.tensor(stream_key(0, one))
        uniform = uniform_at(key, 2 * one + torch.arange(2)).unsqueeze(0)
        assert copies.state[one].equal(copies.dynamics.initial(uniform)[0])


def test_a_restart_leaves_the_other_copies_as_they_are():
    name = "Acrobot-v1"
    copies = copies_of(name, 5)
    play(copies, name, 3, np.random.default_rng(2))
    over = torch.tensor([True, False, False, True, False])
    before = contents(copies, ~over)
    copies.restart(over)
    for old, new in zip(before, contents(copies, ~over), strict=True):
        assert old.equal(new)
    assert copies.elapsed.tolist() == [0, 3, 3, 0, 3]
    assert copies.episode.tolist() == [1, 0, 0, 1, 0]


def test_what_a_step_returned_outlives_the_restart():
    copies = copies_of("CartPole-v1", 2)
    last, *_ = copies.step(torch.tensor([0, 1]))
    expected = last.clone()
    copies.restart(torch.tensor([True, True]))
    assert last.equal(expected)
    assert not copies.observation.eq(expected).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_copys_episodes_depend_on_its_key_only(name):
    few, many = copies_of(name, 2), copies_of(name, 37)
    rng = np.random.default_rng(3)
    for _ in range(60):
        actions = random_actions(name, 37, rng)
        for copies in (few, many):
            *_, terminated, truncated = copies.step(actions[: copies.num])
            copies.restart(terminated | truncated)
        torch.testing.assert_close(few.state, many.state[:2], rtol=1e-9, atol=1e-9)
    assert few.episode.equal(many.episode[:2])


def test_other_keys_give_other_episodes():
    states = copies_of("CartPole-v1", 500).state
    assert len(states.unique()) == states.numel()


@pytest.mark.parametrize("rows", [slice(1, 3), torch.tensor([1, 2])], ids=["slice", "indices"])
def test_keys_are_set_for_some_copies(rows):
    copies = TensorCopies(dynamics("CartPole-v1", {}), 4, CPU)
    copies.set_keys(rows, [-(2**63), 2**63 - 1])
    assert copies.keys.tolist() == [0, -(2**63), 2**63 - 1, 0]
    assert copies.episode.tolist() == [-1] * 4


@pytest.mark.parametrize("name", NAMES)
def test_saved_copies_go_on_where_they_were(name, tmp_path):
    copies = copies_of(name, 6)
    play(copies, name, 40, np.random.default_rng(4))
    torch.save(copies.state_dict(slice(2, 5)), tmp_path / "copies.pt")
    expected = play(copies, name, 40, np.random.default_rng(5))

    others = copies_of(name, 6, seed=1)
    before = contents(others, slice(0, 2))
    others.load_state_dict(slice(2, 5), torch.load(tmp_path / "copies.pt", weights_only=True))
    for old, new in zip(before, contents(others, slice(0, 2)), strict=True):
        assert old.equal(new)
    found = play(others, name, 40, np.random.default_rng(5))
    assert found[:, 2:5].equal(expected[:, 2:5])


def test_a_saved_state_is_no_view():
    copies = copies_of("CartPole-v1", 2)
    saved = copies.state_dict(slice(0, 1))
    copies.step(torch.tensor([0, 1]))
    assert saved["elapsed"].tolist() == [0]
    assert list(saved) == SAVED


@pytest.mark.parametrize("name", NAMES)
def test_tensors_stay_where_they_are(name):
    copies = copies_of(name, 3)
    places = [getattr(copies, one).data_ptr() for one in SAVED]
    play(copies, name, 3, np.random.default_rng(6))
    copies.set_keys(slice(0, 1), [3])
    copies.load_state_dict(slice(0, 1), copies.state_dict(slice(1, 2)))
    assert [getattr(copies, one).data_ptr() for one in SAVED] == places


@pytest.mark.parametrize("name", NAMES)
def test_nothing_depends_on_a_number(name):
    """Tensors on the device "meta" have no numbers: whoever branched on one would raise."""
    device = torch.device("meta")
    copies = TensorCopies(dynamics(name, {}), 3, device)
    copies.restart(torch.ones(3, dtype=torch.bool, device=device))
    actions = random_actions(name, 3, np.random.default_rng(7)).to(device)
    *_, terminated, truncated = copies.step(actions)
    copies.restart(terminated | truncated)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_cuda_graph_replays_steps_and_restarts(name):
    """The first 100 steps are those of the CPU, to what the growth of a last bit allows."""
    num, device, rng = 64, torch.device("cuda"), np.random.default_rng(8)
    copies, expected = copies_of(name, num, device), copies_of(name, num)
    actions = [random_actions(name, num, rng) for _ in range(100)]
    action = actions[0].to(device)

    def advance():
        observation, reward, terminated, truncated = copies.step(action)
        copies.restart(terminated | truncated)
        return observation, reward, terminated, truncated

    begun = copies.state_dict(slice(None))
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        advance()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        found = advance()
    copies.load_state_dict(slice(None), begun)
    for one in actions:
        action.copy_(one)
        graph.replay()
        step = expected.step(one)
        expected.restart(step[2] | step[3])
        for ours, theirs in zip(found, step, strict=True):
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-5, atol=1e-6)
    assert copies.episode.cpu().equal(expected.episode)
    torch.testing.assert_close(copies.state.cpu(), expected.state, rtol=1e-5, atol=1e-6)
