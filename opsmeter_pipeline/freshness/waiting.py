"""What waits: events that are not visible yet are observations too, of a lag that still grows.

Once older than the objective they are late now, not only after they are visible. How many lines
wait in a file nobody knows before it is parsed: that is an estimate, and said to be one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import floor

UNKNOWN_LINE_BYTES = 400.0
"""What a line takes if no file was ever taken; the README's example line has as many."""


@dataclass(frozen=True)
class Waiting:
    """Lines of one file, or of one batch whose visible time is not measured, that wait.

    Attributes:
        file: the file.
        since: when the oldest of them landed, at the latest (UTC).
        until: when the newest of them landed (UTC); in between as many landed at any time.
        waiting_bytes: stored bytes; 0 for a batch.
        lines: how many, estimated from the bytes of its source's lines.
        shares: the part of them that each scope, by name, is about; none if they are history or
            a probe's.
        batch_id: the batch that took them, if its visible time is not measured yet.
    """

    file: str
    since: datetime
    until: datetime
    waiting_bytes: int
    lines: float
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    batch_id: str | None = None

    def count_late(self, *, now: datetime, limit_seconds: int) -> float:
        """Return how many of the lines have waited longer than the limit."""
        edge = now - timedelta(seconds=limit_seconds)
        if self.since >= edge:
            return 0.0
        if self.until < edge:
            return self.lines
        return float(floor(self.lines * ((edge - self.since) / (self.until - self.since))))

    def mean_lag_seconds(self, *, now: datetime) -> int:
        """Return how long the lines have waited on the mean, in whole seconds."""
        return max(int((now - self.since - (self.until - self.since) / 2).total_seconds()), 0)


def estimate_lines(waiting_bytes: int, bytes_per_line: float) -> float:
    """Return about how many lines some bytes are: whole, and one at least if there is a byte.

    >>> estimate_lines(4100, 400.0), estimate_lines(3, 400.0), estimate_lines(0, 400.0)
    (10.0, 1.0, 0.0)
    """
    return float(max(round(waiting_bytes / bytes_per_line), 1 if waiting_bytes else 0))


def count_waiting(
    waiting: Iterable[Waiting], scope: str, *, now: datetime, limit_seconds: int
) -> tuple[int, int]:
    """Return how many lines of a scope wait, and how many of them are late; both rounded up."""
    every = [(one, one.shares.get(scope, 0.0)) for one in waiting]
    lines = sum(one.lines * share for one, share in every)
    late = sum(one.count_late(now=now, limit_seconds=limit_seconds) * share for one, share in every)
    return _up(lines), _up(late)


def _up(lines: float) -> int:
    return -int(-round(lines, 6) // 1)
