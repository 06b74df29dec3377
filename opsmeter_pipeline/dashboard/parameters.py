"""What a request asks for, read strictly: a parameter that is unknown, repeated or odd is refused.

Each refusal names the parameter and what can be given. `now` is an argument; ranges are UTC.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from opsmeter_pipeline.model.clock import parse_rfc3339, start_of_day
from opsmeter_pipeline.model.dashboard_errors import ParameterError, UnknownParameterError
from opsmeter_pipeline.model.hours import EVER, HourRange
from opsmeter_pipeline.model.wire import DATA_MODES, ENVIRONMENTS

RANGE_PARAMETERS = ("range", "from", "to")
DEFAULT_RANGE, DEFAULT_LIMIT, MAX_LIMIT, MAX_CHARACTERS = "7d", 50, 1000, 1000
_HOUR = timedelta(hours=1)
_FORM = "Give a UTC day such as 2026-11-23, or a full hour such as 2026-11-23T10:00:00Z."


def _last_days(days: int) -> Callable[[datetime], HourRange]:
    """Return what gives the last UTC days, today included."""

    def choose(now: datetime) -> HourRange:
        tomorrow = start_of_day(now.date() + timedelta(days=1))
        return HourRange(tomorrow - timedelta(days=days), tomorrow)

    return choose


def _last_24_hours(now: datetime) -> HourRange:
    end = now.replace(minute=0, second=0, microsecond=0) + _HOUR
    return HourRange(end - 24 * _HOUR, end)


RANGES: Mapping[str, Callable[[datetime], HourRange]] = {
    "today": _last_days(1),
    "24h": _last_24_hours,
    "7d": _last_days(7),
    "30d": _last_days(30),
    "all": lambda _: EVER,
}
"""The ranges that have a name. `24h` ends with the hour under way."""


def read_once(
    pairs: Sequence[tuple[str, str]], *, known: Sequence[str]
) -> Mapping[str, str]:  # fmt: skip
    """Return the parameters by name; one that is empty, as forms send them, is not given.

    Raises:
        UnknownParameterError: one is none of the known.
        ParameterError: one is given twice or too long.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise UnknownParameterError(name, known)
        if name in found:
            raise ParameterError(name, value, why="it is given twice", remedy="Give it once.")
        check_text(name, value)
        found[name] = value
    return {name: value for name, value in found.items() if value}


def check_text(name: str, value: str) -> str:
    """Return a text that is not too long to ask for.

    Raises:
        ParameterError: it is.
    """
    if len(value) > MAX_CHARACTERS:
        remedy = f"Give at most {MAX_CHARACTERS}."
        raise ParameterError(name, value, why=f"it has {len(value)} characters", remedy=remedy)
    return value


def read_hours(given: Mapping[str, str], *, now: datetime) -> HourRange:
    """Return the range a request asks for; the last seven days if it does not say.

    Raises:
        ParameterError: it is none, or it is said in two ways.
    """
    if "from" not in given and "to" not in given:
        return RANGES[read_choice(given, "range", tuple(RANGES), default=DEFAULT_RANGE)](now)
    if "range" in given:
        raise ParameterError("range", given["range"], why="from and to say it already",
                             remedy="Give range, or from and to.")  # fmt: skip
    start = _read_start("from", given["from"]) if "from" in given else None
    end = _read_start("to", given["to"]) if "to" in given else RANGES["today"](now).end_at
    start = start or end - timedelta(days=7)
    if start >= end:
        raise ParameterError("from", given.get("from", ""), why=f"it is not before {end:%FT%TZ}",
                             remedy="`to` is the first instant after the range.")  # fmt: skip
    return HourRange(start, end)


def read_limit(given: Mapping[str, str]) -> int:
    """Return how many rows are wanted.

    Raises:
        ParameterError: it is no number or out of bounds.
    """
    text = given.get("limit", str(DEFAULT_LIMIT))
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))
    if not is_number or not 1 <= int(text) <= MAX_LIMIT:
        raise ParameterError("limit", text, why="it is no number of rows",
                             remedy=f"Give a whole number from 1 to {MAX_LIMIT}.")  # fmt: skip
    return int(text)


def read_choice(
    given: Mapping[str, str], name: str, choices: Sequence[str], *, default: str
) -> str:
    """Return which of a closed set is asked for.

    Raises:
        ParameterError: it is none of them.
    """
    value = given.get(name, default)
    if value not in choices:
        remedy = f"Give one of {', '.join(choices)}."
        raise ParameterError(name, value, why="there is no such choice", remedy=remedy)
    return value


def read_endpoint(tag: str) -> str:
    """Return which endpoint is asked for.

    Raises:
        ParameterError: it is empty or too long.
    """
    if not tag:
        remedy = "Name one after the last slash; calls without one are `(missing)`."
        raise ParameterError("endpoint", tag, why="it is empty", remedy=remedy)
    return check_text("endpoint", tag)


def read_environment(given: Mapping[str, str]) -> str:
    """Return whose calls are asked for; production's if it is not said."""
    return read_choice(given, "environment", ENVIRONMENTS, default="prod")


def read_data_mode(given: Mapping[str, str]) -> str:
    """Return what kind of calls is asked for; real ones if it is not said."""
    return read_choice(given, "data_mode", DATA_MODES, default="real")


def _read_start(name: str, text: str) -> datetime:
    """Return the full UTC hour, or the start of the UTC day, that a text names."""
    try:
        at = parse_rfc3339(text) if "T" in text.upper() else start_of_day(date.fromisoformat(text))
    except (ValueError, OverflowError) as exc:
        raise ParameterError(name, text, why="it is no day and no hour", remedy=_FORM) from exc
    if at is None:
        raise ParameterError(name, text, why="it has no time zone", remedy=_FORM)
    if at != at.replace(minute=0, second=0, microsecond=0):
        raise ParameterError(name, text, why="it is no full UTC hour, as sums are", remedy=_FORM)
    if not EVER.start_at + timedelta(days=7) <= at <= EVER.end_at:
        raise ParameterError(name, text, why="there are no such events", remedy=_FORM)
    return at
