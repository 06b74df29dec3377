"""Views of producers: what their lines lack, hold back, and how far their clocks are apart.

They show all traffic, because a mistake is made in any environment.
"""

import polars as pl

from opsmeter_pipeline.model.columns import Column, count, instant, money, ratio, text
from opsmeter_pipeline.model.tables import (
    CLOCKS_HOURLY,
    QUARANTINE,
    TRACKING_HOURLY,
)
from opsmeter_pipeline.views.view import View

_TRACKING_QUALITY = """
    SELECT source, lines,
        round((40 * kept + 20 * endpoint + 20 * prompt_version
            + 5 * (tenant + user_ + environment + data_mode)) / lines, 2) AS score,
        round(kept / lines, 6) AS kept_share,
        round(endpoint / lines, 6) AS endpoint_share,
        round(prompt_version / lines, 6) AS prompt_version_share,
        round(tenant / lines, 6) AS tenant_share,
        round(user_ / lines, 6) AS user_share,
        round(environment / lines, 6) AS environment_share,
        round(data_mode / lines, 6) AS data_mode_share,
        last_hour_at
    FROM (
        SELECT source, sum(lines)::BIGINT AS lines,
            coalesce(sum(lines) FILTER (rule = '(kept)'), 0) AS kept,
            coalesce(sum(lines) FILTER (rule = '(kept)' AND endpoint_tag <> '(missing)'), 0)
                AS endpoint,
            kept - sum(prompt_version_missing) AS prompt_version,
            kept - sum(tenant_missing) AS tenant,
            kept - sum(user_missing) AS user_,
            kept - sum(environment_defaulted) AS environment,
            kept - sum(data_mode_defaulted) AS data_mode,
            max(landed_hour_at) AS last_hour_at
        FROM tracking_hourly
        WHERE landed_hour_at > (SELECT max(landed_hour_at) FROM tracking_hourly) - INTERVAL 7 DAY
        GROUP BY source
    )
    ORDER BY score, source
"""


_CLOCK_LAGS = """
    WITH recent AS (
        FROM clocks_hourly
        WHERE landed_hour_at > (SELECT max(landed_hour_at) FROM clocks_hourly) - INTERVAL 7 DAY
    ), lags AS (
        SELECT source, 1 AS place, 'sender' AS clock, sender_lag_minutes AS lag,
            attempts + refused_lines AS lines FROM recent
        UNION ALL
        SELECT source, 2, 'collector', collector_lag_minutes, attempts + refused_lines FROM recent
        UNION ALL
        SELECT source, 3, 'landing', landing_lag_minutes, attempts + refused_lines FROM recent
        UNION ALL
        SELECT source, 4, 'publish', date_diff('second', taken_at, visible_at) // 60,
            attempts + refused_lines FROM recent JOIN ingest_batches USING (batch_id)
    ), summed AS (
        SELECT source, place, clock, lag, sum(lines) AS n FROM lags WHERE lag IS NOT NULL
        GROUP BY ALL
    ), running AS (
        SELECT *, sum(n) OVER (PARTITION BY source, place ORDER BY lag) AS below,
            sum(n) OVER (PARTITION BY source, place) AS total FROM summed
    )
    SELECT source, clock, sum(n)::BIGINT AS lines,
        coalesce(sum(n) FILTER (lag < -5), 0)::BIGINT AS lines_ahead,
        min(lag)::BIGINT AS least_lag_minutes,
        (min(lag) FILTER (below >= 0.5 * total))::BIGINT AS median_lag_minutes,
        max(lag)::BIGINT AS largest_lag_minutes
    FROM running GROUP BY source, place, clock ORDER BY source, place
"""
_LATE_EVENTS = """
    SELECT landed_day, source, late_from_hours::BIGINT AS late_from_hours,
        sum(attempts)::BIGINT AS attempts, sum(requests)::BIGINT AS requests,
        sum(cost_usd)::DECIMAL(38,18) AS cost_usd,
        round(sum(attempts) / any_value(of_source), 6) AS share_of_attempts,
        max(lag)::BIGINT AS largest_lag_minutes
    FROM (
        SELECT *, sum(attempts) OVER (PARTITION BY landed_day, source) AS of_source,
            CASE WHEN lag >= 43200 THEN 720 WHEN lag >= 10080 THEN 168 WHEN lag >= 1440 THEN 24
                WHEN lag >= 120 THEN 2 END AS late_from_hours
        FROM (
            SELECT (landed_hour_at AT TIME ZONE 'UTC')::DATE AS landed_day, source, attempts,
                requests, cost_usd,
                coalesce(sender_lag_minutes, 0) + coalesce(collector_lag_minutes, 0) AS lag
            FROM clocks_hourly WHERE attempts > 0
        )
    )
    WHERE late_from_hours IS NOT NULL
    GROUP BY landed_day, source, late_from_hours
    ORDER BY landed_day DESC, source, late_from_hours
"""
_HELD_BACK = """
    SELECT rule, source, count(*) AS lines, count(estimated_cost_usd) AS estimated_lines,
        sum(estimated_cost_usd)::DECIMAL(38,18) AS estimated_cost_usd,
        count(unestimated_reason) AS unestimated_lines,
        min(ingested_at) AS first_at, max(ingested_at) AS last_at
    FROM quarantine GROUP BY rule, source
    ORDER BY estimated_cost_usd DESC NULLS LAST, lines DESC, rule, source
"""
_MISSING_USAGE = """
    SELECT source, endpoint_tag, sum(lines)::BIGINT AS lines,
        coalesce(sum(lines) FILTER (rule = 'missing_usage'), 0)::BIGINT AS missing_usage_lines,
        round(missing_usage_lines / sum(lines), 6) AS missing_usage_share,
        any_value(statuses) AS statuses,
        sum(zero_usage)::BIGINT AS zero_usage_lines,
        round(zero_usage_lines / sum(lines), 6) AS zero_usage_share,
        max(landed_hour_at) FILTER (rule = 'missing_usage' OR zero_usage > 0) AS last_hour_at
    FROM tracking_hourly LEFT JOIN (
        SELECT source, endpoint_tag, string_agg(status || ': ' || n, ', ' ORDER BY n DESC, status)
            AS statuses
        FROM (
            SELECT source, coalesce(endpoint_tag, '(missing)') AS endpoint_tag,
                coalesce(status, '(missing)') AS status, count(*) AS n
            FROM quarantine WHERE rule = 'missing_usage' GROUP BY ALL
        ) GROUP BY ALL
    ) USING (source, endpoint_tag)
    GROUP BY source, endpoint_tag
    HAVING missing_usage_lines + zero_usage_lines > 0
    ORDER BY missing_usage_lines DESC, zero_usage_lines DESC, source, endpoint_tag
"""


PRODUCER_VIEWS: tuple[View, ...] = (
    View(
        "tracking_quality",
        "One row per source with lines in the last 7 days of landings, the worst tracked first.",
        (
            *TRACKING_HOURLY.pick("source", "lines"),
            ratio(
                "score",
                "0 to 100: 40 if a line is kept, 20 for its endpoint, 20 for its prompt "
                "version, 5 each for tenant, user, environment and data mode; the lines' mean.",
            ),
            ratio("kept_share", "Lines that kept the contract by `lines`, 0 to 1."),
            ratio("endpoint_share", "Kept lines that tell their endpoint by `lines`."),
            ratio("prompt_version_share", "Kept lines that tell a prompt version by `lines`."),
            ratio("tenant_share", "Kept lines that tell their tenant by `lines`."),
            ratio("user_share", "Kept lines that tell their user by `lines`."),
            ratio("environment_share", "Kept lines that tell their environment by `lines`."),
            ratio("data_mode_share", "Kept lines that tell their data mode by `lines`."),
            instant("last_hour_at", "Start of the last UTC hour in which its lines landed."),
        ),
        _TRACKING_QUALITY,
        ("tracking_hourly",),
    ),
    View(
        "clock_lags",
        "One row per source and clock, of the last 7 days of landings: how far behind the next.",
        (
            *CLOCKS_HOURLY.pick("source"),
            text(
                "clock",
                "sender (event to ingest), collector (ingest to landing), landing (to the taking) "
                "or publish (taking to visible).",
            ),
            count("lines", "Events, and lines refused as `future_timestamp`, that tell the lag."),
            count("lines_ahead", "Of these, more than 5 minutes ahead of the next clock."),
            count("least_lag_minutes", "Least lag; negative is ahead."),
            count("median_lag_minutes", "Median lag of the lines; negative is ahead."),
            count("largest_lag_minutes", "Largest lag; negative is ahead."),
        ),
        _CLOCK_LAGS,
        ("clocks_hourly", "ingest_batches"),
    ),
    View(
        "late_events",
        "One row per landing day, source and class of lateness, of events 2 hours late or more.",
        (
            Column("landed_day", pl.Date, "UTC day on which they landed."),
            *CLOCKS_HOURLY.pick("source"),
            count(
                "late_from_hours",
                "Class by the time from event to landing: from 2, 24, 168 or 720 hours on.",
            ),
            *CLOCKS_HOURLY.pick("attempts", "requests", "cost_usd"),
            ratio("share_of_attempts", "Part of what the source landed that day, 0 to 1."),
            count("largest_lag_minutes", "Largest time from event to landing."),
        ),
        _LATE_EVENTS,
        ("clocks_hourly",),
    ),
    View(
        "held_back",
        "One row per rule and source with lines in quarantine, the most money first; of any "
        "environment.",
        (
            *QUARANTINE.pick("rule", "source"),
            count("lines", "Lines in quarantine."),
            count("estimated_lines", "Of these, lines that tell enough for an estimate."),
            money(
                "estimated_cost_usd",
                "What the estimated lines may have cost; null if there are none. In no total.",
                nullable=True,
            ),
            count("unestimated_lines", "Lines of which nobody can tell the cost."),
            instant("first_at", "When the first of their files landed."),
            instant("last_at", "When the last of their files landed."),
        ),
        _HELD_BACK,
        ("quarantine",),
    ),
    View(
        "missing_usage",
        "One row per source and endpoint with lines that tell no usage, or of 0 tokens.",
        (
            *TRACKING_HOURLY.pick("source", "endpoint_tag", "lines"),
            count(
                "missing_usage_lines", "Lines refused as `missing_usage`: their cost is unknown."
            ),
            ratio("missing_usage_share", "`missing_usage_lines` by `lines`, 0 to 1."),
            text(
                "statuses", "How often these ended with which status; null if none.", nullable=True
            ),
            count("zero_usage_lines", "Kept lines that tell 0 input and 0 output tokens."),
            ratio("zero_usage_share", "`zero_usage_lines` by `lines`, 0 to 1."),
            instant("last_hour_at", "Start of the last UTC hour in which either landed."),
        ),
        _MISSING_USAGE,
        ("tracking_hourly", "quarantine"),
    ),
)
