"""The legal traffic of a demo day: requests, the spike and the billed retries.

Holds the random draws that make one request's payload and place it in the day.
Add a new kind of legal behaviour here. Keep out: lines that break a rule or are sent twice
(demo_faults), who sends (demo_endpoints), files (landed_files).
Before it in the flow: demo_day, demo_endpoints. After it: demo_faults.
"""

import math
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from opsmeter_pipeline.producers.demo_day import DemoDay, DemoHour, Line, Payload, to_timestamp
from opsmeter_pipeline.producers.demo_endpoints import (
    ENDPOINTS,
    SPIKE_TAG,
    SUMMARY_OUTPUT_RATIO,
    SUMMARY_TAG,
    SUMMARY_VERSION_AFTER,
    UNPRICED_MODEL,
    UNPRICED_PROVIDER,
    Endpoint,
    Population,
)

SPIKE_FACTOR = 12

_ROLLOUT_HALF_MS = 10 * 60_000
_INPUT_TOKENS_MAX = 300_000
_OUTPUT_TOKENS_MAX = 32_000
_RETRIED_SHARE = 0.012
_THIRD_ATTEMPT_SHARE = 0.2
_FAILED_STATUSES = ("timeout", "rate_limited", 429)
_STATUSES = ("success", "error", "timeout", "cancelled", 500)
_STATUS_CUM_WEIGHTS = (0.97, 0.985, 0.993, 0.997, 1.0)
_BUSIEST_HOUR_UTC = 14


@dataclass(frozen=True, slots=True)
class _Source:
    """What every request of the day draws from."""

    day: DemoDay
    population: Population
    rng: Random
    id_prefix: str


def build_traffic(
    day: DemoDay, *, population: Population, rng: Random, seed: int, events: int
) -> list[Line]:
    """Return the legal lines of the day, in no order: `events` requests, the spike, their retries.

    Ids carry a hash of seed and day, so two demo days never share a request id by chance.
    """
    day_hash = sha256(f"{seed}:{day.end_ms}".encode()).hexdigest()[:8]
    source = _Source(day=day, population=population, rng=rng, id_prefix=f"req_{day_hash}")
    lines = _draw_requests(source, count=events)
    lines += _draw_spike(source, lines=lines)
    return _retry_some(source, lines=lines)


def _draw_requests(source: _Source, *, count: int) -> list[Line]:
    rng, tenants = source.rng, source.population.tenants
    hours = rng.choices(source.day.hours, [_volume(hour) for hour in source.day.hours], k=count)
    endpoints = rng.choices(ENDPOINTS, [endpoint.share for endpoint in ENDPOINTS], k=count)
    tenant_ids = rng.choices(tenants.ids, cum_weights=tenants.cum_weights, k=count)
    return [
        _draw_line(source, hour=hour, endpoint=endpoint, tenant_id=tenant_id, number=number)
        for number, (hour, endpoint, tenant_id) in enumerate(
            zip(hours, endpoints, tenant_ids, strict=True)
        )
    ]


def _volume(hour: DemoHour) -> float:
    """Return the relative volume of an hour: one calm night and one busy afternoon a day."""
    clock_hour = hour.started_at_ms // 3_600_000 % 24
    curve = 1 + 0.75 * math.cos((clock_hour - _BUSIEST_HOUR_UTC) / 24 * 2 * math.pi)
    return curve * (hour.end_ms - hour.first_ms)


def _draw_spike(source: _Source, *, lines: list[Line]) -> list[Line]:
    """Return the lines that lift the spike tenant's hour from its usual count to 12 times that."""
    hour, tenant_id = source.day.spike_hour, source.population.spike_tenant_id
    usual = sum(
        1
        for line in lines
        if line.payload["tenantId"] == tenant_id
        and line.payload.get("endpointTag") == SPIKE_TAG
        and source.day.hour_of(line.sent_at_ms) is hour
    )
    endpoint = next(endpoint for endpoint in ENDPOINTS if endpoint.tag == SPIKE_TAG)
    return [
        _draw_line(
            source, hour=hour, endpoint=endpoint, tenant_id=tenant_id, number=len(lines) + extra
        )
        for extra in range(max(usual, 1) * (SPIKE_FACTOR - 1))
    ]


def _draw_line(
    source: _Source, *, hour: DemoHour, endpoint: Endpoint, tenant_id: str, number: int
) -> Line:
    rng = source.rng
    sent_at_ms = hour.first_ms + int(rng.random() * (hour.end_ms - hour.first_ms))
    model = _draw_model(endpoint, rng=rng)
    prompt_version, output_ratio = _draw_version(source, endpoint=endpoint, sent_at_ms=sent_at_ms)
    users = source.population.users_by_tenant[tenant_id]
    payload: Payload = {
        "externalRequestId": f"{source.id_prefix}_{number:06x}",
        "provider": model[0],
        "model": model[1],
        **_draw_tokens(endpoint, provider=model[0], output_ratio=output_ratio, rng=rng),
        "endpointTag": endpoint.tag,
        "promptVersion": prompt_version,
        "userId": rng.choices(users.ids, cum_weights=users.cum_weights)[0],
        "tenantId": tenant_id,
        "status": rng.choices(_STATUSES, cum_weights=_STATUS_CUM_WEIGHTS)[0],
        **_draw_mode(rng),
        "timestamp": to_timestamp(sent_at_ms),
    }
    payload["latencyMs"] = _draw_latency_ms(endpoint, payload["outputTokens"], rng=rng)
    if endpoint.is_attempt_sent:
        payload["attempt"] = 1
    _drop_wanted_fields(payload, rng=rng)
    return Line(sent_at_ms, payload)


def _draw_model(endpoint: Endpoint, *, rng: Random) -> tuple[str, str]:
    if rng.random() < 0.005:
        return UNPRICED_PROVIDER, UNPRICED_MODEL
    left = rng.random()
    for choice in endpoint.models:
        left -= choice.share
        if left < 0:
            return choice.provider, choice.model
    return endpoint.models[-1].provider, endpoint.models[-1].model


def _draw_version(source: _Source, *, endpoint: Endpoint, sent_at_ms: int) -> tuple[str, float]:
    """Return the prompt version and how much longer it answers; the roll-out takes 20 minutes."""
    if endpoint.tag != SUMMARY_TAG:
        return endpoint.prompt_version, 1.0
    rolled_out_at_ms = source.day.deploy_at_ms + source.rng.uniform(-1, 1) * _ROLLOUT_HALF_MS
    if sent_at_ms < rolled_out_at_ms:
        return endpoint.prompt_version, 1.0
    return SUMMARY_VERSION_AFTER, SUMMARY_OUTPUT_RATIO


def _draw_tokens(endpoint: Endpoint, *, provider: str, output_ratio: float, rng: Random) -> Payload:
    """Return token counts that agree with each other: every part is within its whole."""
    input_tokens = int(endpoint.input_tokens_median * rng.lognormvariate(0, 0.8))
    input_tokens = min(max(input_tokens, 1), _INPUT_TOKENS_MAX)
    output_median = endpoint.output_tokens_median * output_ratio
    output_tokens = min(round(output_median * rng.lognormvariate(0, 0.6)), _OUTPUT_TOKENS_MAX)
    tokens: Payload = {"inputTokens": input_tokens, "outputTokens": output_tokens}
    if rng.random() < endpoint.cached_request_share:
        # Only Anthropic bills the write of a cache; the others report reads alone.
        is_write = provider == "anthropic" and rng.random() < 0.25
        name = "cacheWriteTokens" if is_write else "cacheReadTokens"
        tokens[name] = int(input_tokens * rng.uniform(0.3, 0.9))
    if endpoint.reasoning_share:
        tokens["reasoningTokens"] = int(output_tokens * endpoint.reasoning_share * rng.random())
    if rng.random() < 0.2:
        tokens["totalTokens"] = input_tokens + output_tokens
    return tokens


def _draw_latency_ms(endpoint: Endpoint, output_tokens: int, *, rng: Random) -> int:
    usual_ms = endpoint.latency_floor_ms + endpoint.latency_ms_per_output_token * output_tokens
    return int(usual_ms * rng.lognormvariate(0, 0.45))


def _draw_mode(rng: Random) -> Payload:
    draw = rng.random()
    if draw < 0.015:
        return {"dataMode": "test", "environment": "staging"}
    if draw < 0.03:
        return {"dataMode": "demo", "environment": "dev"}
    if draw < 0.08:
        return {}
    return {"dataMode": "real", "environment": "prod"}


def _drop_wanted_fields(payload: Payload, *, rng: Random) -> None:
    draw = rng.random()
    if draw < 0.0075:
        del payload["promptVersion"]
    elif draw < 0.01:
        payload["promptVersion"] = ""
    elif draw < 0.012:
        del payload["endpointTag"]


def _retry_some(source: _Source, *, lines: list[Line]) -> list[Line]:
    """Return the lines with some requests turned into two or three billed attempts."""
    rng = source.rng
    with_retries: list[Line] = []
    for line in lines:
        if rng.random() < _RETRIED_SHARE:
            with_retries += _split_into_attempts(source, line=line)
        else:
            with_retries.append(line)
    return with_retries


def _split_into_attempts(source: _Source, *, line: Line) -> list[Line]:
    """Return failed attempts from the line's own time on, and the line itself as the last one.

    Each failed attempt has another status, so attempts without the `attempt` field still differ.
    A request too near the end of the day stays as it is: nothing is sent after `now`.
    """
    rng = source.rng
    failed = rng.sample(_FAILED_STATUSES, k=2 if rng.random() < _THIRD_ATTEMPT_SHARE else 1)
    attempts: list[Line] = []
    sent_at_ms = line.sent_at_ms
    for number, status in enumerate([*failed, None], start=1):
        changes = {} if status is None else _fail(line.payload, status=status, rng=rng)
        payload = {k: v for k, v in (line.payload | changes).items() if v is not None}
        payload["timestamp"] = to_timestamp(sent_at_ms)
        if "attempt" in payload:
            payload["attempt"] = number
        attempts.append(Line(sent_at_ms, payload))
        sent_at_ms += rng.randint(2_000, 40_000)
    is_in_day = attempts[-1].sent_at_ms < source.day.end_ms
    return attempts if is_in_day else [line]


def _fail(payload: Payload, *, status: str | int, rng: Random) -> Payload:
    """Return what a failed attempt changes: the input is billed, the answer is cut or absent."""
    is_timeout = status == "timeout"
    output_tokens = int(payload["outputTokens"] * rng.uniform(0.1, 0.8)) if is_timeout else 0
    absent = ("reasoningTokens", "totalTokens", "cacheReadTokens", "cacheWriteTokens")
    return dict.fromkeys(absent) | {
        "outputTokens": output_tokens,
        "latencyMs": (30_000 if is_timeout else 20) + rng.randint(0, 400),
        "status": status,
    }
