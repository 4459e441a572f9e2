from functools import partial

import numpy as np
import pytest
import torch

from sweeprl.engine import Judge, Learner
from tests.engine.agents import SPECS, chunk, frame_of

CPU = torch.device("cpu")
assert_same = partial(torch.testing.assert_close, rtol=0, atol=0, equal_nan=True)


def trained(name, **settings):
    frames = [frame_of(name, discount=0.9 + 0.03 * lane, **settings) for lane in range(3)]
    learner = Learner(frames, [5, 6, 7])
    for seed in range(2):
        learner.store(chunk(name, 3, seed))
        learner.update()
    return learner


def states(name, num):
    rng = np.random.default_rng(0)
    return rng.normal(size=(num, SPECS[name].observation_size)).astype(np.float32)


@pytest.mark.parametrize("name", SPECS)
def test_a_judge_acts_as_the_learner_does(name):
    learner = trained(name, normalize_observation=True)
    judge = Judge(learner.frame, learner.rows(), CPU)
    for act_kwargs in ({"greedy": True}, {}, {}):
        seen = states(name, 6)
        expected = learner.act(seen, is_judged=True, **act_kwargs)
        found = judge.act(seen, is_judged=True, **act_kwargs)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_some_agents_act_as_they_do_among_all(name):
    learner = trained(name, normalize_observation=True)
    seen = states(name, 6)
    expected = learner.act(seen, is_judged=True, greedy=True).reshape(3, 2, -1)
    for kept in ([2, 0], [1]):
        judge = Judge(learner.frame, learner.rows(kept), CPU)
        mine = seen.reshape(3, 2, -1)[kept].reshape(-1, seen.shape[1])
        found = judge.act(mine, is_judged=True, greedy=True).reshape(len(kept), 2, -1)
        np.testing.assert_allclose(found, expected[kept], atol=1e-6)


def test_rows_are_copies_that_training_leaves_alone():
    learner = trained("DQN")
    rows = learner.rows()
    before = {name: value.clone() for name, value in rows.tensors.items()}
    learner.store(chunk("DQN", 3, 9))
    learner.update()
    assert_same(rows.tensors, before)
    assert not torch.equal(learner.rows().tensors["parameters/0"], before["parameters/0"])


def test_the_best_of_each_agent_is_put_together_row_by_row():
    learner = trained("DQN", normalize_observation=True)
    best, first = learner.rows(), learner.rows()
    learner.store(chunk("DQN", 3, 9))
    learner.update()
    best.put([2], learner.rows([2]))
    for name, value in best.tensors.items():
        assert_same(value[:2], first.tensors[name][:2])
        assert_same(value[2], learner.rows().tensors[name][2])
    assert best.env_steps.tolist() == [16, 16, 24]
    weights = learner.weights_in(best, 2)
    other = Learner([frame_of("DQN", normalize_observation=True)], [0])
    other.load_weights(weights)
    seen = states("DQN", 2)
    expected = learner.act(np.tile(seen, (3, 1)), is_judged=True, greedy=True)[4:]
    assert other.act(seen, is_judged=True, greedy=True).tolist() == expected.tolist()
