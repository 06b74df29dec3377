"""What is read of the warehouse to judge clocks: the lags of a run's producers, or of all.

Reading only, of `clocks_hourly`, never of events. What is judged stands in `tracking.clocks`.
"""

from datetime import datetime, timedelta

import polars as pl

from opsmeter_pipeline.storage.lake import Lake

_LAGS = """
    WITH own AS (
        SELECT batch_id FROM ingest_batches WHERE run_id = $1
    ), judged AS (
        SELECT DISTINCT source, landed_hour_at FROM clocks_hourly
        WHERE batch_id IN (SELECT batch_id FROM own)
    )
    SELECT source, landed_hour_at, sender_lag_minutes, collector_lag_minutes, landing_lag_minutes,
        sum(attempts + refused_lines)::BIGINT AS lines,
        sum(refused_lines)::BIGINT AS refused_lines,
        coalesce(sum(attempts + refused_lines)
            FILTER (batch_id IN (SELECT batch_id FROM own)), 0)::BIGINT AS run_lines,
        min(batch_id) AS first_batch, max(batch_id) AS last_batch
    FROM clocks_hourly
    WHERE source IN (SELECT source FROM judged)
        AND landed_hour_at > (SELECT min(landed_hour_at) FROM judged) - $2::INTERVAL
        AND landed_hour_at <= (SELECT max(landed_hour_at) FROM judged)
    GROUP BY ALL
"""

_NEWEST = """
    WITH newest AS (
        SELECT source, max_by(batch_id, (taken_at, batch_id)) AS newest_id
        FROM clocks_hourly JOIN ingest_batches USING (batch_id)
        WHERE landed_hour_at > $1 GROUP BY source
    ), fresh AS (
        SELECT batch_id FROM ingest_batches WHERE coalesce(visible_at, taken_at) > $2
    )
    SELECT source, landed_hour_at, sender_lag_minutes, collector_lag_minutes, landing_lag_minutes,
        sum(attempts + refused_lines)::BIGINT AS lines,
        sum(refused_lines)::BIGINT AS refused_lines,
        coalesce(sum(attempts + refused_lines)
            FILTER (batch_id = newest_id OR batch_id IN (SELECT batch_id FROM fresh)),
            0)::BIGINT AS run_lines,
        min(batch_id) AS first_batch, max(batch_id) AS last_batch
    FROM clocks_hourly JOIN newest USING (source)
    WHERE landed_hour_at > $1 GROUP BY ALL
"""


def read_lags(lake: Lake, run_id: str, *, window: timedelta) -> pl.DataFrame:
    """Return how far apart the clocks of a run's sources were, in its hours and before.

    One row per source, landing hour and lags; no row if the run took no line.
    """
    return lake.read(_LAGS, [run_id, f"{window.total_seconds():.0f} seconds"])


def read_newest_lags(
    lake: Lake, *, now: datetime, window: timedelta, fresh: timedelta
) -> pl.DataFrame:
    """Return the same of every source that landed in a window, judged by its newest lines.

    Those are of its newest batch, so that a skew stands until that source lands without it,
    whatever runs of others say; and of all batches that are fresh, so that none goes by between
    two looks.

    Args:
        lake: the warehouse.
        now: the present (UTC).
        window: how far back its landings are read.
        fresh: how long after a batch was visible its lines count as newest.
    """
    return lake.read(_NEWEST, [now - window, now - fresh])
