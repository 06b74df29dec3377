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
from collections.abc import Iterator
from typing import IO

import polars as pl
from backports import zstd

from opsmeter_pipeline.model.landed import Format
from opsmeter_pipeline.model.wire import WIRE

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError, pl.exceptions.ComputeError)
"""What reading a damaged file raises, after what came before the damage was yielded."""
_BOM = b"\xef\xbb\xbf"
_NUMERIC = {field.name for field in WIRE if field.kind in ("count", "instant")}
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,30})", re.ASCII)
_PARQUET_ROWS = 100_000
_BUFFER_BYTES = 1 << 20


def read_json_lines(
    stored: io.RawIOBase,
    form: Format,
    *,
    block_bytes: int,
    is_start: bool,
) -> Iterator[bytes]:
    """Yield the records of a stored file as JSON lines, in blocks that end with a line feed.

    Args:
        stored: the stored bytes, from where the slice starts.
        form: how they are read.
        block_bytes: about how many bytes of text a block holds.
        is_start: the bytes are a file's first; otherwise a line end left over from the line
            before is skipped.

    Raises:
        DAMAGE: the file cannot be read on; all that could be was yielded before.
    """
    if form == "parquet":
        yield from _parquet_lines(stored)
        return
    opened = {"jsonl.gz": gzip.open, "jsonl.zst": zstd.open}.get(form)
    text = opened(io.BufferedReader(stored, _BUFFER_BYTES), "rb") if opened else stored
    blocks = _whole_lines(text, block_bytes, is_start=is_start)
    yield from _csv_lines(blocks) if form == "csv" else blocks


def _whole_lines(text: IO[bytes], block_bytes: int, *, is_start: bool) -> Iterator[bytes]:
    """Yield blocks of whole lines; the last line gets a line feed if it has none."""
    pending, is_first = b"", True
    damage: BaseException | None = None
    while damage is None:
        try:
            block = text.read(block_bytes)
        except DAMAGE as exc:
            block, damage = b"", exc
        if is_first and block:
            block = block.removeprefix(_BOM) if is_start else _skip_line_end(block)
            is_first = False
        if not block:
            break
        cut = block.rfind(b"\n") + 1
        if cut:
            yield b"".join((pending, memoryview(block)[:cut]))
            pending = block[cut:]
        else:
            pending += block
    if pending:
        yield pending + b"\n"
    if damage is not None:
        raise damage


def _skip_line_end(block: bytes) -> bytes:
    end = next((end for end in (b"\r\n", b"\n") if block.startswith(end)), b"")
    return block.removeprefix(end)


def _csv_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield CSV records as JSON lines.

    One record is one physical line, so that a stray quote costs no other line.
    """
    header: list[str] | None = None
    for block in blocks:
        lines = block.decode("utf-8", "surrogateescape").split("\n")[:-1]
        if header is None:
            header = next(csv.reader([lines.pop(0)]), [])
        records = (_csv_record(line.rstrip("\r"), header) for line in lines)
        yield "".join(f"{record}\n" for record in records).encode("utf-8", "surrogateescape")


def _csv_record(line: str, header: list[str]) -> str:
    """Return a CSV line as JSON; one that is no CSV stays as it is and will be quarantined."""
    if not line.strip():
        return ""
    try:
        cells = next(csv.reader([line], strict=True))
    except csv.Error:
        return line
    names = header + [f"column_{number}" for number in range(len(header) + 1, len(cells) + 1)]
    record = {
        name: _csv_value(name, cell) for name, cell in zip(names, cells, strict=False) if cell
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _csv_value(name: str, cell: str) -> str | int:
    return int(cell) if name in _NUMERIC and _INTEGER.fullmatch(cell) else cell


def _parquet_lines(stored: io.RawIOBase) -> Iterator[bytes]:
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
