"""Where the assets of one run hand rows to each other: files owned by that run (ADR 0003).

Nothing here outlives its run: what must stay is published. Add a method when an asset has to
hand on something that is no frame.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.tables import INGEST_FILES, SLICE_SCHEMA
from opsmeter_pipeline.storage.event_parts import EventParts

_TOGETHER = 3
"""How many parts make a group; single ones sum up to far more rows in all (ADR 0034)."""


class Staging:
    """The staging folder of one run.

    Args:
        root: the home's staging folder.
        run_id: the Dagster run that owns the files.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        """Point to the run's folder; nothing is created before the first write."""
        self.folder = root / run_id

    def write(self, name: str, frame: pl.DataFrame) -> Path:
        """Write a frame as `<name>.parquet` and return its path. A name may hold `/`."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        frame.write_parquet(path, compression="zstd", compression_level=1)
        return path

    def events(self, name: str) -> EventParts:
        """Return the parts of event rows of that name."""
        return EventParts(self.folder / name)

    def read(self, name: str) -> pl.DataFrame:
        """Return the frame written under that name."""
        return pl.read_parquet(self.path(name), glob=False)

    def path(self, name: str) -> Path:
        """Return where a frame of that name is or would be."""
        return self.folder / f"{name}.parquet"

    def parts(self, name: str) -> list[Path]:
        """Return the files of the frames written as `<name>/...`, in the order of their names."""
        return sorted((self.folder / name).glob("*.parquet"))

    def groups(self, name: str) -> list[list[Path]]:
        """Return these files in groups: few enough to be held at once, many enough to sum well."""
        parts = self.parts(name)
        return [parts[start : start + _TOGETHER] for start in range(0, len(parts), _TOGETHER)]

    def scan_parts(self, name: str) -> pl.LazyFrame:
        """Return all frames written as `<name>/...` as one."""
        return pl.scan_parquet(self.parts(name), glob=False)

    def write_counts(
        self, stage: str, counts: Iterable[pl.DataFrame], *, columns: Sequence[str]
    ) -> pl.DataFrame:
        """Write what a stage counted per `slice_index` in its parts, summed up, and return it."""
        none = pl.DataFrame(
            schema={"slice_index": pl.UInt32}
            | {name: INGEST_FILES.schema[name] for name in columns}
        )
        parts = [none, *(part.select(none.columns) for part in counts)]
        summed = pl.concat(parts).group_by("slice_index").agg(pl.all().sum()).sort("slice_index")
        self.write(f"counts/{stage}", summed)
        return summed

    def read_counts(self) -> list[pl.DataFrame]:
        """Return what each stage counted per `slice_index`."""
        return [pl.read_parquet(path, glob=False) for path in self.parts("counts")]

    def write_slices(self, slices: Sequence[Slice]) -> None:
        """Write the run's plan."""
        self.write("slices", pl.DataFrame([vars(one) for one in slices], schema=SLICE_SCHEMA))

    def read_slices(self) -> list[Slice]:
        """Return the run's plan."""
        return [Slice(**row) for row in self.read("slices").iter_rows(named=True)]

    def delete(self) -> None:
        """Delete the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
