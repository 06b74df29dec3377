"""Named inputs that tests share: payloads, lines, slices, chunks and event rows.

Everything here is valid unless a test changes it, so that a test shows only what it is about.
Generated inputs stand in `strategies`.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import polars as pl

from opsmeter_pipeline.contract import Judged, judge_chunk
from opsmeter_pipeline.model.landed import Chunk, Part, Slice
from opsmeter_pipeline.model.tables import EVENTS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Absent(Enum):
    """Given as a change, `ABSENT` takes the field out of the payload."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

PRICED = ["cost_usd", "price_id", "unpriced_reason", "unpriced_low_usd", "unpriced_high_usd"]
"""The columns of `events` that pricing adds."""
STAGED_SCHEMA = {"seq": pl.Int64, "slice_index": pl.UInt32} | EVENTS.schema
"""An event's columns before publishing: its place in the run, then those of the table."""


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def at(count: float) -> datetime:
    """Return the instant that many seconds after NOW."""
    return NOW + seconds(count)


def payload(**changes: Any) -> dict[str, Any]:
    """Return a payload with every field that is wanted, in the wire's own names."""
    fields = {
        "externalRequestId": "req-0001",
        "provider": "openai",
        "model": "gpt-4o",
        "endpointTag": "chat.answer",
        "promptVersion": "v3",
        "tenantId": "t-1f6a",
        "userId": "u-93c0",
        "inputTokens": 1_000,
        "outputTokens": 200,
        "latencyMs": 850,
        "status": "success",
        "dataMode": "real",
        "environment": "prod",
        "timestamp": "2026-11-23T11:30:00Z",
    } | changes
    return {name: value for name, value in fields.items() if value is not ABSENT}


def line(**changes: Any) -> str:
    """Return a payload as one line of JSON without spaces."""
    return json.dumps(payload(**changes), ensure_ascii=False, separators=(",", ":"))


def line_saying(field: str, literal: str) -> str:
    """Return a line in which a field has a value spelled exactly like that."""
    return f'{line(**{field: ABSENT})[:-1]},"{field}":{literal}}}'


def slice_of(**changes: Any) -> Slice:
    """Return a slice of a plain file that landed and was taken at NOW."""
    fields = {
        "batch_id": "batch-1",
        "file": "usage.jsonl",
        "format": "jsonl",
        "ingest_day": NOW.date(),
        "landed_at": NOW,
        "modified_at": NOW,
        "taken_at": NOW,
        "byte_start": 0,
        "byte_end": 100,
        "first_line_number": 1,
    }
    return Slice(**fields | changes)


def chunk_of(
    *lines: str | bytes, number: int = 0, parts: Sequence[Part] | None = None, end: bytes = b"\n"
) -> Chunk:
    """Return a chunk of these lines, all of slice 0 unless `parts` says otherwise."""
    texts = [one if isinstance(one, bytes) else one.encode() for one in lines]
    return Chunk(number, b"".join(text + end for text in texts), parts or [Part(0, 1, len(texts))])


def judge(*lines: str | bytes, **slice_changes: Any) -> Judged:
    """Return what the contract makes of these lines of one slice."""
    return judge_chunk(chunk_of(*lines), [slice_of(**slice_changes)])


def judge_one(text: str | bytes, **slice_changes: Any) -> str | dict[str, Any]:
    """Return the rule that a line broke, or its event; a good line beside it must survive."""
    judged = judge(text, line(), **slice_changes)
    assert judged.events["line_number"].to_list()[-1] == 2
    assert judged.events.height + judged.quarantine.height == 2
    if judged.quarantine.is_empty():
        return judged.events.row(0, named=True)
    assert judged.quarantine["line_number"].to_list() == [1]
    return judged.quarantine["rule"].item()


def event(**changes: Any) -> dict[str, Any]:
    """Return a row of `events`, not priced, with its place in the run."""
    return {
        "seq": 0,
        "slice_index": 0,
        "batch_id": "batch-1",
        "file": "usage.jsonl",
        "line_number": 1,
        "external_request_id": "req-0001",
        "attempt": 1,
        "attempt_told": False,
        "attempt_inferred": False,
        "is_first_attempt": True,
        "provider": "openai",
        "model": "gpt-4o",
        "endpoint_tag": "chat.answer",
        "prompt_version": "v3",
        "tenant_id": "t-1f6a",
        "user_id": "u-93c0",
        "input_tokens": 1_000,
        "output_tokens": 200,
        "latency_ms": 850,
        "status": "success",
        "outcome": "success",
        "data_mode": "real",
        "environment": "prod",
        "environment_defaulted": False,
        "data_mode_defaulted": False,
        "occurred_at": NOW,
        "ingested_at": NOW,
    } | changes


def events_of(*rows: dict[str, Any]) -> pl.DataFrame:
    """Return event rows as a frame."""
    return pl.DataFrame(list(rows), schema=STAGED_SCHEMA)
