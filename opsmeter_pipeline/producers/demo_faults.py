"""What goes wrong on the demo's wire: odd but legal lines, lines sent twice, bad and blank ones.

Holds one table of ways to break a line, by the name of the rule it breaks and no other rule.
Add a rule's bad lines here when the contract gets a rule; the demo's test proves that each breaks
one rule only. Keep out: legal behaviour (demo_traffic), files (landed_files).
Before it in the flow: demo_traffic. After it: landed_files.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta, timezone
from random import Random
from typing import TypeVar

from opsmeter_pipeline.model.clock import from_epoch_ms
from opsmeter_pipeline.model.wire import COLUMN_OF, MAX_COUNT
from opsmeter_pipeline.producers.demo_day import (
    DemoDay,
    Line,
    Payload,
    RawLine,
    encode_json,
    to_timestamp,
)

_Fault = TypeVar("_Fault")

CONFLICT_RULE = "conflicting_duplicate"
FUTURE_RULE = "future_timestamp"

_REDELIVERED_SHARE = 0.01
_BAD_SHARE = 0.003
_CONFLICT_DELAY_MS = 5_000
_FUTURE_MS = 2 * 3_600_000
_INDIA = timezone(timedelta(hours=5, minutes=30))
_EXTRA_FIELDS: tuple[Payload, ...] = (
    {"traceId": "4bf92f3577b34da6"},
    {"region": "eu-west-1", "sdk": {"name": "acme-llm", "version": "3.2.0"}},
)

# Changes to a plain legal payload; None takes the field away.
_FIELD_FAULTS: Mapping[str, tuple[Payload, ...]] = {
    "missing_field": (
        {"model": None},
        {"inputTokens": None},
        {"externalRequestId": None},
        {"provider": None},
        {"outputTokens": None},
    ),
    "missing_usage": (
        {"inputTokens": None, "outputTokens": None, "status": "cancelled"},
        {"inputTokens": None, "outputTokens": None, "status": "timeout"},
    ),
    "empty_field": ({"externalRequestId": ""}, {"provider": ""}, {"model": ""}),
    "wrong_type": (
        {"inputTokens": "12"},
        {"outputTokens": 1.5},
        {"inputTokens": True},
        {"model": 5},
    ),
    "raw_identifier": (
        {"userId": "ann.lee@example.com"},
        {"userId": "Ann Lee"},
        {"tenantId": "4917010"},
        {"userId": "+49 170 555 0109"},
        {"tenantId": "Example-Shop"},
        {"endpointTag": "reply.to.bob@example.com"},
    ),
    "negative_count": ({"inputTokens": -12}, {"outputTokens": -3}, {"cacheReadTokens": -5}),
    "absurd_count": ({"inputTokens": 2 * MAX_COUNT}, {"outputTokens": MAX_COUNT + 1}),
    "unknown_status": ({"status": "finished"}, {"status": "kinda_ok"}),
    "unknown_data_mode": ({"dataMode": "shadow"}, {"dataMode": "synthetic"}),
    "unknown_environment": ({"environment": "qa"}, {"environment": "production"}),
    "unreadable_timestamp": (
        {"timestamp": "yesterday at noon"},
        {"timestamp": "2026-13-45T10:00:00Z"},
        {"timestamp": "22/11/2026 10:00"},
    ),
    "zero_input_with_output": ({"inputTokens": 0, "outputTokens": 50},),
}
_COMPUTED_FAULTS: Mapping[str, tuple[Callable[[Payload], Payload], ...]] = {
    "naive_timestamp": (lambda line: {"timestamp": line["timestamp"].removesuffix("Z")},),
    "contradicting_total": (
        lambda line: {"totalTokens": line["inputTokens"] + line["outputTokens"] + 17},
        lambda line: {"totalTokens": line["inputTokens"]},
    ),
    "part_above_whole": (
        lambda line: {"cacheReadTokens": line["inputTokens"] + 1},
        lambda line: {"reasoningTokens": line["outputTokens"] + 250},
    ),
}
_TEXT_FAULTS: Mapping[str, tuple[Callable[[bytes], bytes], ...]] = {
    "malformed_json": (
        lambda text: text[: len(text) * 3 // 5],
        lambda text: text.replace(b'"latencyMs":', b'"latencyMs":NaN,"was":'),
        lambda text: text[:-1] + b",}",
    ),
    "not_an_object": (lambda _: b"[1,2]", lambda _: b'"text"'),
}
SEEDED_RULES = (
    *_TEXT_FAULTS,
    *_FIELD_FAULTS,
    *_COMPUTED_FAULTS,
    FUTURE_RULE,
    CONFLICT_RULE,
)
_OPTIONAL_PARTS = ("cacheReadTokens", "cacheWriteTokens", "reasoningTokens", "totalTokens")


def vary_lines(lines: Sequence[Line], *, day: DemoDay, rng: Random) -> list[Line]:
    """Return the lines, some of them odd but legal: unknown fields, other forms of time.

    Only lines of line-based files change, as csv and parquet have fixed columns.
    """
    return [
        line._replace(payload=line.payload | _draw_oddity(line, rng=rng))
        if day.hour_of(line.sent_at_ms).is_line_based
        else line
        for line in lines
    ]


def redeliver_lines(lines: Sequence[Line], *, day: DemoDay, rng: Random) -> list[Line]:
    """Return second copies of about 1 % of the lines; each second one has its time restamped.

    A copy follows its line by seconds, or by up to 50 minutes and then often in another file.
    """
    plain = [line for line in lines if _is_plain(line.payload)]
    copies: list[Line] = []
    for number, line in enumerate(rng.sample(plain, k=round(len(lines) * _REDELIVERED_SHARE))):
        delay_s = rng.uniform(1200, 3000) if rng.random() < 0.15 else rng.uniform(0.2, 90)
        sent_at_ms = min(line.sent_at_ms + int(delay_s * 1000), day.end_ms - 1)
        changes = {"timestamp": to_timestamp(sent_at_ms)} if number % 2 else {}
        copies.append(Line(sent_at_ms, line.payload | changes))
    return copies


def build_bad_lines(
    lines: Sequence[Line], *, day: DemoDay, rng: Random, events: int
) -> dict[str, list[RawLine]]:
    """Return the bad lines by the one rule each breaks, about 0.3 % of `events` in all.

    A conflicting duplicate follows the line it contradicts in the same file; every other bad line
    has a request id of its own, so that it is judged by its rule and not as a duplicate.
    """
    hosts = [line for line in lines if day.hour_of(line.sent_at_ms).is_line_based]
    bad: dict[str, list[RawLine]] = {}
    for rule in SEEDED_RULES:
        count = max(round(events * _BAD_SHARE / len(SEEDED_RULES)) + rng.randint(-2, 2), 5)
        if rule == CONFLICT_RULE:
            bad[rule] = _build_conflicts(hosts, day=day, rng=rng, count=count)
            continue
        chosen = rng.sample(hosts, k=count)
        bad[rule] = [
            RawLine(host.sent_at_ms, _break_line(host, rule=rule, variant=variant, day=day))
            for variant, host in enumerate(chosen)
        ]
    return bad


def build_blank_lines(*, day: DemoDay, rng: Random, events: int) -> list[RawLine]:
    """Return a few empty lines in line-based files."""
    hours = [hour for hour in day.hours if hour.is_line_based and hour.end_ms > hour.first_ms]
    chosen = rng.choices(hours, k=max(events // 5_000, 3))
    return [RawLine(rng.randrange(hour.first_ms, hour.end_ms), b"") for hour in chosen]


def _draw_oddity(line: Line, *, rng: Random) -> Payload:
    draw = rng.random()
    if draw < 0.01:
        return {"timestamp": line.sent_at_ms}
    if draw < 0.02:
        local = from_epoch_ms(line.sent_at_ms).astimezone(_INDIA)
        return {"timestamp": local.isoformat(timespec="milliseconds")}
    if draw < 0.021:
        return rng.choice(_EXTRA_FIELDS)
    return {}


def _is_plain(payload: Payload) -> bool:
    """Return True if the line survives a csv or parquet file unchanged."""
    return payload.keys() <= COLUMN_OF.keys() and isinstance(payload["timestamp"], str)


def _break_line(host: Line, *, rule: str, variant: int, day: DemoDay) -> bytes:
    """Return a copy of the host with an own id and one fault; variants take turns."""
    plain = {name: value for name, value in host.payload.items() if name not in _OPTIONAL_PARTS}
    plain |= {
        "externalRequestId": f"{host.payload['externalRequestId']}_{rule}_{variant}",
        "outputTokens": max(host.payload["outputTokens"], 1),
        "timestamp": to_timestamp(host.sent_at_ms),
    }
    if rule in _TEXT_FAULTS:
        return _take_turn(_TEXT_FAULTS[rule], turn=variant)(_encode(plain))
    if rule == FUTURE_RULE:
        changes: Payload = {"timestamp": to_timestamp(day.end_ms + _FUTURE_MS)}
    elif rule in _COMPUTED_FAULTS:
        changes = _take_turn(_COMPUTED_FAULTS[rule], turn=variant)(plain)
    else:
        changes = _take_turn(_FIELD_FAULTS[rule], turn=variant)
    return _encode(plain | changes)


def _build_conflicts(
    hosts: Sequence[Line], *, day: DemoDay, rng: Random, count: int
) -> list[RawLine]:
    """Return lines with the environment, id and attempt of a host, and other tokens."""
    hosts_with_key = [
        line
        for line in hosts
        if "attempt" in line.payload
        and line.sent_at_ms + _CONFLICT_DELAY_MS < day.hour_of(line.sent_at_ms).end_ms
    ]
    conflicts: list[RawLine] = []
    for host in rng.sample(hosts_with_key, k=count):
        sent_at_ms = host.sent_at_ms + _CONFLICT_DELAY_MS
        changes = {
            "outputTokens": host.payload["outputTokens"] + 37,
            "totalTokens": None,
            "timestamp": to_timestamp(sent_at_ms),
        }
        conflicts.append(RawLine(sent_at_ms, _encode(host.payload | changes)))
    return conflicts


def _take_turn(faults: Sequence[_Fault], *, turn: int) -> _Fault:
    return faults[turn % len(faults)]


def _encode(payload: Payload) -> bytes:
    return encode_json({k: v for k, v in payload.items() if v is not None})
