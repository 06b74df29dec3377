"""The lines of a drill's producers: plain legal traffic, and what a bad deploy makes of it.

Add a way here in which a producer goes wrong. Keep out: when lines are landed and how they are
counted (`drills.traffic`).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from opsmeter_pipeline.producers.demo_day import Payload

_HASHES = 37
"""How many users there are."""


def build_line(request_id: str, *, at: datetime, endpoint: str = "checkout.summary") -> Payload:
    """Return a line that keeps the contract.

    Args:
        request_id: its request's id.
        at: when its event was (UTC).
        endpoint: who made the call.
    """
    number = sum(request_id.encode())
    return {
        "externalRequestId": request_id,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "endpointTag": endpoint,
        "promptVersion": "summary_v3",
        "tenantId": f"t_{number % 5:08x}",
        "userId": f"u_{number % _HASHES:08x}",
        "inputTokens": 400 + number % 300,
        "outputTokens": 120,
        "latencyMs": 800 + number % 90,
        "status": "success",
        "dataMode": "real",
        "environment": "prod",
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
    }


def change_type(lines: Iterable[Payload]) -> list[Payload]:
    """Return lines whose input tokens became text."""
    return [line | {"inputTokens": str(line["inputTokens"])} for line in lines]


def send_raw_users(lines: Iterable[Payload]) -> list[Payload]:
    """Return lines whose user became an e-mail address instead of a hash."""
    return [line | {"userId": f"{line['userId']}@example.com"} for line in lines]


def shift_clock(lines: Iterable[Payload], *, at: datetime, by: timedelta) -> list[Payload]:
    """Return lines that a clock stamped which is ahead, or behind if negative."""
    return [line | {"timestamp": f"{at + by:%Y-%m-%dT%H:%M:%S.%f}Z"} for line in lines]


def drop_zone(
    lines: Iterable[Payload], *, at: datetime, offset: timedelta
) -> list[Mapping[str, object]]:
    """Return lines stamped with the local time of a zone and no offset."""
    return [line | {"timestamp": f"{at + offset:%Y-%m-%dT%H:%M:%S.%f}"} for line in lines]
