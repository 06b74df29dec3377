"""A statement as CSV: one row per day, model and whatever else; a header names the columns.

Our own names count, and those under which providers' dashboards export the same. A day is a UTC
day, an RFC 3339 instant with an offset, or epoch seconds. An empty cell tells nothing; it is not 0.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from opsmeter_pipeline.importers.values import (
    day_of,
    from_epoch_seconds,
    from_rfc3339,
    is_plausible,
    require_usd,
    to_count,
    to_usd,
)
from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.statement import Span, StatementRow
from opsmeter_pipeline.model.statement_errors import StatementFormatError, StatementValueError

_NAMES = MappingProxyType(
    {
        "day": ("day", "date", "usage_date", "start_time_iso", "start_time", "starting_at"),
        "end": ("end_time_iso", "end_time", "ending_at"),
        "provider": ("provider",),
        "model": ("model", "model_name", "line_item"),
        "requests": ("requests", "num_model_requests"),
        "input_tokens": ("input_tokens",),
        "uncached_input_tokens": ("uncached_input_tokens",),
        "cache_read_tokens": (
            "cache_read_tokens",
            "input_cached_tokens",
            "cache_read_input_tokens",
        ),
        "cache_write_tokens": ("cache_write_tokens", "input_cache_write_tokens"),
        "output_tokens": ("output_tokens",),
        "cost_usd": ("cost_usd",),
        "amount": ("amount_value", "amount", "cost"),
        "currency": ("currency", "amount_currency"),
        "exported_at": ("exported_at",),
    }
)
"""Which headers mean which column; of several, the first."""
_COUNTS = ("requests", "input_tokens", "uncached_input_tokens", "cache_read_tokens",
           "cache_write_tokens", "output_tokens")  # fmt: skip
_MEASURES = (*_COUNTS, "cost_usd", "amount")
EXPECTED = (
    "csv: a header with `day` and any of requests, input_tokens, cache_read_tokens, "
    "cache_write_tokens, output_tokens, cost_usd; `model` and `provider` if it has them"
)
_SEPARATORS = ",;\t"
Cells = Mapping[str, str]


class CsvStatement(NamedTuple):
    """What a CSV told."""

    spans: list[Span]
    rows: list[StatementRow]
    exported_at: datetime | None


def read_csv(text: str, *, provider: str | None, known: Sequence[str]) -> CsvStatement:
    """Return the rows of a CSV and the days it speaks for: those that have rows.

    Args:
        text: the whole file.
        provider: whose bill it is where the file does not say.
        known: the formats that it could have been, for the error.

    Raises:
        StatementFormatError: there is no day or no measure among the columns.
        StatementValueError: a value is none of its column.
        CurrencyError: an amount is not in US dollars.
    """
    rows: list[StatementRow] = []
    made: list[datetime] = []
    for place, cells in _read_cells(text, known):
        rows.append(_to_row(cells, place, provider=provider))
        if "exported_at" in cells:
            made.append(from_rfc3339(cells["exported_at"], f"{place}, exported_at"))
    days = {row.day for row in rows}
    spans = [
        Span(start_of_day(day), start_of_day(date.fromordinal(day.toordinal() + 1))) for day in days
    ]
    return CsvStatement(spans, rows, max(made, default=None))


def _read_cells(text: str, known: Sequence[str]) -> Iterator[tuple[str, Cells]]:
    """Yield the place and the cells that are not empty, by our names."""
    header, _, _ = text.partition("\n")
    separator = max(_SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        columns = _find_columns(next(reader, list[str]()), known)
        for cells in reader:
            place = f"line {reader.line_num}"
            if not any(map(str.strip, cells)):
                continue
            if len(cells) <= max(columns.values()):
                raise StatementValueError(
                    place=place, found=separator.join(cells), expected="as many cells as names"
                )
            told = {name: cells[index].strip() for name, index in columns.items()}
            yield place, {name: cell for name, cell in told.items() if cell}
    except csv.Error as exc:
        raise StatementFormatError(found=f"line {reader.line_num}: {exc}", expected=known) from exc


def _find_columns(header: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """Return where each of our columns stands.

    Raises:
        StatementFormatError: there is no day or no measure.
    """
    names = ["_".join(name.strip().lower().split()) for name in header]
    found = {
        ours: names.index(next(name for name in theirs if name in names))
        for ours, theirs in _NAMES.items()
        if any(name in names for name in theirs)
    }
    if "day" not in found or not any(name in found for name in _MEASURES):
        told = ", ".join(header) if any(names) else "nothing"
        raise StatementFormatError(found=f"its first line names {told[:200]}", expected=known)
    return found


def _to_row(cells: Cells, place: str, *, provider: str | None) -> StatementRow:
    counts = {name: _to_count(cells.get(name), f"{place}, {name}") for name in _COUNTS}
    uncached = counts.pop("uncached_input_tokens")
    parts = (uncached, counts["cache_read_tokens"], counts["cache_write_tokens"])
    if counts["input_tokens"] is None and None not in parts:
        counts["input_tokens"] = sum(part for part in parts if part is not None)
    seller = cells.get("provider", provider)
    if seller is None:
        raise StatementValueError(
            place=f"{place}, provider", found=None, expected="a provider, here or by --provider"
        )
    model = cells.get("model")
    return StatementRow(
        day=_to_day(cells, place),
        provider=seller,
        model=model and model.partition(",")[0].strip(),
        cost_usd=_to_cost(cells, place),
        **counts,
    )


def _to_count(cell: str | None, place: str) -> int | None:
    if cell is not None and not (cell.isascii() and cell.isdecimal() and len(cell) < 20):
        raise StatementValueError(
            place=place, found=cell, expected="a whole number, 0 or more, of digits only"
        )
    return to_count(None if cell is None else int(cell), place)


def _to_cost(cells: Cells, place: str) -> Decimal | None:
    if "cost_usd" in cells:
        if "currency" in cells:
            require_usd(cells["currency"], f"{place}, cost_usd")
        return to_usd(cells["cost_usd"], f"{place}, cost_usd")
    if "amount" not in cells:
        return None
    require_usd(cells.get("currency"), f"{place}, amount")
    return to_usd(cells["amount"], f"{place}, amount")


def _to_day(cells: Cells, place: str) -> date:
    """Return the UTC day of a row; an instant says on which day its bucket begins."""
    told = cells.get("day")
    if told is None:
        raise StatementValueError(
            place=f"{place}, day", found=None, expected="a day such as 2026-11-23"
        )
    if len(told) == len("2026-11-23"):
        with suppress(ValueError):
            day = date.fromisoformat(told)
            if is_plausible(start_of_day(day)):
                return day
    start_at = _to_instant(told, f"{place}, day")
    if "end" in cells:
        end_at = _to_instant(cells["end"], f"{place}, end")
        return day_of(Span(start_at, end_at), f"{place}, bucket")
    return start_at.date()


def _to_instant(cell: str, place: str) -> datetime:
    is_epoch = cell.isascii() and cell.isdecimal() and len(cell) < 20
    return from_epoch_seconds(int(cell), place) if is_epoch else from_rfc3339(cell, place)
