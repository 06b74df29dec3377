"""Anthropic's organisation exports: `usage_report/messages` and `cost_report`.

As the endpoints' description has it: a bucket's bounds are RFC 3339; cache reads and writes stand
beside uncached input, not in it; requests are not told; a field that was not grouped by is null.
**The cost's amount is a decimal text in cents**: "123.45" is 1.2345 dollars.
"""

from datetime import date
from typing import Any, cast

from opsmeter_pipeline.importers.pages import Bucket, Fields
from opsmeter_pipeline.importers.values import (
    from_cents,
    from_rfc3339,
    require_usd,
    to_count,
    to_text,
)
from opsmeter_pipeline.model.statement import Span, StatementRow
from opsmeter_pipeline.model.statement_errors import StatementValueError

PROVIDER = "anthropic"
_WRITES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


def read_span(bucket: Bucket) -> Span:
    """Return the time of a bucket.

    Raises:
        StatementValueError: its bounds are no RFC 3339 with an offset.
    """
    names = ("starting_at", "ending_at")
    return Span(*(from_rfc3339(bucket.fields.get(n), f"{bucket.place}, {n}") for n in names))


def read_usage(result: Fields, place: str, *, day: date) -> StatementRow:
    """Return one usage result: tokens of a day, a model and whatever else it was grouped by.

    Input is null unless all three of its parts are told.

    Raises:
        StatementValueError: it tells no uncached input, or a count is none.
    """
    uncached = to_count(result.get("uncached_input_tokens"), f"{place}, uncached_input_tokens")
    if uncached is None:
        raise StatementValueError(
            place=f"{place}, uncached_input_tokens", found=None, expected="a whole number"
        )
    reads = to_count(result.get("cache_read_input_tokens"), f"{place}, cache_read_input_tokens")
    writes = _sum_writes(result.get("cache_creation"), f"{place}, cache_creation")
    whole = None if reads is None or writes is None else uncached + reads + writes
    return StatementRow(
        day=day,
        provider=PROVIDER,
        model=to_text(result.get("model"), f"{place}, model"),
        input_tokens=whole,
        cache_read_tokens=reads,
        cache_write_tokens=writes,
        output_tokens=to_count(result.get("output_tokens"), f"{place}, output_tokens"),
    )


def read_costs(result: Fields, place: str, *, day: date) -> StatementRow:
    """Return one cost result: dollars of a day and, if grouped by description, a model.

    Web searches and code execution name no model.

    Raises:
        StatementValueError: the amount is no decimal text.
        CurrencyError: the amount is not in US dollars.
    """
    require_usd(result.get("currency"), f"{place}, amount")
    return StatementRow(
        day=day,
        provider=PROVIDER,
        model=to_text(result.get("model"), f"{place}, model"),
        cost_usd=from_cents(result.get("amount"), f"{place}, amount"),
    )


def _sum_writes(parts: object, place: str) -> int | None:
    """Return the cache writes of either duration; None if one is not told."""
    if parts is None:
        return None
    if not isinstance(parts, dict):
        raise StatementValueError(place=place, found=parts, expected="an object")
    fields = cast("dict[str, Any]", parts)
    counts = [to_count(fields.get(name), f"{place}.{name}") for name in _WRITES]
    told = [count for count in counts if count is not None]
    return sum(told) if len(told) == len(_WRITES) else None
