"""Pairs of events that may be one call: counted in the warehouse, and what was found written down.

Reads the events of single UTC days, a few columns of them, off the ingest path. What pairs mean is
judged in the `doubles` stage.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import duckdb
import polars as pl

from opsmeter_pipeline.doubles import find_doubles
from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.tables import DOUBLE_INSTRUMENTATION
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.tracking.source import name_sources

LOOKED_DAYS = 2
"""How many UTC days one look covers: the newest may still grow, the one before may have grown."""
_SECOND_US = 1_000_000
_STEP_US = 4 * _SECOND_US
_STEPS = 15
_BUCKET_SECONDS = 64
"""Wider than the farthest lag that is looked at, so that neighbours are in adjacent buckets."""
_CROWD = 64
"""Events of one signature in a bucket above which nobody can tell which belongs to which."""
_SAMPLES = 3
_SIGNATURE = ("environment", "data_mode", "served", "input_tokens", "output_tokens")
_PARTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_KEYS = "first_source, first_endpoint_tag, second_source, second_endpoint_tag"
_GROUP = f"environment, data_mode, {_KEYS}"
SERVED = """
        SELECT provider, model, max_by(model_id, (
            rule NOT IN ('own_name', 'own_model'), resolved_at, source_version
        )) AS model_id
        FROM model_resolutions GROUP BY ALL
"""
"""What serves a name: the catalogue's model before the entry of own prices that pays for it."""
_PAIRS = f"""
    WITH sources AS (
        SELECT unnest($1::VARCHAR[]) AS file, unnest($2::VARCHAR[]) AS source
    ), names AS (
        {SERVED}
    ), told AS MATERIALIZED (
        SELECT row_number() OVER () AS n, external_request_id AS id, source, endpoint_tag, model,
            environment, data_mode, coalesce(model_id, lower(model)) AS served,
            input_tokens, output_tokens, {", ".join(_PARTS)}, cost_usd, occurred_at,
            epoch_us(occurred_at) AS at_us,
            epoch_us(occurred_at) // {_BUCKET_SECONDS * _SECOND_US} AS bucket
        FROM events JOIN sources USING (file) LEFT JOIN names USING (provider, model)
        WHERE occurred_at >= $3::TIMESTAMPTZ - INTERVAL 62 SECOND
            AND occurred_at < $4::TIMESTAMPTZ + INTERVAL 62 SECOND
            AND occurred_at <> ingested_at AND input_tokens + output_tokens > 0
    ), rare AS (
        SELECT * FROM told
        QUALIFY count(*) OVER (PARTITION BY {", ".join(_SIGNATURE)}, bucket) <= {_CROWD}
    ), spread AS (
        SELECT *, unnest([bucket - 1, bucket, bucket + 1]) AS beside FROM rare
    ), near AS MATERIALIZED (
        SELECT a.n AS a, b.n AS b, a.environment, a.data_mode,
            a.source AS first_source, a.endpoint_tag AS first_endpoint_tag,
            b.source AS second_source, b.endpoint_tag AS second_endpoint_tag,
            b.at_us - a.at_us AS lag_us,
            round((b.at_us - a.at_us) / {float(_STEP_US)!r})::INTEGER AS step
        FROM rare a JOIN spread b ON a.bucket = b.beside
            AND {" AND ".join(f"a.{name} = b.{name}" for name in _SIGNATURE)}
        WHERE (a.source, a.endpoint_tag) < (b.source, b.endpoint_tag) AND a.id <> b.id
            AND a.occurred_at >= $3::TIMESTAMPTZ AND a.occurred_at < $4::TIMESTAMPTZ
            AND {" AND ".join(f"coalesce(a.{name} = b.{name}, true)" for name in _PARTS)}
            AND abs(step) <= {_STEPS} AND abs(lag_us - step * {_STEP_US}) <= {_SECOND_US}
    ), shifted AS (
        SELECT {_GROUP}, max(pairs)::BIGINT AS chance_pairs FROM (
            SELECT {_GROUP}, step, count(*) AS pairs FROM near WHERE step <> 0 GROUP BY ALL
        ) GROUP BY ALL
    ), matched AS (
        SELECT * FROM near WHERE step = 0
        QUALIFY row_number() OVER (
            PARTITION BY a, second_source, second_endpoint_tag
            ORDER BY abs(lag_us), lag_us DESC, b) = 1
        AND row_number() OVER (
            PARTITION BY b, first_source, first_endpoint_tag
            ORDER BY abs(lag_us), lag_us DESC, a) = 1
    ), found AS (
        SELECT {", ".join(f"m.{name.strip()}" for name in _GROUP.split(","))},
            count(*) AS pairs,
            count(DISTINCT (one.served, one.input_tokens, one.output_tokens)) AS signatures,
            string_agg(DISTINCT one.model, ', ' ORDER BY one.model) AS models,
            coalesce(sum(least(one.cost_usd, other.cost_usd)), 0)::DECIMAL(38,18) AS cost_usd,
            count(*) FILTER (one.cost_usd IS NULL AND other.cost_usd IS NULL) AS unpriced_pairs,
            min(one.occurred_at) AS first_at, max(one.occurred_at) AS last_at,
            array_to_string(list_slice(list(one.id || ' = ' || other.id
                ORDER BY one.input_tokens + one.output_tokens DESC, one.id), 1, {_SAMPLES}), ', ')
                AS sample_ids
        FROM matched m JOIN told one ON one.n = m.a JOIN told other ON other.n = m.b
        GROUP BY ALL
    ), totals AS (
        SELECT environment, data_mode, source, endpoint_tag, count(*) AS events FROM told
        WHERE occurred_at >= $3::TIMESTAMPTZ AND occurred_at < $4::TIMESTAMPTZ GROUP BY ALL
    )
    SELECT $5::DATE AS day, found.*, coalesce(chance_pairs, 0) AS chance_pairs,
        one.events AS first_events, other.events AS second_events
    FROM found LEFT JOIN shifted USING ({_GROUP})
    JOIN totals one ON (one.environment, one.data_mode, one.source, one.endpoint_tag)
        = (found.environment, found.data_mode, first_source, first_endpoint_tag)
    JOIN totals other ON (other.environment, other.data_mode, other.source, other.endpoint_tag)
        = (found.environment, found.data_mode, second_source, second_endpoint_tag)
"""


def look_for_doubles(lake: Lake, *, now: datetime, days: int = LOOKED_DAYS) -> pl.DataFrame:
    """Look at the newest days of events, write down what was found, and return it.

    What an earlier look had found of these days is replaced, in one transaction.
    """
    looked = _newest_days(lake, days=days)
    rows = pl.concat([
        DOUBLE_INSTRUMENTATION.empty(),
        *(find_doubles(count_pairs(lake, day), looked_at=now) for day in looked),
    ])  # fmt: skip
    marks = ", ".join("?" for _ in DOUBLE_INSTRUMENTATION.columns)

    def write(con: duckdb.DuckDBPyConnection) -> None:
        con.execute("DELETE FROM double_instrumentation WHERE day IN (SELECT unnest(?))", [looked])
        if not rows.is_empty():
            con.executemany(f"INSERT INTO double_instrumentation VALUES ({marks})", rows.rows())

    if looked:
        lake.transact(write)
    return rows


def count_pairs(lake: Lake, day: date) -> pl.DataFrame:
    """Return one row per two reporters with pairs on a UTC day; see ADR 0014.

    A pair is two events of different ids, within a second, of one environment, data mode, model
    and count of tokens; each event is in one pair at most. `chance_pairs` is the most that were
    found with one reporter's clock shifted by 4, 8 ... 60 seconds either way.
    """
    starts_at = start_of_day(day)
    files = lake.read("SELECT DISTINCT file FROM ingest_files")["file"]
    sources = name_sources(files)
    span = [starts_at, starts_at + timedelta(days=1), day]
    lists = [sources["file"].to_list(), sources["source"].to_list()]
    return lake.read(_PAIRS, [*lists, *span], all_cores=True)


def read_newest(lake: Lake) -> pl.DataFrame:
    """Return what was found of the days that a look of now would cover."""
    looked = _newest_days(lake, days=LOOKED_DAYS)
    sql = "SELECT * FROM double_instrumentation WHERE day IN (SELECT unnest(?::DATE[]))"
    return lake.read(sql, [looked])


def _newest_days(lake: Lake, *, days: int) -> Sequence[date]:
    """Return the newest UTC days that have events, the oldest first."""
    sql = """SELECT DISTINCT (hour_at AT TIME ZONE 'UTC')::DATE AS day FROM attribution_hourly
        ORDER BY day DESC LIMIT ?"""
    return sorted(lake.read(sql, [days], all_cores=True)["day"].to_list())
