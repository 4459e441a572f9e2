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
    Inert,
    Int,
    Masked,
    OneMinus,
    PowerOfTwo,
    Range,
    Traced,
    inert,
    masked,
    ranges,
    traced,
)
from sweeprl.config.spaces import (
    ActionSpec,
    AgentSpec,
    Continuous,
    Discrete,
    EnvSpec,
    MultiDiscrete,
    Transitions,
)
from sweeprl.config.structure import structure_of
from sweeprl.config.trial import Change, EnvConfig, Evaluation, TrialConfig

__all__ = [
    "ActionSpec",
    "AgentSpec",
    "Change",
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
    "Inert",
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
    "inert",
    "load_config",
    "masked",
    "merge",
    "parse_value",
    "ranges",
    "read",
    "save_config",
    "structure_of",
    "traced",
]
