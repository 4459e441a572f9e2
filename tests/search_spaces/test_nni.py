from __future__ import annotations

import json
import logging
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner
from nni.common.hpo_utils import validate_search_space

from sweeprl.errors import ConfigError
from sweeprl.search_spaces import (
    Branch,
    Choice,
    Float,
    Int,
    Nested,
    Normal,
    OneMinus,
    PowerOfTwo,
    SearchSpace,
    decode_nni,
    encode_nni,
    from_nni,
    to_nni,
)
from tests.search_spaces.strategies import spaces

TEN_TYPES = {
    "choice": {"_type": "choice", "_value": [1, 2.5, "x", False]},
    "randint": {"_type": "randint", "_value": [0, 5]},
    "uniform": {"_type": "uniform", "_value": [0, 1]},
    "quniform": {"_type": "quniform", "_value": [5, 100, 16]},
    "quniform_on_grid": {"_type": "quniform", "_value": [0.5, 1, 0.25]},
    "quniform_whole": {"_type": "quniform", "_value": [1, 10, 1]},
    "loguniform": {"_type": "loguniform", "_value": [1e-05, 0.1]},
    "qloguniform": {"_type": "qloguniform", "_value": [16.0, 512, 8]},
    "qloguniform_whole": {"_type": "qloguniform", "_value": [16, 512, 1]},
    "normal": {"_type": "normal", "_value": [0, 1.5]},
    "qnormal": {"_type": "qnormal", "_value": [0, 1, 0.5]},
    "lognormal": {"_type": "lognormal", "_value": [0, 1]},
    "qlognormal": {"_type": "qlognormal", "_value": [0.5, 1, 2]},
    "nested": {
        "_type": "choice",
        "_value": [
            {"_name": "dqn", "eps": {"_type": "uniform", "_value": [0, 1]}},
            {"_name": "a2c"},
        ],
    },
    "bare": {"_type": "choice", "_value": [{"_name": "x"}, {"_name": "y"}]},
}
OURS = SearchSpace(
    parameters={
        "learning_rate": Float(1e-5, 1e-2, log=True),
        "discount": OneMinus(1e-4, 0.1),
        "batch_size": PowerOfTwo(4, 10),
        "a": Float(0, 1, step=0.25),
        "b": Float(0.1, 1.1, step=0.5),
        "c": Float(1, 9, log=True, step=4),
        "d": Int(1, 9),
        "e": Int(1, 9, step=4),
        "f": Int(1, 900, log=True),
        "g": Int(0, 4, ordered=False),
        "h": Normal(0, 1, log=True, step=0.5),
        "hidden": Choice(([64], [64, 64], None)),
        "null": Choice((None, "null", 2**60, float("inf"))),
        "constant": Choice((3,)),
        "optimizer": Nested(
            branches={
                "Adam": Branch(
                    value="Adam",
                    parameters={"eps": Float(1e-8, 1e-5, log=True), "n": PowerOfTwo(1, 3)},
                ),
                "SGD": Branch(value="SGD", parameters={"kind": Choice((1, None))}),
            }
        ),
        "target": Nested(branches={"small": Branch(value=[64]), "none": Branch()}),
    }
)


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("nni").setLevel(logging.ERROR)


# ---- spaces


def test_all_ten_types_come_back_as_the_same_text():
    space = SearchSpace.of(TEN_TYPES)
    assert json.dumps(to_nni(space)) == json.dumps(TEN_TYPES)
    assert SearchSpace.of(json.loads(json.dumps(space.to_dict()))) == space


def test_what_the_ten_types_mean():
    parameters = from_nni(TEN_TYPES).parameters
    assert parameters["choice"] == Choice((1, 2.5, "x", False))
    assert parameters["randint"] == Int(0, 4, ordered=False)
    assert parameters["quniform"] == Int(5, 100, step=16, anchor="zero")
    assert parameters["quniform_on_grid"] == Float(0.5, 1, step=0.25)
    assert parameters["quniform_whole"] == Int(1, 10)
    assert parameters["qloguniform"] == Float(16, 512, log=True, step=8, anchor="zero")
    assert parameters["qloguniform_whole"] == Int(16, 512, log=True)
    assert parameters["qlognormal"] == Normal(0.5, 1, log=True, step=2)
    assert parameters["nested"] == Nested(
        branches={
            "dqn": Branch(value="dqn", parameters={"eps": Float(0, 1)}),
            "a2c": Branch(value="a2c"),
        }
    )


def test_what_nni_does_not_know_says_in_its_name_how_it_is_made():
    found = to_nni(OURS)
    assert found["1 - discount"] == {"_type": "loguniform", "_value": [1e-4, 0.1]}
    assert found["log2(batch_size)"] == {"_type": "quniform", "_value": [4, 10, 1]}
    assert found["a"] == {"_type": "quniform", "_value": [0, 1, 0.25]}
    assert found["unrounded(b, 0.5, low)"] == {"_type": "uniform", "_value": [0.1, 1.1]}
    assert found["unrounded_int(e, 4, low)"] == {"_type": "uniform", "_value": [1, 9]}
    assert found["d"] == {"_type": "quniform", "_value": [1, 9, 1]}
    assert found["json(hidden)"]["_value"] == ["[64]", "[64, 64]", "null"]
    assert found["json(null)"]["_value"] == ["null", '"null"', str(2**60), "Infinity"]
    assert found["optimizer"]["_value"][0]["log2(n)"]["_type"] == "quniform"
    assert found["choose(target)"]["_value"] == [{"_name": "small = [64]"}, {"_name": "none"}]


def test_our_space_comes_back_from_nni():
    assert from_nni(json.loads(json.dumps(to_nni(OURS)))) == OURS


@settings(deadline=None)
@given(spaces(depth=1))
def test_a_second_way_through_nni_changes_nothing(space):
    content = to_nni(space)
    again = from_nni(content)
    assert to_nni(again) == content
    assert from_nni(to_nni(again)) == again


@settings(deadline=None)
@given(spaces(depth=1))
def test_nnis_own_check_passes(space):
    content = to_nni(space)
    assert not content or validate_search_space(json.loads(json.dumps(content)))


@pytest.mark.parametrize(
    "entry, message",
    [
        (3, "x: a parameter must be a mapping with `_type`"),
        ({"_type": "uniform"}, "mapping with `_type` and `_value`, but got"),
        ({"_type": "logunifrom", "_value": [0, 1]}, "Did you mean 'loguniform'"),
        ({"_type": "int", "_value": [0, 1]}, "`_type` must be one of choice, .* but got 'int'"),
        ({"_type": "uniform", "_value": [0, 1, 2]}, "must be a list of 2 numbers"),
        ({"_type": "uniform", "_value": [0, "1"]}, "must be a list of 2 numbers"),
        ({"_type": "uniform", "_value": 3}, "must be a list of 2 numbers"),
        ({"_type": "choice", "_value": 3}, "must be a list of options"),
        ({"_type": "choice", "_value": []}, "x: `options` must hold at least one"),
        ({"_type": "choice", "_value": [1, True]}, "1 equals True"),
        ({"_type": "uniform", "_value": [1, 0]}, "x: `low < high` must hold"),
        ({"_type": "loguniform", "_value": [0, 1]}, "x: `low > 0` must hold"),
        ({"_type": "quniform", "_value": [0, 1, 0]}, "x: `step > 0` must hold"),
        ({"_type": "normal", "_value": [0, 0]}, "x: `sigma > 0` must hold"),
        ({"_type": "randint", "_value": [0.5, 3]}, "x: `low` must be an integer"),
        ({"_type": "choice", "_value": [{"_name": "a"}, 3]}, "either all options or none"),
    ],
)
def test_what_nni_would_misread_is_refused(entry, message):
    with pytest.raises(ConfigError, match=message):
        from_nni({"ok": {"_type": "uniform", "_value": [0, 1]}, "x": entry})


def test_a_plain_number_among_nnis_entries_is_refused():
    with pytest.raises(ConfigError, match='x: a parameter must.*A constant is {"_type": "choice"'):
        SearchSpace.of({"ok": {"_type": "uniform", "_value": [0, 1]}, "x": 3})


def test_a_name_of_ours_with_another_type_is_refused():
    with pytest.raises(ConfigError, match=r"for its kind of range, but got 'log2\(x\)'"):
        from_nni({"log2(x)": {"_type": "normal", "_value": [0, 1]}})


def test_an_integer_range_of_one_is_a_constant():
    found = from_nni({"x": {"_type": "randint", "_value": [3, 4]}})
    assert found.parameters == {"x": Choice((3,))}


def test_a_nested_choice_inside_another_is_refused():
    inner = Nested(branches={"a": Branch(parameters={"y": Float(0, 1)}), "b": Branch()})
    space = SearchSpace(parameters={"x": Nested(branches={"o": Branch(parameters={"i": inner})})})
    with pytest.raises(ConfigError, match="'i' must not be a nested choice inside.* 'x' for NNI"):
        to_nni(space)


# ---- proposals


@given(spaces(depth=1), st.integers(0, 100))
def test_what_is_encoded_for_nni_is_decoded_to_the_same(space, seed):
    params = space.sample(random.Random(seed))
    read = from_nni(json.loads(json.dumps(to_nni(space))))
    proposal = json.loads(json.dumps(encode_nni(read, params)))
    found = decode_nni(space, proposal)
    assert found.keys() == params.keys()
    for key, value in params.items():
        is_float = isinstance(value, float)
        assert found[key] == (pytest.approx(value, rel=1e-9) if is_float else value)


def test_a_value_that_cannot_be_proposed_is_not_encoded():
    space = SearchSpace(parameters={"batch_size": PowerOfTwo(4, 10)})
    with pytest.raises(ConfigError, match=r"'batch_size' must lie in .*, but got 8"):
        encode_nni(space, {"batch_size": 8})


@pytest.mark.parametrize("tuner", [RandomTuner, TpeTuner])
@pytest.mark.parametrize("space", [SearchSpace.of(TEN_TYPES), OURS], ids=["theirs", "ours"])
def test_proposals_of_nnis_tuners_are_decoded(tuner, space):
    generator = tuner(seed=0)
    generator.update_search_space(to_nni(space))
    flat = set(space.sample(random.Random(0)))
    for index in range(30):
        found = decode_nni(space, generator.generate_parameters(index))
        assert flat & set(space.parameters) <= set(found) | {"target"}
        json.dumps(found)


@pytest.mark.parametrize(
    "one, name, proposal, value",
    [
        (Float(0, 1), "x", 0, 0.0),
        (Float(0.0, 1.0, step=0.3, anchor="zero"), "x", 0.6000000000000001, 0.6),
        (Int(1, 512, log=True), "x", 16.0, 16),
        (Int(0, 4, ordered=False), "x", 3, 3),
        (PowerOfTwo(4, 10), "log2(x)", 6.0, 64),
        (OneMinus(1e-4, 0.1), "1 - x", 0.01, 0.99),
        (Normal(0, 1), "x", -7.5, -7.5),
        (Normal(0, 1, step=0.1), "x", 0.30000000000000004, 0.3),
        (Choice((1.0, 2.0)), "x", 1, 1.0),
        (Choice((True, False)), "x", True, True),
        (Choice(([64], None)), "json(x)", "[64]", [64]),
        (Choice((None, "null")), "json(x)", "null", None),
    ],
)
def test_what_a_proposal_stands_for(one, name, proposal, value):
    found = decode_nni(SearchSpace(parameters={"x": one}), {name: proposal})
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


def test_a_nested_proposal_is_flattened():
    proposal = {"nested": {"_name": "dqn", "eps": 0.5}, "bare": {"_name": "x"}}
    space = SearchSpace.of(TEN_TYPES).only("nested", "bare")
    assert decode_nni(space, proposal) == {"nested": "dqn", "eps": 0.5, "bare": "x"}


def test_a_branch_without_a_value_sets_nothing_itself():
    space = OURS.only("target")
    assert decode_nni(space, {"choose(target)": {"_name": "none"}}) == {}
    assert decode_nni(space, {"choose(target)": {"_name": "small = [64]"}}) == {"target": [64]}


@pytest.mark.parametrize(
    "proposal, message",
    [
        ({}, "A value for 'uniform' must be proposed"),
        ({"uniform": 0.5}, "A value for 'nested' must be proposed"),
        ({"uniform": 2.0, "nested": {"_name": "a2c"}}, "'uniform' must lie in Float"),
        ({"uniform": "x", "nested": {"_name": "a2c"}}, "'uniform' must lie in Float"),
        ({"uniform": 0.5, "nested": {"_name": "a3c"}}, "'nested' must have a `_name` out of"),
        ({"uniform": 0.5, "nested": "a2c"}, "'nested' must have a `_name` out of"),
        ({"uniform": 0.5, "nested": {"_name": "dqn"}}, "A value for 'eps' must be proposed"),
        ({"uniform": 0.5, "nested": {"_name": "a2c"}, "unifrom": 1}, "Did you mean 'uniform'"),
    ],
)
def test_a_proposal_that_does_not_fit_is_refused(proposal, message):
    space = SearchSpace.of(TEN_TYPES).only("uniform", "nested")
    with pytest.raises(ConfigError, match=message):
        decode_nni(space, proposal)


@pytest.mark.parametrize(
    "one, name, proposal",
    [
        (Normal(0, 1), "x", "a"),
        (Normal(0, 1, log=True), "x", -1.0),
        (PowerOfTwo(4, 10), "log2(x)", 11),
        (Choice((1, 2)), "x", 3),
        (Choice((1, 2)), "x", True),
    ],
)
def test_a_value_outside_its_range_is_refused(one, name, proposal):
    with pytest.raises(ConfigError, match="must .*, but got"):
        decode_nni(SearchSpace(parameters={"x": one}), {name: proposal})
