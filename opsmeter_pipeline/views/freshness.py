"""Views of freshness: how late events were visible, by hour and day, and where a batch's time went.

They show all environments and data modes, because a probe and staging are watched too. What was
promised is `limit_seconds` as it was when the events were counted.
"""

import polars as pl

from opsmeter_pipeline.model.columns import Column, Table, count, instant, ratio
from opsmeter_pipeline.model.tables import (
    BATCH_TIMES,
    FRESHNESS_LAGS,
    INGEST_BATCHES,
    INGEST_FILES,
)
from opsmeter_pipeline.views.view import View

_LAGS = """
    WITH counted AS (
        SELECT {key}, environment, data_mode, source, endpoint_tag, kind,
            lag_up_to_seconds AS lag, limit_seconds, sum(events) AS n,
            max(epoch_us(visible_at) - epoch_us(oldest_ingested_at)) / 1e6 AS longest
        FROM freshness_lags GROUP BY ALL
    ), running AS (
        SELECT *, kind = 'live' AND lag IS NOT NULL AS is_measured,
            CASE WHEN is_measured THEN n ELSE 0 END AS counts,
            sum(counts) OVER (PARTITION BY {name}, environment, data_mode, source, endpoint_tag
                ORDER BY lag) AS below,
            sum(counts) OVER (PARTITION BY {name}, environment, data_mode, source, endpoint_tag)
                AS total
        FROM counted
    )
    SELECT {name}, environment, data_mode, source, endpoint_tag,
        coalesce(sum(n) FILTER (kind = 'live'), 0)::BIGINT AS events,
        coalesce(sum(n) FILTER (is_measured AND lag <= limit_seconds), 0)::BIGINT AS good,
        coalesce(sum(n) FILTER (is_measured AND lag > limit_seconds), 0)::BIGINT AS late,
        coalesce(sum(n) FILTER (kind = 'live' AND lag IS NULL), 0)::BIGINT AS clock,
        round(good / nullif(good + late, 0), 6) AS good_share,
        max(limit_seconds)::BIGINT AS limit_seconds,
        max(longest) FILTER (is_measured) AS max_seconds,
        least(min(lag) FILTER (is_measured AND below >= 0.50 * total), max_seconds) AS p50_seconds,
        least(min(lag) FILTER (is_measured AND below >= 0.95 * total), max_seconds) AS p95_seconds,
        least(min(lag) FILTER (is_measured AND below >= 0.99 * total), max_seconds) AS p99_seconds,
        coalesce(sum(n) FILTER (kind = 'history'), 0)::BIGINT AS history_events,
        coalesce(sum(n) FILTER (kind = 'replayed'), 0)::BIGINT AS replayed_events
    FROM running GROUP BY {name}, environment, data_mode, source, endpoint_tag
    ORDER BY {name} DESC, environment, data_mode, source, endpoint_tag
"""
_STAGES = """
    SELECT batch_id, first_landed_at, last_landed_at, taken_at, validated_at, begun_at, visible_at,
        served_at, accepted,
        date_diff('millisecond', first_landed_at, taken_at) / 1000 AS landing_seconds,
        date_diff('millisecond', taken_at, validated_at) / 1000 AS validating_seconds,
        date_diff('millisecond', validated_at, begun_at) / 1000 AS waiting_to_publish_seconds,
        date_diff('millisecond', begun_at, visible_at) / 1000 AS publishing_seconds,
        date_diff('millisecond', visible_at, served_at) / 1000 AS serving_seconds
    FROM batch_times JOIN ingest_batches USING (batch_id) JOIN (
        SELECT batch_id, min(landed_at) AS first_landed_at, max(landed_at) AS last_landed_at
        FROM ingest_files GROUP BY batch_id
    ) USING (batch_id) LEFT JOIN first_served USING (batch_id)
    ORDER BY taken_at DESC, batch_id
"""
_FIGURES = (
    count("events", "Live events: good, late and clock."),
    count("good", "Visible within the limit."),
    count("late", "Visible after it. What still waits is not in here, see `opsmeter status`."),
    count("clock", "Ingest time after they were visible: a clock is wrong, the lag unknown."),
    ratio("good_share", "`good` by `good` and `late`, 0 to 1; null without any."),
    count("limit_seconds", "The objective's limit when they were counted; the largest of several."),
    ratio("max_seconds", "Longest lag in seconds, exact; null without any."),
    *(
        ratio(
            f"p{n}_seconds",
            f"Lag that {n} % do not exceed, in seconds: the exact one or up to 1 s or 1/60 more; "
            "null without any.",
        )
        for n in (50, 95, 99)
    ),
    count("history_events", "Events ingested over 24 h before they landed; in no other count."),
    count("replayed_events", "Events visible only since a replay; in no other count."),
)
_WHO = FRESHNESS_LAGS.pick("environment", "data_mode", "source", "endpoint_tag")


def _lags(name: str, grain: str, when: Column, key: str) -> View:
    columns = (when, *_WHO, *_FIGURES)
    sql = _LAGS.format(key=f"{key} AS {name}" if key != name else key, name=name)
    return View(name=f"freshness_{grain}", grain=f"One row per {_GRAINS[grain]}, environment, data "
                "mode, source and endpoint with events: how late they were visible, newest first.",
                columns=columns, sql=sql, reads=("freshness_lags",))  # fmt: skip


_GRAINS = {"hourly": "UTC hour of the ingest time", "daily": "UTC day of the ingest time"}
_TIMES = Table("", "", (*INGEST_BATCHES.columns, *BATCH_TIMES.columns, *INGEST_FILES.columns))
FRESHNESS_VIEWS: tuple[View, ...] = (
    _lags(
        "ingested_hour_at",
        "hourly",
        FRESHNESS_LAGS.pick("ingested_hour_at")[0],
        "ingested_hour_at",
    ),
    _lags(
        "ingested_day",
        "daily",
        Column("ingested_day", pl.Date, "UTC day of the ingest time, `ingested_at`."),
        "(ingested_hour_at AT TIME ZONE 'UTC')::DATE",
    ),
    View(
        "batch_stages",
        "One row per batch, newest first: its way from landing to visible, and where time went.",
        (
            *BATCH_TIMES.pick("batch_id"),
            instant("first_landed_at", "When its first file landed."),
            instant("last_landed_at", "When its last file landed."),
            *_TIMES.pick("taken_at", "validated_at", "begun_at", "visible_at"),
            instant(
                "served_at", "When the page first showed all of it; null if never.", nullable=True
            ),
            *_TIMES.pick("accepted"),
            ratio("landing_seconds", "From the first landing to when the run listed the landing."),
            ratio("validating_seconds", "From there until all blocking checks had passed."),
            ratio(
                "waiting_to_publish_seconds", "From there until the publishing transaction began."
            ),
            ratio("publishing_seconds", "From there until it was visible; null until measured."),
            ratio("serving_seconds", "From there until the page first showed it; null if never."),
        ),
        _STAGES,
        ("batch_times", "ingest_batches", "ingest_files", "first_served"),
    ),
)
