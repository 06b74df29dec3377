"""From bytes to typed rows, the quick way: regular lines, as `contract.kernel` proves them.

Every other line, however valid, takes the exact way in `contract.exact`. Comes after
`storage.landing`, before `contract.rules`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsmeter_pipeline.contract import kernel
from opsmeter_pipeline.model.clock import MAX_EPOCH_MS, MIN_EPOCH_MS
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.landed import Part, Text
from opsmeter_pipeline.model.wire import DIMENSIONS, WIRE, WireField

_LINE_FEED = ord("\n")
_WORD_BYTES = 8
_FEW_BYTES = 1 << 14
"""Python splits so few sooner than Polars begins."""
_NUMBERS = tuple(field.column for field in WIRE if field.kind in ("count", "instant"))
_SHORTEST_BYTES = min(len(field.name) for field in WIRE) + len('{"":""}\n')
"""No regular line has fewer: there is no room to make for more of them than fit."""
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
        parts: which lines belong to which slice.
        regular: one row per regular line, columns `TYPED`, in line order.
        texts: of each column that is categories, the texts of regular lines, each once.
        blank: the positions of lines of white space only, in order.
        irregular: the positions of all other lines, in order.
    """

    text: memoryview
    ends: NDArray[np.int64]
    parts: Sequence[Part]
    regular: pl.DataFrame
    texts: Mapping[str, pl.Series]
    blank: pl.Series
    irregular: pl.Series

    def read(self, positions: pl.Series) -> Iterator[str | None]:
        """Yield the lines at these positions, None for one whose bytes are no UTF-8.

        A line ends with a line feed; carriage returns before it belong to the line end.
        """
        for position in positions:
            start = int(self.ends[position - 1]) + 1 if position else 0
            try:
                line = bytes(self.text[start : int(self.ends[position])])
                yield line.rstrip(b"\r").decode()
            except UnicodeDecodeError:
                yield None

    def place(self, positions: pl.Series) -> pl.DataFrame:
        """Return `slice_index` and `line_number` of the lines at these positions."""
        lines = np.cumsum([0, *(part.lines for part in self.parts)])
        part = np.searchsorted(lines[1:], positions.to_numpy(), side="right")
        slices = np.array([one.slice_index for one in self.parts], np.uint32)
        numbers = np.array([one.first_line_number for one in self.parts], np.int64)
        return pl.DataFrame(
            {
                "slice_index": slices[part],
                "line_number": numbers[part] - lines[part] + positions.to_numpy(),
            }
        )


def count_lines(text: Text) -> int:
    """Return how many line feeds a text has; `bytes.count` takes seven times the time."""
    return kernel.count_lines(_view(text))


def read_lines(chunk: Text, parts: Sequence[Part]) -> Lines:
    """Return the lines of a chunk: their places, and those that are regular as typed rows.

    Raises:
        ValueError: the chunk holds no whole lines, or another number of them than its parts tell.
    """
    text = _view(chunk)
    if len(text) and text[-1] != _LINE_FEED:
        msg = "A chunk ends in the middle of a line."
        raise ValueError(msg)
    lines = sum(part.lines for part in parts)
    found = _make_room(lines, len(text))
    size = kernel.read_lines(text, _FIELDS, found)
    if size.lines != lines:
        msg = f"A chunk has {size.lines} lines or more where its parts tell of {lines}."
        raise ValueError(msg)
    kinds = pl.Series("position", found.kinds)
    regular, blank, irregular = (
        (kinds == kind).arg_true() for kind in (kernel.REGULAR, kernel.BLANK, kernel.OTHER)
    )
    texts = {column: _read_texts(found, slot) for slot, column in enumerate(DIMENSIONS)}
    rows = {"position": regular}
    for nth, field in enumerate(WIRE):
        rows[field.column] = (
            _build_column(found, size, nth, texts)
            if size.in_any >> nth & 1
            else pl.repeat(None, size.rows, dtype=TYPED[field.column], eager=True)
        )
    return Lines(text.data, found.ends, parts, pl.DataFrame(rows), texts, blank, irregular)


def _view(text: Text) -> kernel.Bytes:
    """Return a text as bytes of one kind of memory: Numba would compile again for another."""
    return np.frombuffer(memoryview(text).toreadonly(), np.uint8)


def _make_room(lines: int, text_bytes: int) -> kernel.Found:
    dimensions, rows = len(DIMENSIONS), min(lines, text_bytes // _SHORTEST_BYTES)
    return kernel.Found(
        ends=np.empty(lines, np.int64),
        kinds=np.empty(lines, np.uint8),
        present=np.empty(rows, np.uint64),
        ids=np.empty(text_bytes + 2 * _WORD_BYTES, np.uint8),
        numbers=np.zeros((len(_NUMBERS), rows), np.int64),
        codes=np.empty((dimensions, rows), np.uint32),
        texts=np.zeros((dimensions, 2), np.int64),
        spans=np.empty((dimensions, rows + 1, 2), np.int64),
        kept=np.empty(text_bytes + 2 * _WORD_BYTES, np.uint8),
        kept_end=np.zeros(1, np.int64),
        # At most half full, so that few texts share a place.
        tables=np.zeros((dimensions, 1 << (2 * rows).bit_length()), np.uint32),
        order=np.zeros(len(WIRE) + 1, np.int64),
        values=np.zeros((len(WIRE), 2), np.int64),
    )


def _describe_fields() -> kernel.Fields:
    names = [field.name.encode() + b'"' for field in WIRE]
    longest = -(-max(map(len, names)) // _WORD_BYTES) * _WORD_BYTES
    words = np.array(names, f"S{longest}").view("<u8").reshape(len(names), -1)
    traits = [(len(field.name), _KINDS[field.kind], _find_slot(field.column)) for field in WIRE]
    return kernel.Fields(words, np.array(traits, np.int64), MIN_EPOCH_MS, MAX_EPOCH_MS)


def _find_slot(column: str) -> int:
    of_kind = _NUMBERS if column in _NUMBERS else DIMENSIONS
    return of_kind.index(column) if column in of_kind else -1


_FIELDS = _describe_fields()


def _build_column(
    found: kernel.Found, size: kernel.Size, nth: int, texts: Mapping[str, pl.Series]
) -> pl.Series:
    field, slot = WIRE[nth], int(_FIELDS.traits[nth, kernel.SLOT])
    if field.column in DIMENSIONS:
        none = pl.Series([None], dtype=pl.Categorical)  # code 0
        by_code = pl.concat([none, texts[field.column].cast(pl.Categorical)])
        return by_code.gather(found.codes[slot, : size.rows])
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


def _read_texts(found: kernel.Found, slot: int) -> pl.Series:
    """Return a dimension's texts by code, from code 1 on."""
    joined = np.empty(found.texts[slot, kernel.BYTES] + 1, np.uint8)
    kernel.join_texts(found, slot, joined)
    return _split(joined)


def _split(joined: NDArray[np.uint8]) -> pl.Series:
    """Return texts of which each is ended by a line feed; no value of a regular line has one.

    Another one comes before the first, because a text can begin as compressed files do: `xک` is
    taken for zlib.
    """
    text = joined.tobytes()
    if len(text) < _FEW_BYTES:
        return pl.Series(text.decode().split("\n")[1:-1], dtype=pl.String)
    return pl.scan_lines(text, name="text").collect().to_series()[1:]
