"""What the tracking checks read of the warehouse: counts, landings and looks at manifests.

Reading only, each a query over counts and the ledger, never over events or quarantine. What is
judged stands in the `tracking` stage.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import polars as pl

from opsmeter_pipeline.model.columns import INSTANT, Table
from opsmeter_pipeline.model.landed import LandedFile, Slice
from opsmeter_pipeline.model.probe import PROBE_FILES
from opsmeter_pipeline.model.tables import FIELD_PRESENCE_HOURLY, MANIFESTS, TRACKING_HOURLY
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.tracking.counts import COUNTED
from opsmeter_pipeline.tracking.manifests import SUFFIX, Told, read_manifest
from opsmeter_pipeline.tracking.source import name_sources

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LOOKS = MANIFESTS.empty().with_columns(
    pl.lit(None, pl.String).alias("format"),
    *(pl.lit(None, pl.Int64).alias(name) for name in ("lines", "blank")),
    *(pl.lit(None, INSTANT).alias(name) for name in ("file_modified_at", "complete_at")),
)
JUDGED = timedelta(hours=1)
"""How long before a run's last hour another producer's hour is judged with it."""
_RUN_HOURS = """
    SELECT DISTINCT batch_id, source, landed_hour_at FROM tracking_hourly
    WHERE batch_id IN (SELECT batch_id FROM ingest_batches WHERE run_id = ?)
"""
_SUMS = """
    SELECT {keys}, {sums}, {of_run}
    FROM {table} WHERE landed_hour_at BETWEEN ? AND ? GROUP BY ALL
"""
_LANDINGS = f"""
    SELECT DISTINCT file, landed_at FROM ingest_files
    WHERE landed_at > (SELECT max(landed_at) FROM ingest_files) - ?::INTERVAL
        AND NOT file GLOB '{PROBE_FILES}'
"""
"""Not of probes: their schedule may be off, and has an alert of its own."""
_LOOKS = """
    WITH last AS (
        SELECT * FROM manifests QUALIFY row_number() OVER (PARTITION BY file ORDER BY read_at DESC)
            = 1
    ), taken AS (
        SELECT file, any_value(format) AS format, sum(lines)::BIGINT AS lines,
            sum(blank)::BIGINT AS blank, max(modified_at) AS file_modified_at
        FROM ingest_files WHERE file IN (SELECT file FROM last) GROUP BY file
    )
    SELECT last.*, format, lines, blank, file_modified_at,
        (SELECT max(landed_at) FROM ingest_files) AS complete_at
    FROM last LEFT JOIN taken USING (file)
"""


class Counts(NamedTuple):
    """What a run is judged by: its hours, and those in a window before them.

    Attributes:
        lines: sums of `tracking_hourly` per hour and what it counts by.
        presence: likewise of `field_presence_hourly`.

    Beside each sum of lines, `run_lines` is the run's own part; `judged_lines` is the hour's sum,
    null if the hour is not judged. Judged are the hours of the run, and any producer's that
    were going on when the run's last one was.
    """

    lines: pl.DataFrame
    presence: pl.DataFrame


def read_counts(lake: Lake, run_id: str, *, window: timedelta) -> Counts:
    """Return what a run is judged by; nothing, if it took no line."""
    hours = lake.read(_RUN_HOURS, [run_id])
    known: list[datetime] = hours["landed_hour_at"].to_list() or [_NEVER]
    first, last = min(known), max(known)
    read = partial(_read_sums, lake, span=(first - window, last), of_run=hours)
    return Counts(
        read(TRACKING_HOURLY, sums=COUNTED), read(FIELD_PRESENCE_HOURLY, sums=("lines", "present"))
    )


def _read_sums(
    lake: Lake,
    table: Table,
    *,
    sums: Sequence[str],
    span: tuple[datetime, datetime],
    of_run: pl.DataFrame,
) -> pl.DataFrame:
    shown = [name for name in ("lines", "present") if name in sums]
    batch_ids = of_run["batch_id"].unique().to_list()
    is_run = "list_contains(?::VARCHAR[], batch_id)"  # half the time of a subquery
    hours = of_run.select("source", "landed_hour_at", is_of_run=pl.lit(value=True)).unique()
    sql = _SUMS.format(
        keys=", ".join(name for name in table.schema if name not in (*sums, "batch_id")),
        sums=", ".join(f"sum({name})::BIGINT AS {name}" for name in sums),
        of_run=", ".join(
            f"coalesce(sum({name}) FILTER ({is_run}), 0)::BIGINT AS run_{name}" for name in shown
        ),
        table=table.name,
    )
    summed = lake.read(sql, [*[batch_ids] * len(shown), *span])
    is_judged = pl.col("is_of_run").fill_null(value=False) | (
        pl.col("landed_hour_at") >= span[1] - JUDGED
    )
    return (
        summed.join(hours, on=["source", "landed_hour_at"], how="left")
        .with_columns(pl.when(is_judged).then(name).alias(f"judged_{name}") for name in shown)
        .drop("is_of_run")
    )


def read_landings(lake: Lake, *, window: timedelta) -> pl.DataFrame:
    """Return `source` and `landed_at` of what landed in a window before the newest landing."""
    landings = lake.read(_LANDINGS, [f"{window.total_seconds():.0f} seconds"])
    named = landings.join(name_sources(landings["file"]), on="file")
    return named.select("source", "landed_at").unique()


def read_looks(lake: Lake) -> pl.DataFrame:
    """Return the last look at each manifest and what the ledger counted of its file."""
    if lake.read("SELECT 1 FROM manifests LIMIT 1").is_empty():  # as nearly always
        return _NO_LOOKS
    return lake.read(_LOOKS)


def look_at_manifests(
    landing: Landing, lake: Lake, *, slices: Sequence[Slice], now: datetime
) -> pl.DataFrame:
    """Return rows of `manifests`: what producers say they sent, and what their files sum up to.

    Looked at are the manifests that are new or changed, and those of files a run takes. A file
    whose manifest tells a checksum is read once more.

    Args:
        landing: where the manifests are.
        lake: the warehouse, which knows those that were looked at.
        slices: what the run takes.
        now: when this is done (UTC).
    """
    listed = landing.list_manifests()
    known: set[tuple[object, ...]] = set()
    if listed:
        sql = "SELECT DISTINCT file, size_bytes, modified_at FROM manifests"
        known = set(lake.read(sql).rows())
    taken = {one.file for one in slices}
    looks = [
        _look_at(landing, one, now=now)
        for one in listed
        if (file := one.file.removesuffix(SUFFIX)) in taken
        or (file, one.size_bytes, one.modified_at) not in known
    ]
    return pl.DataFrame(looks, schema=MANIFESTS.schema)


def _look_at(landing: Landing, manifest: LandedFile, *, now: datetime) -> dict[str, Any]:
    file = manifest.file.removesuffix(SUFFIX)
    try:
        told = read_manifest(landing.read_head(manifest.file))
    except OSError as exc:
        told = Told(None, problem=f"it cannot be opened ({exc.strerror or exc})")
    algorithm = told.checksum.partition(":")[0] if told.checksum else None
    return {
        "file": file,
        "told_lines": told.lines,
        "told_checksum": told.checksum,
        "found_checksum": landing.digest(file, algorithm) if algorithm else None,
        "problem": told.problem,
        "size_bytes": manifest.size_bytes,
        "modified_at": manifest.modified_at,
        "read_at": now,
    }
