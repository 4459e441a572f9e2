"""Search spaces: one declaration for every tuner. Optuna's side is in `search_spaces.optuna`."""

from sweeprl.config.ranges import Choice, Float, Int, Normal, OneMinus, PowerOfTwo
from sweeprl.search_spaces.files import format_space, load_space, save_space
from sweeprl.search_spaces.nni import decode_nni, encode_nni, from_nni, to_nni
from sweeprl.search_spaces.parameters import Branch, Nested
from sweeprl.search_spaces.presets import preset, presets
from sweeprl.search_spaces.space import SearchSpace

__all__ = [
    "Branch",
    "Choice",
    "Float",
    "Int",
    "Nested",
    "Normal",
    "OneMinus",
    "PowerOfTwo",
    "SearchSpace",
    "decode_nni",
    "encode_nni",
    "format_space",
    "from_nni",
    "load_space",
    "preset",
    "presets",
    "save_space",
    "to_nni",
]
