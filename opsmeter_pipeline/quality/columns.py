"""Promises that follow from the column catalogue: shape, nulls, closed sets, signs and grain.

A new column of `model.tables` is held to its type, nullability and sign without a word here. Add
a closed set to `_SETS` and a table's identifying columns to `_GRAIN`.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline.budget.states import STATES
from opsmeter_pipeline.contract.rules import MEANINGS
from opsmeter_pipeline.drift.plan import PAST, REPLACED
from opsmeter_pipeline.drift.tags import FINDINGS
from opsmeter_pipeline.drift.verdicts import KINDS, VERDICTS
from opsmeter_pipeline.model.budget import DAILY, MONTHLY
from opsmeter_pipeline.model.columns import INSTANT, Column, Table
from opsmeter_pipeline.model.condition import SEVERITIES
from opsmeter_pipeline.model.tables import CUBES, dimensions_of
from opsmeter_pipeline.model.unpriced import REASONS
from opsmeter_pipeline.model.wire import DATA_MODES, ENVIRONMENTS, SERVICE_TIERS, STATUSES
from opsmeter_pipeline.price.held import NO_MODEL, NO_TOKENS
from opsmeter_pipeline.probe import STATES as PROBE_STATES
from opsmeter_pipeline.probe import STUCK
from opsmeter_pipeline.quality.promises import PLACES, Promise, find_rows, promise_query

_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "environment": ENVIRONMENTS,
        "data_mode": DATA_MODES,
        "service_tier": SERVICE_TIERS,
        "outcome": (*STATUSES, "unknown"),
        "unpriced_reason": tuple(REASONS),
        "unestimated_reason": (NO_MODEL, NO_TOKENS, *REASONS),
        "quarantine.rule": tuple(MEANINGS),
        "format": ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"),
        "finding": (
            "changed",
            "gone",
            "unsupported",
            "unreadable",
            "damaged",
            "oversized",
            "touched",
        ),
        "unit": ("token", "request", "search", "hour", "character", "message", "page"),
        "currency": ("USD",),
        "tier_operator": (">", ">="),
        "tier_scope": ("whole_request", "marginal"),
        "decision": ("taken", "waits", "accepted"),
        "tier_count": ("input_tokens", "class_tokens"),
        "day_changes.kind": ("live", "backfill", "replay", "reprice"),
        "freshness_lags.kind": ("live", "history", "replayed"),
        "spikes.kind": ("spike", "failing_burst", "concentration"),
        "spikes.rule_window": ("1h", "1d", "1d/share"),
        "measure": ("cost_usd", "requests", "tokens"),
        "severity": SEVERITIES,
        "announced_severity": SEVERITIES,
        "incidents.state": ("open", "acknowledged", "recovering", "resolved"),
        "probes.state": PROBE_STATES,
        "stuck_at": STUCK,
        "alerts.state": ("waiting", "claimed", "sent", "given_up"),
        "budget_status.environment": (*ENVIRONMENTS, "*"),
        "period": (DAILY, MONTHLY),
        "budget_status.state": STATES,
        "least_state": STATES,
        "most_state": STATES,
        "state_before": STATES,
        "state_after": STATES,
        "burn_against": ("weeks", "limit"),
        "forecast_by": ("weeks", "pace"),
        "verdict": VERDICTS,
        "former_verdict": VERDICTS,
        "compared_with": (REPLACED, PAST),
        "regression_type": tuple(KINDS),
        "prompt_version_findings.finding": FINDINGS,
        "alerts.kind": ("opened", "escalated", "resolved", "digest"),
        "alerts.severity": ("info", *SEVERITIES),
    }
)
"""Closed sets by column, or by table and column where the name means several things."""
_FROM_ONE = ("line_number", "attempt", "first_line_number", "number")
_GRAIN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "events": ("file", "line_number"),
        "quarantine": ("file", "line_number"),
        "ingest_batches": ("batch_id",),
        "ingest_files": ("batch_id", "file"),
        **{cube.name: dimensions_of(cube) for cube in CUBES},
        "tracking_hourly": (
            "batch_id",
            "source",
            "landed_hour_at",
            "endpoint_tag",
            "rule",
            "field",
        ),
        "field_presence_hourly": ("batch_id", "source", "landed_hour_at", "field"),
        "day_changes": ("number", "batch_id", "day"),
        "restatements": (
            "number",
            "batch_id",
            "day",
            "environment",
            "data_mode",
            "provider",
            "model",
        ),
        "watermarks": ("number",),
        "first_served": ("batch_id",),
        "probes": ("probe_id",),
        "price_catalogue": ("price_id", "token_class", "tier_threshold_tokens"),
        "price_aliases": ("provider_id", "name", "source_version"),
        "price_versions": ("decision_number",),
        "clocks_hourly": (
            "batch_id",
            "source",
            "landed_hour_at",
            "sender_lag_minutes",
            "collector_lag_minutes",
            "landing_lag_minutes",
        ),
        "freshness_lags": (
            *("batch_id", "kind", "ingested_hour_at", "environment", "data_mode", "source"),
            *("endpoint_tag", "lag_up_to_seconds", "visible_at"),
        ),
        "batch_times": ("batch_id",),
        "double_instrumentation": (
            "day",
            "environment",
            "data_mode",
            "first_source",
            "first_endpoint_tag",
            "second_source",
            "second_endpoint_tag",
        ),
        "model_resolutions": ("provider", "model", "source_version"),
        "budget_status": ("budget", "period_name"),
        "prompt_version_drift": ("environment", "endpoint_tag", "prompt_version"),
        "prompt_version_findings": (
            "environment",
            "endpoint_tag",
            "finding",
            "prompt_version",
        ),
        "verdict_changes": ("changed_at", "environment", "endpoint_tag", "prompt_version"),
        "incidents": ("incident_id",),
        "incident_events": ("incident_id", "number"),
        "alerts": ("message_id", "sink"),
        "cost_drivers": (
            "window_start_at",
            "window_end_at",
            "environment",
            "data_mode",
            "dimension",
            "within",
            "value",
        ),
        "spikes": ("rule_window", "window_start_at", "dimension", "within", "value"),
    }
)
"""The columns whose values together occur once; logs have none."""
_SQL_NAME: Mapping[type[pl.DataType], str] = MappingProxyType(
    {
        pl.String: "VARCHAR",
        pl.Int64: "BIGINT",
        pl.Int32: "INTEGER",
        pl.Float64: "DOUBLE",
        pl.Boolean: "BOOLEAN",
        pl.Date: "DATE",
        pl.Time: "TIME",
        pl.Datetime: "TIMESTAMP WITH TIME ZONE",
    }
)


def promise_columns(table: Table) -> Iterator[Promise]:
    """Yield the promises that the catalogue's description of a table makes."""
    shape = _promise_shape(table)
    names = {"column_list": list(table.schema)}
    yield Promise("columns", f"{table.name} has the catalogue's columns in order.",
                  "expect_table_columns_to_match_ordered_list", names, shape.culprits)  # fmt: skip
    yield shape
    for column in table.columns:
        yield from _promise_column(table, column)
    if table.name in _GRAIN:
        yield _promise_grain(table)


def _promise_column(table: Table, column: Column) -> Iterator[Promise]:
    name = column.name
    values = _SETS.get(f"{table.name}.{name}") or _SETS.get(name)
    if not column.nullable:
        yield Promise("present", f"{name} is not null.", "expect_column_values_to_not_be_null",
                      {"column": name}, find_rows(table.name, f"{name} IS NULL"))  # fmt: skip
    if values:
        listed = ", ".join(f"'{value}'" for value in values)
        yield Promise("values", f"{name} is one of its closed set.",
                      "expect_column_values_to_be_in_set",
                      {"column": name, "value_set": list(values)},
                      find_rows(table.name, f"{name} NOT IN ({listed})"))  # fmt: skip
    is_amount = column.dtype == pl.Int64 or isinstance(column.dtype, pl.Decimal)
    if is_amount and not column.is_signed:
        least = 1 if name in _FROM_ONE else 0
        yield Promise("amounts", f"{name} is at least {least}.",
                      "expect_column_values_to_be_between", {"column": name, "min_value": least},
                      find_rows(table.name, f"{name} < {least}"))  # fmt: skip
    if column.dtype == INSTANT and name.endswith("hour_at"):
        is_inside = f"{name} <> date_trunc('hour', {name})"
        yield promise_query("values", f"{name} is the start of an hour.",
                            query=find_rows(table.name, is_inside))  # fmt: skip


def _promise_grain(table: Table) -> Promise:
    keys = _GRAIN[table.name]
    listed = ", ".join(keys)
    shown = ", ".join(f"any_value({name}) AS {name}" for name in PLACES[table.name])
    culprits = (
        f"SELECT {shown}, count(*) AS n_rows FROM {table.name} GROUP BY {listed} "
        f"HAVING count(*) > 1 ORDER BY ALL"
    )
    meaning = f"{listed} together occur once."
    # Not the built-in expectation for it: one query both judges and names the culprits.
    return promise_query("grain", meaning, query=culprits)


def _promise_shape(table: Table) -> Promise:
    told = ", ".join(
        f"('{column.name}', '{_sql_name(column)}', {column.nullable})" for column in table.columns
    )
    query = (
        f"SELECT column_name, told_type, told_null, found_type, found_null "
        f"FROM (VALUES {told}) AS told(column_name, told_type, told_null) FULL JOIN ("
        f"SELECT column_name, data_type AS found_type, is_nullable AS found_null "
        f"FROM duckdb_columns() "
        f"WHERE database_name = current_database() AND table_name = '{table.name}'"
        f") AS found USING (column_name) "
        f"WHERE (told_type, told_null) IS DISTINCT FROM (found_type, found_null)"
    )
    meaning = f"{table.name} has the catalogue's types and nullability."
    return promise_query("columns", meaning, query=query)


def _sql_name(column: Column) -> str:
    if isinstance(column.dtype, pl.Decimal):
        return f"DECIMAL({column.dtype.precision},{column.dtype.scale})"
    return _SQL_NAME[column.dtype.base_type()]
