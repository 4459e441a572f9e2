"""Numbers, times and curves as short text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["along", "duration", "interval_text", "number", "sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"


def number(value: float | None) -> str:
    """Returns a measured number with four digits.

    >>> [number(value) for value in (431.24, 0.00125, -3.0, 12345.6, 0.0, None)]
    ['431.2', '0.001250', '-3.000', '12,346', '0', '-']
    """
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.4g}" if value else "0"


def interval_text(low: float, high: float) -> str:
    """Returns an interval, or nothing where it is not bounded.

    >>> interval_text(402.0, 466.25)
    '[402.0, 466.2]'
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{number(low)}, {number(high)}]"


def duration(seconds: float) -> str:
    """Returns a span of time.

    >>> [duration(seconds) for seconds in (7.4, 83, 4000, 200_000)]
    ['7 s', '1:23', '1:06:40', '2 d 07 h']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60, whole // 3600
    if hours < 48:
        clock = f"{minutes % 60:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
        return f"{hours}:{clock}" if hours else clock
    return f"{hours // 24} d {hours % 24:02} h"


def sparkline(
    values: Iterable[float | None], low: float | None = None, high: float | None = None
) -> str:
    """Returns a character for each value, as high as it is; a dot where there is none.

    Args:
        values: finite numbers.
        low: what the lowest block stands for; the least of the values by default.
        high: what the highest block stands for; the largest of the values by default.

    >>> sparkline([0.0, 1.0, 2.0, None, 7.0])
    '▁▂▃·█'
    >>> sparkline([5.0, 5.0])
    '▄▄'
    """
    values = [v if v is not None and math.isfinite(v) else None for v in values]
    known = [value for value in values if value is not None]
    bottom = min(known, default=0.0) if low is None else low
    top = max(known, default=0.0) if high is None else high
    return "".join("·" if value is None else _block(value, bottom, top) for value in values)


def _block(value: float, low: float, high: float) -> str:
    if low >= high:
        return _BLOCKS[len(_BLOCKS) // 2 - 1]
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return _BLOCKS[round(share * (len(_BLOCKS) - 1))]


def along(scores: Mapping[int, float], budget: int, columns: int) -> Sequence[float]:
    """Returns the scores of a trial in equal parts of its budget, up to where it has come.

    Args:
        scores: by environment steps.
        budget: environment steps of the whole trial.
        columns: how many parts.

    >>> along({25: 1.0, 50: 3.0, 75: 2.0}, budget=100, columns=8)
    [1.0, 1.0, 3.0, 3.0, 2.0, 2.0]
    """
    if not scores:
        return []
    last = max(scores)
    reached = max(1, min(columns, round(columns * last / budget)))
    points = sorted(scores.items())
    found, index = [], 0
    for column in range(1, reached + 1):
        while index + 1 < len(points) and points[index][0] * columns < column * budget:
            index += 1
        found.append(points[index][1])
    return found
