"""A provider's export in any known format, told apart by what it holds.

The fields of the first result decide; `--format` decides where there is none. Add a format to
`FORMATS`, with a module of its own.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any, cast

from opsmeter_pipeline.importers import anthropic_organisation, openai_organisation
from opsmeter_pipeline.importers.pages import (
    Bucket,
    Fields,
    Pages,
    parse_documents,
    read_pages,
)
from opsmeter_pipeline.importers.statement_csv import EXPECTED, read_csv
from opsmeter_pipeline.importers.values import day_of
from opsmeter_pipeline.model.statement import (
    COST,
    COUNTS,
    MEASURES,
    Span,
    Statement,
    StatementRow,
    merge_spans,
)
from opsmeter_pipeline.model.statement_errors import (
    EmptyStatementError,
    StatementFormatError,
    StatementValueError,
)

CSV = "csv"


@dataclass(frozen=True)
class PageFormat:
    """A format of pages of buckets.

    Attributes:
        provider: whose it is.
        marks: fields of a result, one of which no other format of pages has.
        bounds: the field of a bucket that says when it begins.
        measures: what it tells where nothing was used.
        read_span: the time of a bucket.
        read_row: one result.
        meaning: what it is, for a person.
    """

    provider: str
    marks: Collection[str]
    bounds: str
    measures: tuple[str, ...]
    read_span: Callable[[Bucket], Span]
    read_row: Callable[..., StatementRow]
    meaning: str


PAGE_FORMATS = MappingProxyType(
    {
        "openai-usage": PageFormat(
            openai_organisation.PROVIDER,
            ("num_model_requests", "input_tokens"),
            "start_time",
            COUNTS,
            openai_organisation.read_span,
            openai_organisation.read_usage,
            "OpenAI's /organization/usage/completions as JSON: data[].results[].input_tokens",
        ),
        "openai-costs": PageFormat(
            openai_organisation.PROVIDER,
            ("amount",),
            "start_time",
            (COST,),
            openai_organisation.read_span,
            openai_organisation.read_costs,
            "OpenAI's /organization/costs as JSON: data[].results[].amount.value",
        ),
        "anthropic-usage": PageFormat(
            anthropic_organisation.PROVIDER,
            ("uncached_input_tokens",),
            "starting_at",
            COUNTS[1:],
            anthropic_organisation.read_span,
            anthropic_organisation.read_usage,
            "Anthropic's usage_report/messages as JSON: data[].results[].uncached_input_tokens",
        ),
        "anthropic-costs": PageFormat(
            anthropic_organisation.PROVIDER,
            ("amount",),
            "starting_at",
            (COST,),
            anthropic_organisation.read_span,
            anthropic_organisation.read_costs,
            "Anthropic's cost_report as JSON: data[].results[].amount, a text in cents",
        ),
    }
)
FORMATS = (*PAGE_FORMATS, CSV)
_KNOWN = (*(f"{name}: {one.meaning}" for name, one in PAGE_FORMATS.items()), EXPECTED)


def read_statement(
    text: str,
    *,
    file: str,
    form: str | None = None,
    provider: str | None = None,
    exported_at: datetime | None = None,
) -> Statement:
    """Return what an export tells.

    Args:
        text: the whole file.
        file: its name, for errors.
        form: its format; None finds it.
        provider: whose bill a CSV is, where it does not say.
        exported_at: when it was made; None if only the file itself may tell.

    Raises:
        StatementFileError: it is no JSON, though it begins so.
        StatementFormatError: it is in no known format.
        StatementValueError: a value is not what the format says.
        CurrencyError: it is not in US dollars.
        EmptyStatementError: it tells nothing.
    """
    if not text.strip():
        raise EmptyStatementError(why="the export is empty")
    if form == CSV or (form is None and text.lstrip()[:1] not in ("{", "[")):
        return _read_csv(text, provider=provider, exported_at=exported_at)
    documents = parse_documents(text, file=file)
    pages = read_pages(documents)
    if pages is None:
        raise StatementFormatError(found=_describe(documents), expected=_KNOWN)
    name = form or _detect(pages)
    return _build(name, pages, exported_at=exported_at)


def _read_csv(text: str, *, provider: str | None, exported_at: datetime | None) -> Statement:
    told = read_csv(text, provider=provider, known=_KNOWN)
    if not told.rows:
        raise EmptyStatementError(why="the export has a header and no row")
    sellers = tuple(sorted({row.provider for row in told.rows}))
    return Statement(
        CSV,
        sellers,
        _measures(told.rows),
        tuple(told.rows),
        merge_spans(told.spans),
        exported_at or told.exported_at,
    )


def _detect(pages: Pages) -> str:
    """Return the format of the first result.

    Raises:
        StatementFormatError: it is none of ours.
        EmptyStatementError: there is no result to tell it by.
    """
    if not pages.buckets:
        raise EmptyStatementError(why="the export has no bucket")
    for bucket in pages.buckets:
        for result in bucket.results:
            for name, one in PAGE_FORMATS.items():
                if one.bounds in bucket.fields and any(mark in result for mark in one.marks):
                    return name
            told = ", ".join([*bucket.fields, *result])
            raise StatementFormatError(found=f"{bucket.place} has {told[:300]}", expected=_KNOWN)
    raise EmptyStatementError(
        why="all buckets of the export are empty, so it does not say whether of usage or of costs. "
        f"If they are meant to be empty, say which with --format ({', '.join(PAGE_FORMATS)})"
    )


def _build(name: str, pages: Pages, *, exported_at: datetime | None) -> Statement:
    one = PAGE_FORMATS[name]
    if not pages.buckets:
        raise EmptyStatementError(why="the export has no bucket")
    spans: list[Span] = []
    rows: list[StatementRow] = []
    for bucket in pages.buckets:
        span = one.read_span(bucket)
        day = day_of(span, bucket.place)
        spans.append(span)
        rows += [
            one.read_row(result, f"{bucket.place}, result {number}", day=day)
            for number, result in enumerate(bucket.results, start=1)
        ]
    _refuse_overlapping(spans)
    measures = _measures(rows) or one.measures
    return Statement(name, (one.provider,), measures, tuple(rows), merge_spans(spans),
                     exported_at, pages.notes)  # fmt: skip


def _refuse_overlapping(spans: Sequence[Span]) -> None:
    """Raise if two buckets share a time, as when hours and days stand in one file.

    Raises:
        StatementValueError: naming the first.
    """
    ordered = sorted(spans)
    for before, after in pairwise(ordered):
        if after.start_at < before.end_at:
            told = f"{after.start_at:%Y-%m-%dT%H:%MZ}"
            raise StatementValueError(
                place="A bucket's start", found=told, expected="no time of another bucket"
            )


def _measures(rows: Sequence[StatementRow]) -> tuple[str, ...]:
    told = {name for row in rows for name in row.told()}
    return tuple(name for name in MEASURES if name in told)


def _describe(documents: Sequence[Any]) -> str:
    """Return what there is instead of pages of buckets."""
    first: Any = documents[0]
    if isinstance(first, dict):
        fields = cast("Fields", first)
        error = fields.get("error")
        told = f", an error: {error}" if error else ""
        return f"it is JSON with {', '.join(map(str, fields))}"[:200] + str(told)[:200]
    return f"it is JSON that begins with {str(first)[:80]!r}"
