"""Lines, each a row: `events`, `quarantine`, and refused lines before they are estimated."""

from opsmeter_pipeline.model.columns import (
    BATCH_ID,
    FILE,
    LINE_NUMBER,
    Column,
    Table,
    count,
    flag,
    instant,
    money,
    text,
)
from opsmeter_pipeline.model.tables.dimensions import (
    PROMPT,
    SERVED,
    TENANT,
    TIER,
    USER,
)

EVENTS = Table(
    "events",
    "One billed attempt of one LLM request: a line that passed the contract.",
    (
        BATCH_ID,
        FILE,
        LINE_NUMBER,
        text("external_request_id", "The caller's id of the logical request."),
        count("attempt", "Attempt of that request, from 1; inferred if the line had none."),
        flag("attempt_told", "The line named its attempt."),
        flag("attempt_inferred", "The line named no attempt and is not the first of its id."),
        flag("is_first_attempt", "Counts the logical request: true for one event of each id."),
        *SERVED,
        *PROMPT,
        TENANT,
        USER,
        count("input_tokens", "All input tokens, cache reads and writes included."),
        count("cache_read_tokens", "Input read from a cache; null if not told.", nullable=True),
        count("cache_write_tokens", "Input written to a cache; null if not told.", nullable=True),
        count("cache_write_1h_tokens", "Of these, kept one hour; null if not told.", nullable=True),
        count("input_audio_tokens", "Audio part of the input; null if not told.", nullable=True),
        count("input_image_tokens", "Image part of the input; null if not told.", nullable=True),
        count("output_tokens", "All output tokens, reasoning included."),
        count("reasoning_tokens", "Reasoning part of the output; null if not told.", nullable=True),
        count("output_audio_tokens", "Audio part of the output; null if not told.", nullable=True),
        count("total_tokens", "Total as the caller told it; null if not told.", nullable=True),
        count(
            "web_searches", "Web searches billed beside tokens; null if not told.", nullable=True
        ),
        text("service_tier", "Service tier asked for; null if not told.", nullable=True),
        count("latency_ms", "Latency in milliseconds; null if not told.", nullable=True),
        text("status", "Status as told: a word or an HTTP code; null if not told.", nullable=True),
        text("outcome", "success, error, timeout, cancelled, rate_limited or unknown."),
        *TIER,
        flag("environment_defaulted", "The line named no environment; prod was assumed."),
        flag("data_mode_defaulted", "The line named no data mode; real was assumed."),
        instant("occurred_at", "Event time by the caller's clock; ingest time if absent."),
        instant("ingested_at", "Receipt: told by the collector, else when the file landed."),
        text("extra", "Unknown fields as JSON, redacted if personal; null if none.", nullable=True),
        money("cost_usd", "Exact cost; null if it has no price, never 0 for that.", nullable=True),
        text("price_id", "Row group of `price_catalogue` that priced it.", nullable=True),
        text("unpriced_reason", "Why there is no price; null if priced.", nullable=True),
        money(
            "unpriced_low_usd",
            "The least it may cost, by comparable prices; null if priced or nothing compares.",
            nullable=True,
        ),
        money("unpriced_high_usd", "The most it may cost, or null, likewise.", nullable=True),
    ),
)
PRICED = (
    *("cost_usd", "price_id", "unpriced_reason"),
    *("unpriced_low_usd", "unpriced_high_usd"),
)
"""What pricing writes of an event."""

_REFUSED = "as far as the line tells, else null."
TOLD = (
    "provider",
    "model",
    "endpoint_tag",
    "status",
    "service_tier",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "web_searches",
    "occurred_at",
)
"""What is kept of a refused line's call. None of it is in any total."""
QUARANTINE = Table(
    "quarantine",
    "One line that broke a rule.",
    (
        BATCH_ID,
        FILE,
        LINE_NUMBER,
        text("rule", "Name of the first rule it broke, in the contract's order."),
        text("detail", "What was found, without any value that could identify a person."),
        text("line_redacted", "The line with all but known fields and numbers masked, cut short."),
        instant("ingested_at", "When its file landed; of a conflicting duplicate, its own."),
        *(
            Column(name, EVENTS.schema[name], f"Of its call, {_REFUSED}", nullable=True)
            for name in TOLD
        ),
        text("source", "Producer: its path with dates, times, numbers and ids as `*`."),
        money(
            "estimated_cost_usd",
            "What the call may have cost by these tokens; null if nobody can tell. In no total.",
            nullable=True,
        ),
        text("unestimated_reason", "Why there is no estimate; null if there is.", nullable=True),
    ),
)
REFUSED = Table(
    "refused",
    "One row of `quarantine` as it is staged, before `price` has estimated it.",
    tuple(
        column
        for column in QUARANTINE.columns
        if column.name not in ("source", "estimated_cost_usd", "unestimated_reason")
    ),
)
