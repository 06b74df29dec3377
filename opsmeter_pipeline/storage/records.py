"""Records of every landed format as JSON lines, so that one contract judges them all.

Add a format here and in `model.landed`. Plain lines pass through untouched; a CSV or Parquet
record becomes one JSON line with its values' own types, so that nothing is coerced on the way.
"""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import polars as pl
from backports import zstd

from opsmeter_pipeline.model.errors import UnpackLimitError
from opsmeter_pipeline.model.landed import Format, Text
from opsmeter_pipeline.model.wire import WIRE
from opsmeter_pipeline.storage.window import Window

DAMAGE = (
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    zstd.ZstdError,
    pl.exceptions.ComputeError,
    pl.exceptions.PanicException,
)
"""What reading a damaged file raises, after what came before the damage was yielded."""
_NUMERIC = {field.name for field in WIRE if field.kind in ("count", "instant")}
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,30})", re.ASCII)
_PARQUET_ROWS = 100_000
_BUFFER_BYTES = 1 << 18
MAX_LINE_BYTES = 64 << 20
"""Of a longer line only the beginning is kept, marked with a NUL so that no rule can accept it."""
_KEPT_OF_LONG_LINE = 1 << 16
_MAX_CELL_CHARACTERS = 2**31 - 1

_QUIET = (zlib.error, zstd.ZstdError, EOFError)
"""Of these, the ones whose text never quotes what was read."""


def describe_damage(damage: BaseException) -> str:
    """Return why a file could not be read on, without anything that stands in it."""
    kind = type(damage).__name__
    return f"{kind}: {damage}" if isinstance(damage, _QUIET) else kind


def read_json_lines(
    stored: Window,
    form: Format,
    *,
    block_bytes: int,
    unpacked_bytes: int,
    left_over: Sequence[bytes],
) -> Iterator[Text]:
    """Yield the records of a stored file as JSON lines, in blocks that end with a line feed.

    Args:
        stored: the stored bytes, from where the slice starts.
        form: how they are read.
        block_bytes: about how many bytes of text a block holds.
        unpacked_bytes: how many bytes of text a compressed file may hold.
        left_over: what the text may begin with that is no part of its first line: a byte order
            mark at the start of a file, the line end of a line that was taken before.

    Raises:
        DAMAGE: the file cannot be read on; all that could be was yielded before.
        UnpackLimitError: a compressed file holds more; what came before was yielded.
    """
    if form == "parquet":
        yield from _parquet_lines(stored)
        return
    opened = {"jsonl.gz": gzip.open, "jsonl.zst": zstd.open}.get(form)
    if opened:
        text = opened(io.BufferedReader(stored, _BUFFER_BYTES), "rb")
        read = _Unpacked(text, block_bytes=block_bytes, left=unpacked_bytes).read
    else:
        read = partial(_read_plain, stored, block_bytes)
    blocks = _whole_lines(read, left_over)
    yield from _csv_lines(blocks) if form == "csv" else blocks


def _read_plain(stored: Window, size: int) -> tuple[Text, None]:
    return stored.read_lines(size), None


class _Unpacked:
    """The text of a compressed file, up to a limit."""

    def __init__(self, text: gzip.GzipFile | zstd.ZstdFile, *, block_bytes: int, left: int) -> None:
        self._text, self._block_bytes, self._limit, self._left = text, block_bytes, left, left

    def read(self) -> tuple[bytes, BaseException | None]:
        """Return the next block and what kept it from more: nothing read before is lost."""
        pieces: list[bytes] = []
        wanted = self._block_bytes
        while wanted > 0:
            try:
                piece = self._text.read1(min(wanted, _BUFFER_BYTES))
            except DAMAGE as exc:
                return b"".join(pieces), exc
            if not piece:
                break
            pieces.append(piece[: self._left])
            self._left -= len(piece)
            if self._left < 0:
                return b"".join(pieces), UnpackLimitError(self._limit)
            wanted -= len(piece)
        return b"".join(pieces), None


def _whole_lines(
    read: Callable[[], tuple[Text, BaseException | None]], left_over: Sequence[bytes]
) -> Iterator[Text]:
    """Yield blocks of whole lines; the last line gets a line feed if it has none."""
    begun, is_first = _BegunLine(), True
    damage: BaseException | None = None
    while damage is None:
        block, damage = read()
        if is_first:
            begin = next((one for one in left_over if block[: len(one)] == one), b"")
            block, is_first = block[len(begin) :], False
            if begin and not block and damage is None:
                continue
        if not block:
            break
        if lines := begun.complete(block):
            yield lines
    if begun.text:
        yield begun.text + b"\n"
    if damage is not None:
        raise damage


class _BegunLine:
    """The line that the blocks so far have begun; of one that is too long, its beginning."""

    def __init__(self) -> None:
        self.text = b""
        self._is_cut_short = False

    def complete(self, block: Text) -> Text:
        """Return the lines that the block completes; the rest of it is the begun line now."""
        if block[-1:] == b"\n" and not self.text:
            return block
        block = bytes(block)
        if self._is_cut_short:
            end = block.find(b"\n")
            if end < 0:
                return b""
            block, self._is_cut_short = block[end:], False
        cut = block.rfind(b"\n") + 1
        lines = b"".join((self.text, memoryview(block)[:cut])) if cut else b""
        self.text = block[cut:] if cut else self.text + block
        if len(self.text) > MAX_LINE_BYTES:
            self.text, self._is_cut_short = self.text[:_KEPT_OF_LONG_LINE] + b"\0", True
        return lines


def _csv_lines(blocks: Iterator[Text]) -> Iterator[bytes]:
    """Yield CSV records as JSON lines.

    One record is one physical line, so that a stray quote costs no other line.
    """
    header: list[str] | None = None
    for block in blocks:
        lines = str(block, "utf-8", "surrogateescape").split("\n")[:-1]
        if header is None:
            header = _csv_cells(lines.pop(0).rstrip("\r")) or []
        records = (_csv_record(line.rstrip("\r"), header) for line in lines)
        yield "".join(f"{record}\n" for record in records).encode("utf-8", "surrogateescape")


def _csv_record(line: str, header: list[str]) -> str:
    """Return a CSV line as JSON; one that is no CSV stays as it is and will be quarantined."""
    if not line.strip():
        return ""
    cells = _csv_cells(line)
    if cells is None:
        return line
    names = header + [f"column_{number}" for number in range(len(header) + 1, len(cells) + 1)]
    # Written member by member: a column named twice is a repeated field, for the contract to see.
    members = (
        f"{_to_json(name)}:{_to_json(_csv_value(name, cell))}"
        for name, cell in zip(names, cells, strict=False)
        if cell
    )
    return "{" + ",".join(members) + "}"


def _csv_cells(line: str) -> list[str] | None:
    """Return the cells of a line, or None if it is no CSV."""
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    try:
        return next(csv.reader([line], strict=True), list[str]())
    except csv.Error:
        return None


def _to_json(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False)


def _csv_value(name: str, cell: str) -> str | int:
    return int(cell) if name in _NUMERIC and _INTEGER.fullmatch(cell) else cell


def _parquet_lines(stored: Window) -> Iterator[bytes]:
    """Yield Parquet rows as JSON lines."""
    frame = pl.scan_parquet(io.BytesIO(stored.read()))
    schema = frame.collect_schema()
    rows = frame.select(pl.len()).collect().item()
    texts = [_as_json_value(name, dtype) for name, dtype in schema.items()]
    for offset in range(0, rows, _PARQUET_ROWS):
        part = frame.slice(offset, _PARQUET_ROWS).select(texts).collect()
        lines = io.BytesIO()
        part.write_ndjson(lines)
        yield lines.getvalue()


def _as_json_value(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as JSON can carry it: instants as RFC 3339 with an offset only if known."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if isinstance(dtype, pl.Binary):
        return column.bin.encode("base64")
    if isinstance(dtype, (pl.Categorical, pl.Enum, pl.Decimal)):
        return column.cast(pl.String)
    return column
