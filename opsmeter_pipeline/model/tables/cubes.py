"""Cubes: additive sums of a batch's events by attribution dimensions."""

from opsmeter_pipeline.model.columns import (
    BATCH_ID,
    Column,
    Table,
    count,
    money,
    statistic,
    text,
)
from opsmeter_pipeline.model.tables.dimensions import (
    BUCKET,
    DAY,
    HOUR,
    PROMPT,
    SERVED,
    TENANT,
    TIER,
    USER,
)

_MEASURES = (
    count("requests", "Logical requests."),
    count("attempts", "Events: billed attempts."),
    count("redeliveries", "Duplicates: counted, not billed."),
    count("inferred_attempts", "Events whose attempt was inferred and is above 1."),
    count("failures", "Events whose outcome is known and is not success."),
    count("input_tokens", "Sum of input tokens."),
    count("cache_read_tokens", "Sum of cache reads, where told."),
    count("cache_write_tokens", "Sum of cache writes, where told."),
    count("output_tokens", "Sum of output tokens."),
    count("reasoning_tokens", "Sum of reasoning tokens, where told."),
    count("latency_ms", "Sum of latencies, where told."),
    count("timed_attempts", "Events that told a latency."),
    count("unpriced_attempts", "Events without a price."),
    count("unbounded_attempts", "Of these, events of which nobody can tell what they may cost."),
    money("unpriced_low_usd", "The least that events without a price may cost."),
    money(
        "unpriced_high_usd",
        "The most they may cost, without the unbounded ones: a sum is no bound where "
        "`unbounded_attempts` is above 0.",
    ),
    money("cost_usd", "Sum of the priced events' cost."),
    money("inferred_cost_usd", "Part of the cost that inferred attempts make."),
    money("failed_cost_usd", "Part of the cost that failed attempts make."),
)
OUTPUT_STEPS = tuple(2**power for power in range(4, 15))
"""Tokens above which an answer counts in a column of its own; so a tail is an additive count."""
INPUT_STEPS = tuple(4**power for power in range(4, 10))
"""Likewise of an input; fewer, for they only tell its p95."""


def name_step(kind: str, tokens: int) -> str:
    """Return the column that counts what is above so many tokens.

    >>> name_step("output", 1024)
    'output_above_1024_tokens'
    """
    return f"{kind}_above_{tokens}_tokens"


def _describe_spread(kind: str, steps: tuple[int, ...]) -> tuple[Column, ...]:
    return (
        count(f"finished_{kind}_tokens", f"Sum of their {kind} tokens."),
        statistic(f"{kind}_squared", f"Sum of the squares of their {kind} tokens."),
        statistic(
            f"{kind}_log", f"Sum of the natural logarithms of their {kind} tokens, of 0 as of 1."
        ),
        statistic(f"{kind}_log_squared", "Sum of the squares of these logarithms."),
        *(
            count(name_step(kind, tokens), f"Events with more than {tokens:,} {kind} tokens.")
            for tokens in steps
        ),
    )


_MOMENTS = (
    count("finished_attempts", "Events that did not fail; all else here is of them alone."),
    *_describe_spread("input", INPUT_STEPS),
    *_describe_spread("output", OUTPUT_STEPS),
    count("costed_attempts", "Of these, events that have a price and cost more than nothing."),
    statistic("cost", "Sum of their cost in dollars, as a float: `cost_usd` is the exact one."),
    statistic("cost_squared", "Sum of the squares of it."),
)
MEASURE_NAMES = tuple(measure.name for measure in (*_MEASURES, *_MOMENTS))
"""All columns of cubes that are no dimension."""


def dimensions_of(cube: Table) -> tuple[str, ...]:
    """Return the columns that the rows of a cube are by, in its order."""
    return tuple(name for name in cube.schema if name not in MEASURE_NAMES)


ATTRIBUTION_HOURLY = Table(
    "attribution_hourly",
    "One batch's sum for an hour and a combination of all attribution dimensions but user.",
    (BATCH_ID, HOUR, *TIER, *SERVED, *PROMPT, TENANT, *_MEASURES),
)
TOKEN_MOMENTS_HOURLY = Table(
    "token_moments_hourly",
    "How tokens and cost spread over one batch's finished events of a row of `attribution_hourly`.",
    (BATCH_ID, HOUR, *TIER, *SERVED, *PROMPT, TENANT, *_MOMENTS),
)
USERS_DAILY = Table(
    "users_daily",
    "One batch's sum for a day, a tenant and a user.",
    (BATCH_ID, DAY, *TIER, TENANT, USER, *_MEASURES),
)
LATENCY_HOURLY = Table(
    "latency_hourly",
    "One batch's count for an hour, a model, an endpoint, a version and a latency bucket.",
    (BATCH_ID, HOUR, *TIER, *SERVED, *PROMPT, BUCKET, count("attempts", "Events in it.")),
)
USERS_LATENCY_DAILY = Table(
    "users_latency_daily",
    "One batch's count for a day, a tenant, a user and a latency bucket.",
    (BATCH_ID, DAY, *TIER, TENANT, USER, BUCKET, count("attempts", "Events in it.")),
)
UNPRICED_HOURLY = Table(
    "unpriced_hourly",
    "One batch's sum of events without a price, for an hour, a model, a tenant and a reason.",
    (
        BATCH_ID,
        HOUR,
        *TIER,
        *SERVED,
        TENANT,
        text("unpriced_reason", "Why there is no price."),
        *(
            measure
            for measure in _MEASURES
            if measure.name
            in {
                *("requests", "attempts", "input_tokens", "output_tokens", "unbounded_attempts"),
                *("unpriced_low_usd", "unpriced_high_usd"),
            }
        ),
    ),
)
