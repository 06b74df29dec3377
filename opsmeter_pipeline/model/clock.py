"""Times as this project reads them: aware UTC instants, parsed once at the edge.

Add here what turns a moment into another moment or a day. Nothing here asks for the present
time except `utc_now`, which commands and assets call once and hand on as `now`.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)
FIRST_INSTANT = datetime(1, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The instants that Python, Polars and DuckDB can all show."""
MIN_EPOCH_MS = 100_000_000_000
MAX_EPOCH_MS = 253_402_300_799_999
"""Epoch milliseconds from 1973 to 9999; what is smaller was meant as seconds."""


def utc_now() -> datetime:
    """Return the present moment as an aware UTC instant."""
    return datetime.now(UTC)


def parse_rfc3339(text: str) -> datetime | None:
    """Return the instant an RFC 3339 text names, or None if it has no offset.

    Digits beyond microseconds are cut. A leap second (`:60`) is the first instant of the next
    minute, because UTC timestamps in Python and DuckDB have no 61st second.

    >>> parse_rfc3339("2026-11-23T10:00:00.5+01:30").isoformat()
    '2026-11-23T08:30:00.500000+00:00'
    >>> parse_rfc3339("2026-11-23T10:00:00") is None
    True

    Raises:
        ValueError: the text is not an RFC 3339 date-time, or names no real moment.
    """
    found = RFC3339.fullmatch(text)
    if found is None:
        msg = "not an RFC 3339 date-time"
        raise ValueError(msg)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    microsecond = int((found[7] or "0")[:6].ljust(6, "0"))
    if second > 60:
        msg = "no minute has that second"
        raise ValueError(msg)
    leap = timedelta(seconds=1) if second == 60 else timedelta()
    local = datetime(  # noqa: DTZ001 - the offset is applied two lines below
        year, month, day, hour, minute, min(second, 59), microsecond
    )
    if found[8] is None:
        return None
    return (local + leap).replace(tzinfo=_offset(found[8])).astimezone(UTC)


def from_epoch_ms(epoch_ms: int) -> datetime:
    """Return the instant that many milliseconds after 1970-01-01T00:00:00Z.

    >>> from_epoch_ms(1_763_892_000_250).isoformat()
    '2025-11-23T10:00:00.250000+00:00'

    Raises:
        ValueError: the number lies outside 1973 to 9999, as epoch seconds do.
    """
    if not MIN_EPOCH_MS <= epoch_ms <= MAX_EPOCH_MS:
        msg = "epoch milliseconds outside 1973 to 9999 (are they seconds?)"
        raise ValueError(msg)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)


def ingest_day(landed_at: datetime) -> date:
    """Return the UTC calendar day of an instant: the day whose partition holds it."""
    return landed_at.astimezone(UTC).date()


def start_of_day(day: date) -> datetime:
    """Return the first instant of a UTC day.

    >>> start_of_day(date(2026, 11, 23)).isoformat()
    '2026-11-23T00:00:00+00:00'
    """
    return datetime.combine(day, time(), UTC)


def _offset(text: str) -> timezone:
    if text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        msg = "offset out of range"
        raise ValueError(msg)
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))
