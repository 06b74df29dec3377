"""The tables of the warehouse, column by column: DESIGN's contract with people and checks.

Add a column here first; contract, DDL, docs and checks follow. Views over these tables stand
in the `views` stage. Cubes hold additive measures only, so any total is a sum of rows.
"""

from dataclasses import replace

import polars as pl

from opsmeter_pipeline.model.columns import (
    BATCH_ID,
    FILE,
    INSTANT,
    LINE_NUMBER,
    Column,
    Table,
    change,
    count,
    flag,
    instant,
    money,
    ratio,
    text,
)
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.watermark import Watermark

_HOUR = instant("hour_at", "Start of the UTC hour in which the events occurred.")
_DAY = Column("day", pl.Date, "UTC day on which the events occurred.")
_TIER = (
    text("environment", "prod, staging or dev."),
    text("data_mode", "real, test or demo."),
)
_SERVED = (
    text("provider", "Provider as the caller named it."),
    text("model", "Model as the caller named it."),
)
_PROMPT = (
    text("endpoint_tag", "Product feature, `area.action`; `(missing)` if absent or empty."),
    text("prompt_version", "Prompt deploy label; `(missing)` if absent or empty."),
)
_TENANT = text("tenant_id", "Opaque tenant, `h_...` if hashed here; `unknown` if absent.")
_USER = text("user_id", "Opaque user, `h_...` if hashed here; `unknown` if absent or empty.")
_BUCKET = Column("latency_bucket", pl.Int32, "Logarithmic latency bucket, see `cube`.")

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
        *_SERVED,
        *_PROMPT,
        _TENANT,
        _USER,
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
        *_TIER,
        flag("environment_defaulted", "The line named no environment; prod was assumed."),
        flag("data_mode_defaulted", "The line named no data mode; real was assumed."),
        instant("occurred_at", "Event time by the caller's clock; ingest time if absent."),
        instant("ingested_at", "Receipt: told by the collector, else when the file landed."),
        text("extra", "Unknown fields as JSON, redacted if personal; null if none.", nullable=True),
        money("cost_usd", "Exact cost; null if it has no price, never 0 for that.", nullable=True),
        text("price_id", "Row group of `price_catalogue` that priced it.", nullable=True),
        text("unpriced_reason", "Why there is no price; null if priced.", nullable=True),
    ),
)

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

_LEDGER_COUNTS = (
    count("lines", "Lines read: accepted + duplicates + quarantined + blank."),
    count("accepted", "Lines that became events."),
    count("duplicates", "Redelivered lines: counted, not billed."),
    count("quarantined", "Lines that broke a rule."),
    count("blank", "Lines of white space only."),
    count("environment_defaulted", "Events whose environment was assumed."),
    count("data_mode_defaulted", "Events whose data mode was assumed."),
    count("prompt_version_missing", "Events without a prompt version."),
    count("with_extra_fields", "Events with unknown fields."),
    count("attempts_inferred", "Events whose attempt was inferred and is above 1."),
    count("unpriced_events", "Events without a price."),
    money("cost_usd", "Cost of the priced events."),
)

INGEST_BATCHES = Table(
    "ingest_batches",
    "One batch: the lines that one run took.",
    (
        BATCH_ID,
        Column("ingest_day", pl.Date, "UTC day on which its files landed: its partition."),
        text("run_id", "Dagster run that published it, or replayed it last."),
        instant("taken_at", "When the run listed the landing."),
        count("files", "Slices of files in the batch."),
        *_LEDGER_COUNTS,
        instant("visible_at", "When its commit had returned; null until measured.", nullable=True),
        instant("replayed_at", "When it was replayed last; null if never.", nullable=True),
    ),
)

INGEST_FILES = Table(
    "ingest_files",
    "One slice of a landed file in one batch: a whole file, or what a growing one gained.",
    (
        BATCH_ID,
        FILE,
        text("format", "jsonl, jsonl.gz, jsonl.zst, csv or parquet."),
        Column("ingest_day", pl.Date, "UTC day on which the slice landed."),
        instant("landed_at", "When it landed: its modification time, never later than taken."),
        instant("modified_at", "Modification time of the file, as the landing tells it."),
        count("byte_start", "First byte of the slice in the stored file."),
        count("byte_end", "Byte after the slice."),
        text("checksum", "XXH3-128 of these bytes, hexadecimal."),
        count("first_line_number", "Number of its first line in the file."),
        *_LEDGER_COUNTS,
    ),
)

SLICE_SCHEMA = {name: INGEST_FILES.schema.get(name, INSTANT) for name in Slice.__annotations__}
"""The Polars schema of a plan: one row per `model.landed.Slice`."""

LANDING_FINDINGS = Table(
    "landing_findings",
    "One thing found in the landing that could not be taken as it was; a log.",
    (
        FILE,
        text(
            "finding",
            "changed, gone, unsupported, unreadable, damaged, oversized or touched (harmless).",
        ),
        text("detail", "What differs and what to do."),
        count("size_bytes", "Size of the file when it was found so."),
        instant("modified_at", "Modification time of the file when it was found so."),
        instant("found_at", "When it was found."),
    ),
)

MOVED_LINES = Table(
    "moved_lines",
    "One line that a replay moved from quarantine to events; a log, of which the last row counts.",
    (
        text("batch_id", "The batch that took the line, and keeps its first `visible_at`."),
        *QUARANTINE.pick("file", "line_number"),
        text("rule", "Name of the rule it was quarantined by."),
        text("run_id", "Dagster run that moved it."),
        instant(
            "moved_at",
            "When that run's commit had returned and the event was visible; null until measured.",
            nullable=True,
        ),
    ),
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
    money("cost_usd", "Sum of the priced events' cost."),
    money("inferred_cost_usd", "Part of the cost that inferred attempts make."),
    money("failed_cost_usd", "Part of the cost that failed attempts make."),
)
MEASURE_NAMES = tuple(measure.name for measure in _MEASURES)

ATTRIBUTION_HOURLY = Table(
    "attribution_hourly",
    "One batch's sum for an hour and a combination of all attribution dimensions but user.",
    (BATCH_ID, _HOUR, *_TIER, *_SERVED, *_PROMPT, _TENANT, *_MEASURES),
)
USERS_DAILY = Table(
    "users_daily",
    "One batch's sum for a day, a tenant and a user.",
    (BATCH_ID, _DAY, *_TIER, _TENANT, _USER, *_MEASURES),
)
LATENCY_HOURLY = Table(
    "latency_hourly",
    "One batch's count for an hour, a model, an endpoint, a version and a latency bucket.",
    (BATCH_ID, _HOUR, *_TIER, *_SERVED, *_PROMPT, _BUCKET, count("attempts", "Events in it.")),
)
USERS_LATENCY_DAILY = Table(
    "users_latency_daily",
    "One batch's count for a day, a tenant, a user and a latency bucket.",
    (BATCH_ID, _DAY, *_TIER, _TENANT, _USER, _BUCKET, count("attempts", "Events in it.")),
)

_SOURCE = text(
    "source", "Its files: their path with every date and sequence part as `*`, see `tracking`."
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
        _SOURCE,
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
        _SOURCE,
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
        _SOURCE,
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

DOUBLE_INSTRUMENTATION = Table(
    "double_instrumentation",
    "Two reporters that told the same calls under different ids on one UTC day; all are counted.",
    (
        Column("day", pl.Date, "UTC day on which the first of each pair occurred."),
        *_TIER,
        text("first_source", "Producer of the one event of each pair, see `tracking`."),
        text("first_endpoint_tag", "Endpoint it was reported under."),
        text("second_source", "Producer of the other event of each pair."),
        text("second_endpoint_tag", "Endpoint that one was reported under."),
        text("models", "Models as the first reporter names them."),
        count("pairs", "Pairs of one event each: same model and tokens, within a second."),
        count("signatures", "Different models and token counts among them."),
        count("chance_pairs", "Pairs that coincidence brings: the most at a shifted clock."),
        count("first_events", "Events of the first reporter that day, with a time and tokens."),
        count("second_events", "Events of the second reporter, likewise."),
        ratio("first_share", "`pairs` by `first_events`, 0 to 1."),
        ratio("second_share", "`pairs` by `second_events`, 0 to 1."),
        money("cost_usd", "Cost in doubt: of each pair the cheaper event's. It is in all totals."),
        count("unpriced_pairs", "Pairs of which neither has a price."),
        instant("first_at", "When the first pair occurred."),
        instant("last_at", "When the last pair occurred."),
        text("sample_ids", "Ids of some pairs, those with most tokens first."),
        instant("looked_at", "When this was found; a later look at the day replaces the row."),
    ),
)

PRICE_CATALOGUE = Table(
    "price_catalogue",
    "One price of one token class of one model, in force from an instant and under a condition.",
    (
        text("price_id", "Rows that are in force together share it; events point to it."),
        text("source", "Where the price is from: `genai-prices`, or the user's own file."),
        text("source_version", "Version of that source."),
        text("source_sha256", "SHA-256 of that source's content, hexadecimal."),
        instant("loaded_at", "When it was loaded."),
        text("provider_id", "Provider in the source's spelling."),
        text("model_id", "Model in the source's spelling."),
        count("model_order", "Place of the model in the source, from 0; the first match wins."),
        text("model_pattern", "Which names mean the model, as JSON; see docs/prices.md."),
        text("token_class", "Class of tokens it is for; the classes are in docs/prices.md."),
        text("unit", "token, request, search, hour, character, message or page."),
        money("price_usd_per_unit", "Exact price of one unit."),
        text("currency", "Always USD."),
        count("priority", "Of the rows in force at an instant, the highest priority counts."),
        instant("valid_from", "First instant of validity; null is since ever.", nullable=True),
        instant("valid_to", "First instant after validity; null is until further.", nullable=True),
        Column("window_start", pl.Time, "Start of its daily UTC window; may wrap.", nullable=True),
        Column("window_end", pl.Time, "End of that window, exclusive.", nullable=True),
        count("tier_threshold_tokens", "Where the tier begins; null is no tier.", nullable=True),
        text("tier_operator", "`>` or `>=` the threshold; null is no tier.", nullable=True),
        text(
            "tier_scope",
            "`whole_request`: all its tokens cost this; `marginal`: only those from there on.",
            nullable=True,
        ),
        text(
            "tier_count",
            "Count held against the threshold: `input_tokens` of a whole request, `class_tokens` "
            "(those of the row's own class) of a marginal tier.",
            nullable=True,
        ),
        text("service_tier", "batch, flex, priority or fast; null is default.", nullable=True),
        text("environment", "Only for this environment; null is all.", nullable=True),
        text("tenant_id", "Only for this tenant; null is all.", nullable=True),
        flag("is_rounded", "The source had a float artefact; rounded to 12 decimals per million."),
    ),
)
PRICE_VERSIONS = Table(
    "price_versions",
    "One decision on a version of a price source; a log, of which a source's last row counts.",
    (
        count("decision_number", "Place in the log, from 0."),
        text("source", "Where the prices are from: `genai-prices`, or `prices.toml`."),
        text("source_version", "Version of that source; of a file, the start of its SHA-256."),
        text(
            "decision",
            "taken (prices from then on, unasked), waits (for a person; the version before goes "
            "on pricing) or accepted.",
        ),
        text("reason", "Why."),
        count("moved_prices", "Prices it moves by 50 % or more, to or from zero, or takes away."),
        text("decided_by", "The run that decided, or the person who accepted."),
        instant("decided_at", "When."),
    ),
)
PRICE_ALIASES = Table(
    "price_aliases",
    "One name the user's own price file says to be another model's, in one version of that file.",
    (
        text("provider_id", "Provider of the name, as the catalogue spells it."),
        text("name", "The name, as callers' names are compared with it."),
        text("means_provider_id", "Provider of the model it means."),
        text("means_model_id", "The model it means."),
        text("source_version", "Version of the file."),
        instant("loaded_at", "When it was loaded."),
    ),
)
MODEL_RESOLUTIONS = Table(
    "model_resolutions",
    "One provider and model as callers name them, and the catalogue's model they mean.",
    (
        *_SERVED,
        text("called_provider_id", "Provider in the catalogue; null if unknown.", nullable=True),
        text(
            "provider_id",
            "Provider whose price list counts: the called one, or one it borrows from; null if "
            "the model is unknown.",
            nullable=True,
        ),
        text("model_id", "Model in the catalogue; null if unknown.", nullable=True),
        text("rule", "How the name was matched, or why it was not; see docs/prices.md."),
        text("candidates", "What an ambiguous name may mean; null if it is not.", nullable=True),
        text("source_version", "Catalogue version that answered."),
        instant("resolved_at", "When it was first asked."),
    ),
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
        *_TIER,
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
_CHANGES = tuple(
    replace(one, is_signed=True)
    for one in (
        count("change_requests", "Logical requests more, or fewer if negative."),
        count("change_attempts", "Events more or fewer."),
        count("change_input_tokens", "Input tokens more or fewer."),
        count("change_output_tokens", "Output tokens more or fewer."),
        count("change_unpriced_attempts", "Events without a price more or fewer."),
        money("change_cost_usd", "Cost more or less."),
        count("change_left_out_attempts", "Events outside production more or fewer."),
        money("change_left_out_cost_usd", "Their cost more or less."),
    )
)
DAY_CHANGES = Table(
    "day_changes",
    "What one publish changed in a batch's part of a UTC day's totals; a log from the first on.",
    (
        count("number", "The publish, in the order of commits, from 1."),
        text("batch_id", "The batch whose rows changed."),
        _DAY,
        text("kind", "live (lines taken anew), backfill or replay (a batch run again)."),
        text("run_id", "Dagster run that published it."),
        *_CHANGES,
        instant(
            "final_at",
            "When the day had become final before this change; null if it was provisional.",
            nullable=True,
        ),
        instant("visible_at", "When the commit had returned; null until measured.", nullable=True),
    ),
)
"""All but the left-out ones are of production, as in `overview`."""
WATERMARKS = Table(
    "watermarks",
    "What one look at the landing knew; a log, the look with the highest number counts.",
    (
        count("number", "The look, in the order of commits, from 1."),
        text("batch_id", "The batch published with it; null if it took nothing.", nullable=True),
        instant("looked_at", "When the landing was listed."),
        instant("complete_through", "No file listed that landed before this instant waits."),
        count("waiting_files", "Files of which something waits, an unfinished last line included."),
        count("refused_files", "Files listed that cannot be taken as they are; they do not wait."),
        count("lateness_allowance_seconds", "How long after an hour its events may still land."),
    ),
)

LOOKED = {name: WATERMARKS.schema[name] for name in Watermark.__annotations__}
"""The Polars schema of a look: one row per `model.watermark.Watermark`."""

CUBES = (ATTRIBUTION_HOURLY, USERS_DAILY, LATENCY_HOURLY, USERS_LATENCY_DAILY)
TRACKING = (TRACKING_HOURLY, FIELD_PRESENCE_HOURLY, CLOCKS_HOURLY)
BATCH_TABLES = (EVENTS, QUARANTINE, INGEST_BATCHES, INGEST_FILES, *CUBES, *TRACKING)
"""Tables whose rows carry their batch and are replaced when the batch is replayed."""
TABLES = (
    *BATCH_TABLES,
    MOVED_LINES,
    LANDING_FINDINGS,
    MANIFESTS,
    DAY_CHANGES,
    WATERMARKS,
    DOUBLE_INSTRUMENTATION,
    PRICE_CATALOGUE,
    PRICE_ALIASES,
    PRICE_VERSIONS,
    MODEL_RESOLUTIONS,
    COST_DRIVERS,
)
