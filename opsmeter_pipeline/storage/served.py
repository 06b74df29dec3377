"""Which batches an overview held that was delivered, written down once a batch.

The server of the page asks after an answer was sent. A second server may do the same at the same
time: whether a batch has a row is asked in the transaction that writes it, and of two that overlap
one fails and asks again, as publishes do (ADR 0002).
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from opsmeter_pipeline.model.hours import HourRange
from opsmeter_pipeline.storage.lake import Lake, fetch


def find_unserved(
    con: duckdb.DuckDBPyConnection, *, snapshot_id: int, hours: HourRange
) -> list[str]:
    """Return the batches an overview of this snapshot and range held, and that have no row yet.

    It held a batch if its range covers all hours that the batch has events in; a batch without
    events is in each.
    """
    version = f"AT (VERSION => {snapshot_id:d})"
    sql = f"""
        WITH unserved AS (
            SELECT batch_id FROM ingest_batches {version} ANTI JOIN first_served USING (batch_id)
        )
        SELECT batch_id FROM unserved LEFT JOIN (
            SELECT batch_id, min(hour_at) AS first_hour_at, max(hour_at) AS last_hour_at
            FROM attribution_hourly {version} SEMI JOIN unserved USING (batch_id)
            GROUP BY batch_id
        ) USING (batch_id)
        WHERE last_hour_at IS NULL OR (first_hour_at >= $1 AND last_hour_at < $2)
        ORDER BY batch_id
    """
    return fetch(con, sql, [hours.start_at, hours.end_at])["batch_id"].to_list()


def note_served(lake: Lake, batch_ids: Sequence[str], *, served_at: datetime) -> None:
    """Write down when these batches were first served; one that has a row keeps it.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    sql = """
        INSERT INTO first_served SELECT b.batch_id, ? FROM (SELECT unnest(?) AS batch_id) b
        WHERE NOT EXISTS (SELECT 1 FROM first_served s WHERE s.batch_id = b.batch_id)
    """
    lake.transact(lambda con: con.execute(sql, [served_at, list(batch_ids)]))
