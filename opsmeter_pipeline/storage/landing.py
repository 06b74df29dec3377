"""The landing: a folder or bucket that producers write and this project only reads.

Lists files, tells how far a growing one may be taken, and reads slices as chunks of whole JSON
lines, whatever the format. CSV and Parquet records become JSON lines here (`storage.records`),
so that one contract judges them all. What to take is decided by the `landing` stage.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from io import BufferedIOBase
from typing import Any, NamedTuple

import fsspec
import xxhash

from opsmeter_pipeline.landing import Candidate
from opsmeter_pipeline.model.errors import (
    LandingAddressError,
    LandingMissingError,
    SliceChangedError,
    UnpackLimitError,
)
from opsmeter_pipeline.model.landed import Chunk, LandedFile, Part, Slice, Text
from opsmeter_pipeline.storage.records import DAMAGE, describe_damage, read_json_lines
from opsmeter_pipeline.storage.window import Window
from opsmeter_pipeline.tracking.manifests import SUFFIX as MANIFEST_SUFFIX

_BLOCK_BYTES = 1 << 20
_BOM = (b"\xef\xbb\xbf",)
_LINE_ENDS = (b"\r\n", b"\n")
_IGNORED_ENDINGS = (".tmp", MANIFEST_SUFFIX)


class Damage(NamedTuple):
    """Why reading a slice had to stop early: the `finding` and `detail` of `landing_findings`."""

    finding: str
    detail: str


class Landing:
    """One landing.

    Args:
        root: a local folder or an address fsspec knows, such as `s3://bucket/prefix`.
    """

    def __init__(self, root: str) -> None:
        """Point to the landing; nothing is opened."""
        self.root = root
        try:
            self._fs, self._base = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as exc:
            raise LandingAddressError(root, str(exc)) from exc

    def list_files(self) -> list[LandedFile]:
        """Return all files but hidden ones, `*.tmp` and manifests, by path.

        Raises:
            LandingMissingError: the folder does not exist.
        """
        return [one for one in self._list_shown() if not one.file.endswith(_IGNORED_ENDINGS)]

    def list_manifests(self) -> list[LandedFile]:
        """Return all `*.manifest.json` that are not hidden, by path.

        Raises:
            LandingMissingError: the folder does not exist.
        """
        return [one for one in self._list_shown() if one.file.endswith(MANIFEST_SUFFIX)]

    def holds(self, file: str) -> bool:
        """Return whether a file is there now, without listing the others."""
        self._fs.invalidate_cache()
        return self._fs.isfile(f"{self._base}/{file}")

    def whole_lines_end(self, candidate: Candidate, *, limit_bytes: int, is_settled: bool) -> int:
        """Return the byte after the last whole line to take of a candidate.

        A plain `.jsonl` may still be written to. Its last line counts as whole if a line feed
        ends it, if it is a complete JSON object (no part of one is), or if the file has settled.
        Other formats are taken as they are.

        Raises:
            OSError: the file cannot be opened.
        """
        size = candidate.landed.size_bytes
        with self._open(candidate.landed.file) as file:
            if candidate.format != "jsonl" or size <= candidate.byte_start:
                return size
            start = candidate.byte_start
            end = _after_last_line_feed(file, start, min(size, start + limit_bytes))
            if end is None and start + limit_bytes < size:
                end = _after_first_line_feed(file, start + limit_bytes, size)
            if end is None or (end < size <= start + limit_bytes):
                tail_start = start if end is None else end
                file.seek(tail_start)
                if is_settled or _is_object(file.read(size - tail_start)):
                    return size
                return tail_start
            return end

    def read_chunks(
        self,
        slices: Sequence[Slice],
        *,
        count_lines: Callable[[Text], int],
        chunk_bytes: int,
        unpacked_bytes: int,
    ) -> "ChunkReader":
        """Return a reader of the slices' lines as chunks; the contract counts the lines."""
        return ChunkReader(
            self,
            slices,
            count_lines=count_lines,
            chunk_bytes=chunk_bytes,
            unpacked_bytes=unpacked_bytes,
        )

    def checksum(self, file: str, byte_start: int, byte_end: int) -> str | None:
        """Return what these bytes sum up to, or None if the file does not have them."""
        try:
            with self._open(file) as source:
                source.seek(byte_start)
                window = Window(source, byte_end - byte_start)
                while window.read(_BLOCK_BYTES):
                    pass
        except FileNotFoundError:
            return None
        return window.hexdigest() if window.left == 0 else None

    def read_head(self, file: str) -> bytes:
        """Return the first megabyte of a file: all of one that is no telemetry."""
        with self._open(file) as source:
            return source.read(_BLOCK_BYTES)

    def digest(self, file: str, algorithm: str) -> str | None:
        """Return `algorithm:hex` of a whole file, by sha256 or xxh3_128; None if it is gone."""
        summed = xxhash.xxh3_128() if algorithm == "xxh3_128" else hashlib.new(algorithm)
        try:
            with self._open(file) as source:
                while block := source.read(_BLOCK_BYTES):
                    summed.update(block)
        except OSError:
            return None
        return f"{algorithm}:{summed.hexdigest()}"

    def read_slice(
        self, one: Slice, *, block_bytes: int, unpacked_bytes: int
    ) -> Generator[Text, None, tuple[str, Damage | None]]:
        """Yield the slice's records as JSON lines, in blocks of whole lines of about that size.

        The generator's return value is `(checksum, damage)`: what the stored bytes summed up to,
        and why reading had to stop early, or None. What came before the damage is yielded.

        Raises:
            SliceChangedError: the file is shorter than planned, or a replayed slice has other
                bytes than the first time.
        """
        try:
            source = self._open(one.file)
        except FileNotFoundError:
            raise SliceChangedError(one.file, "it is gone") from None
        with source:
            is_mid_line = _is_mid_line(source, one.byte_start)
            source.seek(one.byte_start)
            window = Window(source, one.byte_end - one.byte_start)
            damage = None
            try:
                yield from read_json_lines(
                    window,
                    one.format,
                    block_bytes=block_bytes,
                    unpacked_bytes=unpacked_bytes,
                    left_over=_LINE_ENDS if is_mid_line else _BOM if one.byte_start == 0 else (),
                )
            except DAMAGE as exc:
                why = describe_damage(exc)
                damage = Damage(
                    "damaged",
                    f"read up to its damage ({why}). Land a whole copy under a new name.",
                )
            except UnpackLimitError as exc:
                damage = Damage("oversized", str(exc))
            while window.read(_BLOCK_BYTES):
                pass
        if window.left:
            raise SliceChangedError(one.file, f"it is {window.left} bytes shorter than listed")
        if one.checksum not in (None, window.hexdigest()):
            raise SliceChangedError(one.file, "its bytes are not those that were taken first")
        return window.hexdigest(), damage

    def _list_shown(self) -> list[LandedFile]:
        self._fs.invalidate_cache()
        if not self._fs.isdir(self._base):
            raise LandingMissingError(self.root)
        found = self._fs.find(self._base, detail=True)
        files = {
            _show_name(path.removeprefix(self._base).lstrip("/")): info
            for path, info in found.items()
            if info["type"] == "file"  # a link to nothing is none
        }
        return [
            LandedFile(file, info["size"], self._modified_at(info))
            for file, info in sorted(files.items())
            if not any(part.startswith(".") for part in file.split("/"))
        ]

    def _open(self, file: str) -> BufferedIOBase:
        return self._fs.open(f"{self._base}/{file}", "rb")

    def _modified_at(self, info: dict[str, Any]) -> datetime:
        told = next(
            info[key]
            for key in ("mtime", "LastModified", "last_modified", "updated", "created")
            if key in info
        )
        return (
            told.astimezone(UTC)
            if isinstance(told, datetime)
            else datetime.fromtimestamp(told, UTC)
        )


def _show_name(file: str) -> str:
    """Return a file's name; one that is no UTF-8 is spelled so that no format claims it."""
    try:
        file.encode()
    except UnicodeEncodeError:
        return file.encode(errors="backslashreplace").decode() + " (the name is no UTF-8)"
    return file


class ChunkReader:
    """Reads slices one after the other into chunks; many small ones make one chunk.

    Attributes:
        checksums: of each slice, complete once the chunks have been read.
        damages: why reading a slice had to stop early, by its position.
    """

    def __init__(
        self,
        landing: Landing,
        slices: Sequence[Slice],
        *,
        count_lines: Callable[[Text], int],
        chunk_bytes: int,
        unpacked_bytes: int,
    ) -> None:
        """Prepare to read; nothing is opened before iteration."""
        self._landing, self._slices, self._count_lines = landing, slices, count_lines
        self._chunk_bytes, self._unpacked_bytes = chunk_bytes, unpacked_bytes
        self.checksums: list[str] = []
        self.damages: dict[int, Damage] = {}

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks; the blocks of one slice stay in order."""
        blocks: list[Text] = []
        parts: list[Part] = []
        number = size = 0
        for block, part in self._blocks():
            blocks.append(block)
            parts.append(part)
            size += len(block)
            if size > self._chunk_bytes // 2:  # a large block is not copied to join another
                yield Chunk(number, _join(blocks), parts)
                number, blocks, parts, size = number + 1, [], [], 0
        if blocks or number == 0:  # a run without lines has one empty chunk, not a special case
            yield Chunk(number, _join(blocks), parts)

    def _blocks(self) -> Iterator[tuple[Text, Part]]:
        for index, one in enumerate(self._slices):
            line_number = one.first_line_number
            blocks = self._landing.read_slice(
                one, block_bytes=self._chunk_bytes, unpacked_bytes=self._unpacked_bytes
            )
            while True:
                try:
                    block = next(blocks)
                except StopIteration as end:
                    checksum, damage = end.value
                    break
                lines = self._count_lines(block)
                yield block, Part(index, line_number, lines)
                line_number += lines
            self.checksums.append(checksum)
            if damage:
                self.damages[index] = damage


def _join(blocks: list[Text]) -> Text:
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _is_mid_line(source: BufferedIOBase, byte_start: int) -> bool:
    """Return whether the slice before ended with a complete object and no line feed."""
    if byte_start == 0:
        return False
    source.seek(byte_start - 1)
    return source.read(1) != b"\n"


def _after_last_line_feed(file: BufferedIOBase, start: int, end: int) -> int | None:
    while end > start:
        block_start = max(start, end - _BLOCK_BYTES)
        file.seek(block_start)
        found = file.read(end - block_start).rfind(b"\n")
        if found >= 0:
            return block_start + found + 1
        end = block_start
    return None


def _after_first_line_feed(file: BufferedIOBase, start: int, end: int) -> int | None:
    file.seek(start)
    for block_start in range(start, end, _BLOCK_BYTES):
        found = file.read(min(_BLOCK_BYTES, end - block_start)).find(b"\n")
        if found >= 0:
            return block_start + found + 1
    return None


def _is_object(tail: bytes) -> bool:
    try:
        return isinstance(json.loads(tail), dict)
    except (ValueError, RecursionError):
        return False
