"""What a provider says it counted and billed: the rows of an export, whatever its format was.

Importers make it, `reconcile` compares it with the warehouse. Add a field here when exports tell
something more that the warehouse knows too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

COST = "cost_usd"
REQUESTS = "requests"
COUNTS = (REQUESTS, "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
MEASURES = (*COUNTS, COST)
"""What can be compared. A provider's request is an attempt of ours; `input_tokens` includes cache
reads and writes, as everywhere here."""
DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class StatementRow:
    """One row of an export: sums of a UTC day, and of a model if it was grouped by model.

    Of one day and model there may be several, such as one per project. A measure is None where
    the export does not tell it, which is never 0; a model is None where it names none.
    """

    day: date
    provider: str
    model: str | None
    requests: int | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None

    def told(self) -> dict[str, Decimal]:
        """Return the measures that it tells."""
        values = {name: getattr(self, name) for name in MEASURES}
        return {name: Decimal(value) for name, value in values.items() if value is not None}


class Span(NamedTuple):
    """A time that an export speaks for: UTC instants, the end exclusive."""

    start_at: datetime
    end_at: datetime


@dataclass(frozen=True)
class Statement:
    """One export.

    Attributes:
        format: its format's name, as `--format` takes it.
        providers: whom it speaks for, as it names them.
        measures: what it tells, in the order of `MEASURES`.
        rows: its rows.
        spans: when it speaks for, merged, in order. A model without a row there was not billed.
        exported_at: when it was made; None if nobody tells.
        notes: what a reader must know of it.
    """

    format: str
    providers: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[StatementRow, ...]
    spans: tuple[Span, ...]
    exported_at: datetime | None = None
    notes: tuple[str, ...] = ()


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same times as spans of whole hours that do not touch, in order.

    A bucket may end in the middle of an hour, when the export was made then; the hour counts,
    because the warehouse's cube knows no smaller time.
    """
    merged: list[Span] = []
    for start_at, end_at in sorted(spans):
        span = Span(_hour_of(start_at), _hour_of(end_at + _HOUR - _TICK))
        if merged and span.start_at <= merged[-1].end_at:
            merged[-1] = Span(merged[-1].start_at, max(merged[-1].end_at, span.end_at))
        else:
            merged.append(span)
    return tuple(merged)


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
