"""What a person reads: SQL views over the cubes and the ledger, named and described.

Views show production reality: `data_mode = real` and `environment = prod`; each says how much
it leaves out. They read cubes, never events, so they stay quick as history grows. Comes after
`publish`; the page and `opsmeter query` read them.
"""

from dataclasses import dataclass

from opsmeter_pipeline.cube import LATENCY_BASE, USER_BUCKETS_PER_STEP

_PRODUCTION = "data_mode = 'real' AND environment = 'prod'"


@dataclass(frozen=True)
class View:
    """One view.

    Attributes:
        name: its name in schema `main`.
        meaning: what a row is and for which question.
        sql: the query behind it.
        reads: the tables it reads.
    """

    name: str
    meaning: str
    sql: str
    reads: tuple[str, ...]


def _measures() -> str:
    """Return the select list of a group's measures; ratios are of production rows only.

    Token ratios are floats, money per request is the only quotient of money and is shown for
    reading, rounded to 12 decimals: sums come from `cost_usd`, never from it.
    """
    return """
        sum(requests) FILTER (is_production)::BIGINT AS requests,
        sum(attempts) FILTER (is_production)::BIGINT AS attempts,
        sum(redeliveries) FILTER (is_production)::BIGINT AS redeliveries,
        sum(cost_usd) FILTER (is_production)::DECIMAL(38,18) AS cost_usd,
        sum(inferred_cost_usd) FILTER (is_production)::DECIMAL(38,18) AS inferred_cost_usd,
        sum(unpriced_attempts) FILTER (is_production)::BIGINT AS unpriced_attempts,
        sum(input_tokens) FILTER (is_production)::BIGINT AS input_tokens,
        sum(cache_read_tokens) FILTER (is_production)::BIGINT AS cache_read_tokens,
        sum(output_tokens) FILTER (is_production)::BIGINT AS output_tokens,
        sum(failures) FILTER (is_production)::BIGINT AS failures,
        sum(attempts) FILTER (NOT is_production)::BIGINT AS left_out_attempts,
        sum(cost_usd) FILTER (NOT is_production)::DECIMAL(38,18) AS left_out_cost_usd
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
                FROM {source} WHERE {_PRODUCTION} GROUP BY {keys}, latency_bucket
            )
        ) GROUP BY {keys}
    """


def _ranking(keys: str, *, cube: str, histogram: str, step: int) -> str:
    """Return a query with one row per group, the costliest first."""
    return f"""
        WITH sums AS (
            SELECT {keys}, {_measures()}
            FROM (SELECT *, {_PRODUCTION} AS is_production FROM {cube})
            GROUP BY {keys}
        ), latencies AS ({_percentiles(histogram, keys, step=step)})
        SELECT {keys}, {_SHOWN}
        FROM sums LEFT JOIN latencies USING ({keys})
        WHERE attempts > 0
        ORDER BY cost_usd DESC, {keys}
    """


_SHOWN = """
    requests, attempts, redeliveries,
    coalesce(cost_usd, 0)::DECIMAL(38,18) AS cost_usd,
    round(coalesce(cost_usd, 0)::DOUBLE / nullif(sum(cost_usd) OVER (), 0)::DOUBLE, 6)
        AS share_of_cost,
    round(cost_usd::DOUBLE / nullif(requests, 0), 12) AS cost_per_request_usd,
    inferred_cost_usd, unpriced_attempts,
    round(unpriced_attempts / attempts, 6) AS unpriced_share,
    input_tokens, cache_read_tokens, output_tokens,
    round((input_tokens + output_tokens) / nullif(requests, 0), 3) AS tokens_per_request,
    failures, round(failures / attempts, 6) AS error_share,
    latency_p50_ms, latency_p95_ms,
    coalesce(left_out_attempts, 0) AS left_out_attempts,
    coalesce(left_out_cost_usd, 0)::DECIMAL(38,18) AS left_out_cost_usd
"""


def _overview() -> str:
    return f"""
        WITH hours AS (
            SELECT *, {_PRODUCTION} AS is_production, hour_at::DATE AS day FROM attribution_hourly
        ), sums AS (SELECT day, {_measures()} FROM hours GROUP BY day
        ), hourly AS (SELECT *, hour_at::DATE AS day FROM latency_hourly
        ), latencies AS ({_percentiles("hourly", "day", step=1)})
        SELECT day, {_SHOWN} FROM (
            SELECT day, coalesce(requests, 0) AS requests, coalesce(attempts, 0) AS attempts,
                coalesce(redeliveries, 0) AS redeliveries, coalesce(failures, 0) AS failures,
                coalesce(unpriced_attempts, 0) AS unpriced_attempts,
                sums.* EXCLUDE (day, requests, attempts, redeliveries, failures, unpriced_attempts)
            FROM sums
        ) LEFT JOIN latencies USING (day)
        ORDER BY day
    """


VIEWS: tuple[View, ...] = (
    View(
        "overview",
        "One row per UTC day: cost, requests, tokens, errors, latency, and what is left out.",
        _overview(),
        ("attribution_hourly", "latency_hourly"),
    ),
    View(
        "top_endpoints",
        "One row per endpoint, the costliest first.",
        _ranking("endpoint_tag", cube="attribution_hourly", histogram="latency_hourly", step=1),
        ("attribution_hourly", "latency_hourly"),
    ),
    View(
        "top_users",
        "One row per tenant and user, the costliest first.",
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
        "One row per endpoint and prompt version, the costliest first.",
        _ranking(
            "endpoint_tag, prompt_version",
            cube="attribution_hourly",
            histogram="latency_hourly",
            step=1,
        ),
        ("attribution_hourly", "latency_hourly"),
    ),
    View(
        "unpriced_models",
        "One row per provider and model that has attempts without a price, in any environment.",
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
)
