"""What a person reads: SQL views over the cubes and the ledger, named and described.

Views show production reality: `data_mode = real` and `environment = prod`; each says how much
it leaves out. They read cubes, never events, so they stay quick as history grows. Comes after
`publish`; the page and `opsmeter query` read them.
"""

from dataclasses import dataclass

import polars as pl

from opsmeter_pipeline.cube import LATENCY_BASE, USER_BUCKETS_PER_STEP
from opsmeter_pipeline.lateness import (
    CHANGES_AFTER_FINAL,
    COUNT_CHANGES_AFTER_FINAL,
    LATE_CHANGE_COLUMNS,
    LATE_CHANGES,
    STATE,
    end_of,
    tell_state,
)
from opsmeter_pipeline.model.columns import Column, Table, count, instant, money, ratio, text
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    CLOCKS_HOURLY,
    QUARANTINE,
    TRACKING_HOURLY,
    USERS_DAILY,
)

PRODUCTION = "data_mode = 'real' AND environment = 'prod'"
"""What views show, as SQL over rows of events or cubes."""


@dataclass(frozen=True)
class View(Table):
    """One view: described as a table is, and derived when it is read.

    Attributes:
        sql: the query behind it.
        reads: the tables it reads.
    """

    sql: str
    reads: tuple[str, ...]


_MEASURES = (
    *ATTRIBUTION_HOURLY.pick("requests", "attempts", "redeliveries"),
    money(
        "cost_usd",
        "Cost of the attempts that have a price; null where attempts were made and none has one.",
        nullable=True,
    ),
    ratio("share_of_cost", "Part of the cost of the view's rows, 0 to 1; null if all cost is 0."),
    ratio("cost_per_request_usd", "`cost_usd` by `requests`, in USD; null without a request."),
    *ATTRIBUTION_HOURLY.pick("inferred_cost_usd", "unpriced_attempts"),
    ratio("unpriced_share", "`unpriced_attempts` by `attempts`, 0 to 1; null without an attempt."),
    *ATTRIBUTION_HOURLY.pick("input_tokens", "cache_read_tokens", "output_tokens"),
    ratio("tokens_per_request", "Input and output tokens by `requests`; null without a request."),
    *ATTRIBUTION_HOURLY.pick("failures"),
    ratio("error_share", "`failures` by `attempts`, 0 to 1; null without an attempt."),
    *ATTRIBUTION_HOURLY.pick("failed_cost_usd"),
    ratio("attempts_per_success", "`attempts` by those that did not fail; null if all failed."),
    ratio(
        "cost_per_success_usd",
        "`cost_usd`, that of failed attempts included, by the attempts that did not fail, in USD; "
        "null if all failed.",
    ),
    ratio(
        "latency_p50_ms", "Median latency, within 1 %, of a user within 18 %; null if none told."
    ),
    ratio("latency_p95_ms", "95th percentile of latency, within the same; null if none told."),
    count("left_out_attempts", "Attempts outside production, in no other column."),
    money("left_out_cost_usd", "Cost of the attempts that are left out."),
)
_RANKED = "with production traffic, the costliest first; one without has no row."
_COUNT, _MONEY = "BIGINT", "DECIMAL(38,18)"
_SUMS = {
    "requests": _COUNT,
    "attempts": _COUNT,
    "redeliveries": _COUNT,
    "cost_usd": _MONEY,
    "inferred_cost_usd": _MONEY,
    "unpriced_attempts": _COUNT,
    "input_tokens": _COUNT,
    "cache_read_tokens": _COUNT,
    "output_tokens": _COUNT,
    "failures": _COUNT,
    "failed_cost_usd": _MONEY,
}
_SHOWN = """
    requests, attempts, redeliveries, cost_usd,
    round(cost_usd::DOUBLE / nullif(sum(cost_usd) OVER (), 0)::DOUBLE, 6) AS share_of_cost,
    round(cost_usd::DOUBLE / nullif(requests, 0), 12) AS cost_per_request_usd,
    inferred_cost_usd, unpriced_attempts,
    round(unpriced_attempts / nullif(attempts, 0), 6) AS unpriced_share,
    input_tokens, cache_read_tokens, output_tokens,
    round((input_tokens + output_tokens) / nullif(requests, 0), 3) AS tokens_per_request,
    failures, round(failures / nullif(attempts, 0), 6) AS error_share, failed_cost_usd,
    round(attempts / nullif(attempts - failures, 0), 6) AS attempts_per_success,
    round(cost_usd::DOUBLE / nullif(attempts - failures, 0), 12) AS cost_per_success_usd,
    latency_p50_ms, latency_p95_ms, left_out_attempts, left_out_cost_usd
"""
"""What a group's row shows after its keys; a ratio of nothing is null.

Money per request and the shares are the only quotients of money. They are floats for reading,
rounded: sums come from `cost_usd`, never from them.
"""


def _measures() -> str:
    """Return the select list of a group's sums: production's, then what is left out; 0 if none."""
    sums = [_sum(name, kind, of="is_production") for name, kind in _SUMS.items()]
    left_out = [
        _sum(name, _SUMS[name], of="NOT is_production", prefix="left_out_")
        for name in ("attempts", "cost_usd")
    ]
    return ", ".join([*sums, *left_out])


def _sum(name: str, kind: str, *, of: str, prefix: str = "") -> str:
    return f"coalesce(sum({name}) FILTER ({of}), 0)::{kind} AS {prefix}{name}"


def _groups(keys: str, *, cube: str, histogram: str, step: int = 1) -> str:
    """Return a query with one row per group of a cube, with latencies from its histogram."""
    return f"""
        WITH sums AS (
            SELECT {keys}, {_measures()}
            FROM (SELECT *, {PRODUCTION} AS is_production FROM {cube})
            GROUP BY {keys}
        ), priced AS (
            SELECT * REPLACE (
                CASE WHEN attempts = 0 OR unpriced_attempts < attempts THEN cost_usd END AS cost_usd
            ) FROM sums
        ), latencies AS ({_percentiles(histogram, keys, step=step)})
        SELECT {keys}, {_SHOWN}
        FROM priced LEFT JOIN latencies USING ({keys})
    """


def _percentiles(source: str, keys: str, *, step: int) -> str:
    """Return a query of latency percentiles per group, read back from the buckets."""
    width = LATENCY_BASE**step
    middle = f"2 * pow({width!r}, latency_bucket) / (1 + {width!r})"
    latency = f"CASE WHEN latency_bucket < 0 THEN 0 ELSE {middle} END"
    return f"""
        SELECT {keys},
            round(min(latency) FILTER (below >= 0.50 * total), 1) AS latency_p50_ms,
            round(min(latency) FILTER (below >= 0.95 * total), 1) AS latency_p95_ms
        FROM (
            SELECT {keys}, {latency} AS latency,
                sum(n) OVER (PARTITION BY {keys} ORDER BY latency_bucket) AS below,
                sum(n) OVER (PARTITION BY {keys}) AS total
            FROM (
                SELECT {keys}, latency_bucket, sum(attempts) AS n
                FROM {source} WHERE {PRODUCTION} GROUP BY {keys}, latency_bucket
            )
        ) GROUP BY {keys}
    """


def _by_day(cube: str) -> str:
    # A plain cast to DATE would take the reader's time zone.
    return f"(SELECT *, (hour_at AT TIME ZONE 'UTC')::DATE AS day FROM {cube})"


def _overview() -> str:
    groups = _groups("day", cube=_by_day("attribution_hourly"), histogram=_by_day("latency_hourly"))
    return f"""
        SELECT day, {tell_state(end_of("day"))} AS state,
            coalesce(changes_after_final, 0) AS changes_after_final, sums.* EXCLUDE (day)
        FROM ({groups}) sums LEFT JOIN ({COUNT_CHANGES_AFTER_FINAL}) USING (day)
        ORDER BY day
    """


def _overview_hourly() -> str:
    groups = _groups("hour_at", cube="attribution_hourly", histogram="latency_hourly")
    return f"""
        SELECT hour_at, {tell_state("hour_at + INTERVAL 1 HOUR")} AS state,
            sums.* EXCLUDE (hour_at)
        FROM ({groups}) sums ORDER BY hour_at
    """


def _ranking(keys: str, *, cube: str, histogram: str, step: int = 1) -> str:
    """Return a query with one row per group that has production traffic, the costliest first."""
    groups = _groups(keys, cube=cube, histogram=histogram, step=step)
    return f"{groups} WHERE attempts > 0 ORDER BY cost_usd DESC, {keys}"


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


VIEWS: tuple[View, ...] = (
    View(
        "overview",
        "One row per UTC day: cost, requests, tokens, errors, latency, and what is left out.",
        (*USERS_DAILY.pick("day"), STATE, CHANGES_AFTER_FINAL, *_MEASURES),
        _overview(),
        ("attribution_hourly", "latency_hourly", "watermarks", "day_changes"),
    ),
    View(
        "overview_hourly",
        "One row per UTC hour: what `overview` tells of a day.",
        (*ATTRIBUTION_HOURLY.pick("hour_at"), STATE, *_MEASURES),
        _overview_hourly(),
        ("attribution_hourly", "latency_hourly", "watermarks"),
    ),
    View(
        "late_changes",
        "One row per publish, batch and UTC day that it changed after the day was first reported.",
        tuple(LATE_CHANGE_COLUMNS),
        LATE_CHANGES,
        ("day_changes",),
    ),
    View(
        "top_endpoints",
        "One row per endpoint " + _RANKED,
        (*ATTRIBUTION_HOURLY.pick("endpoint_tag"), *_MEASURES),
        _ranking("endpoint_tag", cube="attribution_hourly", histogram="latency_hourly"),
        ("attribution_hourly", "latency_hourly"),
    ),
    View(
        "top_users",
        "One row per tenant and user " + _RANKED,
        (*USERS_DAILY.pick("tenant_id", "user_id"), *_MEASURES),
        _ranking(
            "tenant_id, user_id",
            cube="users_daily",
            histogram="users_latency_daily",
            step=USER_BUCKETS_PER_STEP,
        ),
        ("users_daily", "users_latency_daily"),
    ),
    View(
        "prompt_versions",
        "One row per endpoint and prompt version " + _RANKED,
        (*ATTRIBUTION_HOURLY.pick("endpoint_tag", "prompt_version"), *_MEASURES),
        _ranking(
            "endpoint_tag, prompt_version",
            cube="attribution_hourly",
            histogram="latency_hourly",
        ),
        ("attribution_hourly", "latency_hourly"),
    ),
    View(
        "unpriced_models",
        "One row per provider and model that has attempts without a price, in any environment.",
        (
            *ATTRIBUTION_HOURLY.pick("provider", "model"),
            instant("first_hour_at", "Start of the first UTC hour in which it occurred."),
            instant("last_hour_at", "Start of the last UTC hour in which it occurred."),
            *ATTRIBUTION_HOURLY.pick(
                "unpriced_attempts", "attempts", "input_tokens", "output_tokens"
            ),
            count("tenants", "Different tenants that called it."),
        ),
        """
        SELECT provider, model, min(hour_at) AS first_hour_at, max(hour_at) AS last_hour_at,
            sum(unpriced_attempts)::BIGINT AS unpriced_attempts,
            sum(attempts)::BIGINT AS attempts,
            sum(input_tokens)::BIGINT AS input_tokens,
            sum(output_tokens)::BIGINT AS output_tokens,
            count(DISTINCT tenant_id) AS tenants
        FROM attribution_hourly
        GROUP BY provider, model
        HAVING sum(unpriced_attempts) > 0
        ORDER BY unpriced_attempts DESC, provider, model
        """,
        ("attribution_hourly",),
    ),
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
