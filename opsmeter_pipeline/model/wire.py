"""The payload on the wire: each field's name, type and need, in the words of the producers.

This is the one list the compiled reader, the typed frames, the CSV reader and the
docs read. Add a field here first, then its column in `tables.EVENTS`. What a value may be
beyond its type is a rule and stands in `contract.rules`.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "count", "status", "instant"]


@dataclass(frozen=True)
class WireField:
    """One field of the payload.

    Attributes:
        name: the camelCase name producers send.
        column: the snake_case name it has in frames and tables.
        kind: `text` a string; `count` an integer; `status` a string or an integer; `instant`
            an RFC 3339 string or an integer of epoch milliseconds.
        required: absent, null or empty quarantines the line.
    """

    name: str
    column: str
    kind: Kind
    required: bool = False


WIRE: tuple[WireField, ...] = (
    WireField("externalRequestId", "external_request_id", "text", required=True),
    WireField("provider", "provider", "text", required=True),
    WireField("model", "model", "text", required=True),
    WireField("endpointTag", "endpoint_tag", "text"),
    WireField("promptVersion", "prompt_version", "text"),
    WireField("tenantId", "tenant_id", "text"),
    WireField("userId", "user_id", "text"),
    WireField("inputTokens", "input_tokens", "count", required=True),
    WireField("outputTokens", "output_tokens", "count", required=True),
    WireField("totalTokens", "total_tokens", "count"),
    WireField("cacheReadTokens", "cache_read_tokens", "count"),
    WireField("cacheWriteTokens", "cache_write_tokens", "count"),
    WireField("cacheWrite1hTokens", "cache_write_1h_tokens", "count"),
    WireField("inputAudioTokens", "input_audio_tokens", "count"),
    WireField("inputImageTokens", "input_image_tokens", "count"),
    WireField("outputAudioTokens", "output_audio_tokens", "count"),
    WireField("reasoningTokens", "reasoning_tokens", "count"),
    WireField("webSearches", "web_searches", "count"),
    WireField("latencyMs", "latency_ms", "count"),
    WireField("attempt", "attempt", "count"),
    WireField("serviceTier", "service_tier", "text"),
    WireField("status", "status", "status"),
    WireField("dataMode", "data_mode", "text"),
    WireField("environment", "environment", "text"),
    WireField("timestamp", "timestamp", "instant"),
    WireField("ingestedAt", "ingested_at", "instant"),
)
COLUMN_OF = {field.name: field.column for field in WIRE}
DIMENSIONS = (
    "provider",
    "model",
    "endpoint_tag",
    "prompt_version",
    "tenant_id",
    "user_id",
    "service_tier",
    "status",
    "data_mode",
    "environment",
)
"""Columns whose values recur: frames of events hold them as categories (ADR 0003)."""
COUNTS = tuple(field.column for field in WIRE if field.kind == "count")
PARTS_OF: tuple[tuple[tuple[str, ...], str], ...] = (
    (("cache_read_tokens", "cache_write_tokens"), "input_tokens"),
    (("cache_write_1h_tokens",), "cache_write_tokens"),
    (("input_audio_tokens", "input_image_tokens"), "input_tokens"),
    (("reasoning_tokens", "output_audio_tokens"), "output_tokens"),
)
"""Counts that together are at most another one, and which; see docs/prices.md."""

DATA_MODES = ("real", "test", "demo")
ENVIRONMENTS = ("prod", "staging", "dev")
SERVICE_TIERS = ("default", "batch", "flex", "priority", "fast")
STATUSES = ("success", "error", "timeout", "cancelled", "rate_limited")
MAX_COUNT = 2**40
MISSING_TAG = "(missing)"
UNKNOWN_IDENTITY = "unknown"
