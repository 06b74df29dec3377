"""Exports written by hand in the shapes that the providers' endpoints document."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

DAY = date(2026, 11, 2)
MIDNIGHT = 1_793_577_600
"""2026-11-02T00:00:00Z as epoch seconds."""
_SECONDS = 86_400


def openai_usage(*days: Sequence[str], has_more: str = "false") -> str:
    """Return a page of `/organization/usage/completions`, a bucket a day from DAY on."""
    return _openai_page(days, has_more)


def usage_result(model: str, requests: int, tokens: int, cached: int, output: int) -> str:
    """Return one of its results, grouped by model only."""
    return f"""{{
        "object": "organization.usage.completions.result",
        "input_tokens": {tokens}, "output_tokens": {output}, "input_cached_tokens": {cached},
        "input_audio_tokens": 0, "output_audio_tokens": 0, "num_model_requests": {requests},
        "project_id": null, "user_id": null, "api_key_id": null, "model": {model},
        "batch": null, "service_tier": null
    }}"""


def openai_costs(*days: Sequence[str]) -> str:
    """Return a page of `/organization/costs`, a bucket a day from DAY on."""
    return _openai_page(days, "false")


def cost_result(value: str, line_item: str = "null", currency: str = '"usd"') -> str:
    """Return one of its results; all texts as they stand in the JSON."""
    return f"""{{
        "object": "organization.costs.result",
        "amount": {{"value": {value}, "currency": {currency}}},
        "line_item": {line_item}, "project_id": null
    }}"""


def anthropic_page(*days: Sequence[str]) -> str:
    """Return a page of `usage_report/messages` or `cost_report`, a bucket a day from DAY on."""
    buckets = []
    for number, results in enumerate(days):
        start = datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=number)
        bounds = [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (start, start + timedelta(days=1))]
        buckets.append(
            f'{{"starting_at": "{bounds[0]}", "ending_at": "{bounds[1]}", '
            f'"results": [{",".join(results)}]}}'
        )
    return f'{{"data": [{",".join(buckets)}], "has_more": false, "next_page": null}}'


def message_result(model: str, uncached: int, reads: int, writes: Sequence[int], out: int) -> str:
    """Return one result of `usage_report/messages`; writes are those of 5 minutes and of 1 hour."""
    return f"""{{
        "uncached_input_tokens": {uncached}, "cache_read_input_tokens": {reads},
        "cache_creation": {{
            "ephemeral_5m_input_tokens": {writes[0]}, "ephemeral_1h_input_tokens": {writes[1]}
        }},
        "output_tokens": {out}, "server_tool_use": {{"web_search_requests": 0}},
        "api_key_id": null, "workspace_id": null, "model": {model}, "service_tier": null,
        "context_window": null, "inference_geo": null
    }}"""


def report_result(amount: str, model: str = "null", currency: str = '"USD"') -> str:
    """Return one result of `cost_report`; all texts as they stand in the JSON."""
    return f"""{{
        "currency": {currency}, "amount": {amount}, "workspace_id": null, "description": null,
        "cost_type": null, "context_window": null, "model": {model}, "service_tier": null,
        "token_type": null, "inference_geo": null
    }}"""


def _openai_page(days: Sequence[Sequence[str]], has_more: str) -> str:
    buckets = ",".join(
        f'{{"object": "bucket", "start_time": {MIDNIGHT + number * _SECONDS}, '
        f'"end_time": {MIDNIGHT + (number + 1) * _SECONDS}, "results": [{",".join(results)}]}}'
        for number, results in enumerate(days)
    )
    return f'{{"object": "page", "data": [{buckets}], "has_more": {has_more}, "next_page": null}}'
