"""What was known of the landing at each look, and what each publish changed in a day's totals.

Writes two logs, `watermarks` and `day_changes`, inside the transactions of others, so that they
say what readers saw before and after. Which changes are late is said by the view `late_changes`.
"""

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from opsmeter_pipeline.lateness import end_of, is_history
from opsmeter_pipeline.model.sql import PRODUCTION
from opsmeter_pipeline.model.tables import DAY_CHANGES
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.storage.lake import Lake, fetch, quote, sql_type

_FIELDS = ", ".join(Watermark.__annotations__)
_NEWEST = f"SELECT {_FIELDS} FROM watermarks ORDER BY number DESC LIMIT 1"
_CHANGES = [name for name in DAY_CHANGES.schema if name.startswith("change_")]
_BOUNDS = {
    "unpriced_low_usd": "DECIMAL(38,18)",
    "unpriced_high_usd": "DECIMAL(38,18)",
    "unbounded_attempts": "BIGINT",
}
"""What the unpriced part may cost: not logged, but what has changed when it does: budgets ask."""


def read_watermark(lake: Lake) -> Watermark | None:
    """Return what the newest look knew, or None before the first."""
    return next((Watermark(**row) for row in lake.read(_NEWEST).iter_rows(named=True)), None)


def read_watermark_within(con: duckdb.DuckDBPyConnection) -> Watermark | None:
    """Return the same within a transaction."""
    return next((Watermark(**row) for row in fetch(con, _NEWEST).iter_rows(named=True)), None)


def note_look(lake: Lake, watermark: Watermark) -> bool:
    """Write a look down that took nothing, if another hour is final by it; return whether.

    Without it, totals would turn final with the next batch only. It is at most a row an hour.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    known = read_watermark(lake)
    if known is not None and _final_hour(known) == _final_hour(watermark):
        return False
    lake.transact(lambda con: record_look(con, watermark, batch_id=None))
    return True


def record_look(
    con: duckdb.DuckDBPyConnection, watermark: Watermark, *, batch_id: str | None
) -> None:
    """Add a row to `watermarks` within a transaction, together with the batch it is about."""
    sql = f"""
        INSERT INTO watermarks (number, batch_id, {_FIELDS})
        SELECT coalesce(max(number), 0) + 1, ?, {", ".join("?" for _ in vars(watermark))}
        FROM watermarks
    """
    con.execute(sql, [batch_id, *vars(watermark).values()])


def sum_days(con: duckdb.DuckDBPyConnection, batch_ids: Sequence[str]) -> pl.DataFrame:
    """Return what batches hold of each UTC day now: the sums `day_changes` logs changes of.

    Beside them, what the unpriced part may cost.
    """
    listed = ", ".join(map(quote, batch_ids)) or "NULL"
    sums = ", ".join([
        *(f"{_sum(name)} AS {name}" for name in _CHANGES),
        *(f"coalesce(sum({name}), 0)::{kind} AS {name}" for name, kind in _BOUNDS.items()),
    ])  # fmt: skip
    sql = f"""
        SELECT batch_id, (hour_at AT TIME ZONE 'UTC')::DATE AS day, {sums}
        FROM attribution_hourly WHERE batch_id IN ({listed}) GROUP BY ALL
    """
    return fetch(con, sql)


def record_changes(
    con: duckdb.DuckDBPyConnection,
    before: pl.DataFrame,
    after: pl.DataFrame,
    *,
    kinds: dict[str, str],
    run_id: str,
    now: datetime,
) -> int:
    """Add rows to `day_changes` for what differs, within the transaction that made it differ.

    Returns how many.

    Args:
        con: the publishing transaction, which has not written its own look yet.
        before: `sum_days` of the batches when the transaction began.
        after: the same, now.
        kinds: kind of each batch.
        run_id: the run that publishes.
        now: the present (UTC); a look whose clock was ahead of it is not believed.
    """
    compared = [*_CHANGES, *_BOUNDS]
    negated = before.with_columns(-pl.col(name) for name in compared)
    sums = pl.concat([after, negated]).group_by("batch_id", "day").agg(pl.col(compared).sum())
    changed = sums.filter(pl.any_horizontal(pl.col(name) != 0 for name in compared))
    if changed.is_empty():
        return 0
    kind = pl.col("batch_id").replace_strict(kinds, return_dtype=pl.String)
    texts = pl.col("^.*_usd$").cast(pl.String)  # a list of decimals would take the first's scale
    told = changed.with_columns(texts, kind=kind).select(_TOLD)
    con.execute(_INSERT, [*(column.to_list() for column in told), now, run_id])
    return changed.height


def _unnest(name: str) -> str:
    dtype = sql_type(DAY_CHANGES.schema[name])
    sent = "VARCHAR" if name.endswith("_usd") else dtype
    return f"unnest(?::{sent}[])::{dtype} AS {name}"


def _sum(name: str) -> str:
    """Return the sum that a change is of: of production, or of what is left out of it."""
    measure = name.removeprefix("change_")
    plain = measure.removeprefix("left_out_")
    of = PRODUCTION if plain == measure else f"NOT ({PRODUCTION})"
    kind = "DECIMAL(38,18)" if name.endswith("_usd") else "BIGINT"
    return f"coalesce(sum({plain}) FILTER ({of}), 0)::{kind}"


def _final_hour(watermark: Watermark) -> datetime:
    return watermark.final_before.replace(minute=0, second=0, microsecond=0)


_TOLD = ["batch_id", "day", "kind", *_CHANGES]
_INSERT = f"""
    INSERT INTO day_changes ({", ".join(DAY_CHANGES.schema)})
    WITH changed AS MATERIALIZED (SELECT {", ".join(map(_unnest, _TOLD))}), asked AS (
        SELECT ?::TIMESTAMPTZ AS published_at, ? AS run_id
    ), known AS (
        SELECT day, coalesce(min_by(visible_at, number), any_value(published_at)) AS visible_at
        FROM day_changes, asked WHERE day IN (SELECT day FROM changed) GROUP BY day
    ), loads AS (
        SELECT k.day, max(w.looked_at) AS began_at
        FROM known k JOIN watermarks w ON w.looked_at <= k.visible_at
        WHERE {is_history("k.day")} GROUP BY k.day
    ), claims AS (
        SELECT c.day, min_by(w.looked_at, w.number) AS final_at
        FROM (SELECT DISTINCT day FROM changed) c LEFT JOIN loads ON loads.day = c.day
        JOIN watermarks w
        ON w.complete_through - to_seconds(w.lateness_allowance_seconds) >= {end_of("c.day")}
            AND w.complete_through <= (SELECT published_at FROM asked)
            AND coalesce(w.complete_through >= loads.began_at, NOT {is_history("c.day")})
        GROUP BY c.day
    )
    SELECT (SELECT coalesce(max(number), 0) + 1 FROM day_changes),
        c.batch_id, c.day, c.kind, asked.run_id, {", ".join(f"c.{name}" for name in _CHANGES)},
        CASE WHEN claims.final_at IS NOT NULL
            THEN greatest(claims.final_at, known.visible_at) END,
        NULL
    FROM changed c CROSS JOIN asked
    LEFT JOIN known ON known.day = c.day
    LEFT JOIN claims ON claims.day = c.day
"""
"""A day is final once a look says so and it is shown: from its first row on, or, if it ended under
our eyes, also without one, because then nothing stands for zero. Of history, days that were over at
the home's first look, a look says so once it knows that all is visible that had landed when the
first of the day was taken: a backlog is one report, in however many batches it comes."""
