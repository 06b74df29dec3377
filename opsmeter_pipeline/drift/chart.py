"""Changes and their intervals as lines of text, for a terminal and for an asset's metadata."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from opsmeter_pipeline.drift.verdicts import IMPROVED, MIXED, REGRESSED

_WIDTH = 41
_ROWS = 12
_LEAST = 0.2


def draw_intervals(rows: Sequence[tuple[str, float, float, float]]) -> str:
    """Return a line for each change: its name, where it lies on a common scale, and its interval.

    Args:
        rows: name, change, lower and upper end, as shares.

    >>> print(draw_intervals([("output", 0.1, 0.05, 0.15)]))
    output                      |    -----o-----       +10.0 % (+5.0 to +15.0)
            -20 %               0               +20 %
    """
    if not rows:
        return ""
    reach = max(_LEAST, *(abs(value) for _, *values in rows for value in values))
    width = max(len(name) for name, *_ in rows)
    drawn = [
        f"{name:{width}}  {_draw(change, low, high, reach)}  "
        f"{100 * change:+.1f} % ({100 * low:+.1f} to {100 * high:+.1f})"
        for name, change, low, high in rows
    ]
    ends = (f"{100 * end:+.0f} %" for end in (-reach, reach))
    half = _WIDTH // 2
    left, right = ends
    axis = f"{left:<{half}}0{right:>{half}}"
    return "\n".join([*(line.rstrip() for line in drawn), f"{'':{width}}  {axis}"])


def draw_changes(rows: pl.DataFrame) -> str:
    """Return the largest changes of `prompt_version_drift` that moved, each by its measure."""
    moved = rows.filter(pl.col("verdict").is_in([REGRESSED, IMPROVED, MIXED])).head(_ROWS)
    return draw_intervals([_to_line(row) for row in moved.iter_rows(named=True)])


def _to_line(row: dict[str, Any]) -> tuple[str, float, float, float]:
    name = f"{row['endpoint_tag']} {row['prompt_version']} {row['measure']}"
    return name, row["change"], row["change_low"], row["change_high"]


def _draw(change: float, low: float, high: float, reach: float) -> str:
    cells = [" "] * _WIDTH
    cells[_WIDTH // 2] = "|"
    start, at, end = (_place(value, reach) for value in (low, change, high))
    cells[start : end + 1] = "-" * (end + 1 - start)
    cells[at] = "o"
    return "".join(cells)


def _place(value: float, reach: float) -> int:
    return round((value + reach) / (2 * reach) * (_WIDTH - 1))
