"""What the clock check reads of the warehouse: the lags of a run's producers.

Reading only, of `clocks_hourly`, never of events. What is judged stands in `tracking.clocks`.
"""

from datetime import timedelta

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


def read_lags(lake: Lake, run_id: str, *, window: timedelta) -> pl.DataFrame:
    """Return how far apart the clocks of a run's sources were, in its hours and before.

    One row per source, landing hour and lags; no row if the run took no line.
    """
    return lake.read(_LAGS, [run_id, f"{window.total_seconds():.0f} seconds"])
