from __future__ import annotations

import inspect

import pytest

from sweeprl import errors
from sweeprl.errors import did_you_mean

ERRORS = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and value.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_from_one_tree_and_drawn_in_it(error):
    assert issubclass(error, errors.SweepRLError)
    assert error.__name__ in errors.__doc__
    assert error.__name__ in errors.__all__


@pytest.mark.parametrize(
    "child, parent",
    [
        (errors.UnknownNameError, errors.ConfigError),
        (errors.UnsupportedSpaceError, errors.ConfigError),
        (errors.Diverged, errors.TrialFailed),
        (errors.EnvironmentRaised, errors.TrialFailed),
        (errors.StorageFailed, errors.TrialFailed),
    ],
)
def test_the_tree_is_as_drawn(child, parent):
    assert child.__bases__ == (parent,)


def test_a_wrong_setting_is_no_failed_trial():
    assert not issubclass(errors.ConfigError, errors.TrialFailed)
    assert not issubclass(errors.ConfigError, ValueError)  # pydantic would swallow it


@pytest.mark.parametrize(
    "name, known, hint",
    [
        ("DQM", ["DQN", "PPO"], " Did you mean 'DQN'?"),
        ("dqn", ["DQN", "PPO"], " Did you mean 'DQN'?"),
        ("lerning_rate", ["discount", "learning_rate"], " Did you mean 'learning_rate'?"),
        ("zebra", ["DQN", "PPO"], ""),
        ("", ["DQN"], ""),
        ("DQN", [], ""),
    ],
)
def test_did_you_mean(name, known, hint):
    assert did_you_mean(name, known) == hint
