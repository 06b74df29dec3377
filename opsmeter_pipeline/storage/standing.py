"""Whether what a run's lines were judged against still stands when it publishes.

Identity asks what is published some seconds before the publishing transaction. Two runs with
different lines of one id would both find the id free; the later one is refused here and judged
again (ADR 0010). What was read is staged by `storage.ledger.read_known_events`.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from opsmeter_pipeline.model.errors import OvertakenError
from opsmeter_pipeline.storage.lake import fetch

_CHANGED = """
    SELECT batch_id FROM ingest_batches b WHERE NOT EXISTS (
        SELECT 1 FROM read_parquet(?) s WHERE s.batch_id = b.batch_id AND s.run_id = b.run_id
    )
"""
_PLACES = "SELECT batch_id, file, line_number FROM {} WHERE batch_id IN (SELECT unnest(?))"
_SAME_IDS = " AND external_request_id IN (SELECT external_request_id FROM read_parquet(?))"


def refuse_overtaken(
    con: duckdb.DuckDBPyConnection, standing: Path, *, replaced: Sequence[str]
) -> None:
    """Raise if events of the run's ids have come or gone since they were read.

    Usually nobody published in between, and only the list of batches is compared.

    Args:
        con: the publishing transaction.
        standing: folder with what was read: `batches`, and `ids` and `events` if there were any.
        replaced: batches the run replaces.

    Raises:
        OvertakenError: the run must judge its lines again.
    """
    changed = fetch(con, _CHANGED, [str(standing / "batches.parquet")])["batch_id"].to_list()
    if not changed:
        return
    ids, events = (str(standing / f"{name}.parquet") for name in ("ids", "events"))
    if not Path(ids).exists() or set(changed) & set(replaced):
        raise OvertakenError(changed)
    now = fetch(con, _PLACES.format("events") + _SAME_IDS, [changed, ids]).rows()
    then = fetch(con, _PLACES.format("read_parquet(?)"), [events, changed]).rows()
    if set(now) != set(then):
        raise OvertakenError(changed)
