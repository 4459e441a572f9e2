"""Every error that sweeprl raises on purpose.

SweepRLError
├── ConfigError              a setting is wrong; nothing was trained
│   ├── Occupied             another process uses what only one may use at a time
│   ├── UnknownNameError     no frame, environment, model, optimizer... has that name
│   └── UnsupportedSpaceError  the frame or model cannot serve the environment's spaces
├── MissingDependencyError   an optional package is not installed
├── SweepFailed              a sweep cannot go on
│   └── DatabaseFailed       its database did not come back
└── TrialFailed              a trial ended without a score
    ├── Diverged             a loss, reward or observation became NaN or infinite
    ├── EnvironmentRaised    the environment itself raised
    └── StorageFailed        results could not be written (a full disk)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DatabaseFailed",
    "Diverged",
    "EnvironmentRaised",
    "MissingDependencyError",
    "Occupied",
    "StorageFailed",
    "SweepFailed",
    "SweepRLError",
    "TrialFailed",
    "UnknownNameError",
    "UnsupportedSpaceError",
    "did_you_mean",
]


class SweepRLError(Exception):
    """The root of the tree."""


class ConfigError(SweepRLError):
    """A setting is wrong; raised before any compute is spent."""


class Occupied(ConfigError):
    """Another process uses what only one may use at a time."""


class UnknownNameError(ConfigError):
    """Nothing of that kind has that name."""


class UnsupportedSpaceError(ConfigError):
    """The frame or the model cannot serve the environment's spaces."""


class MissingDependencyError(SweepRLError):
    """An optional package is needed and not installed."""


class SweepFailed(SweepRLError):
    """A sweep cannot go on; nothing that was learned is lost."""


class DatabaseFailed(SweepFailed):
    """The database of a sweep cannot be reached or written, and did not come back."""


class TrialFailed(SweepRLError):
    """A trial ended without a score; its record holds the reason."""


class Diverged(TrialFailed):
    """A loss, a reward or an observation became NaN or infinite."""


class EnvironmentRaised(TrialFailed):
    """The environment raised while it was reset or stepped."""


class StorageFailed(TrialFailed):
    """Results could not be written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the known name closest to `name`, or "" if none is close.

    >>> did_you_mean("DQM", ["DQN", "PPO"])
    " Did you mean 'DQN'?"
    >>> did_you_mean("zebra", ["DQN", "PPO"])
    ''
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f" Did you mean '{by_folded[close[0]]}'?" if close else ""
