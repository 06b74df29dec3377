"""What is known of producers: counts of their lines, fields, clocks and manifests."""

import polars as pl

from opsmeter_pipeline.model.columns import (
    BATCH_ID,
    FILE,
    Column,
    Table,
    count,
    instant,
    money,
    text,
)
from opsmeter_pipeline.model.tables.dimensions import (
    SOURCE,
)

_LANDED_HOUR = instant("landed_hour_at", "Start of the UTC hour in which the lines landed.")


def _lag(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Return a column of signed whole minutes, see `tracking.lags`; negative is a clock ahead."""
    return Column(name, pl.Int32, f"{meaning}; negative if the first is ahead.", nullable)


TRACKING_HOURLY = Table(
    "tracking_hourly",
    "One batch's count of lines for a source, a landing hour, an endpoint and what became of them.",
    (
        BATCH_ID,
        SOURCE,
        _LANDED_HOUR,
        text("endpoint_tag", "Endpoint; `(missing)` if absent, empty or unreadable."),
        text("rule", "Rule the lines broke; `(kept)` if they kept the contract."),
        text("field", "First field the rule's detail names; empty if it names none."),
        count("lines", "Lines that are not blank, redelivered ones included."),
        count("prompt_version_missing", "Kept lines without a prompt version."),
        count("tenant_missing", "Kept lines without a tenant."),
        count("user_missing", "Kept lines without a user."),
        count("environment_defaulted", "Kept lines whose environment was assumed."),
        count("data_mode_defaulted", "Kept lines whose data mode was assumed."),
        count("assumed_production", "Kept lines in production because either was assumed."),
        count("left_out", "Kept lines outside production."),
        count("zero_usage", "Kept lines that tell 0 input and 0 output tokens: told, not missing."),
    ),
)
FIELD_PRESENCE_HOURLY = Table(
    "field_presence_hourly",
    "One batch's count of lines that had an optional field, for a source and a landing hour.",
    (
        BATCH_ID,
        SOURCE,
        _LANDED_HOUR,
        text("field", "Optional field, as it is on the wire."),
        count("lines", "Lines that kept the contract, redelivered ones included."),
        count("present", "Of these, lines that had the field, not null and not empty."),
    ),
)
CLOCKS_HOURLY = Table(
    "clocks_hourly",
    "One batch's sum for a source, a landing hour and how far apart the clocks of its lines were.",
    (
        BATCH_ID,
        SOURCE,
        _LANDED_HOUR,
        _lag(
            "sender_lag_minutes",
            "From event to ingest time; null if the line told no event time",
            nullable=True,
        ),
        _lag(
            "collector_lag_minutes",
            "From ingest time to landing; null if the line told no ingest time",
            nullable=True,
        ),
        _lag("landing_lag_minutes", "From the file's modification time to its taking"),
        count("attempts", "Events: billed attempts."),
        count("requests", "Logical requests."),
        count("refused_lines", "Lines that were refused as `future_timestamp`."),
        money("cost_usd", "Sum of the priced events' cost."),
    ),
)
MANIFESTS = Table(
    "manifests",
    "One look at a manifest a producer put beside a file; a log, the last look at a file counts.",
    (
        FILE,
        count("told_lines", "Lines the producer counted; null if unreadable.", nullable=True),
        text("told_checksum", "`algorithm:hex` of the whole file; null if untold.", nullable=True),
        text("found_checksum", "The same of the landed file; null if not taken.", nullable=True),
        text("problem", "Why the manifest cannot be used; null if it can.", nullable=True),
        count("size_bytes", "Size of the manifest."),
        instant("modified_at", "Modification time of the manifest."),
        instant("read_at", "When it was looked at."),
    ),
)
