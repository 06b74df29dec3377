"""The bytes of one slice: a window of a stored file that sums up what is read through it."""

import io

import numpy as np
import xxhash

_TAIL_BYTES = 1 << 16


class Window(io.RawIOBase):
    """A window of a file, from where the file stands now.

    Attributes:
        left: how many of its bytes have not been read yet.
    """

    def __init__(self, source: io.BufferedIOBase, size: int) -> None:
        """Begin at the file's position; nothing is read."""
        self._source, self.left = source, size
        self._hash = xxhash.xxh3_128()

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the window, all that are left by default."""
        block = self._source.read(self.left if size < 0 else min(size, self.left))
        self._hash.update(block)
        self.left -= len(block)
        return block

    def read_lines(self, size: int) -> memoryview:
        """Return up to that many bytes that end with a line feed, if there is one near their end.

        So a block need not be cut and copied, which takes twice the time of reading it. NumPy asks
        for large pages of memory; `bytes` would be filled page by small page, in three times the
        time.
        """
        size = self._find_cut(size) if _TAIL_BYTES < size < self.left else min(size, self.left)
        room = np.empty(size, np.uint8).data
        block = room[: self._source.readinto(room)]
        self._hash.update(block)
        self.left -= len(block)
        return block

    def _find_cut(self, size: int) -> int:
        start = self._source.tell()
        self._source.seek(start + size - _TAIL_BYTES)
        cut = self._source.read(_TAIL_BYTES).rfind(b"\n") + 1
        self._source.seek(start)
        return size - _TAIL_BYTES + cut if cut else size

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride] - a buffered reader on top calls it, with a memoryview only
        """Read into a buffer; return how many bytes."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def hexdigest(self) -> str:
        """Return what all bytes read so far sum up to."""
        return self._hash.hexdigest()
