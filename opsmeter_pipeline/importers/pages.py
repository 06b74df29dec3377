"""The pages of buckets that organisation endpoints answer with, and how they are saved.

A file holds one answer, a list of answers, answers one after the other, or only their buckets.
What a bucket's results mean is each format's own.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn, cast

from opsmeter_pipeline.model.statement_errors import StatementFileError, StatementValueError

Fields = Mapping[str, Any]
_MORE = "The export ends before its last page (`has_more`): fetch the pages that follow as well."


@dataclass(frozen=True)
class Bucket:
    """One bucket: its own fields, its results, and where it stands."""

    place: str
    fields: Fields
    results: Sequence[Fields]


@dataclass(frozen=True)
class Pages:
    """All buckets of an export, and what a reader must know of them."""

    buckets: Sequence[Bucket]
    notes: tuple[str, ...]


def parse_documents(text: str, *, file: str) -> list[Any]:
    """Return the JSON documents that stand one after the other; numbers with a point as Decimal.

    Raises:
        StatementFileError: it is no JSON.
    """
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)
    documents: list[Any] = []
    at = _skip_blanks(text, 0)
    while at < len(text):
        try:
            document, end = decoder.raw_decode(text, at)
        except (ValueError, ArithmeticError, RecursionError) as exc:
            raise StatementFileError(file, f"it is no JSON: {exc}") from exc
        documents.append(document)
        at = _skip_blanks(text, end)
    return documents


def read_pages(documents: Sequence[Any]) -> Pages | None:
    """Return the buckets of the documents, or None if they are no pages of buckets.

    Raises:
        StatementValueError: a bucket is none, or stands there twice.
    """
    pages = list(_find_pages(documents))
    if not pages or not all(isinstance(page.get("data"), list) for page in pages):
        return None
    buckets = [
        _to_bucket(bucket, f"page {number}, bucket {index}")
        for number, page in enumerate(pages, start=1)
        for index, bucket in enumerate(page["data"], start=1)
    ]
    _refuse_repeated(buckets)
    return Pages(buckets, (_MORE,) if pages[-1].get("has_more") is True else ())


def _find_pages(documents: Sequence[Any]) -> Iterator[Fields]:
    """Yield the pages; buckets that stand without a page are one."""
    flat: list[Any] = []
    for document in documents:
        flat += cast("list[Any]", document) if isinstance(document, list) else [document]
    fields = [cast("Fields", one) for one in flat if isinstance(one, dict)]
    if len(fields) == len(flat) and fields and all("results" in one for one in fields):
        yield {"data": fields}
    elif len(fields) == len(flat):
        yield from fields


def _to_bucket(bucket: object, place: str) -> Bucket:
    if not isinstance(bucket, dict):
        raise StatementValueError(place=place, found=bucket, expected="an object with `results`")
    fields = cast("Fields", bucket)
    results = fields.get("results")
    if not isinstance(results, list) or not _are_objects(cast("list[Any]", results)):
        raise StatementValueError(
            place=f"{place}, results", found=fields.get("results"), expected="a list of objects"
        )
    return Bucket(place, fields, cast("list[Fields]", results))


def _are_objects(values: Sequence[object]) -> bool:
    return all(isinstance(one, dict) for one in values)


def _refuse_repeated(buckets: Sequence[Bucket]) -> None:
    """Raise if a bucket stands there twice, as when a page was saved twice: all would count twice.

    Raises:
        StatementValueError: naming the second one.
    """
    seen: dict[object, str] = {}
    for bucket in buckets:
        start = bucket.fields.get("start_time", bucket.fields.get("starting_at"))
        if isinstance(start, str | int) and seen.setdefault(start, bucket.place) != bucket.place:
            raise StatementValueError(
                place=bucket.place, found=start, expected=f"another start than {seen[start]} has"
            )


def _skip_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no number"
    raise ValueError(msg)
