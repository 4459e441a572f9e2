"""The mathematics of the learning rules: pure functions of tensors."""

from sweeprl.functional.capture import Captured
from sweeprl.functional.distribution import (
    atoms,
    categorical_cross_entropy,
    categorical_projection,
    select_action_distribution,
)
from sweeprl.functional.exploration import (
    as_probabilities,
    clipped_normal_noise,
    ornstein_uhlenbeck,
    smoothing_noise,
    uniform_noise,
)
from sweeprl.functional.imitation import discriminator_loss, imitation_reward
from sweeprl.functional.policy import (
    categorical_entropy,
    categorical_kl,
    categorical_log_prob,
    categorical_sample,
    clipped_surrogate,
    gaussian_entropy,
    gaussian_kl,
    gaussian_log_prob,
    squashed_gaussian_log_prob,
    surrogate,
)
from sweeprl.functional.priority import annealed, importance_weights
from sweeprl.functional.random import normal_at, stream_key, uniform_at
from sweeprl.functional.returns import gae, n_step_return
from sweeprl.functional.search import search_gradient
from sweeprl.functional.trust_region import (
    backtracked,
    conjugate_gradient,
    fisher_vector_product,
    hessian_vector_product,
)
from sweeprl.functional.value import (
    double_q_value,
    hysteretic_target,
    select_action_value,
    soft_value,
    standardized,
    td_target,
    weighted_mean,
)

__all__ = [
    "Captured",
    "annealed",
    "as_probabilities",
    "atoms",
    "backtracked",
    "categorical_cross_entropy",
    "categorical_entropy",
    "categorical_kl",
    "categorical_log_prob",
    "categorical_projection",
    "categorical_sample",
    "clipped_normal_noise",
    "clipped_surrogate",
    "conjugate_gradient",
    "discriminator_loss",
    "double_q_value",
    "fisher_vector_product",
    "gae",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_prob",
    "hessian_vector_product",
    "hysteretic_target",
    "imitation_reward",
    "importance_weights",
    "n_step_return",
    "normal_at",
    "ornstein_uhlenbeck",
    "search_gradient",
    "select_action_distribution",
    "select_action_value",
    "smoothing_noise",
    "soft_value",
    "squashed_gaussian_log_prob",
    "standardized",
    "stream_key",
    "surrogate",
    "td_target",
    "uniform_at",
    "uniform_noise",
    "weighted_mean",
]
