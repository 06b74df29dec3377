"""How a well-behaved client puts a file into landing: whole, under a new name, in any format.

Holds the encoders of the supported formats and the atomic writes, to a folder and to any address.
Add a format here. Keep out: what the lines say (demo_traffic, demo_faults), reading landing.
Before it in the flow: the producers that have lines. After it: landing.
"""

import csv
import errno
import gzip
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import fsspec
import polars as pl
from backports import zstd

from opsmeter_pipeline.model.landed import Format
from opsmeter_pipeline.model.wire import WIRE, Kind
from opsmeter_pipeline.producers.demo_day import Line, Payload, RawLine, encode_json

_DTYPE_BY_KIND: dict[Kind, type[pl.DataType]] = {
    "text": pl.String,
    "count": pl.Int64,
    "status": pl.String,
    "instant": pl.String,
}


def land_file(path: Path, content: bytes, *, landed_at_ms: int) -> None:
    """Make the file appear at once, whole and with its landing time as modification time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content)
    landed_at_ns = landed_at_ms * 1_000_000
    os.utime(unfinished, ns=(landed_at_ns, landed_at_ns))
    unfinished.rename(path)


def land_bytes(landing: str, file: str, content: bytes) -> None:
    """Make a file appear at once and whole, landed now.

    Args:
        landing: a folder, or an address that fsspec knows.
        file: its path there.
        content: its bytes.

    Raises:
        OSError: it cannot be written, or the landing is not there.
    """
    files, base = cast("tuple[Any, str]", fsspec.core.url_to_fs(landing))  # it brings no types
    if not files.isdir(base):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), landing)
    folder, _, name = f"{base}/{file}".rpartition("/")
    files.makedirs(folder, exist_ok=True)
    unfinished = f"{folder}/.{name}.tmp"
    files.pipe_file(unfinished, content)
    files.mv(unfinished, f"{folder}/{name}")


def encode_file(lines: Sequence[Line | RawLine], *, file_format: Format) -> bytes:
    """Return the bytes of a file that holds the lines in their order.

    csv and parquet have fixed columns: the payload fields that occur. Raw lines cannot stand there.
    """
    if file_format in {"csv", "parquet"}:
        records = [_to_record(line.payload) for line in lines if isinstance(line, Line)]
        return _encode_csv(records) if file_format == "csv" else _encode_parquet(records)
    text = b"".join(_to_text(line) + b"\n" for line in lines)
    if file_format == "jsonl.gz":
        return gzip.compress(text, mtime=0)
    return zstd.compress(text) if file_format == "jsonl.zst" else text


def _to_text(line: Line | RawLine) -> bytes:
    return line.text if isinstance(line, RawLine) else encode_json(line.payload)


def _to_record(payload: Payload) -> Payload:
    """Return the payload for a column of one type: an HTTP status code becomes text."""
    return payload | {"status": str(payload["status"])}


def _encode_csv(records: Sequence[Payload]) -> bytes:
    columns = _columns_of(records)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _encode_parquet(records: Sequence[Payload]) -> bytes:
    content = io.BytesIO()
    pl.DataFrame(records, schema=_columns_of(records)).write_parquet(content)
    return content.getvalue()


def _columns_of(records: Sequence[Payload]) -> dict[str, type[pl.DataType]]:
    present = set[str]().union(*records)
    return {field.name: _DTYPE_BY_KIND[field.kind] for field in WIRE if field.name in present}
