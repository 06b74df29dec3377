"""Sends a probe: one made-up line, landed as any client would land it.

Knows the payload and the landing's address, and nothing of the warehouse. Its model has a price,
so that it is no unpriced traffic, and its identifiers are hashed, as the contract asks.
"""

import hashlib
from datetime import datetime

from opsmeter_pipeline.model.probe import (
    PROBE_DATA_MODE,
    PROBE_ENDPOINT,
    PROBE_ENVIRONMENT,
    PROBE_FOLDER,
)
from opsmeter_pipeline.producers.demo_day import Payload, encode_json
from opsmeter_pipeline.producers.landed_files import land_bytes

_WHO = hashlib.sha256(PROBE_ENDPOINT.encode()).hexdigest()[:16]


def name_probe_file(probe_id: str, *, sent_at: datetime) -> str:
    """Return the path of a probe's file in the landing: a folder for each UTC day.

    All that differs are dates and numbers, so that all probes are one source.
    """
    return f"{PROBE_FOLDER}/{sent_at:%Y-%m-%d}/{probe_id.removeprefix('probe-')}.jsonl"


def build_probe(probe_id: str, *, sent_at: datetime) -> Payload:
    """Return the payload of a probe; its prompt version is no other event's.

    Args:
        probe_id: its external request id and prompt version.
        sent_at: when it is sent, in any time zone.
    """
    return {
        "externalRequestId": probe_id,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "endpointTag": PROBE_ENDPOINT,
        "promptVersion": probe_id,
        "tenantId": f"t_{_WHO}",
        "userId": f"u_{_WHO}",
        "inputTokens": 1,
        "outputTokens": 1,
        "latencyMs": 1,
        "status": "success",
        "dataMode": PROBE_DATA_MODE,
        "environment": PROBE_ENVIRONMENT,
        "attempt": 1,
        "timestamp": sent_at.isoformat(),
    }


def land_probe(landing: str, file: str, payload: Payload) -> None:
    """Land a probe's file.

    Args:
        landing: folder or fsspec address of the landing.
        file: its path there.
        payload: what it says.

    Raises:
        OSError: it cannot be written; a client's could not either.
    """
    land_bytes(landing, file, encode_json(payload) + b"\n")
