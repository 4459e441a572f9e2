from __future__ import annotations

import dataclasses

import pytest

from sweeprl.config import Continuous, Discrete, EnvSpec, MultiDiscrete


@pytest.mark.parametrize(
    "spec, size", [(Discrete(5), 1), (MultiDiscrete((2, 3, 4)), 3), (Continuous(6), 6)]
)
def test_size_is_how_many_numbers_an_action_has(spec, size):
    assert spec.size == size


@pytest.mark.parametrize(
    "spec, num", [(Discrete(5), 5), (MultiDiscrete((2, 3, 4)), 9), (Continuous(6), 6)]
)
def test_a_policy_returns_a_score_for_each_choice_or_the_action(spec, num):
    assert spec.num_outputs == num


def test_specs_are_values():
    assert EnvSpec(4, Discrete(2)) == EnvSpec(4, Discrete(2))
    assert EnvSpec(4, Discrete(2)) != EnvSpec(4, Discrete(3))
    assert Discrete(3) != Continuous(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        EnvSpec(4, Discrete(2)).observation_size = 5
