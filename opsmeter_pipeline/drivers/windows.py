"""Which two windows are compared: whole UTC hours, of one length, mostly one right after the other.

Turns what a person asked for into a `Comparison`; `now` is an argument. Reading what lies in the
windows is `storage.drivers`', judging it the rest of `drivers`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsmeter_pipeline.model.errors import WindowError
from opsmeter_pipeline.model.hours import read_hour, to_hour
from opsmeter_pipeline.model.lengths import parse_length

DEFAULT_LENGTH = "7d"


@dataclass(frozen=True)
class Comparison:
    """A window and an earlier one of the same length; ends are exclusive, all UTC hours.

    Attributes:
        previous_start_at: first instant of the previous window.
        start_at: first instant of the window.
        end_at: first instant after it.
        environment: the one that is compared.
        data_mode: likewise.
        scope: columns of the cube with the value they must have, if only a part is compared.
    """

    previous_start_at: datetime
    start_at: datetime
    end_at: datetime
    environment: str = "prod"
    data_mode: str = "real"
    scope: tuple[tuple[str, str], ...] = ()

    @property
    def length(self) -> timedelta:
        """How long each of the two is."""
        return self.end_at - self.start_at

    @property
    def previous_end_at(self) -> datetime:
        """First instant after the previous window: the window's start, unless there is a gap."""
        return self.previous_start_at + self.length


def compare_until(
    end_at: datetime, length: timedelta, *, environment: str = "prod", data_mode: str = "real"
) -> Comparison:
    """Return the comparison of a window that ends at an instant.

    Raises:
        WindowError: the previous window would begin before the year 1.
    """
    try:
        previous = end_at - 2 * length
    except OverflowError as exc:
        raise WindowError("--window", str(length), why="it is too long") from exc
    return Comparison(previous, end_at - length, end_at, environment, data_mode)


def plan_comparison(
    *,
    now: datetime,
    start: str | None = None,
    end: str | None = None,
    window: str | None = None,
    environment: str = "prod",
    data_mode: str = "real",
) -> Comparison:
    """Return the comparison that was asked for; the last full window if nothing was.

    Args:
        now: the present (UTC); no window ends after it.
        start: first instant of the window, RFC 3339 with an offset.
        end: first instant after it; else the last full hour, or for a length in days the last
            UTC midnight.
        window: a length such as `7d`, `24h` or `2w`, in place of start or end; the default is 7d.
        environment: the one that is compared.
        data_mode: likewise.

    Raises:
        WindowError: it cannot be compared; the text says why and how to ask.
    """
    if start and end and window:
        raise WindowError("--window", window, why="--from and --to say it already")
    begin, stop = read_hour("--from", start), read_hour("--to", end)
    last_hour = to_hour(now)
    if begin and not window:
        stop = stop or last_hour
        length = stop - begin
        if length <= timedelta():
            raise WindowError("--from", _show(begin), why=f"it is not before {_show(stop)}")
    else:
        length = _read_length(window or DEFAULT_LENGTH)
        last = last_hour.replace(hour=0) if (window or DEFAULT_LENGTH)[-1] != "h" else last_hour
        stop = _add(begin, length) if begin else stop or last
    if stop > now:
        why = f"it is not over yet; the last full hour ends at {_show(last_hour)}"
        raise WindowError("--to", _show(stop), why=why)
    return compare_until(stop, length, environment=environment, data_mode=data_mode)


def _read_length(text: str) -> timedelta:
    length = parse_length(text, units="hdw")
    if length is None:
        raise WindowError("--window", repr(text), why="it is no length")
    return length


def _add(start: datetime, length: timedelta) -> datetime:
    try:
        return start + length
    except OverflowError as exc:
        raise WindowError("--window", str(length), why="it is too long") from exc


def _show(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
