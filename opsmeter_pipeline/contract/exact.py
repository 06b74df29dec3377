"""From a line to a typed row, the exact way: one line at a time, judged as RFC 8259 says.

Takes what `contract.lines` does not prove regular: escapes, unknown fields and all that is
wrong. Nothing is coerced: a value of the wrong kind names its field and what was
found there, never the value itself, which may identify a person.
"""

import json
import math
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from opsmeter_pipeline.contract.lines import TYPED
from opsmeter_pipeline.contract.personal import redact_extra
from opsmeter_pipeline.model.clock import from_epoch_ms, parse_rfc3339
from opsmeter_pipeline.model.wire import COLUMN_OF, WIRE, WireField

_INT64_MAX = 2**63 - 1
_DIGITS_MAX = 400
MAX_DEPTH = 100
"""How deep a line may nest: fixed, so that it does not depend on the interpreter's stack."""
_SPACE = re.compile(r"[ \t\n\r]*")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]')
_KIND_OF_VALUE: dict[type[object], str] = {
    str: "text", int: "a whole number", float: "a number with a fraction", bool: "true or false",
    list: "an array", dict: "an object",
}  # fmt: skip
_EXPECTED = {
    "text": "text", "count": "a whole number",
    "status": "text or a whole number", "instant": "RFC 3339 text or epoch milliseconds",
}  # fmt: skip
_FIELDS = {field.name: field for field in WIRE}
_REJECTED = {"position": pl.UInt32(), "rule": pl.String(), "detail": pl.String()}


class ExactRows(NamedTuple):
    """What the exact way made of some lines; each line stands in one of the two.

    Attributes:
        rows: columns `TYPED`, and `extra`: the unknown fields as a JSON object, what could
            name a person redacted, or null.
        rejected: `position`, `rule` and `detail` of lines that are no typed row.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame


class _RejectedError(Exception):
    """A line broke a rule that can only be seen in its text."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(rule, detail)
        self.rule, self.detail = rule, detail


def parse_exactly(lines: Iterable[tuple[int, str | None]]) -> ExactRows:
    """Return typed rows and rejections of `(position, line)` pairs.

    A line of None stands for bytes that are no UTF-8.
    """
    rows: list[dict[str, object]] = []
    rejected: list[tuple[int, str, str]] = []
    for position, line in lines:
        try:
            rows.append({"position": position, **_parse_line(line)})
        except _RejectedError as found:
            rejected.append((position, found.rule, found.detail))
    return ExactRows(
        pl.DataFrame(rows, schema=TYPED | {"extra": pl.String()}),
        pl.DataFrame(rejected, schema=_REJECTED, orient="row"),
    )


def _parse_line(line: str | None) -> dict[str, object]:
    pairs = _read_object(line)
    known = {name: value for name, value in pairs.items() if name in _FIELDS}
    row = {
        COLUMN_OF[name]: _read_value(_FIELDS[name], value)
        for name, value in known.items()
        if value is not None
    }
    if any(name not in _FIELDS and value is not None for name, value in pairs.items()):
        row["extra"] = redact_extra(_unknown_fields(line or ""))
    return row


def _unknown_fields(line: str) -> str:
    """Return the members of a valid object that are no known fields, their values verbatim.

    A null says nothing and is left out, as it is for known fields.
    """
    members: list[str] = []
    position = _after_space(line, line.index("{") + 1)
    while line[position] == '"':
        name, colon = _DECODER.raw_decode(line, position)
        start = _after_space(line, line.index(":", colon) + 1)
        _, end = _DECODER.raw_decode(line, start)
        if name not in _FIELDS and line[start:end] != "null":
            members.append(f"{json.dumps(name, ensure_ascii=False)}:{line[start:end]}")
        position = _after_space(line, end)
        if line[position] == ",":
            position = _after_space(line, position + 1)
    return "{" + ",".join(members) + "}"


def _after_space(line: str, position: int) -> int:
    found = _SPACE.match(line, position)
    return found.end() if found else position


def _read_object(line: str | None) -> dict[str, Any]:
    if line is None:
        raise _RejectedError("malformed_json", "bytes that are no UTF-8")
    if _depth(line) > MAX_DEPTH:
        raise _RejectedError("malformed_json", f"nested more than {MAX_DEPTH} deep")
    try:
        document = _DECODER.decode(line)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _RejectedError("malformed_json", "half of a surrogate pair") from None
    except ValueError as found:
        raise _RejectedError("malformed_json", _why_malformed(found)) from None
    if not isinstance(document, _Pairs):
        raise _RejectedError("not_an_object", f"the line holds {_name_kind(document)}")
    if document.ambiguous:
        names = ", ".join(name for name in document.ambiguous if name in _FIELDS)
        raise _RejectedError("duplicate_field", f"{names or 'a field'} with different values")
    return document


class _Pairs(dict[str, Any]):
    """A JSON object that remembers the names it held more than once with different values."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.ambiguous: list[str] = []
        if len(self) < len(pairs):
            self.ambiguous = sorted({k for k, v in pairs if _spell(v) != _spell(self[k])})


def _spell(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _read_integer(digits: str) -> float:
    # Python refuses integers of more than 4,300 digits; no count comes near.
    return int(digits) if len(digits) <= _DIGITS_MAX else math.copysign(math.inf, float(digits[:2]))


def _depth(line: str) -> int:
    """Return how deep brackets nest; few lines have enough of them to be looked at."""
    if line.count("{") + line.count("[") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for found in _BRACKET.finditer(line):
        depth += (found[0] in "{[") - (found[0] in "}]")
        deepest = max(deepest, depth)
    return deepest


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Pairs, parse_constant=_refuse_constant, parse_int=_read_integer
)


def _why_malformed(found: ValueError) -> str:
    if isinstance(found, json.JSONDecodeError):
        return f"{found.msg} at character {found.pos + 1}"
    return str(found)


def _read_value(field: WireField, value: Any) -> object:  # noqa: ANN401 - any JSON value
    is_text, is_integer = isinstance(value, str), type(value) is int
    if field.kind == "text" and is_text:
        return value
    if field.kind == "count" and (is_integer or value in (math.inf, -math.inf)):
        return _read_count(field, value)
    if field.kind == "status" and (is_text or is_integer):
        return str(value)
    if field.kind == "instant" and (is_text or is_integer):
        return _read_instant(field, value)
    detail = f"{field.name}: expected {_EXPECTED[field.kind]}, got {_name_kind(value)}"
    raise _RejectedError("wrong_type", detail)


def _read_count(field: WireField, value: float) -> int:
    if value > _INT64_MAX:
        raise _RejectedError("absurd_count", f"{field.name} is above 2^63")
    if value < -_INT64_MAX:
        raise _RejectedError("negative_count", f"{field.name} is below -2^63")
    return int(value)


def _read_instant(field: WireField, value: str | int) -> datetime:
    try:
        instant = from_epoch_ms(value) if isinstance(value, int) else parse_rfc3339(value)
    except (ValueError, OverflowError) as found:
        raise _RejectedError("unreadable_timestamp", f"{field.name}: {found}") from None
    if instant is None:
        detail = f"{field.name} has no UTC offset"
        raise _RejectedError("naive_timestamp", detail)
    return instant


def _name_kind(value: object) -> str:
    return "null" if value is None else _KIND_OF_VALUE.get(type(value), "an object")
