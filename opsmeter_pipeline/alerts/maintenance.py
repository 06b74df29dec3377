"""Maintenance windows: announced times in which conditions are recorded and nobody is told."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class MaintenanceWindow:
    """A time in which no alert is sent.

    Attributes:
        from_at: its first instant (UTC).
        to_at: the first instant after it.
        reason: why, for the timeline.
    """

    from_at: datetime
    to_at: datetime
    reason: str


def find_window(windows: Iterable[MaintenanceWindow], now: datetime) -> MaintenanceWindow | None:
    """Return the window that holds now, of several the one that ends last."""
    held = [one for one in windows if one.from_at <= now < one.to_at]
    return max(held, key=lambda one: one.to_at, default=None)
