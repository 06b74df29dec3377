"""A range of time as the cubes can be asked for it: whole UTC hours."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from opsmeter_pipeline.model.clock import start_of_day


@dataclass(frozen=True)
class HourRange:
    """UTC hours that follow each other.

    Attributes:
        start_at: first instant, the start of an hour.
        end_at: first instant after it, likewise.
    """

    start_at: datetime
    end_at: datetime

    @property
    def first_day(self) -> date:
        """The UTC day in which it begins."""
        return self.start_at.date()

    @property
    def end_day(self) -> date:
        """The first UTC day that it does not touch."""
        return (self.end_at - timedelta(microseconds=1)).date() + timedelta(days=1)

    def widen_to_days(self) -> "HourRange":
        """Return all hours of the UTC days that it touches.

        >>> noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
        >>> HourRange(noon, noon + timedelta(hours=1)).widen_to_days().end_at.isoformat()
        '2026-11-24T00:00:00+00:00'
        """
        return HourRange(start_of_day(self.first_day), start_of_day(self.end_day))

    def covers(self, other: "HourRange") -> bool:
        """Return whether it holds all hours of the other."""
        return self.start_at <= other.start_at and other.end_at <= self.end_at


EVER = HourRange(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
"""All hours that an event can have occurred in."""
