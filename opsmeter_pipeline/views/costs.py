"""Views of cost: days and hours, rankings, late changes, models without a price.

All but the last show production, read cubes, and say how much they leave out.
"""

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
from opsmeter_pipeline.model.columns import count, money, ratio
from opsmeter_pipeline.model.sql import PRODUCTION
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    USERS_DAILY,
)
from opsmeter_pipeline.views.unpriced import UNPRICED_MODELS
from opsmeter_pipeline.views.view import View

_HIGH = (
    "The most the attempts without a price may cost; null if of one of them nobody can tell, and "
    "the total is then unknown."
)
_LOW = (
    "The least the attempts without a price may cost, beside `cost_usd`, by what comparable models "
    "charge."
)
UNPRICED = (
    *ATTRIBUTION_HOURLY.pick("unpriced_attempts"),
    ratio("unpriced_share", "`unpriced_attempts` by `attempts`, 0 to 1; null without an attempt."),
    ratio("priced_share", "The other attempts by `attempts`, 0 to 1; null without an attempt."),
    *ATTRIBUTION_HOURLY.pick("unbounded_attempts"),
    money("unpriced_low_usd", _LOW),
    money("unpriced_high_usd", _HIGH, nullable=True),
)
"""What each total says of its part without a price."""
_MEASURES = (
    *ATTRIBUTION_HOURLY.pick("requests", "attempts", "redeliveries"),
    money(
        "cost_usd",
        "Cost of the attempts that have a price; null where attempts were made and none has one.",
        nullable=True,
    ),
    ratio("share_of_cost", "Part of the cost of the view's rows, 0 to 1; null if all cost is 0."),
    ratio("cost_per_request_usd", "`cost_usd` by `requests`, in USD; null without a request."),
    *ATTRIBUTION_HOURLY.pick("inferred_cost_usd"),
    *UNPRICED,
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
ENDPOINT, PROMPT_VERSION = "endpoint_tag", "endpoint_tag, prompt_version"
_COUNT, _MONEY = "BIGINT", "DECIMAL(38,18)"
_SUMS = {
    "requests": _COUNT,
    "attempts": _COUNT,
    "redeliveries": _COUNT,
    "cost_usd": _MONEY,
    "inferred_cost_usd": _MONEY,
    "unpriced_attempts": _COUNT,
    "unbounded_attempts": _COUNT,
    "unpriced_low_usd": _MONEY,
    "unpriced_high_usd": _MONEY,
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
    round((attempts - unpriced_attempts) / nullif(attempts, 0), 6) AS priced_share,
    unbounded_attempts, unpriced_low_usd, unpriced_high_usd,
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
                CASE WHEN attempts = 0 OR unpriced_attempts < attempts THEN cost_usd END
                    AS cost_usd,
                CASE WHEN unbounded_attempts = 0 THEN unpriced_high_usd END AS unpriced_high_usd
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


def sum_up_days(cube: str = "attribution_hourly", histogram: str = "latency_hourly") -> str:
    """Return the query behind `overview`, of these tables or queries in brackets."""
    groups = _groups("day", cube=_by_day(cube), histogram=_by_day(histogram))
    return f"""
        SELECT day, {tell_state(end_of("day"), day="day")} AS state,
            coalesce(changes_after_final, 0) AS changes_after_final, sums.* EXCLUDE (day)
        FROM ({groups}) sums LEFT JOIN ({COUNT_CHANGES_AFTER_FINAL}) USING (day)
        ORDER BY day
    """


def _overview_hourly() -> str:
    groups = _groups("hour_at", cube="attribution_hourly", histogram="latency_hourly")
    day = "(hour_at AT TIME ZONE 'UTC')::DATE"
    return f"""
        SELECT hour_at, {tell_state("hour_at + INTERVAL 1 HOUR", day=day)} AS state,
            sums.* EXCLUDE (hour_at)
        FROM ({groups}) sums ORDER BY hour_at
    """


def rank_groups(keys: str, *, cube: str = "attribution_hourly",
                histogram: str = "latency_hourly") -> str:  # fmt: skip
    """Return a query with one row per group that has production traffic, the costliest first."""
    return _rank(_groups(keys, cube=cube, histogram=histogram), keys)


def rank_users(cube: str = "users_daily", histogram: str = "users_latency_daily") -> str:
    """Return the query behind `top_users`, of these tables or queries in brackets."""
    keys = "tenant_id, user_id"
    return _rank(_groups(keys, cube=cube, histogram=histogram, step=USER_BUCKETS_PER_STEP), keys)


def _rank(groups: str, keys: str) -> str:
    return f"{groups} WHERE attempts > 0 ORDER BY cost_usd DESC, {keys}"


COST_VIEWS: tuple[View, ...] = (
    View(
        "overview",
        "One row per UTC day: cost, requests, tokens, errors, latency, and what is left out.",
        (*USERS_DAILY.pick("day"), STATE, CHANGES_AFTER_FINAL, *_MEASURES),
        sum_up_days(),
        ("attribution_hourly", "latency_hourly", "watermarks", "day_changes"),
    ),
    View(
        "overview_hourly",
        "One row per UTC hour: what `overview` tells of a day.",
        (*ATTRIBUTION_HOURLY.pick("hour_at"), STATE, *_MEASURES),
        _overview_hourly(),
        ("attribution_hourly", "latency_hourly", "watermarks", "day_changes"),
    ),
    View(
        "late_changes",
        "One row per publish, batch and UTC day that it changed after the day was first reported.",
        tuple(LATE_CHANGE_COLUMNS),
        LATE_CHANGES,
        ("day_changes", "watermarks"),
    ),
    View(
        "top_endpoints",
        "One row per endpoint " + _RANKED,
        (*ATTRIBUTION_HOURLY.pick("endpoint_tag"), *_MEASURES),
        rank_groups(ENDPOINT),
        ("attribution_hourly", "latency_hourly"),
    ),
    View(
        "top_users",
        "One row per tenant and user " + _RANKED,
        (*USERS_DAILY.pick("tenant_id", "user_id"), *_MEASURES),
        rank_users(),
        ("users_daily", "users_latency_daily"),
    ),
    View(
        "prompt_versions",
        "One row per endpoint and prompt version " + _RANKED,
        (*ATTRIBUTION_HOURLY.pick("endpoint_tag", "prompt_version"), *_MEASURES),
        rank_groups(PROMPT_VERSION),
        ("attribution_hourly", "latency_hourly"),
    ),
    UNPRICED_MODELS,
)
