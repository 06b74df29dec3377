"""What the ledger in the warehouse says about landed files and batches.

Reading only: the landing's plan and a replay start from here. The ledger's rows are built by the
`publish` stage and written by `storage.publisher`.
"""

from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl

from opsmeter_pipeline.landing import Taken
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.tables import EVENTS, QUARANTINE
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.staging import Staging

_TAKEN = """
    WITH looks AS (
        SELECT file, byte_end AS size_bytes, modified_at, taken_at AS looked_at, NULL AS finding
        FROM ingest_files JOIN ingest_batches USING (batch_id)
        UNION ALL
        SELECT file, size_bytes, modified_at, found_at, finding FROM landing_findings
    ), taken AS (
        SELECT file, max(byte_end) AS byte_end, max(first_line_number + lines) AS next_line_number
        FROM ingest_files GROUP BY file
    )
    SELECT
        file,
        coalesce(any_value(byte_end), 0) AS byte_end,
        coalesce(any_value(next_line_number), 1) AS next_line_number,
        max_by(size_bytes, (looked_at, size_bytes)) AS size_bytes,
        max_by(modified_at, (looked_at, size_bytes)) AS modified_at,
        any_value(byte_end) IS NOT NULL AS is_taken,
        arg_max_null(finding, (looked_at, size_bytes)) AS finding
    FROM looks LEFT JOIN taken USING (file)
    GROUP BY file
"""


def read_taken(lake: Lake) -> dict[str, Taken]:
    """Return what is known of each file that was taken or found wanting, by path."""
    rows = lake.read(_TAKEN).iter_rows(named=True)
    return {row.pop("file"): Taken(**row) for row in rows}


def read_last_day(lake: Lake) -> date | None:
    """Return the ingest day of the batch that took new lines last, or None before the first.

    By the number of its look, not by its clock, which may have jumped.
    """
    sql = """
        SELECT arg_max(b.ingest_day, w.number) FROM watermarks w
        JOIN ingest_batches b USING (batch_id)
    """
    return lake.read(sql).item()


def read_slices_of(lake: Lake, file: str) -> list[Slice]:
    """Return the slices taken of a file, in the order of its bytes."""
    return _slices(lake, "WHERE f.file = ? ORDER BY f.byte_start", [file])


def read_slices_landed_on(lake: Lake, day: date) -> list[Slice]:
    """Return the slices that landed on a UTC day, in the order in which they were taken."""
    order = "ORDER BY b.taken_at, f.batch_id, f.landed_at, f.file, f.byte_start"
    return _slices(lake, f"WHERE f.ingest_day = ? {order}", [day])


def read_batch_slices(lake: Lake, batch_ids: Sequence[str]) -> list[Slice]:
    """Return the slices of these batches."""
    condition = "WHERE batch_id IN (SELECT unnest(?)) ORDER BY f.batch_id, f.file, f.byte_start"
    return _slices(lake, condition, [batch_ids])


def read_batches(lake: Lake, batch_ids: Sequence[str]) -> pl.DataFrame:
    """Return the rows of `ingest_batches` with these ids."""
    return lake.read(
        "SELECT * FROM ingest_batches WHERE batch_id IN (SELECT unnest(?))", [batch_ids]
    )


def read_findings(lake: Lake, files: Sequence[str]) -> list[dict[str, str]]:
    """Return the last finding of each of these files: `file`, `finding` and `detail`."""
    sql = """
        SELECT file, arg_max(finding, found_at) AS finding, arg_max(detail, found_at) AS detail
        FROM landing_findings WHERE file IN (SELECT unnest(?::VARCHAR[])) GROUP BY file
    """
    return lake.read(sql, [files]).to_dicts()


def read_known_events(
    lake: Lake,
    staging: Staging,
    *,
    ids: Iterable[pl.Series],
    columns: Sequence[str],
) -> pl.DataFrame:
    """Return the published events that have one of these ids.

    What they are judged against is staged too, for the publisher to see that it still holds.

    Args:
        lake: the warehouse.
        staging: where the ids are put for the warehouse to read.
        ids: `external_request_id` of the run's events, in parts; not asked for if nothing is
            published yet.
        columns: which columns of `events` to return, their place among them.
    """
    batches = lake.read("SELECT batch_id, run_id FROM ingest_batches")
    staging.write("standing/batches", batches)
    if lake.read("SELECT 1 FROM events LIMIT 1").is_empty():
        return EVENTS.empty().select(columns)
    wanted = staging.write("standing/ids", pl.concat(ids).to_frame("external_request_id"))
    sql = f"""
        SELECT {", ".join(columns)} FROM events
        WHERE external_request_id IN (SELECT external_request_id FROM read_parquet(?))
    """
    frame = lake.read(sql, [str(wanted)], all_cores=True)
    staging.write("standing/events", frame.select("batch_id", "file", "line_number"))
    return frame.select(pl.col(name).cast(EVENTS.schema[name]) for name in columns)


def read_quarantined(lake: Lake, batch_ids: Sequence[str]) -> pl.DataFrame:
    """Return the rows of `quarantine` of these batches."""
    if not batch_ids:
        return QUARANTINE.empty()
    sql = "SELECT * FROM quarantine WHERE batch_id IN (SELECT unnest(?))"
    return QUARANTINE.arrange(lake.read(sql, [batch_ids]))


def _slices(lake: Lake, condition: str, parameters: Sequence[object]) -> list[Slice]:
    fields = ", ".join(f"b.{n}" if n == "taken_at" else f"f.{n}" for n in Slice.__annotations__)
    sql = f"SELECT {fields} FROM ingest_files f JOIN ingest_batches b USING (batch_id) {condition}"
    return [Slice(**row) for row in lake.read(sql, parameters).iter_rows(named=True)]
