"""A range of time as the cubes can be asked for it: whole UTC hours."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from opsmeter_pipeline.model.clock import parse_rfc3339, start_of_day
from opsmeter_pipeline.model.errors import WindowError


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


def read_hour(option: str, text: str | None) -> datetime | None:
    """Return the whole UTC hour that an option names, an RFC 3339 time; None if it names none.

    Raises:
        WindowError: it is no time, has no offset, or lies within an hour.
    """
    if text is None:
        return None
    try:
        told = parse_rfc3339(text)
        at = told.astimezone(UTC) if told else None
    except (ValueError, OverflowError) as exc:
        raise WindowError(option, repr(text), why=f"it is {exc}") from exc
    if at is None:
        raise WindowError(option, repr(text), why="it has no time zone")
    if at != to_hour(at):
        raise WindowError(option, repr(text), why="it is no whole UTC hour, as the cube's are")
    return at


def to_hour(at: datetime) -> datetime:
    """Return the start of the UTC hour of an instant."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
