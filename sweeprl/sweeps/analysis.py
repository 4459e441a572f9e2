"""What the trials of a search tell about its parameters."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import create_trial

from sweeprl.config import TrialConfig
from sweeprl.config.ranges import same
from sweeprl.errors import ConfigError, MissingDependencyError, did_you_mean
from sweeprl.search_spaces import Nested, SearchSpace
from sweeprl.search_spaces.codecs import codec_of
from sweeprl.search_spaces.coding import branch_prefix
from sweeprl.search_spaces.latents import Label, Latent, Real, Whole
from sweeprl.search_spaces.optuna import encode, to_optuna
from sweeprl.search_spaces.parameters import Parameters
from sweeprl.sweeps.entries import Entry

__all__ = [
    "ENOUGH",
    "METHODS",
    "Axis",
    "Bin",
    "Sample",
    "Sensitivity",
    "axes_of",
    "importances",
    "num_near_best",
    "samples_of",
    "sensitivities",
]

ENOUGH = 50
"""Finished trials below which importances are little more than chance."""

METHODS = ("ped-anova", "fanova")
"""What tells how much a parameter matters.

ped-anova: for being among the best tenth. Watanabe, Bansal, Hutter 2023, PED-ANOVA: Efficiently
Quantifying Hyperparameter Importance in Arbitrary Subspaces, https://arxiv.org/abs/2304.10255.

fanova: for the score of all. Hutter, Hoos, Leyton-Brown 2014, An Efficient Approach for Assessing
Hyperparameter Importance, https://proceedings.mlr.press/v32/hutter14.html.
"""

_LEAST = 5
"""Finished trials without which nothing can be said."""

_BINS = 8

_EDGE = 0.05
"""Share of a range that counts as its edge."""


@dataclass(frozen=True)
class Sample:
    """One finished trial: where in the space it lies, and its score."""

    number: int
    latents: Mapping[str, Any]
    """By name; those of branches that were not taken are not there."""
    score: float


@dataclass(frozen=True)
class Axis:
    """One parameter of a space, on the scale on which it is searched."""

    name: str
    """Of its latent, `log2(batch_size)` for example."""
    parameter: str
    """Its key; `optimizer[SGD].momentum` in a branch."""
    latent: Latent
    decode: Callable[[Any], Any]
    """From the latent to the value."""


def axes_of(space: SearchSpace) -> list[Axis]:
    """Returns every parameter of a space, those of branches too."""
    return list(_axes(space.parameters, ""))


def _axes(parameters: Parameters, prefix: str) -> Iterator[Axis]:
    for key, one in parameters.items():
        if not isinstance(one, Nested):
            codec = codec_of(one)
            yield Axis(prefix + codec.name(key), prefix + key, codec.latent, codec.decode)
            continue
        yield Axis(prefix + one.name(key), prefix + key, one.latent, lambda label: label)
        for name, branch in one.branches.items():
            yield from _axes(branch.parameters, prefix + branch_prefix(key, name))


def samples_of(entries: Sequence[Entry], space: SearchSpace, base: TrialConfig) -> list[Sample]:
    """Returns the finished trials that lie in the space; the given config may lie outside.

    Of a population they are those of the first generation: later ones change their parameters.
    """
    samples = []
    for entry in entries:
        if entry.state != "finished" or entry.score is None or entry.generation:
            continue
        try:
            latents = encode(space, entry.params or space.values_of(base))
        except ConfigError:
            continue
        samples.append(Sample(entry.number, latents, entry.score))
    return samples


def importances(
    samples: Sequence[Sample], space: SearchSpace, method: str = "ped-anova"
) -> dict[str, float]:
    """Returns the share that each parameter has in what decides the score, the largest first.

    Args:
        samples: finished trials.
        space: what they were drawn from.
        method: one of METHODS.

    Raises:
        ConfigError: there is no such method, or there are too few trials.
        MissingDependencyError: fanova needs scikit-learn.
    """
    if len(samples) < _LEAST:
        raise ConfigError(
            f"At least {_LEAST} finished trials are needed to tell what mattered, but there are "
            f"{len(samples)}. Let the sweep go on with more --trials."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        found = get_param_importances(_study_of(samples, space), evaluator=_evaluator(method))
    names = {axis.name: axis.parameter for axis in axes_of(space)}
    ranked = sorted(found.items(), key=lambda item: item[1], reverse=True)
    return {names[name]: float(share) for name, share in ranked}


def _evaluator(method: str) -> BaseImportanceEvaluator:
    if method == "ped-anova":
        return PedAnovaImportanceEvaluator()
    if method != "fanova":
        raise ConfigError(
            f"No method named '{method}'.{did_you_mean(method, METHODS)} "
            f"Known: {', '.join(METHODS)}."
        )
    try:
        return FanovaImportanceEvaluator(seed=0)
    except ImportError as error:
        raise MissingDependencyError(
            "The method fanova needs the package scikit-learn: pip install scikit-learn"
        ) from error


def _study_of(samples: Sequence[Sample], space: SearchSpace) -> optuna.Study:
    """A study in memory, whose trials have the values that were trained."""
    distributions = to_optuna(space, conditional=True)
    storage = optuna.storages.InMemoryStorage()
    direction = optuna.study.StudyDirection.MAXIMIZE
    name = storage.get_study_name_from_id(storage.create_new_study([direction]))
    study = optuna.load_study(study_name=name, storage=storage)
    study.add_trials(
        create_trial(
            params=dict(sample.latents),
            distributions={name: distributions[name] for name in sample.latents},
            value=sample.score,
        )
        for sample in samples
    )
    return study


def num_near_best(samples: Sequence[Sample], share: float = 0.9) -> int:
    """Returns how many trials score at least `share` of the best; of a best of -10, -11."""
    best = max((sample.score for sample in samples), default=0.0)
    least = best - (1 - share) * abs(best)
    return sum(sample.score >= least for sample in samples)


@dataclass(frozen=True)
class Bin:
    """Trials whose parameter lies in one part of its range."""

    low: Any
    """A value; for a choice, the option."""
    high: Any
    scores: tuple[float, ...]

    @property
    def best(self) -> float | None:
        """The best score; None where no trial is."""
        return max(self.scores, default=None)

    @property
    def mean(self) -> float | None:
        """The mean score; None where no trial is."""
        return fmean(self.scores) if self.scores else None


@dataclass(frozen=True)
class Sensitivity:
    """How the score goes with one parameter."""

    parameter: str
    bins: tuple[Bin, ...]
    """In the order of the range, on the scale on which it is searched."""
    edge: Any = None
    """The end of the range at which the five best trials lie; None where they do not."""

    @property
    def peak(self) -> Bin:
        """Where the best trial lies."""
        return max(self.bins, key=lambda one: -math.inf if one.best is None else one.best)


def sensitivities(samples: Sequence[Sample], space: SearchSpace) -> list[Sensitivity]:
    """Returns, for each parameter, how the score goes with it."""
    return [
        Sensitivity(axis.parameter, tuple(_bins(axis, samples)), _edge(axis, samples))
        for axis in axes_of(space)
    ]


def _bins(axis: Axis, samples: Sequence[Sample]) -> list[Bin]:
    latent, parts = axis.latent, _parts(axis)
    scores: list[list[float]] = [[] for _ in parts]
    for sample in _those_with(axis, samples):
        scores[_part(latent, sample.latents[axis.name], len(parts))].append(sample.score)
    return [Bin(low, high, tuple(s)) for (low, high), s in zip(parts, scores, strict=True)]


def _parts(axis: Axis) -> list[tuple[Any, Any]]:
    """The values at both ends of each part of the range; single values where they are few."""
    latent = axis.latent
    if isinstance(latent, Label):
        return [(axis.decode(option), axis.decode(option)) for option in latent.options]
    count = _num_values(latent)
    if count <= 2 * _BINS:
        assert latent.step is not None
        values = [axis.decode(latent.low + index * latent.step) for index in range(int(count))]
        return [(value, value) for value in values]
    edges = [axis.decode(_at(latent, index / _BINS)) for index in range(_BINS + 1)]
    return [(min(pair), max(pair)) for pair in itertools.pairwise(edges)]


def _part(latent: Latent, value: Any, count: int) -> int:
    """Where in its range a value lies."""
    if isinstance(latent, Label):
        return next(i for i, option in enumerate(latent.options) if same(option, value))
    if latent.step is not None and _num_values(latent) == count:
        return int(round((value - latent.low) / latent.step))
    return min(max(int(_position(latent, value) * count), 0), count - 1)


def _those_with(axis: Axis, samples: Sequence[Sample]) -> list[Sample]:
    """Trials that have the parameter at all."""
    return [sample for sample in samples if axis.name in sample.latents]


def _num_values(latent: Real | Whole) -> float:
    if latent.step is None:
        return math.inf
    return round((latent.high - latent.low) / latent.step) + 1


def _position(latent: Real | Whole, value: float) -> float:
    """Share of the range that lies below a value, on the scale on which it is searched."""
    if latent.log:
        return math.log(value / latent.low) / math.log(latent.high / latent.low)
    return (value - latent.low) / (latent.high - latent.low)


def _at(latent: Real | Whole, position: float) -> float:
    if latent.log:
        ratio = math.log(latent.high / latent.low)
        return latent.low * math.exp(position * ratio)
    return latent.low + position * (latent.high - latent.low)


def _edge(axis: Axis, samples: Sequence[Sample]) -> Any:
    """The end of the range at which all of the five best trials lie, or None."""
    having = _those_with(axis, samples)
    if isinstance(axis.latent, Label) or len(having) < _LEAST or _num_values(axis.latent) < 3:
        return None
    ranked = sorted(having, key=lambda sample: sample.score, reverse=True)
    positions = [_position(axis.latent, one.latents[axis.name]) for one in ranked[:_LEAST]]
    ends: dict[Literal["low", "high"], bool] = {
        "low": max(positions) <= _EDGE,
        "high": min(positions) >= 1 - _EDGE,
    }
    found = next((end for end, is_there in ends.items() if is_there), None)
    return None if found is None else axis.decode(getattr(axis.latent, found))
