"""The frame of a demo day: its window, its hourly files and what one line in it is.

Holds the plain values that the other demo modules share: the 24 hours that end at `now`, which
file format each hour uses, how a time is written on the wire.
Add here what traffic, faults and files must agree on. Keep out: random draws and the disk.
Before it in the flow: nothing. After it: demo_traffic, demo_faults, landed_files.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from opsmeter_pipeline.model.clock import from_epoch_ms
from opsmeter_pipeline.model.landed import Format

Payload = dict[str, Any]
"""One record in the wire payload of docs/contract.md; a value may be of any JSON type."""

DEPLOY_AFTER_HOURS = 14
SPIKE_HOUR_INDEX = 18

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_FORMAT_BY_HOUR_INDEX: dict[int, Format] = {
    3: "jsonl.gz",
    5: "jsonl.zst",
    8: "jsonl.gz",
    9: "csv",
    11: "jsonl.zst",
    12: "parquet",
    15: "jsonl.gz",
    19: "jsonl.zst",
    20: "jsonl.gz",
}


class Line(NamedTuple):
    """A legal line and the instant its sender wrote it; the instant picks the file."""

    sent_at_ms: int
    payload: Payload


class RawLine(NamedTuple):
    """A line as bytes, for what no serialiser would write: bad lines and blank ones."""

    sent_at_ms: int
    text: bytes


@dataclass(frozen=True, slots=True)
class DemoHour:
    """The part of one UTC clock hour that lies in the day, and the format of its file."""

    started_at_ms: int
    first_ms: int
    end_ms: int
    format: Format

    @property
    def is_line_based(self) -> bool:
        """True where any bytes may stand in a line; csv and parquet hold whole records only."""
        return self.format.startswith("jsonl")


@dataclass(frozen=True, slots=True)
class DemoDay:
    """The 24 hours before `end_ms`, cut at clock hours: 24 hours, or 25 with two partial ones."""

    start_ms: int
    end_ms: int
    hours: tuple[DemoHour, ...]

    @property
    def deploy_at_ms(self) -> int:
        """The middle of the prompt roll-out."""
        return self.start_ms + DEPLOY_AFTER_HOURS * _HOUR_MS

    @property
    def spike_hour(self) -> DemoHour:
        """The whole clock hour of the traffic spike."""
        return self.hours[SPIKE_HOUR_INDEX]

    def hour_of(self, at_ms: int) -> DemoHour:
        """Return the hour whose file takes a line of `at_ms`; the end of the day is still in."""
        index = at_ms // _HOUR_MS - self.start_ms // _HOUR_MS
        return self.hours[min(index, len(self.hours) - 1)]


def build_demo_day(*, now: datetime) -> DemoDay:
    """Return the day that ends at `now`, cut to whole milliseconds so that no time is after `now`.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        message = f"now={now.isoformat()} has no time zone. Pass an aware UTC time."
        raise ValueError(message)
    end_ms = (now - _EPOCH) // timedelta(milliseconds=1)
    start_ms = end_ms - _DAY_MS
    first_hour_ms = start_ms - start_ms % _HOUR_MS
    hours = tuple(
        DemoHour(
            started_at_ms=hour_ms,
            first_ms=max(hour_ms, start_ms),
            end_ms=min(hour_ms + _HOUR_MS, end_ms),
            format=_FORMAT_BY_HOUR_INDEX.get(index, "jsonl"),
        )
        for index, hour_ms in enumerate(range(first_hour_ms, end_ms, _HOUR_MS))
    )
    return DemoDay(start_ms=start_ms, end_ms=end_ms, hours=hours)


def to_timestamp(at_ms: int) -> str:
    """Return an epoch millisecond as RFC 3339 text in UTC.

    >>> to_timestamp(1_763_892_000_250)
    '2025-11-23T10:00:00.250Z'
    """
    return from_epoch_ms(at_ms).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def encode_json(payload: Payload) -> bytes:
    """Return a payload as one compact JSON object.

    >>> encode_json({"inputTokens": 5})
    b'{"inputTokens":5}'
    """
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
