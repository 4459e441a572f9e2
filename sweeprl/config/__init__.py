"""Configs: what a trial is told. Frozen, validated as a whole, free of torch."""

from sweeprl.config.base import Config, build
from sweeprl.config.frame import (
    ClassRef,
    FrameConfig,
    PrioritizedConfig,
    ReplayConfig,
    RolloutConfig,
    SearchConfig,
    TransitionConfig,
)
from sweeprl.config.generate import (
    generate_algorithm_config,
    generate_env_config,
    generate_training_config,
)
from sweeprl.config.io import format_config, load_config, parse_value, save_config
from sweeprl.config.merging import check_applied, merge, read
from sweeprl.config.ranges import (
    Choice,
    Float,
    Int,
    Masked,
    OneMinus,
    PowerOfTwo,
    Range,
    Traced,
    masked,
    ranges,
    traced,
)
from sweeprl.config.spaces import (
    ActionSpec,
    Continuous,
    Discrete,
    EnvSpec,
    MultiDiscrete,
    Transitions,
)
from sweeprl.config.structure import limits_of, parts_of, structure_of, traced_of
from sweeprl.config.trial import EnvConfig, Evaluation, TrialConfig

__all__ = [
    "ActionSpec",
    "Choice",
    "ClassRef",
    "Config",
    "Continuous",
    "Discrete",
    "EnvConfig",
    "EnvSpec",
    "Evaluation",
    "Float",
    "FrameConfig",
    "Int",
    "Masked",
    "MultiDiscrete",
    "OneMinus",
    "PowerOfTwo",
    "PrioritizedConfig",
    "Range",
    "ReplayConfig",
    "RolloutConfig",
    "SearchConfig",
    "Traced",
    "TransitionConfig",
    "Transitions",
    "TrialConfig",
    "build",
    "check_applied",
    "format_config",
    "generate_algorithm_config",
    "generate_env_config",
    "generate_training_config",
    "limits_of",
    "load_config",
    "masked",
    "merge",
    "parse_value",
    "parts_of",
    "ranges",
    "read",
    "save_config",
    "structure_of",
    "traced",
    "traced_of",
]
