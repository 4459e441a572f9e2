import pytest
import torch

from sweeprl.engine.priorities import Priorities

CPU = torch.device("cpu")


def priorities(values, alpha=1.0, beta=1.0, beta_steps=float("nan"), epsilon=1e-9):
    """A lane for each list of priorities, all drawn once and learned."""
    num, size = len(values), len(values[0])
    numbers = dict(alpha=alpha, beta=beta, beta_steps=beta_steps, epsilon=epsilon)
    settings = {f"priority_{key}": torch.full((num,), value) for key, value in numbers.items()}
    made = Priorities(num, size, CPU, settings)
    made.begin(torch.arange(num * size), torch.ones(num * size))
    made.draw(torch.full((num, size), 0.5), torch.full((num, 1), size))
    made.learn(torch.tensor(values), None)
    return made


def raised(made, lane=0):
    size = made._tree.leaves.shape[1]
    return made.state_dict(lane, torch.arange(size))["priorities"].tolist()


def test_priorities_are_raised_to_their_exponent():
    made = priorities([[4.0, 9.0], [0.0, 1.0]], alpha=0.5, epsilon=0.25)
    assert raised(made) == pytest.approx([4.25**0.5, 9.25**0.5])
    assert raised(made, 1) == pytest.approx([0.5, 1.25**0.5])


def test_each_of_a_batch_comes_from_its_own_share():
    made = priorities([[1.0, 1.0, 2.0]])
    drawn = made.draw(torch.tensor([[0.9, 0.1, 0.9, 0.0]]), torch.tensor([[4]]))
    assert drawn.tolist() == [[0, 1, 2, 2]]
    # A lane with a smaller batch divides the total among fewer.
    drawn = made.draw(torch.tensor([[0.4, 0.9, 0.0, 0.0]]), torch.tensor([[2]]))
    assert drawn[0, :2].tolist() == [0, 2]


def test_importance_makes_up_for_the_chance_to_be_drawn():
    made = priorities([[1.0, 1.0, 2.0]], beta=0.5)
    made.draw(torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([[4]]))
    expected = [[1.0, 1.0, 0.5**0.5, 0.5**0.5]]
    torch.testing.assert_close(made.importance(torch.tensor([[0.0]])), torch.tensor(expected))


def test_the_exponent_of_importance_rises_to_one():
    made = priorities([[1.0, 4.0]], beta=0.5, beta_steps=100.0)
    made.draw(torch.tensor([[0.0, 0.5]]), torch.tensor([[2]]))
    found = [float(made.importance(torch.tensor([[step]]))[0, 1]) for step in (0.0, 50.0, 200.0)]
    assert found == pytest.approx([0.25**0.5, 0.25**0.75, 0.25])


def test_what_is_beyond_a_lanes_batch_neither_weighs_nor_learns():
    made = priorities([[1.0, 1.0, 0.001]], beta=1.0)
    made.draw(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[2]]))
    assert made.importance(torch.tensor([[0.0]]))[0, :2].tolist() == pytest.approx([1, 1], rel=2e-3)
    made.learn(torch.tensor([[0.5, 0.25, 99.0]]), None)
    assert raised(made) == pytest.approx([0.5, 0.25, 0.001], rel=1e-4)


def test_lanes_that_were_not_updated_learn_nothing():
    made = priorities([[1.0, 2.0], [1.0, 2.0]])
    made.draw(torch.full((2, 2), 0.5), torch.full((2, 1), 2))
    made.learn(torch.full((2, 2), 7.0), torch.tensor([[False], [True]]))
    assert raised(made) == pytest.approx([1, 2])
    assert 7 in raised(made, 1)


def test_priorities_that_are_not_finite_are_not_taken_over():
    made = priorities([[1.0, float("nan")], [float("inf"), 2.0]])
    assert raised(made) == pytest.approx([1, 1])
    assert raised(made, 1) == pytest.approx([1, 2])
