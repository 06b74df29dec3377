"""What a refused line still tells of its call: for a person to read, for `price` to estimate.

Nothing here makes an event. A number counts if it could stand in one, or as text of digits; a text
is kept if `redact` would show it. Comes after the rules, for refused lines only, so that it costs
nothing where lines are clean.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import polars as pl

from opsmeter_pipeline.contract.redact import show_value
from opsmeter_pipeline.model.clock import (
    FIRST_INSTANT,
    LAST_INSTANT,
    from_epoch_ms,
    parse_rfc3339,
)
from opsmeter_pipeline.model.tables import QUARANTINE, TOLD
from opsmeter_pipeline.model.wire import MAX_COUNT, SERVICE_TIERS, WIRE

_TOLD = {name: QUARANTINE.schema[name] for name in TOLD}
_FIELDS = {
    field.name: "occurred_at" if field.name == "timestamp" else field.column
    for field in WIRE
    if field.column in TOLD or field.name == "timestamp"
}
_NAME_OF = {column: name for name, column in _FIELDS.items()}
_COUNTS = frozenset(field.column for field in WIRE if field.kind == "count")
_DIGITS = re.compile(r"[0-9]{1,7}")
"""A number sent as text; no telephone number is that short."""
_MOST_DIGITS = 13
_NO_OBJECT = ("malformed_json", "not_an_object")
_MEMBER = re.compile(rf'"({"|".join(_FIELDS)})"\s*:\s*(?:"([^"\\]*)"|([0-9]{{1,13}}))(?=\s*[,}}])')
_NESTED = re.compile(r"[{\[]")
_SEARCHED_CHARACTERS = 1 << 16
_AMBIGUOUS = object()


def read_told(lines: Iterable[tuple[str, str | None]]) -> pl.DataFrame:
    """Return the columns `TOLD` of lines that are no typed row, in their order.

    Args:
        lines: the rule each was refused by, and its text, None if it is no UTF-8.
    """
    return _to_frame(_clean(_read_members(rule, line or "")) for rule, line in lines)


def keep_told(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the columns `TOLD` of typed rows that broke a rule, in their order."""
    names = {_NAME_OF[column]: column for column in TOLD if column in rows.columns}
    if "timestamp" in rows.columns:
        names["timestamp"] = "timestamp"
    told = rows.select(pl.col(column).alias(name) for name, column in names.items())
    return _to_frame(_clean(row) for row in told.iter_rows(named=True))


def _to_frame(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=_TOLD)


def _read_members(rule: str, line: str) -> dict[str, object]:
    """Return the fields of a line, of a broken one those that stand whole before anything nested.

    A field that occurs with different values tells nothing.
    """
    if rule not in _NO_OBJECT:
        return json.loads(line, object_pairs_hook=_merge, parse_int=_read_integer)
    head = line[:_SEARCHED_CHARACTERS]
    nested = _NESTED.search(head, head.find("{") + 1)
    found = _MEMBER.finditer(head, 0, nested.start() if nested else len(head))
    return _merge((one[1], one[2] if one[3] is None else int(one[3])) for one in found)


def _merge(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        members[name] = _AMBIGUOUS if members.get(name, value) != value else value
    return members


def _read_integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def _clean(members: Mapping[str, object]) -> dict[str, object]:
    return {column: _clean_value(name, members.get(name)) for name, column in _FIELDS.items()}


def _clean_value(name: str, value: object) -> object:
    column = _FIELDS[name]
    if column in _COUNTS:
        return _read_count(value)
    if column == "occurred_at":
        return _read_instant(value)
    text = str(value) if name == "status" and type(value) is int else value
    if name == "serviceTier":
        return text if text in SERVICE_TIERS else None
    return show_value(name, text) if isinstance(text, str) else None


def _read_count(value: object) -> int | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def _read_instant(value: object) -> datetime | None:
    """Return a time that can be told from the value; one without an offset is read as UTC."""
    try:
        if isinstance(value, str):
            value = parse_rfc3339(value) or parse_rfc3339(f"{value}Z")
        elif type(value) is int:
            value = from_epoch_ms(value)
    except (ValueError, OverflowError):
        return None
    if not isinstance(value, datetime):
        return None
    return value if FIRST_INSTANT <= value <= LAST_INSTANT else None
