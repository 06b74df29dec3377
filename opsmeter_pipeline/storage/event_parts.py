"""Event rows that one asset hands to the next ones of its run, in numbered parts.

Arrow IPC, a third of Parquet's time for rows that are read once or twice. Texts that recur are
handed on as numbers of one dictionary for all parts: numbers are copied, where each part's own
texts would have to be looked up one by one. What is published is Parquet and no business of this
module.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

_Flags: TypeAlias = NDArray[np.bool_]


class EventParts:
    """The parts in one folder, to be read once they are all written.

    Args:
        folder: where they are; made when they are written.
    """

    def __init__(self, folder: Path) -> None:
        """Point to the folder."""
        self._folder = folder

    def write(self) -> "Writer":
        """Return a writer of these parts, to be used as a context."""
        return Writer(self._folder)

    @property
    def paths(self) -> list[Path]:
        """The parts' files, in order."""
        return sorted(self._folder.glob("[0-9]*.arrow"))

    def read(
        self, part: Path, columns: Sequence[str] = (), *, mask: pl.Series | None = None
    ) -> pl.DataFrame:
        """Return the rows of a part, these columns or all; with a mask, where it is true."""
        names = columns or self._empty.columns
        written = pl.read_ipc_schema(part).keys()
        if not written:  # no column has a value because there is no row
            return self._empty.select(names)
        kept = [name for name in names if name in written]
        rows = pl.read_ipc(part, columns=kept or [next(iter(written))])
        rows = rows if mask is None else rows.filter(mask)
        coded = [name for name in kept if self._empty.schema[name] == pl.Categorical]
        rows = rows.with_columns(self._texts.gather(rows[name]).alias(name) for name in coded)
        return pl.concat([self._empty.select(names), rows], how="diagonal").select(names)

    @cached_property
    def _empty(self) -> pl.DataFrame:
        return pl.read_ipc(_schema_of(self._folder))

    @cached_property
    def _texts(self) -> pl.Series:
        return pl.read_ipc(_texts_of(self._folder)).to_series().cast(pl.Categorical)


class Writer:
    """Writes parts, from several threads if need be, and their dictionary once all are written.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        # Polars numbers the texts of a process as long as there is a column of them.
        self._numbered = pl.Series([""], dtype=pl.Categorical)
        self._used: _Flags = np.zeros(0, np.bool_)
        self._lock = Lock()
        self._empty = pl.DataFrame()

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def write(self, number: int, events: pl.DataFrame) -> None:
        """Write event rows as the part of that number.

        A column without any value is left out; the folder's schema, the same for all parts, tells
        of it.
        """
        self._empty = events.clear()
        kept = [one for one in events if one.null_count() < len(one)]
        coded = [self._number(one) if one.dtype == pl.Categorical else one for one in kept]
        _write(pl.DataFrame(coded), self._folder / f"{number:05}.arrow")

    def _number(self, texts: pl.Series) -> pl.Series:
        """Return the numbers of texts, and note which are used.

        Polars knows others too, such as raw identifiers that were hashed: they are not written.
        """
        numbers = texts.to_physical()
        found = numbers.drop_nulls().to_numpy()
        with self._lock:
            if found.max() >= len(self._used):
                self._used = np.concatenate([self._used, np.zeros(found.max() + 1, np.bool_)])
            self._used[found] = True
        return numbers

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what all parts share, unless writing failed."""
        if kind is None:
            _write(self._empty, _schema_of(self._folder))
            last = int(self._used.nonzero()[0].max(initial=-1))
            numbers = pl.int_range(last + 1, dtype=pl.UInt32, eager=True)
            unused = pl.Series(~self._used[: last + 1])
            texts = numbers.set(unused, None).cat.to(pl.Categorical).cast(pl.String)
            _write(texts.to_frame("text"), _texts_of(self._folder))


def _write(rows: pl.DataFrame, path: Path) -> None:
    """Write rows and nothing else: as views, texts would bring those of rows filtered out."""
    rows.write_ipc(path, compat_level=pl.CompatLevel.oldest())


def _schema_of(folder: Path) -> Path:
    return folder / "schema.arrow"


def _texts_of(folder: Path) -> Path:
    return folder / "texts.arrow"
