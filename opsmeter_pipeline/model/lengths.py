"""Lengths of time as a person writes them: `5m`, `24h`, `7d`, `2w`."""

import re
from datetime import timedelta

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_length(text: str, *, units: str = "smhdw") -> timedelta | None:
    """Return the length a text names, or None if it names none in these units.

    >>> parse_length("5m"), parse_length("24h"), parse_length("5m", units="hdw"), parse_length("0h")
    (datetime.timedelta(seconds=300), datetime.timedelta(days=1), None, None)
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([a-z])", text, re.ASCII)
    return int(found[1]) * _UNITS[found[2]] if found and found[2] in units else None
