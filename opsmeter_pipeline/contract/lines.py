"""From bytes to typed rows, the quick way: lines in the regular shape are parsed in bulk.

A line is regular if one pattern proves it well-formed: a flat object of known fields, each with
a value of its kind, no escapes, no unknown field. Only then is the bulk parser trusted, which
would otherwise alter numbers and texts in silence. Every other line, however valid, takes the
exact way in `contract.exact`. Comes after `storage.landing`, before `contract.rules`.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.model.landed import Part
from opsmeter_pipeline.model.wire import COLUMN_OF, WIRE, Kind

_TEXT = r'"[^"\\\x00-\x1f]*"'
_COUNT = r"(?:0|[1-9][0-9]{0,12})"
_RFC3339 = (
    r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}'
    r'(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"'
)
_VALUE: dict[Kind, str] = {
    "text": _TEXT,
    "count": _COUNT,
    "status": rf"(?:{_TEXT}|[1-5][0-9]{{2}})",
    "instant": rf"(?:{_RFC3339}|{_COUNT})",
}


def _pattern() -> str:
    by_kind = [
        f'(?:{"|".join(field.name for field in WIRE if field.kind == kind)})": ?(?:{value}|null)'
        for kind, value in _VALUE.items()
    ]
    pair = f'"(?:{"|".join(by_kind)})'
    return rf"^\{{{pair}(?:, ?{pair})*\}}$"


REGULAR = _pattern()
RAW_SCHEMA: dict[str, pl.DataType] = {
    field.name: pl.Int64() if field.kind == "count" else pl.String() for field in WIRE
}


_SAMPLE_LINES = 200
_NAME = re.compile(r'"(\w{1,40})":')
_PLACE = {"slice_index": pl.UInt32(), "line_number": pl.Int64()}


class Lines(NamedTuple):
    """The lines of a chunk.

    Attributes:
        frame: one row per line: `position` in the chunk, `slice_index`, `line_number`, `line`
            (null if its bytes are no UTF-8).
        text: the chunk's bytes with line ends made equal and unreadable lines blanked.
    """

    frame: pl.DataFrame
    text: bytes


def split_lines(text: bytes, parts: Sequence[Part]) -> Lines:
    """Return the lines of a chunk with their places.

    A line ends with a line feed; carriage returns before it belong to the line end.
    """
    if b"\r" in text and b"\r\n" in text:  # one byte is found far quicker than two
        text = b"\n".join(line.rstrip(b"\r") for line in text.split(b"\n"))
    unreadable: list[int] = []
    try:
        line = _scan(text)
    except pl.exceptions.ComputeError:  # some bytes are no UTF-8
        text, unreadable = _blank_unreadable(text)
        line = _scan(text)
    places = [
        pl.select(
            slice_index=pl.repeat(part.slice_index, part.lines, dtype=pl.UInt32),
            line_number=pl.int_range(part.lines, dtype=pl.Int64) + part.first_line_number,
        )
        for part in parts
    ]
    frame = pl.concat([pl.DataFrame(schema=_PLACE), *places]).with_columns(line)
    if unreadable:
        frame = frame.with_columns(
            line=pl.when(~pl.int_range(pl.len()).is_in(unreadable)).then("line")
        )
    return Lines(frame.with_row_index("position"), text)


def parse_regular(lines: Lines) -> pl.DataFrame:
    """Return one row per regular line: `position` and the wire's columns, typed, nulls kept.

    The bulk parser is asked for the fields a sample of the lines has, which is quicker than for
    all. The pattern sees neither a repeated field nor one the sample lacked, so the number
    of names in a line is held against the number of values read from it; a line where they
    differ is left out.
    """
    line = lines.frame["line"]
    is_regular = line.str.contains(REGULAR).fill_null(value=False)
    regular = lines.frame["position"].filter(is_regular)
    irregular = lines.frame["position"].filter(~is_regular)
    text = _blank_lines(lines, irregular) if len(irregular) else lines.text
    schema = _sample_fields(line)
    rows = pl.read_ndjson(text, schema=schema) if len(regular) else None
    if rows is None or rows.height != len(regular):
        return _empty_rows()
    is_whole = _holds_all_names(rows, line.filter(is_regular))
    absent = [
        pl.lit(None, dtype).alias(name) for name, dtype in RAW_SCHEMA.items() if name not in schema
    ]
    rows = rows.with_columns(absent).rename(COLUMN_OF).with_columns(regular)
    return rows.filter(is_whole).select("position", *COLUMN_OF.values())


def _sample_fields(line: pl.Series) -> dict[str, pl.DataType]:
    """Return the schema of the fields that occur in lines taken evenly from all."""
    step = max(1, len(line) // _SAMPLE_LINES)
    sample = line.gather_every(step).drop_nulls()
    found = {name for text in sample for name in _NAME.findall(text)}
    return {name: dtype for name, dtype in RAW_SCHEMA.items() if name in found} or RAW_SCHEMA


def _holds_all_names(rows: pl.DataFrame, line: pl.Series) -> pl.Series:
    """Return whether each row holds every field its line names, and each was named once.

    Of a repeated field the bulk parser keeps the first value, of an unsampled one none, so there
    are more names than values. A null has a name and no value; a field that is named with a
    value and again as null would make up for its own absence and is looked for.
    """
    names = line.str.count_matches('":', literal=True)
    values = rows.select(pl.sum_horizontal(pl.all().is_not_null())).to_series()
    if not line.str.contains("null", literal=True).any():
        return names == values
    nulls = line.str.extract_all('"[a-zA-Z0-9]+": ?null').list
    named_null = nulls.join("")
    repeated = rows.select(
        pl.any_horizontal(
            pl.col(name).is_not_null() & pl.lit(named_null).str.contains(f'"{name}"', literal=True)
            for name in rows.columns
        )
    ).to_series()
    return (names == values + nulls.len()) & ~repeated


def _empty_rows() -> pl.DataFrame:
    schema = {COLUMN_OF[name]: dtype for name, dtype in RAW_SCHEMA.items()}
    return pl.DataFrame(schema={"position": pl.UInt32()} | schema)


def _scan(text: bytes) -> pl.Series:
    return pl.scan_lines(text, name="line").collect().to_series()


def _blank_unreadable(text: bytes) -> tuple[bytes, list[int]]:
    """Return the bytes with every line that is no UTF-8 emptied, and where those were."""
    lines = text.split(b"\n")
    unreadable: list[int] = []
    for position, line in enumerate(lines):
        try:
            line.decode()
        except UnicodeDecodeError:
            unreadable.append(position)
            lines[position] = b""
    return b"\n".join(lines), unreadable


def _blank_lines(lines: Lines, positions: pl.Series) -> bytes:
    """Return the bytes with these lines overwritten by spaces, which the bulk parser skips."""
    size = lines.frame["line"].str.len_bytes().fill_null(0)
    end = (size + 1).cum_sum() - 1
    text = bytearray(lines.text)
    for start, stop in zip((end - size).gather(positions), end.gather(positions), strict=True):
        text[start:stop] = b" " * (stop - start)
    return bytes(text)
