"""What lies in the landing, as plain values: files as listed, slices as planned, chunks as read.

Add here what landing, contract and the ledger must agree on. Reading bytes belongs to
`storage.landing`, deciding what to take to the `landing` stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple, TypeAlias

Text: TypeAlias = bytes | memoryview
"""Bytes that are read in place: `bytes`, or a view of memory that holds them."""
Format = Literal["jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"]
FORMATS: tuple[Format, ...] = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")


def format_of(file: str) -> Format | None:
    """Return the format a file's name announces, or None if it is none of ours.

    >>> format_of("2026-11-23/usage.jsonl.gz")
    'jsonl.gz'
    >>> format_of("notes.txt") is None
    True
    """
    return next((known for known in FORMATS if file.endswith(f".{known}")), None)


@dataclass(frozen=True)
class LandedFile:
    """One file as the landing lists it.

    Attributes:
        file: path relative to the landing, with `/`.
        size_bytes: stored size.
        modified_at: modification time (UTC), as the landing tells it.
    """

    file: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True)
class Slice:
    """The bytes of one file that a batch takes.

    Attributes:
        batch_id: the batch that takes it, or took it first if it is replayed.
        file: path relative to the landing.
        format: how its bytes are read.
        ingest_day: UTC day of `landed_at`: the partition it belongs to.
        landed_at: when the file landed, or gained these bytes (UTC): its modification time, but
            never later than `taken_at`.
        modified_at: its modification time (UTC), as the landing tells it.
        taken_at: when the batch listed the landing (UTC); the contract's `now`.
        byte_start: first byte in the stored file.
        byte_end: byte after the last.
        first_line_number: number of its first line in the file, from 1.
        checksum: what the bytes summed up to when taken first; None the first time.
        landed_since_at: no line of it landed before this instant (UTC); None if all of it landed at
            `landed_at`, as far as anybody can tell.
    """

    batch_id: str
    file: str
    format: Format
    ingest_day: date
    landed_at: datetime
    modified_at: datetime
    taken_at: datetime
    byte_start: int
    byte_end: int
    first_line_number: int
    checksum: str | None = None
    landed_since_at: datetime | None = None


class Part(NamedTuple):
    """A run of lines of one slice inside a chunk.

    Attributes:
        slice_index: position of the slice in the plan.
        first_line_number: number of the first of these lines in its file.
        lines: how many lines follow.
    """

    slice_index: int
    first_line_number: int
    lines: int


@dataclass(frozen=True)
class Chunk:
    """Whole lines of one or more slices, in the plan's order.

    Attributes:
        number: position among the chunks of the run, from 0.
        text: the lines' bytes, each ended by a line feed.
        parts: which lines belong to which slice, in the order of `text`.
    """

    number: int
    text: Text
    parts: Sequence[Part]
