"""Which hours `opsmeter compare` looks at: whole ones in UTC, of the last 30 days by default."""

from datetime import datetime, timedelta

from opsmeter_pipeline.model.errors import WindowError
from opsmeter_pipeline.model.hours import read_hour, to_hour
from opsmeter_pipeline.model.lengths import parse_length

DEFAULT_LENGTH = "30d"


def plan_window(
    *,
    now: datetime,
    start: str | None = None,
    end: str | None = None,
    window: str | None = None,
) -> tuple[datetime, datetime]:
    """Return the first hour and the one after the last.

    Args:
        now: the present (UTC); the window ends with its hour unless another end is asked.
        start: first instant, RFC 3339 with an offset.
        end: first instant after it.
        window: a length such as `30d`, `24h` or `2w`, in place of the start.

    Raises:
        WindowError: there is no such window; the text says why and how to ask.
    """
    if start and window:
        raise WindowError("--window", window, why="--from says it already")
    stop = read_hour("--to", end) or to_hour(now) + timedelta(hours=1)
    begin = read_hour("--from", start)
    if begin is None:
        length = parse_length(window or DEFAULT_LENGTH, units="hdw")
        if length is None:
            raise WindowError("--window", repr(window), why="it is no length")
        try:
            begin = stop - length
        except OverflowError as exc:
            raise WindowError("--window", repr(window), why="it is too long") from exc
    if begin >= stop:
        raise WindowError("--from", begin.isoformat(), why=f"it is not before {stop.isoformat()}")
    return begin, stop
