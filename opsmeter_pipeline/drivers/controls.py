"""What to do about a driver so that it stays away, and the query that shows whether it helped.

One control per class, in the field's words. The query is plain SQL on the warehouse: sums per day
or hour since the start of the previous window, with no end, so that it can be run again after.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from opsmeter_pipeline.drivers.classify import (
    ARTEFACT,
    CONCENTRATION,
    PRICE,
    REGRESSION,
    RETRIES,
    ROUTING,
    VOLUME,
    Finding,
)
from opsmeter_pipeline.drivers.windows import Comparison

_BY_HOUR_BELOW = timedelta(days=3)
_USUAL = "sum(requests)::BIGINT AS requests, sum(attempts)::BIGINT AS attempts"
_COST = "sum(cost_usd)::DECIMAL(38,18) AS cost_usd"
_TOKENS = (
    "round(sum(input_tokens) / sum(attempts), 1) AS input_tokens_per_attempt, "
    "round(sum(output_tokens) / sum(attempts), 1) AS output_tokens_per_attempt"
)
_ATTEMPTS = (
    "sum(failures)::BIGINT AS failures, "
    "round(sum(attempts) / nullif(sum(requests), 0), 3) AS attempts_per_request"
)
_SHOWN = {
    VOLUME: ("", _USUAL),
    CONCENTRATION: ("tenant_id", _USUAL),
    REGRESSION: ("prompt_version", f"{_USUAL}, {_TOKENS}"),
    ROUTING: ("provider, model", _USUAL),
    RETRIES: (
        "",
        f"{_USUAL}, {_ATTEMPTS}",
    ),
    PRICE: ("provider, model", f"{_USUAL}, {_TOKENS}"),
    ARTEFACT: (
        "batch_id",
        f"{_USUAL}, sum(unpriced_attempts)::BIGINT AS unpriced_attempts",
    ),
}
"""Of each class, the columns its query groups by beside the time, and what it sums up."""
_FILTERED = ("endpoint_tag", "provider", "model")
_NOT_FILTERED = {ROUTING: ("provider", "model")}


class Control(NamedTuple):
    """One durable control.

    Attributes:
        text: what to do.
        verify_sql: the query that shows whether it helped; it runs in `opsmeter query`.
    """

    text: str
    verify_sql: str


def propose_control(finding: Finding, comparison: Comparison) -> Control:
    """Return the control for a finding."""
    text = _TEXTS[finding.spike_class].format_map({**_MISSING, **finding.driver})
    if finding.spike_class == REGRESSION:
        text = _regression_text(finding.driver)
    return Control(text, _build_query(finding, comparison))


_MISSING = {"endpoint_tag": "", "tenant_id": "", "model": "", "previous_model": "", "provider": ""}
_TEXTS: Mapping[str, str] = {
    VOLUME: "Set a budget and a rate limit for the endpoint {endpoint_tag}; the growth is in "
    "requests, not in what one costs.",
    CONCENTRATION: "Limit the tenant {tenant_id} at {endpoint_tag} (a quota per hour), and check "
    "whether its key has leaked or a job of it runs twice.",
    REGRESSION: "",
    ROUTING: "Route {endpoint_tag} back from {model} to {previous_model}, and pin the model in its "
    "configuration.",
    RETRIES: "Fix the retries of {endpoint_tag}: cap attempts per request, back off with jitter, "
    "and do not retry what cannot succeed.",
    PRICE: "The price of {provider} {model} changed: compare it with the contract (price_catalogue "
    "says which price was in force), then set a budget for it or route to another model.",
    ARTEFACT: "Change no budget for it: known cost moved, not use. Price the models of "
    "unpriced_models, and have late files land with their hour.",
}
_CAPS = {
    "output": "cap its output (max tokens)",
    "uncached_input": "cut the context it sends",
    "cache_read": "cut the context it sends",
    "cache_write": "keep the cached prefix stable",
}


def _regression_text(driver: Mapping[str, str]) -> str:
    cap = _CAPS[driver["token_class"]]
    if "prompt_version" not in driver:
        return f"At {driver['endpoint_tag']}, {cap}."
    return (
        f"Roll {driver['endpoint_tag']} back from {driver['prompt_version']} to "
        f"{driver['previous_prompt_version']} and pin it; or {cap}."
    )


def _build_query(finding: Finding, comparison: Comparison) -> str:
    is_short = comparison.length < _BY_HOUR_BELOW
    unit, name = ("hour", "hour_at") if is_short else ("day", "day_at")
    keys, sums = _SHOWN[finding.spike_class]
    time = f"date_trunc('{unit}', hour_at) AS {name}"
    columns = ", ".join(part for part in (time, keys, sums, _COST) if part)
    ignored = _NOT_FILTERED.get(finding.spike_class, ())
    conditions = [
        f"{column} = {_quote(finding.driver[column])}"
        for column in _FILTERED
        if column in finding.driver and column not in ignored
    ]
    conditions += [
        f"hour_at >= TIMESTAMPTZ '{comparison.previous_start_at.isoformat()}'",
        f"environment = {_quote(comparison.environment)}",
        f"data_mode = {_quote(comparison.data_mode)}",
        "attempts > 0",
    ]
    conditions += [
        f"{column} = {_quote(value)}"
        for column, value in comparison.scope
        if column not in {*ignored, *(name for name in _FILTERED if name in finding.driver)}
    ]
    where = " AND ".join(conditions)
    return f"SELECT {columns} FROM attribution_hourly WHERE {where} GROUP BY ALL ORDER BY ALL"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
