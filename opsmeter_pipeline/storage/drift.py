"""What the warehouse says of prompt versions: days of traffic, sums of both sides, rows written.

Reads the hourly cubes of real traffic on one snapshot: all of history by day, and the hours of
what is compared. Events are never read. What the sums mean is judged in `drift`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import polars as pl

from opsmeter_pipeline.cube import LATENCY_BASE
from opsmeter_pipeline.drift import AlarmLimits, compare, find_odd_versions, plan_pairs
from opsmeter_pipeline.model.clock import FIRST_INSTANT
from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.drift_errors import MomentsMissingError
from opsmeter_pipeline.model.tables import (
    PROMPT_VERSION_DRIFT,
    PROMPT_VERSION_FINDINGS,
    TOKEN_MOMENTS_HOURLY,
    VERDICT_CHANGES,
)
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake, fetch, sql_type
from opsmeter_pipeline.storage.staging import Staging

_DIMENSIONS = ("batch_id", "hour_at", "environment", "data_mode", "provider", "model",
               "endpoint_tag", "prompt_version", "tenant_id")  # fmt: skip
_COUNTS = ("requests", "attempts", "failures", "unpriced_attempts")
_MOMENTS = tuple(name for name in TOKEN_MOMENTS_HOURLY.schema if name not in _DIMENSIONS)
_GROUP = "pair, is_new, provider, model, tenant_id"
_REMEMBERED = timedelta(days=60)
"""How far back it is known which versions there were: a year of it took 5 s and not 1 s."""
_DAY_US = 86_400_000_000
_TIMELINE = f"""
    SELECT environment, endpoint_tag, prompt_version, epoch_us(hour_at) // {_DAY_US} AS day,
        min(hour_at) AS first_hour_at, max(hour_at) AS last_hour_at,
        sum(attempts)::BIGINT AS attempts
    FROM attribution_hourly
    WHERE data_mode = 'real' AND attempts > 0 AND hour_at >= $1 AND hour_at < $2
    GROUP BY ALL
"""
_AS_OF = """
    SELECT max(hour_at) + INTERVAL 1 HOUR FROM attribution_hourly
    WHERE data_mode = 'real' AND attempts > 0 AND hour_at >= $1 AND hour_at < $2
"""
_SIDES = """
    CREATE TEMP TABLE sides AS
    SELECT pair, environment, endpoint_tag, is_new, start_at, end_at,
        CASE WHEN is_new THEN prompt_version ELSE baseline_version END AS prompt_version
    FROM (SELECT unnest($1::BIGINT[]) AS pair, unnest($2::VARCHAR[]) AS environment,
        unnest($3::VARCHAR[]) AS endpoint_tag, unnest($4::VARCHAR[]) AS prompt_version,
        unnest($5::VARCHAR[]) AS baseline_version, unnest($6::TIMESTAMPTZ[]) AS new_from,
        unnest($7::TIMESTAMPTZ[]) AS new_to, unnest($8::TIMESTAMPTZ[]) AS baseline_from,
        unnest($9::TIMESTAMPTZ[]) AS baseline_to),
    LATERAL (VALUES (true, new_from, new_to), (false, baseline_from, baseline_to))
        AS side(is_new, start_at, end_at)
    WHERE is_new OR baseline_version IS NOT NULL
"""
_SIDE_COLUMNS = ("pair", "environment", "endpoint_tag", "prompt_version", "baseline_version",
                 "new_from", "new_to", "baseline_from", "baseline_to")  # fmt: skip
_OF_SIDE = """
    FROM {} c JOIN sides s ON c.environment = s.environment
        AND c.endpoint_tag = s.endpoint_tag AND c.prompt_version = s.prompt_version
        AND c.hour_at >= s.start_at AND c.hour_at < s.end_at
    WHERE c.data_mode = 'real' AND c.hour_at >= $1 AND c.hour_at < $2
"""


def _sum(names: Sequence[str], table: Table) -> str:
    kinds = {name: sql_type(kind) for name, kind in table.schema.items()}
    return ", ".join(f"sum(c.{name})::{kinds[name]} AS {name}" for name in names)


_CELLS = f"""
    WITH counts AS (
        SELECT pair, is_new, provider, model, tenant_id,
            {", ".join(f"sum(c.{name})::BIGINT AS {name}" for name in _COUNTS)},
            sum(cost_usd)::DECIMAL(38,18) AS cost_usd,
            coalesce(sum(cost_usd) FILTER (c.hour_at >= $2::TIMESTAMPTZ - INTERVAL 24 HOUR), 0)
                ::DECIMAL(38,18) AS day_cost_usd
        {_OF_SIDE.format("attribution_hourly")} AND attempts > 0 GROUP BY ALL
    ), moments AS (
        SELECT pair, is_new, provider, model, tenant_id, {_sum(_MOMENTS, TOKEN_MOMENTS_HOURLY)}
        {_OF_SIDE.format("token_moments_hourly")} GROUP BY ALL
    )
    SELECT {_GROUP}, {", ".join(_COUNTS)}, cost_usd, day_cost_usd,
        {", ".join(f"coalesce({name}, 0) AS {name}" for name in _MOMENTS)}
    FROM counts LEFT JOIN moments USING ({_GROUP}) ORDER BY ALL
"""
_HAS_MOMENTS = """
    SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = $1
"""
_LATENCIES = f"""
    WITH buckets AS (
        SELECT pair, is_new, latency_bucket, sum(c.attempts) AS n
        {_OF_SIDE.format("latency_hourly")} GROUP BY ALL
    ), ranked AS (
        SELECT *, sum(n) OVER (PARTITION BY pair, is_new ORDER BY latency_bucket) AS below,
            sum(n) OVER (PARTITION BY pair, is_new) AS total
        FROM buckets
    )
    SELECT pair, is_new, round(min(CASE WHEN latency_bucket < 0 THEN 0 ELSE 2 *
        pow({LATENCY_BASE!r}, latency_bucket) / (1 + {LATENCY_BASE!r}) END), 1) AS latency_p95_ms
    FROM ranked WHERE below >= 0.95 * total GROUP BY ALL
"""


_CHANGED = f"""
    INSERT INTO verdict_changes ({", ".join(VERDICT_CHANGES.schema)})
    WITH changed AS (
        SELECT n.computed_at AS changed_at, n.environment, n.endpoint_tag, n.prompt_version,
            n.compared_with, n.baseline_version, f.verdict AS former_verdict, n.verdict,
            f.computed_at AS former_at, f.cost_change AS former_cost_change, n.cost_change,
            f.monthly_usd AS former_monthly_usd, n.monthly_usd,
            least(n.since_at, coalesce(n.baseline_since_at, n.since_at)) AS from_at
        FROM read_parquet($1) n JOIN prompt_version_drift f
            USING (environment, endpoint_tag, prompt_version, compared_with)
        WHERE n.baseline_version IS NOT DISTINCT FROM f.baseline_version
            AND n.verdict <> f.verdict
    ), late AS (
        SELECT c.environment, c.endpoint_tag, c.prompt_version, c.compared_with,
            count(DISTINCT a.batch_id) AS late_batches,
            string_agg(DISTINCT a.batch_id, ', ' ORDER BY a.batch_id) AS late_batch_ids
        FROM changed c JOIN attribution_hourly a ON a.environment = c.environment
            AND a.endpoint_tag = c.endpoint_tag AND a.data_mode = 'real'
            AND a.prompt_version IN (c.prompt_version, c.baseline_version)
            AND a.hour_at >= c.from_at AND a.hour_at <= c.former_at - INTERVAL 1 HOUR
        JOIN day_changes d ON d.batch_id = a.batch_id
            AND d.day = (a.hour_at AT TIME ZONE 'UTC')::DATE
            AND coalesce(d.visible_at > c.former_at, true)
        GROUP BY ALL
    )
    SELECT changed_at, environment, endpoint_tag, prompt_version, compared_with, baseline_version,
        former_verdict, verdict, former_at, former_cost_change, cost_change, former_monthly_usd,
        monthly_usd, coalesce(late_batches, 0), coalesce(late_batch_ids, '')
    FROM changed LEFT JOIN late
        USING (environment, endpoint_tag, prompt_version, compared_with)
"""


@dataclass(frozen=True)
class Drift:
    """What one look at all prompt versions came to.

    Attributes:
        computed_at: when it was taken (UTC).
        as_of: end of the newest hour with traffic; None without any.
        rows: rows of `prompt_version_drift`, the costliest regression first.
        tested: what each measure of each pair came to.
        pairs: what was compared with what.
        findings: rows of `prompt_version_findings`.
    """

    computed_at: datetime
    as_of: datetime | None
    rows: pl.DataFrame
    tested: pl.DataFrame
    pairs: pl.DataFrame
    findings: pl.DataFrame


def look_for_drift(lake: Lake, *, now: datetime) -> Drift:
    """Return how each prompt version stands now; nothing is written.

    Args:
        lake: the warehouse.
        now: the present (UTC); hours after it are left out.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    with lake.connect(read_only=True, all_cores=True) as con:
        as_of = _find_end(con, now)
        timeline = _read_timeline(con, as_of or now)
        pairs = plan_pairs(timeline, as_of=as_of or now)
        rows, tested = compare(pairs, *read_sides(con, pairs), now=now)
        findings = find_odd_versions(timeline, as_of=as_of or now, now=now)
    return Drift(now, as_of, rows, tested, pairs, findings)


def _find_end(con: duckdb.DuckDBPyConnection, now: datetime) -> datetime | None:
    """Return the end of the newest hour with traffic; all of history is asked only at need."""
    for since in (now - _REMEMBERED, FIRST_INSTANT):
        end = fetch(con, _AS_OF, [since, now]).item()
        if end is not None:
            return end
    return None


def _read_timeline(con: duckdb.DuckDBPyConnection, as_of: datetime) -> pl.DataFrame:
    days = fetch(con, _TIMELINE, [as_of - _REMEMBERED, as_of])
    return days.with_columns(pl.col("day").cast(pl.Int32).cast(pl.Date))


def read_sides(
    con: duckdb.DuckDBPyConnection, pairs: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the sums of both sides of each pair by tenant and model, and their latencies.

    Args:
        con: a connection in a transaction; a temporary table is made.
        pairs: what is compared, of `PAIRS_SCHEMA`.

    Raises:
        MomentsMissingError: the warehouse is from before `token_moments_hourly`.
    """
    if not fetch(con, _HAS_MOMENTS, [TOKEN_MOMENTS_HOURLY.name]).item():
        raise MomentsMissingError(TOKEN_MOMENTS_HOURLY.name)
    con.execute(_SIDES, [pairs[name].to_list() for name in _SIDE_COLUMNS])
    starts, ends = (
        pairs.select(pl.concat([pl.col(f"new_{end}"), pl.col(f"baseline_{end}")])).to_series()
        for end in ("from", "to")
    )
    span = [starts.min(), ends.max()]
    cells = fetch(con, _CELLS, span)
    latencies = fetch(con, _LATENCIES, span)
    con.execute("DROP TABLE sides")
    return (
        cells.with_columns(pl.col("pair").cast(pl.Int64)),
        latencies.with_columns(pl.col("pair").cast(pl.Int64)),
    )


def read_versions(
    lake: Lake, environment: str, *, start: datetime, end: datetime
) -> list[tuple[str, str, datetime]]:
    """Return each endpoint and version with real traffic in a window, and its first hour there.

    Those with most attempts first.
    """
    sql = """
        SELECT endpoint_tag, prompt_version, min(hour_at) FROM attribution_hourly
        WHERE environment = ? AND data_mode = 'real' AND hour_at >= ? AND hour_at < ?
        GROUP BY ALL ORDER BY sum(attempts) DESC, endpoint_tag, prompt_version
    """
    return lake.read(sql, [environment, start, end], all_cores=True).rows()


def replace_drift(lake: Lake, found: Drift, staging: Staging) -> None:
    """Put a look's rows in the place of those of the look before, in one transaction.

    A version without traffic is not compared any more, and its row goes. A verdict that is another
    one is logged, with the batches that changed hours which were over at the look before.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    paths = {
        table: str(staging.write(table.name, rows))
        for table, rows in (
            (PROMPT_VERSION_DRIFT, found.rows),
            (PROMPT_VERSION_FINDINGS, found.findings),
        )
    }

    def write(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(_CHANGED, [paths[PROMPT_VERSION_DRIFT]])
        for table, path in paths.items():
            con.execute(f"DELETE FROM {table.name}")
            columns = ", ".join(table.schema)
            con.execute(f"INSERT INTO {table.name} SELECT {columns} FROM read_parquet(?)", [path])

    lake.transact(write)


def read_alarm_limits(settings: Settings) -> AlarmLimits:
    """Return from which regression on somebody is told, by the settings."""
    return AlarmLimits(settings.drift.cost_change, settings.drift.output_change)


def read_drift(lake: Lake) -> pl.DataFrame:
    """Return the rows of `prompt_version_drift` as of the last look."""
    return lake.read("FROM prompt_version_drift")
