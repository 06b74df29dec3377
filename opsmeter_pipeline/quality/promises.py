"""What a promise is: an expectation as plain values, and the query that finds its culprits.

An expectation is named as Great Expectations names it, so that nothing of it is imported here.
Culprits are named by place (batch, file, line, hour), never by a value that could be personal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "columns": "The table has the catalogue's columns, in name, order, type and nullability.",
        "present": "A column that cannot be null never is.",
        "values": "A column of a closed set holds nothing else, and instants fit their unit.",
        "amounts": "Counts, numbers and money are never negative.",
        "grain": "One row is what the catalogue says, once.",
        "references": "What a row points to is there.",
        "balance": "Sums agree with what they sum up, to the last line and decimal.",
    }
)
"""The kinds of promises: a check on each table that has some, with what it stands for."""

PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "events": ("batch_id", "file", "line_number"),
        "quarantine": ("batch_id", "file", "line_number"),
        "ingest_batches": ("batch_id",),
        "ingest_files": ("batch_id", "file"),
        "attribution_hourly": ("batch_id", "hour_at"),
        "users_daily": ("batch_id", "day"),
        "latency_hourly": ("batch_id", "hour_at"),
        "users_latency_daily": ("batch_id", "day"),
        "unpriced_hourly": ("batch_id", "hour_at"),
        "token_moments_hourly": ("batch_id", "hour_at"),
        "tracking_hourly": ("batch_id", "landed_hour_at"),
        "field_presence_hourly": ("batch_id", "landed_hour_at"),
        "clocks_hourly": ("batch_id", "landed_hour_at"),
        "freshness_lags": ("batch_id", "ingested_hour_at"),
        "batch_times": ("batch_id",),
        "moved_lines": ("batch_id", "file", "line_number"),
        "landing_findings": ("file", "found_at"),
        "manifests": ("file", "read_at"),
        "day_changes": ("number", "batch_id", "day"),
        "watermarks": ("number",),
        "double_instrumentation": ("day", "first_source", "second_source"),
        "price_catalogue": ("price_id", "token_class"),
        "price_aliases": ("provider_id", "name"),
        "price_versions": ("decision_number", "source"),
        "model_resolutions": ("provider", "model"),
        "restatements": ("number", "batch_id", "day", "model"),
        "cost_drivers": ("window_end_at", "dimension"),
        "budget_status": ("budget", "period_name"),
        "budget_changes": ("number", "budget", "period_name", "batch_id"),
        "prompt_version_drift": ("environment", "endpoint_tag", "prompt_version"),
        "prompt_version_findings": ("environment", "endpoint_tag", "finding"),
        "verdict_changes": ("changed_at", "environment", "endpoint_tag", "prompt_version"),
        "spikes": ("window_start_at", "rule_window", "dimension"),
        "first_served": ("batch_id",),
        "probes": ("probe_id",),
        "incidents": ("incident_id",),
        "incident_events": ("incident_id", "number"),
        "alerts": ("message_id", "sink"),
    }
)
"""By which columns a row is found again, by table."""


@dataclass(frozen=True)
class Promise:
    """One expectation of one table.

    Attributes:
        kind: one of `KINDS`.
        meaning: what holds for each row, in one sentence.
        expectation: its type in Great Expectations.
        arguments: what that type is given.
        culprits: a query of the places of the rows that break it.
    """

    kind: str
    meaning: str
    expectation: str
    arguments: Mapping[str, object] = field(repr=False)
    culprits: str = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What became of a promise.

    Attributes:
        promise: the promise.
        kept: it holds.
        broken_places: at how many places it is broken.
        culprits: some of these places.
        error: why it could not be judged; empty if it was.
    """

    promise: Promise
    kept: bool
    broken_places: int = 0
    culprits: Sequence[Mapping[str, object]] = ()
    error: str = ""


def promise_query(kind: str, meaning: str, *, query: str) -> Promise:
    """Return a promise that a query finds nothing.

    Great Expectations wants `{batch}` in it, which stands for the table in a subquery; a comment
    satisfies it, and a query that names its tables can be read and run by hand.
    """
    arguments = {"unexpected_rows_query": f"{query} /* {{batch}} */"}
    return Promise(kind, meaning, "unexpected_rows_expectation", arguments, query)


def find_rows(table: str, condition: str) -> str:
    """Return a query of the places of a table's rows that a condition picks, with their number."""
    places = ", ".join(PLACES[table])
    return (
        f"SELECT {places}, count(*) AS n_rows FROM {table} WHERE {condition} "
        f"GROUP BY ALL ORDER BY ALL"
    )
