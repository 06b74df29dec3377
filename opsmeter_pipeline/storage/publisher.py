"""The one warehouse transaction that makes batches visible, and the small write after it.

A batch is published as a whole or not at all. A transaction that meets another one starts again
from the question whether its lines are still new: that is what makes a batch count once (ADR 0002).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.errors import AlreadyTakenError
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import (
    BATCH_TABLES,
    BATCH_TIMES,
    DAY_CHANGES,
    EVENTS,
    FRESHNESS_LAGS,
    INGEST_BATCHES,
    INGEST_FILES,
    MOVED_LINES,
    RESTATEMENTS,
    WATERMARKS,
)
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.storage.freshness import Counted, write_lags
from opsmeter_pipeline.storage.lake import DATA, INLINED_ROWS, Lake, fetch
from opsmeter_pipeline.storage.lateness import record_changes, record_look, sum_days
from opsmeter_pipeline.storage.leftovers import delete_unregistered, name_prefix
from opsmeter_pipeline.storage.standing import refuse_overtaken


@dataclass(frozen=True)
class Publication:
    """What one transaction writes.

    Attributes:
        run_id: who publishes; stands in the snapshot log.
        batch_ids: the batches whose rows it brings.
        replaced: of these, the ones that are in the warehouse already and are replaced, each with
            how: `backfill` or `replay`.
        watermark: what is visible of the landing once this is; None if nothing new was looked for.
        now: when it is published (UTC).
        standing: staged Parquet files that say what the batches were judged against.
        slo: what freshness is promised.
        scratch: a Parquet file in the staging area to hand rows to the warehouse by.
        arrivals: staged Parquet files of what `count_arrivals` made of the events.
        rows: staged Parquet files with exactly the columns of their table, by table. Large ones
            are handed over to the lake as they are.
    """

    run_id: str
    batch_ids: Sequence[str]
    replaced: Mapping[str, str]
    watermark: Watermark | None
    now: datetime
    standing: Path
    slo: Slo
    scratch: Path
    arrivals: Sequence[Path]
    rows: Mapping[Table, Sequence[Path]]


class Noted(NamedTuple):
    """What is known once batches are visible.

    Attributes:
        visible_at: the moment that was measured (UTC).
        lags: rows of `freshness_lags` that were written.
        times: `batch_id`, `begun_at` and `visible_at` of the batches it was measured for.
    """

    visible_at: datetime
    lags: pl.DataFrame
    times: pl.DataFrame


def publish(lake: Lake, publication: Publication) -> dict[str, int]:
    """Make the publication visible, all of it at once; return how many rows each table got.

    Raises:
        AlreadyTakenError: another run has published some of the lines; nothing was written.
        OvertakenError: another run has changed what they were judged against; nothing was written.
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    rows = {table: _count_rows(paths) for table, paths in publication.rows.items()}
    handed_over = {
        table: _targets(lake, publication, table) for table, n in rows.items() if n > INLINED_ROWS
    }

    logged: dict[str, int] = {}

    def write(con: duckdb.DuckDBPyConnection) -> None:
        _refuse_taken_lines(con, publication)
        replaced = list(publication.replaced)
        refuse_overtaken(con, publication.standing, replaced=replaced)
        before, noted = sum_days(con, replaced), _read_noted(con, publication)
        for table in BATCH_TABLES if replaced else ():
            con.execute(
                f"DELETE FROM {table.name} WHERE batch_id IN (SELECT unnest(?))", [replaced]
            )
        _write_rows(con, publication, handed_over)
        for known in noted:
            con.execute("UPDATE ingest_batches SET visible_at = ? WHERE batch_id = ?", known)
        logged.update(_record_lateness(con, publication, before))
        logged[BATCH_TIMES.name] = _record_begin(con, publication)
        if replaced:
            write_lags(con, replaced, _count_from(lake, publication), is_new=False)
        message = [publication.run_id, ", ".join(publication.batch_ids)]
        con.execute("CALL lake.set_commit_message(?, ?)", message)

    try:
        for table, targets in handed_over.items():
            for staged, target in zip(publication.rows[table], targets, strict=True):
                staged.replace(target)
        lake.transact(write, all_cores=bool(publication.replaced))
    except BaseException:
        # Also Ctrl+C right after the commit ends here: only what nobody registered may go.
        delete_unregistered(lake, publication.run_id)
        raise
    return {table.name: count for table, count in rows.items()} | logged


def _write_rows(
    con: duckdb.DuckDBPyConnection,
    publication: Publication,
    handed_over: Mapping[Table, Sequence[Path]],
) -> None:
    """Register the files that are the lake's own now, and insert the rows of the others."""
    for table, paths in publication.rows.items():
        if table in handed_over:
            files = [str(path) for path in handed_over[table]]
            con.execute("CALL ducklake_add_data_files('lake', ?, ?)", [table.name, files])
        else:
            _insert(con, table, paths)


def append_new(lake: Lake, table: Table, path: Path, *, key: Sequence[str]) -> None:
    """Add the rows of a staged Parquet file whose key the table does not have yet.

    Asked and written in one transaction, so that two processes do not both add them.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    columns = ", ".join(f"n.{name}" for name in table.schema)
    same = " AND ".join(f"n.{name} = t.{name}" for name in key)
    sql = f"""
        INSERT INTO {table.name} SELECT {columns} FROM read_parquet(?) n
        WHERE NOT EXISTS (SELECT 1 FROM {table.name} t WHERE {same})
    """
    lake.transact(lambda con: con.execute(sql, [str(path)]))


def note_visible(lake: Lake, publication: Publication, *, now: Callable[[], datetime]) -> Noted:
    """Write down when batches, moved lines and changes became visible, and count their lags.

    The snapshot log knows only when a transaction began, which flatters; this reads the clock
    after the commit has returned. A batch whose writer died in between gets the next such moment.
    """
    visible_at = now()
    noted: list[Noted] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        new, moved = (fetch(con, sql)["batch_id"].to_list() for sql in (_UNSEEN, _UNSEEN_MOVED))
        for table, column in (
            (INGEST_BATCHES, "visible_at"),
            (MOVED_LINES, "moved_at"),
            (DAY_CHANGES, "visible_at"),
            (RESTATEMENTS, "visible_at"),
        ):
            unseen = f"WHERE {column} IS NULL"
            # Mostly nothing waits in two of them, and to ask takes a fifth of an update's time.
            if not fetch(con, f"SELECT 1 FROM {table.name} {unseen} LIMIT 1").is_empty():
                con.execute(f"UPDATE {table.name} SET {column} = ? {unseen}", [visible_at])
        counted = _count_from(lake, publication)
        lags = [write_lags(con, new, counted, is_new=True)] if new else []
        lags += [write_lags(con, moved, counted, is_new=False)] if moved else []
        times = fetch(con, _TIMES, [visible_at, new])
        noted[:] = [Noted(visible_at, pl.concat([FRESHNESS_LAGS.empty(), *lags]), times)]

    lake.transact(write)
    return noted[0]


_UNSEEN = """
    SELECT batch_id FROM ingest_batches WHERE visible_at IS NULL
        AND batch_id NOT IN (SELECT batch_id FROM moved_lines WHERE moved_at IS NULL)
"""
_UNSEEN_MOVED = "SELECT DISTINCT batch_id FROM moved_lines WHERE moved_at IS NULL ORDER BY ALL"
_TIMES = """
    SELECT batch_id, begun_at, ?::TIMESTAMPTZ AS visible_at
    FROM batch_times WHERE batch_id IN (SELECT unnest(?::VARCHAR[]))
"""
_BEGIN = """
    INSERT INTO batch_times (batch_id, validated_at, begun_at)
    SELECT unnest(?::VARCHAR[]), ?, now()
"""
"""Within a transaction, `now()` is when it began."""


def _record_begin(con: duckdb.DuckDBPyConnection, publication: Publication) -> int:
    """Note when new batches were validated and when this transaction began."""
    new = [one for one in publication.batch_ids if one not in publication.replaced]
    con.execute(_BEGIN, [new, publication.now])
    return len(new)


def _count_from(lake: Lake, publication: Publication) -> Counted:
    """Return where a publication's rows are now: large ones have been handed over to the lake."""
    places = zip(publication.rows[EVENTS], _targets(lake, publication, EVENTS), strict=True)
    return Counted(
        publication.batch_ids,
        publication.arrivals,
        [staged if staged.exists() else target for staged, target in places],
        publication.rows[INGEST_FILES],
        publication.scratch,
        publication.slo,
    )


def _record_lateness(
    con: duckdb.DuckDBPyConnection, publication: Publication, before: pl.DataFrame
) -> dict[str, int]:
    """Log what the transaction changes in days, against the looks before, and then its own."""
    kinds = dict.fromkeys(publication.batch_ids, "live") | dict(publication.replaced)
    changes = record_changes(
        con,
        before,
        sum_days(con, publication.batch_ids),
        kinds=kinds,
        run_id=publication.run_id,
        now=publication.now,
    )
    if publication.watermark:
        new = next((one for one in kinds if kinds[one] == "live"), None)
        record_look(con, publication.watermark, batch_id=new)
    return {DAY_CHANGES.name: changes, WATERMARKS.name: int(publication.watermark is not None)}


def _read_noted(
    con: duckdb.DuckDBPyConnection, publication: Publication
) -> list[tuple[datetime, str]]:
    """Return when batches were first visible, where that was noted after this run had read them.

    A replay may begin between the commit of a batch and the note of when it was visible.
    """
    staged = [str(path) for path in publication.rows.get(INGEST_BATCHES, ())]
    if not publication.replaced or not staged:
        return []
    sql = """
        SELECT t.visible_at, batch_id FROM ingest_batches t JOIN read_parquet(?) n USING (batch_id)
        WHERE t.visible_at IS NOT NULL AND n.visible_at IS NULL
    """
    return fetch(con, sql, [staged]).rows()


def _insert(con: duckdb.DuckDBPyConnection, table: Table, paths: Sequence[Path]) -> None:
    if paths:
        columns = ", ".join(table.schema)
        sql = f"INSERT INTO {table.name} SELECT {columns} FROM read_parquet(?)"
        con.execute(sql, [[str(path) for path in paths]])


def _refuse_taken_lines(con: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    planned = [str(path) for path in publication.rows.get(INGEST_FILES, ())]
    if not planned:
        return
    taken = fetch(
        con,
        "SELECT DISTINCT file FROM ingest_files t JOIN read_parquet(?) n USING (file) "
        "WHERE t.byte_end > n.byte_start AND t.byte_start < n.byte_end "
        "AND t.batch_id NOT IN (SELECT unnest(?))",
        [planned, list(publication.replaced)],
    )
    if not taken.is_empty():
        raise AlreadyTakenError(taken["file"].to_list())


def _targets(lake: Lake, publication: Publication, table: Table) -> list[Path]:
    """Return where a table's finished files go; the lake owns them once they are registered."""
    folder = lake.folder / DATA / "main" / table.name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    prefix = name_prefix(publication.run_id)
    return [folder / f"{prefix}{path.name}" for path in publication.rows[table]]


def _count_rows(paths: Sequence[Path]) -> int:
    if not paths:
        return 0
    return pl.scan_parquet(list(paths), glob=False).select(pl.len()).collect().item()
