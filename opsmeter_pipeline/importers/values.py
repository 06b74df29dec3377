"""Values of an export, read strictly: a count is a whole number, money is exact.

Each reader is told the value's place, so that an error can name it.
"""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from opsmeter_pipeline.model.clock import parse_rfc3339
from opsmeter_pipeline.model.statement import Span
from opsmeter_pipeline.model.statement_errors import CurrencyError, StatementValueError

_MAX_COUNT = 2**62
_MAX_USD = Decimal(10) ** 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_EPOCH_SECONDS, _MAX_EPOCH_SECONDS = 946_684_800, 32_503_680_000
"""Epoch seconds from 2000 to 3000; what is larger was meant as milliseconds."""
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_FLOAT = Context(prec=15, rounding=ROUND_HALF_EVEN)
"""What a double holds for certain; digits beyond are artefacts of its binary form."""
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_FINEST = Decimal("1e-18")


def to_count(value: object, place: str) -> int | None:
    """Return a count, or None if there is none.

    >>> to_count(12, "input_tokens"), to_count(None, "input_tokens")
    (12, None)

    Raises:
        StatementValueError: it is no whole number from 0 on.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise StatementValueError(place=place, found=value, expected="a whole number, 0 or more")
    return value


def to_usd(value: object, place: str) -> Decimal:
    """Return exact dollars from a JSON number or a decimal text.

    A number went through a double on its way, so it counts to 15 digits; a text counts as it
    is, to 18 decimals.

    >>> to_usd(Decimal("0.060000000000000005"), "amount.value")
    Decimal('0.060000000000000000')

    Raises:
        StatementValueError: it is neither, or beyond any bill.
    """
    exact = _to_decimal(value)
    if exact is None or not -_MAX_USD < exact < _MAX_USD:
        expected = "an amount of US dollars below 10^15"
        raise StatementValueError(place=place, found=value, expected=expected)
    is_float = isinstance(value, Decimal)
    return (_FLOAT.plus(exact) if is_float else exact).quantize(_FINEST, context=_EXACT)


def from_cents(value: object, place: str) -> Decimal:
    """Return exact dollars from a decimal text in cents.

    A number is refused: somebody has converted it, and nobody can tell whether to dollars.

    >>> from_cents("123.45", "amount")
    Decimal('1.234500000000000000')

    Raises:
        StatementValueError: it is no decimal text.
    """
    if not isinstance(value, str):
        raise StatementValueError(
            place=place, found=value, expected='cents as a decimal text, such as "123.45"'
        )
    cents = to_usd(value, place)
    return cents.scaleb(-2, context=_EXACT).quantize(_FINEST, context=_EXACT)


def require_usd(currency: object, place: str) -> None:
    """Return if that is US dollars.

    Raises:
        CurrencyError: it is another currency, or none is named.
    """
    if not isinstance(currency, str) or currency.strip().lower() != "usd":
        raise CurrencyError(place, currency)


def to_text(value: object, place: str) -> str | None:
    """Return a name, or None where there is none or an empty one.

    Raises:
        StatementValueError: it is no text.
    """
    if value is not None and not isinstance(value, str):
        raise StatementValueError(place=place, found=value, expected="a text or null")
    return (value or "").strip() or None


def from_epoch_seconds(value: object, place: str) -> datetime:
    """Return the UTC instant that many seconds after 1970.

    Raises:
        StatementValueError: it is no whole number of seconds from 2000 to 3000.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not _MIN_EPOCH_SECONDS <= value < _MAX_EPOCH_SECONDS
    ):
        raise StatementValueError(place=place, found=value, expected="an instant as epoch seconds")
    return _EPOCH + timedelta(seconds=value)


def from_rfc3339(value: object, place: str) -> datetime:
    """Return the UTC instant of a text with an offset.

    Raises:
        StatementValueError: it is no such text, or not of the years 2000 to 2999.
    """
    moment: datetime | None = None
    if isinstance(value, str):
        with suppress(ValueError, OverflowError):
            moment = parse_rfc3339(value.strip())
    if moment is None or not is_plausible(moment):
        expected = "an instant as RFC 3339 with an offset, of the years 2000 to 2999"
        raise StatementValueError(place=place, found=value, expected=expected)
    return moment


def is_plausible(moment: datetime) -> bool:
    """Say whether an instant is one of the years 2000 to 2999, as a bill's is."""
    return _MIN_EPOCH_SECONDS <= moment.timestamp() < _MAX_EPOCH_SECONDS


def day_of(span: Span, place: str) -> date:
    """Return the UTC day in which a bucket lies.

    Raises:
        StatementValueError: it is empty or reaches into another UTC day.
    """
    day = span.start_at.date()
    last = span.end_at - timedelta(microseconds=1)
    if span.start_at >= span.end_at or last.date() != day:
        told = f"{span.start_at:%Y-%m-%dT%H:%MZ} to {span.end_at:%Y-%m-%dT%H:%MZ}"
        raise StatementValueError(
            place=place, found=told, expected="a bucket within one UTC day (bucket_width 1d)"
        )
    return day


def _to_decimal(value: object) -> Decimal | None:
    """Return a number or a decimal text as it is; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        return None
    return None if isinstance(value, str) and not _DECIMAL.fullmatch(value) else Decimal(value)
