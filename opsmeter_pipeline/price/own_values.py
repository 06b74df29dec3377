"""Reads single values of `prices.toml` and says what is wrong with one, and what to write.

Add a reader for a new kind of value here; which keys there are stands in `price.own`. No message
shows a tenant's value: it may be a raw identifier.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from types import MappingProxyType
from typing import NoReturn, TypeVar

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.wire import ENVIRONMENTS, MAX_COUNT, SERVICE_TIERS

MOST_DECIMALS = 12
"""Per million tokens; with more, the price of one token has no 18 decimals and is not exact."""
MOST_USD = 1_000_000
_FINEST = Decimal(1).scaleb(-MOST_DECIMALS)
FIRST_INSTANT, LAST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""Of `valid_from` and `valid_to`. No event is earlier, and the days around them still exist."""
_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
_SHOWN = 40
Value = TypeVar("Value")


class BadValueError(ValueError):
    """A value cannot be used; the text says what it is and what to write."""


def refuse(text: str) -> NoReturn:
    """Raise `BadValueError` with this text."""
    raise BadValueError(text)


class TableReader:
    """One table of the file: hands out its values and keeps what is wrong with them.

    Args:
        table: the parsed table.
        keys: all keys it may have.
    """

    def __init__(self, table: Mapping[str, object], keys: Sequence[str]) -> None:
        """Note each key that is none."""
        self._table = table
        self.problems = [_unknown(key, keys) for key in table if key not in keys]

    def take(self, key: str, read: Callable[[object], Value]) -> Value | None:
        """Return a key's value, or None if it is absent or wrong."""
        if key not in self._table:
            return None
        try:
            return read(self._table[key])
        except BadValueError as exc:
            self.problems.append(f"{key} {exc}")
            return None

    def need(self, key: str, read: Callable[[object], Value]) -> Value | None:
        """Return a key's value; it is a problem if it is absent."""
        if key not in self._table:
            self.problems.append(f"{key} is missing; add it")
        return self.take(key, read)


def _unknown(key: str, keys: Sequence[str]) -> str:
    near = get_close_matches(key, keys, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(keys)}"
    return f"{key!r} is no key here; {hint}"


def read_name(value: object) -> str:
    """Return a name of a provider or model."""
    if not isinstance(value, str) or not value.strip():
        refuse("is no name; write it in quotes, as callers send it")
    return value


def read_price(value: object) -> Decimal:
    """Return dollars, exactly as written.

    >>> read_price("2.50")
    Decimal('2.500000000000')
    """
    price = _to_decimal(value)
    if price < 0:
        refuse(f"is {_show(value)}, below zero; write what is charged, 0 if nothing")
    if price > MOST_USD:
        refuse(f"is {_show(value)}, more than {MOST_USD} dollars; check its unit")
    if _count_decimals(price) > MOST_DECIMALS:
        refuse(f"has {_count_decimals(price)} decimals; write it with {MOST_DECIMALS} at most")
    return price.copy_abs().quantize(_FINEST)  # a zero may have a sign, or any exponent


def _count_decimals(number: Decimal) -> int:
    """Return how many decimals a number needs; rounding to a context's digits would hide some.

    >>> _count_decimals(Decimal("1.50")), _count_decimals(Decimal("1E-7"))
    (1, 7)
    """
    digits = "".join(map(str, number.as_tuple().digits))
    unused = len(digits) - len(digits.rstrip("0"))
    return max(0, -int(number.as_tuple().exponent) - unused) if number else 0


def _to_decimal(value: object) -> Decimal:
    if isinstance(value, str) and _PLAIN.fullmatch(value.removeprefix("-")):
        return Decimal(value)
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    refuse(f'is {_show(value)}, no price; write dollars such as "2.50"')


def read_instant(value: object) -> datetime:
    """Return the instant in UTC; a date is the first instant of that UTC day."""
    if isinstance(value, datetime) and value.tzinfo is None:
        refuse(f"is {value.isoformat()} without an offset; add Z or +hh:mm")
    if not isinstance(value, date):
        example = "2026-01-31 or 2026-01-31T12:00:00Z, without quotes"
        refuse(f"is {_show(value)}, no date; write {example}")
    instant = value if isinstance(value, datetime) else start_of_day(value)
    if not FIRST_INSTANT <= instant <= LAST_INSTANT:
        refuse(f"is {value.isoformat()}; write a day of the years 1970 to 9999, or leave it out")
    return instant.astimezone(UTC)


def read_count(value: object) -> int:
    """Return a count of tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_COUNT:
        return value
    refuse(f"is {_show(value)}, no count of tokens; write a number such as 200000")


def read_environment(value: object) -> str:
    """Return one of the environments."""
    return _one_of(value, ENVIRONMENTS)


def read_service_tier(value: object) -> str:
    """Return one of the service tiers."""
    return _one_of(value, SERVICE_TIERS)


def read_currency(value: object) -> str:
    """Return the one currency there is."""
    if value == "USD":
        return "USD"
    refuse(f"is {_show(value)}; all prices are US dollars, convert them")


def _one_of(value: object, known: Sequence[str]) -> str:
    if isinstance(value, str) and value in known:
        return value
    refuse(f"is {_show(value)}; write one of {', '.join(known)}")


def build_tenant_reader(find_shape: Callable[[str], str | None]) -> Callable[[object], str]:
    """Return the reader of a tenant's id, which must be opaque as in events.

    Args:
        find_shape: names the shape in which an identifier is raw, or None.
    """

    def read_tenant(value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            refuse("is no tenant; write its tenant_id as `events` holds it, in quotes")
        shape = find_shape(value)
        if shape is not None:
            text = f"looks like {shape}, not shown here; write its hashed tenant_id from `events`"
            refuse(text)
        return value

    return read_tenant


def _show(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


CLASS_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "input_usd_per_mtok": "uncached_input",
        "cache_read_usd_per_mtok": "cache_read",
        "cache_write_usd_per_mtok": "cache_write",
        "cache_write_1h_usd_per_mtok": "cache_write_1h",
        "input_audio_usd_per_mtok": "input_audio",
        "input_audio_cache_read_usd_per_mtok": "input_audio_cache_read",
        "input_image_usd_per_mtok": "input_image",
        "input_image_cache_read_usd_per_mtok": "input_image_cache_read",
        "output_usd_per_mtok": "output",
        "reasoning_usd_per_mtok": "reasoning",
        "output_audio_usd_per_mtok": "output_audio",
        "web_search_usd": "web_search",
        "request_usd": "request",
    }
)
"""The token class each key prices; `_per_mtok` is per million tokens."""
