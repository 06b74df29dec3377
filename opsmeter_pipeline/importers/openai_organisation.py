"""OpenAI's organisation exports: `/organization/usage/completions` and `/organization/costs`.

As the endpoints' description has it: a bucket's bounds are epoch seconds and its days are UTC
days; `input_tokens` includes cached tokens and cache writes; a field that was not grouped by is
null; `amount.value` is in dollars and went through a double.
"""

from datetime import date
from typing import cast

from opsmeter_pipeline.importers.pages import Bucket, Fields
from opsmeter_pipeline.importers.values import (
    from_epoch_seconds,
    require_usd,
    to_count,
    to_text,
    to_usd,
)
from opsmeter_pipeline.model.statement import Span, StatementRow
from opsmeter_pipeline.model.statement_errors import StatementValueError

PROVIDER = "openai"


def read_span(bucket: Bucket) -> Span:
    """Return the time of a bucket.

    Raises:
        StatementValueError: its bounds are no epoch seconds.
    """
    names = ("start_time", "end_time")
    return Span(*(from_epoch_seconds(bucket.fields.get(n), f"{bucket.place}, {n}") for n in names))


def read_usage(result: Fields, place: str, *, day: date) -> StatementRow:
    """Return one usage result: requests and tokens of a day, a model and whatever else.

    Raises:
        StatementValueError: it tells no tokens, or a count is none.
    """
    if result.get("input_tokens") is None:
        raise StatementValueError(
            place=f"{place}, input_tokens", found=None, expected="a whole number, 0 or more"
        )
    return StatementRow(
        day=day,
        provider=PROVIDER,
        model=to_text(result.get("model"), f"{place}, model"),
        requests=_count(result, "num_model_requests", place),
        input_tokens=_count(result, "input_tokens", place),
        cache_read_tokens=_count(result, "input_cached_tokens", place),
        cache_write_tokens=_count(result, "input_cache_write_tokens", place),
        output_tokens=_count(result, "output_tokens", place),
    )


def read_costs(result: Fields, place: str, *, day: date) -> StatementRow:
    """Return one cost result: dollars of a day and a line item.

    Raises:
        StatementValueError: it has no amount.
        CurrencyError: the amount is not in US dollars.
    """
    told = result.get("amount")
    if not isinstance(told, dict):
        raise StatementValueError(
            place=f"{place}, amount", found=told, expected="an object with value and currency"
        )
    amount = cast("Fields", told)
    require_usd(amount.get("currency"), f"{place}, amount")
    line_item = to_text(result.get("line_item"), f"{place}, line_item")
    return StatementRow(
        day=day,
        provider=PROVIDER,
        model=line_item and model_of(line_item),
        cost_usd=to_usd(amount.get("value"), f"{place}, amount.value"),
    )


def model_of(line_item: str) -> str:
    """Return the model that a line item bills: what stands before the kind of token.

    >>> model_of("gpt-4o-2024-08-06, cached input"), model_of("gpt-4o-mini")
    ('gpt-4o-2024-08-06', 'gpt-4o-mini')
    """
    return line_item.partition(",")[0].strip()


def _count(result: Fields, name: str, place: str) -> int | None:
    return to_count(result.get(name), f"{place}, {name}")
