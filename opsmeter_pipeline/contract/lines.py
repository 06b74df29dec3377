"""From bytes to typed rows, the quick way: lines in a regular shape are parsed in bulk.

What is regular, `contract.shape` says. Every other line, however valid, takes the exact way in
`contract.exact`. Comes after `storage.landing`, before `contract.rules`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.contract.shape import find_regular
from opsmeter_pipeline.model.landed import Part
from opsmeter_pipeline.model.wire import COLUMN_OF, WIRE

RAW_SCHEMA: dict[str, pl.DataType] = {
    field.name: pl.Int64() if field.kind == "count" else pl.String() for field in WIRE
}
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

    The bulk parser is asked for the fields that regular lines have, which is quicker than for all.
    """
    regular = find_regular(lines.frame["line"])
    positions = lines.frame["position"].filter(regular.mask)
    if positions.is_empty():
        return _empty_rows()
    text = lines.text
    if len(positions) < lines.frame.height:
        text = _leave_out(lines, lines.frame["position"].filter(~regular.mask))
    schema = {name: dtype for name, dtype in RAW_SCHEMA.items() if name in regular.fields}
    rows = pl.read_ndjson(text, schema=schema)
    if rows.height != len(positions):  # never seen; the exact way would then read them all
        return _empty_rows()
    absent = [
        pl.lit(None, dtype).alias(name) for name, dtype in RAW_SCHEMA.items() if name not in schema
    ]
    rows = rows.with_columns(absent).rename(COLUMN_OF).with_columns(positions)
    return rows.select("position", *COLUMN_OF.values())


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


def _leave_out(lines: Lines, positions: pl.Series) -> bytes:
    """Return the bytes without these lines."""
    end = (lines.frame["line"].str.len_bytes().fill_null(0) + 1).cum_sum()
    stops = [0, *end.gather(positions)]
    starts = [*end.shift(1, fill_value=0).gather(positions), len(lines.text)]
    text = memoryview(lines.text)
    return b"".join(text[stop:start] for stop, start in zip(stops, starts, strict=True))
