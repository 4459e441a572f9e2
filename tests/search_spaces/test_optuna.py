from __future__ import annotations

import math
import random
import warnings

import optuna
import pytest
from hypothesis import given, settings
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweeprl.config import merge
from sweeprl.errors import ConfigError
from sweeprl.search_spaces import (
    Branch,
    Choice,
    Float,
    Int,
    Nested,
    OneMinus,
    PowerOfTwo,
    SearchSpace,
    preset,
)
from sweeprl.search_spaces.optuna import decode, encode, from_optuna, suggest, to_optuna
from tests.search_spaces.strategies import FRAMES, config_of, spaces

optuna.logging.set_verbosity(optuna.logging.WARNING)

NESTED = SearchSpace(
    parameters={
        "discount": OneMinus(1e-4, 0.1),
        "batch_size": PowerOfTwo(4, 10),
        "optimizer": Nested(
            branches={
                "Adam": Branch(
                    value="Adam", parameters={"optimizer_kwargs.eps": Float(1e-8, 1e-5, log=True)}
                ),
                "SGD": Branch(
                    value="SGD", parameters={"optimizer_kwargs.momentum": Float(0.0, 0.9)}
                ),
            }
        ),
    }
)


def study(seed=0, **settings) -> optuna.Study:
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), **settings)


def is_close(one, other) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other)
    return one == other


# ---- distributions


def test_a_space_as_distributions():
    assert to_optuna(NESTED) == {
        "1 - discount": FloatDistribution(1e-4, 0.1, log=True),
        "log2(batch_size)": IntDistribution(4, 10),
        "optimizer": CategoricalDistribution(("Adam", "SGD")),
    }
    assert to_optuna(NESTED, conditional=True) == {
        **to_optuna(NESTED),
        "optimizer[Adam].optimizer_kwargs.eps": FloatDistribution(1e-8, 1e-5, log=True),
        "optimizer[SGD].optimizer_kwargs.momentum": FloatDistribution(0.0, 0.9),
    }


@settings(deadline=None)
@given(spaces())
def test_distributions_become_the_space_they_came_from(space):
    assert from_optuna(to_optuna(space, conditional=True)) == space


@settings(deadline=None)
@given(spaces(depth=0))
def test_optuna_takes_every_distribution_as_it_is(space):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        distributions = to_optuna(space)
        restored = {
            name: optuna.distributions.json_to_distribution(
                optuna.distributions.distribution_to_json(one)
            )
            for name, one in distributions.items()
        }
    assert caught == []
    assert from_optuna(restored) == space


def test_distributions_of_another_program_become_a_space():
    distributions = {
        "lr": FloatDistribution(1e-5, 1e-2, log=True),
        "frac": FloatDistribution(0.0, 1.0, step=0.25),
        "n": IntDistribution(1, 9, step=2),
        "act": CategoricalDistribution(("relu", None, True)),
        "fixed": FloatDistribution(0.5, 0.5),
        "one": IntDistribution(3, 3),
    }
    space = from_optuna(distributions)
    assert space.parameters == {
        "lr": Float(1e-5, 1e-2, log=True),
        "frac": Float(0.0, 1.0, step=0.25),
        "n": Int(1, 9, step=2),
        "act": Choice(("relu", None, True)),
        "fixed": Choice((0.5,)),
        "one": Choice((3,)),
    }


def test_an_unknown_distribution_is_refused():
    with pytest.raises(ConfigError, match="must be one of Float, Int and Categorical, but 'x'"):
        from_optuna({"x": object()})


# ---- define by run


def test_a_real_study_searches_a_nested_space():
    config, space, seen = config_of("DQN"), NESTED, []

    def objective(trial):
        params = space.resolve(config, suggest(trial, space))
        seen.append(merge(config, params).frame_config.optimizer)
        assert decode(space, trial.params) == suggest(trial, space)
        assert ("optimizer_kwargs.eps" in params) == (params["optimizer"] == "Adam")
        return abs(params["discount"] - 0.97)

    trials = study()
    trials.optimize(objective, n_trials=40)
    assert set(seen) == {"Adam", "SGD"}
    assert trials.best_value < 0.01


def test_limits_leave_the_joint_space_whole():
    config = config_of("PPO")
    space, trials, has_moved = SearchSpace.of_config(config), study(), False
    for _ in range(15):
        trial = trials.ask(to_optuna(space))
        proposed = decode(space, trial.params)
        params = space.resolve(config, proposed)
        has_moved = has_moved or params != proposed
        merge(config, params)
        trials.tell(trial, params["discount"])
    joint = optuna.search_space.intersection_search_space(trials.get_trials())
    assert has_moved
    assert joint == to_optuna(space)


def test_asking_and_suggesting_give_the_same_values():
    one, other = study(seed=3), study(seed=3)
    space = NESTED.without("optimizer")
    asked = one.ask(to_optuna(space))
    assert suggest(asked, space) == suggest(other.ask(), space) == decode(space, asked.params)


@pytest.mark.parametrize("frame", FRAMES)
def test_the_default_config_is_the_first_trial(frame):
    config = config_of(frame)
    space, trials = SearchSpace.of_config(config), study()
    values = space.values_of(config)
    trials.enqueue_trial(encode(space, values, nearest=True))
    trial = trials.ask(to_optuna(space))
    params = decode(space, trial.params)
    moved = {key for key in params if not is_close(params[key], values[key])}
    assert moved <= {
        "gradient_max",  # unlimited by default
        "gae_lambda",  # 1 by default, where the range's scale has no end
        "batch_size",  # 100 is no power of two
        "exploration_steps",  # not set
        "entropy_weight",
        "target_entropy",
    }
    merge(config, space.resolve(config, params))


def test_an_enqueued_value_outside_its_range_is_refused():
    trials = study()
    trials.enqueue_trial({"log2(batch_size)": 12})
    with pytest.warns(UserWarning, match="out of range"):
        trial = trials.ask({"log2(batch_size)": IntDistribution(4, 10)})
    with pytest.raises(ConfigError, match="must be a number from 4 to 10, but got 12"):
        decode(NESTED.only("batch_size"), trial.params)


@pytest.mark.parametrize(
    "frame, name", [(frame, name) for frame in FRAMES for name in ("rl_zoo3", "arlbench")]
)
def test_presets_go_through_a_study(frame, name):
    config, space, trials = config_of(frame), preset(frame, name), study()
    trials.enqueue_trial(encode(space, space.values_of(config), nearest=True))
    for _ in range(5):
        trial = trials.ask()
        params = space.resolve(config, suggest(trial, space))
        merge(config, params)
        trials.tell(trial, random.Random(trial.number).random())
