from __future__ import annotations

import random

import pytest
from optuna.trial import TrialState, create_trial

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, MissingDependencyError
from sweeprl.search_spaces import Branch, Choice, Float, Nested, OneMinus, PowerOfTwo, SearchSpace
from sweeprl.sweeps.analysis import (
    Sample,
    axes_of,
    importances,
    num_near_best,
    samples_of,
    sensitivities,
)
from sweeprl.sweeps.entries import entries_of

SPACE = SearchSpace(
    parameters={
        "learning_rate": Float(1e-5, 1e-2, log=True),
        "epsilon_end": Float(0.0, 0.2),
        "batch_size": PowerOfTwo(4, 8),
        "discount": OneMinus(1e-4, 1e-1),
        "mode": Choice(("vanilla", "double")),
    }
)


@pytest.fixture
def base(small_config):
    return TrialConfig.of(small_config("DQN"))


def entry(number, params, score=None, state=TrialState.COMPLETE, **attributes):
    trial = create_trial(
        state=state, value=score, user_attrs={"params": params, "outcome": {}, **attributes}
    )
    trial.number = number
    return trial


def found(space, base, *trials):
    return samples_of(entries_of(trials), space, base)


def drawn(count, score, space=SPACE, seed=0):
    """Samples drawn at random; `score` takes their values."""
    from sweeprl.search_spaces.optuna import encode

    rng = random.Random(seed)
    values = [space.sample(rng) for _ in range(count)]
    return [Sample(n, encode(space, one), score(one)) for n, one in enumerate(values)]


def by_rate(values):
    """Best at a learning rate of 3e-3."""
    import math

    return 100 - 50 * abs(math.log10(values["learning_rate"] / 3e-3))


# ---- samples


def test_samples_are_the_finished_trials(base):
    values = {"learning_rate": 1e-3, "epsilon_end": 0.1, "batch_size": 64, "discount": 0.99}
    values["mode"] = "double"
    (one,) = found(
        SPACE,
        base,
        entry(0, values, 5.0),
        entry(1, values, state=TrialState.FAIL),
        entry(2, values, state=TrialState.PRUNED),
    )
    assert (one.number, one.score) == (0, 5.0)
    assert one.latents["log2(batch_size)"] == 6
    assert one.latents["1 - discount"] == pytest.approx(0.01)


def test_the_given_config_counts_with_its_own_values(base):
    space = SPACE.only("learning_rate", "discount")
    (one,) = found(space, base, entry(0, {}, 5.0, is_default=True))
    assert one.latents["learning_rate"] == base.frame_config.learning_rate


def test_the_given_config_may_lie_outside(base):
    outside = base.model_copy(deep=True)
    narrow = SearchSpace(parameters={"learning_rate": Float(1e-6, 1e-5)})
    assert found(narrow, outside, entry(0, {}, 5.0, is_default=True)) == []


def test_branches_are_axes(base):
    space = SearchSpace(
        parameters={
            "mode": Nested(
                branches={
                    "double": Branch(value="double", parameters={"epsilon_end": Float(0, 0.1)}),
                    "vanilla": Branch(value="vanilla", parameters={}),
                }
            )
        }
    )
    assert [axis.parameter for axis in axes_of(space)] == ["mode", "mode[double].epsilon_end"]
    samples = drawn(40, lambda v: 1.0 if v["mode"] == "vanilla" else v["epsilon_end"], space)
    mode, epsilon = sensitivities(samples, space)
    assert [len(part.scores) for part in mode.bins] == [
        sum("mode[double].epsilon_end" in str(s.latents) for s in samples),
        sum("mode[double].epsilon_end" not in str(s.latents) for s in samples),
    ]
    assert sum(len(part.scores) for part in epsilon.bins) == len(mode.bins[0].scores)
    assert "mode" in importances(samples, space)


# ---- importances


@pytest.mark.parametrize("method", ["ped-anova", "fanova"])
def test_what_decides_the_score_comes_first(method):
    if method == "fanova":
        pytest.importorskip("sklearn")
    shares = importances(drawn(120, by_rate), SPACE, method)
    assert next(iter(shares)) == "learning_rate"
    assert set(shares) == set(SPACE.parameters)
    assert shares["learning_rate"] > 0.5
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_few_trials_tell_nothing():
    with pytest.raises(ConfigError, match="At least 5 finished trials are needed"):
        importances(drawn(4, by_rate), SPACE)


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'fanova'"):
        importances(drawn(9, by_rate), SPACE, "fanov")


def test_fanova_without_its_package_is_answered_with_a_command(monkeypatch):
    def missing(**settings):
        raise ImportError("No module named 'sklearn'")

    monkeypatch.setattr("sweeprl.sweeps.analysis.FanovaImportanceEvaluator", missing)
    with pytest.raises(MissingDependencyError, match="pip install scikit-learn"):
        importances(drawn(9, by_rate), SPACE, "fanova")


# ---- sensitivity


def sensitivity(samples, name, space=SPACE):
    return next(one for one in sensitivities(samples, space) if one.parameter == name)


def test_bins_lie_on_the_scale_of_the_search():
    rate = sensitivity(drawn(100, by_rate), "learning_rate")
    assert len(rate.bins) == 8
    assert (rate.bins[0].low, rate.bins[-1].high) == pytest.approx((1e-5, 1e-2))
    ratios = [part.high / part.low for part in rate.bins]
    assert ratios == pytest.approx([1000 ** (1 / 8)] * 8)
    assert sum(len(part.scores) for part in rate.bins) == 100
    assert rate.peak.low <= 3e-3 <= rate.peak.high


def test_few_values_have_a_bin_each():
    samples = drawn(60, lambda values: float(values["batch_size"]))
    sizes = sensitivity(samples, "batch_size").bins
    assert [part.low for part in sizes] == [part.high for part in sizes] == [16, 32, 64, 128, 256]
    assert [part.best for part in sizes] == [part.mean for part in sizes] == [16, 32, 64, 128, 256]
    modes = sensitivity(samples, "mode").bins
    assert [part.low for part in modes] == ["vanilla", "double"]


def test_a_bin_without_trials_has_no_scores():
    samples = [one for one in drawn(60, by_rate) if one.latents["learning_rate"] < 1e-3]
    last = sensitivity(samples, "learning_rate").bins[-1]
    assert (last.best, last.mean, last.scores) == (None, None, ())


@pytest.mark.parametrize(
    "name, score, edge",
    [
        ("epsilon_end", lambda values: -values["epsilon_end"], 0.0),
        ("epsilon_end", lambda values: values["epsilon_end"], 0.2),
        ("discount", lambda values: values["discount"], 0.9999),
        ("batch_size", lambda values: values["batch_size"], 256),
        ("learning_rate", by_rate, None),
        ("mode", lambda values: values["mode"] == "double", None),
    ],
)
def test_an_optimum_at_the_boundary_is_found(name, score, edge):
    found = sensitivity(drawn(300, lambda values: float(score(values))), name).edge
    assert found == (edge if edge is None else pytest.approx(edge))


def test_how_many_are_near_the_best():
    assert num_near_best([Sample(n, {}, s) for n, s in enumerate([100.0, 91.0, 89.0])]) == 2
    assert num_near_best([Sample(n, {}, s) for n, s in enumerate([-100.0, -109.0, -111.0])]) == 2
    assert num_near_best([]) == 0
