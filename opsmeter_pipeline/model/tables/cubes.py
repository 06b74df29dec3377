"""Cubes: additive sums of a batch's events by attribution dimensions."""

from opsmeter_pipeline.model.columns import (
    BATCH_ID,
    Table,
    count,
    money,
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
MEASURE_NAMES = tuple(measure.name for measure in _MEASURES)

ATTRIBUTION_HOURLY = Table(
    "attribution_hourly",
    "One batch's sum for an hour and a combination of all attribution dimensions but user.",
    (BATCH_ID, HOUR, *TIER, *SERVED, *PROMPT, TENANT, *_MEASURES),
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
