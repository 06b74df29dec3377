"""From bytes to typed rows, the quick way: regular lines, as `contract.kernel` proves them.

Every other line, however valid, takes the exact way in `contract.exact`. Comes after
`storage.landing`, before `contract.rules`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsmeter_pipeline.contract import kernel
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.landed import Part
from opsmeter_pipeline.model.wire import DIMENSIONS, WIRE, WireField

_WORD_BYTES = 8
_NUMBERS = tuple(field.column for field in WIRE if field.kind in ("count", "instant"))
_KINDS = {
    "text": kernel.TEXT, "count": kernel.COUNT,
    "status": kernel.STATUS, "instant": kernel.INSTANT,
}  # fmt: skip


def _type_of(field: WireField) -> pl.DataType | type[pl.DataType]:
    if field.column in DIMENSIONS:
        return pl.Categorical
    return {"count": pl.Int64(), "instant": INSTANT}.get(field.kind, pl.String())


TYPED = {"position": pl.UInt32()} | {field.column: _type_of(field) for field in WIRE}
"""Columns of typed lines: `position` in the chunk, and the wire's, null where a line has none."""


class Lines(NamedTuple):
    """The lines of a chunk.

    Attributes:
        text: the chunk's bytes.
        ends: the position of each line's line feed.
        places: one row per line: `slice_index`, `line_number`.
        regular: one row per regular line, columns `TYPED`, in line order.
        irregular: the positions of all other lines, in order.
    """

    text: bytes
    ends: NDArray[np.int64]
    places: pl.DataFrame
    regular: pl.DataFrame
    irregular: pl.Series

    def read(self, positions: pl.Series) -> Iterator[str | None]:
        """Yield the lines at these positions, None for one whose bytes are no UTF-8.

        A line ends with a line feed; carriage returns before it belong to the line end.
        """
        for position in positions:
            start = int(self.ends[position - 1]) + 1 if position else 0
            try:
                yield self.text[start : int(self.ends[position])].rstrip(b"\r").decode()
            except UnicodeDecodeError:
                yield None


def read_lines(text: bytes, parts: Sequence[Part]) -> Lines:
    """Return the lines of a chunk: their places, and those that are regular as typed rows."""
    lines = sum(part.lines for part in parts)
    found = _make_room(lines, len(text))
    size = kernel.read_lines(np.frombuffer(text, np.uint8), _read_words(text), _FIELDS, found)
    positions = found.positions[: size.rows]
    is_regular = np.zeros(lines, np.bool_)
    is_regular[positions] = True
    rows = {"position": pl.Series(positions)}
    for nth, field in enumerate(WIRE):
        rows[field.column] = (
            _build_column(text, found, size, nth)
            if size.in_any >> nth & 1
            else pl.repeat(None, size.rows, dtype=TYPED[field.column], eager=True)
        )
    irregular = pl.Series("position", np.flatnonzero(~is_regular), dtype=pl.UInt32)
    return Lines(text, found.ends, _place(parts), pl.DataFrame(rows), irregular)


def _make_room(lines: int, text_bytes: int) -> kernel.Found:
    dimensions = len(DIMENSIONS)
    return kernel.Found(
        ends=np.empty(lines, np.int64),
        positions=np.empty(lines, np.uint32),
        present=np.empty(lines, np.uint64),
        ids=np.empty(text_bytes, np.uint8),
        numbers=np.zeros((len(_NUMBERS), lines), np.int64),
        codes=np.empty((dimensions, lines), np.uint32),
        texts=np.zeros((dimensions, 2), np.int64),
        text_starts=np.empty((dimensions, lines + 1), np.int64),
        text_ends=np.empty((dimensions, lines + 1), np.int64),
        # At most half full, so that few texts share a place.
        tables=np.zeros((dimensions, 1 << (2 * lines).bit_length()), np.uint32),
        order=np.zeros(len(WIRE) + 1, np.int64),
        values=np.zeros((len(WIRE), 2), np.int64),
    )


def _read_words(text: bytes) -> NDArray[np.uint64]:
    """Return the 8 bytes from each position on, of all lines that end 8 bytes before the last."""
    length = text.rfind(b"\n", 0, max(len(text) - _WORD_BYTES, 0)) + 1
    return np.ndarray(length, np.dtype("<u8"), buffer=text, strides=(1,))


def _describe_fields() -> kernel.Fields:
    names = [field.name.encode() + b'"' for field in WIRE]
    longest = -(-max(map(len, names)) // _WORD_BYTES) * _WORD_BYTES
    words = np.array(names, f"S{longest}").view("<u8").reshape(len(names), -1)
    traits = [(len(field.name), _KINDS[field.kind], _find_slot(field.column)) for field in WIRE]
    return kernel.Fields(words, np.array(traits, np.int64))


def _find_slot(column: str) -> int:
    of_kind = _NUMBERS if column in _NUMBERS else DIMENSIONS
    return of_kind.index(column) if column in of_kind else -1


_FIELDS = _describe_fields()


def _build_column(text: bytes, found: kernel.Found, size: kernel.Size, nth: int) -> pl.Series:
    field, slot = WIRE[nth], int(_FIELDS.traits[nth, kernel.SLOT])
    if field.column in DIMENSIONS:
        return _build_dimension(text, found, slot).gather(found.codes[slot, : size.rows])
    if slot < 0:
        values = _split(found.ids[: size.id_bytes])
    else:
        values = pl.Series(found.numbers[slot, : size.rows])
    if field.kind == "instant":
        values = values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if size.in_all >> nth & 1:
        return values
    is_absent = (found.present[: size.rows] & np.uint64(1 << nth)) == 0
    return values.set(pl.Series(is_absent), None)


def _build_dimension(text: bytes, found: kernel.Found, slot: int) -> pl.Series:
    """Return a dimension's texts by code, null for 0."""
    joined = np.empty(found.texts[slot, kernel.BYTES], np.uint8)
    kernel.join_texts(np.frombuffer(text, np.uint8), found, slot, joined)
    none = pl.Series([None], dtype=pl.Categorical)
    return pl.concat([none, _split(joined).cast(pl.Categorical)])


def _split(joined: NDArray[np.uint8]) -> pl.Series:
    """Return texts of which each is ended by a line feed; no value of a regular line has one."""
    return pl.scan_lines(joined.tobytes(), name="text").collect().to_series()


def _place(parts: Sequence[Part]) -> pl.DataFrame:
    places = [
        pl.select(
            slice_index=pl.repeat(part.slice_index, part.lines, dtype=pl.UInt32),
            line_number=pl.int_range(part.lines, dtype=pl.Int64) + part.first_line_number,
        )
        for part in parts
    ]
    none = pl.DataFrame(schema={"slice_index": pl.UInt32(), "line_number": pl.Int64()})
    return pl.concat([none, *places])
