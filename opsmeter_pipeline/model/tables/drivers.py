"""What a cost change is split into, and the table that keeps the parts."""

from dataclasses import replace

from opsmeter_pipeline.model.columns import (
    Table,
    change,
    instant,
    text,
)
from opsmeter_pipeline.model.tables.cubes import ATTRIBUTION_HOURLY
from opsmeter_pipeline.model.tables.dimensions import (
    TIER,
)

_COMPARED = (
    "requests",
    "attempts",
    "failures",
    "unpriced_attempts",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "cost_usd",
)
COMPARED = ATTRIBUTION_HOURLY.pick(*_COMPARED)
"""The measures of which a cost change is explained, of the window."""
PREVIOUS = tuple(
    replace(one, name=f"previous_{one.name}", meaning=f"{one.meaning[:-1]} in the previous window.")
    for one in COMPARED
)
"""The same of the window before it."""
FACTORS = {
    "volume": "Part of requests in all: more or fewer of them.",
    "mix": "Part of how requests are divided between endpoints.",
    "routing": "Part of how an endpoint's attempts are divided between models.",
    "retries": "Part of attempts per request.",
    "tokens": "Part of tokens per attempt, valued at the same prices before and after.",
    "price": "Part of what such tokens cost.",
    "unpriced": "Part of attempts that lost or found a price: known cost moved, not use.",
    "one_off": "Part of rows that arrived long after their hour.",
}
"""What a cost change is split into, in this order, and what each means."""
COST_DRIVERS = Table(
    "cost_drivers",
    "One part of a cost change between two windows: the whole of it, or a dimension's value.",
    (
        instant("computed_at", "When it was computed."),
        instant("previous_start_at", "Start of the window before, of the same length."),
        instant("window_start_at", "Start of the window."),
        instant("window_end_at", "First instant after the window."),
        *TIER,
        text("spike_class", "What the change between the two windows is, see docs/why.md."),
        text("dimension", "total, endpoint_tag, prompt_version, model, tenant_id or user_id."),
        text("within", "Endpoint of a prompt version, provider of a model, tenant of a user."),
        text("value", "The dimension's value; `(others)` sums up those beyond the first ones."),
        change("change_usd", "Cost in the window minus cost in the previous one."),
        *(change(f"{name}_usd", f"{meaning} Null where it is not split.", nullable=True)
          for name, meaning in FACTORS.items()),
        *PREVIOUS,
        *COMPARED,
        text("driver", "What drove the change most, in words; null but for total.", nullable=True),
        text("control", "What to do about it; null where there is nothing.", nullable=True),
        text("verify_sql", "Query that shows whether it helped; likewise.", nullable=True),
    ),
)  # fmt: skip
