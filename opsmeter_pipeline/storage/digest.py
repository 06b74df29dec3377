"""The facts of a week's digest, its files in the home, and its one message to each sink.

Reads cubes, logs and what other stages wrote down; what is told of it stands in `digest`. A digest
is a message of the outbox `alerts` without an incident: written once per week and sink, however
often it runs, and sent by the ticks of the alerts (ADR 0033).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from opsmeter_pipeline.digest.facts import (
    Budget,
    Burst,
    Deploy,
    Driver,
    Facts,
    Part,
    PriceChange,
    Sums,
    Trust,
    Week,
)
from opsmeter_pipeline.drivers import SPIKE_LIMITS, Why, explain_change
from opsmeter_pipeline.drivers.classify import Finding
from opsmeter_pipeline.drivers.rows import describe_finding
from opsmeter_pipeline.drivers.windows import compare_until
from opsmeter_pipeline.model.sql import PRODUCTION
from opsmeter_pipeline.spikes.rows import describe_spike, to_spike
from opsmeter_pipeline.storage.alerts import DIGEST
from opsmeter_pipeline.storage.drivers import read_compared
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.lateness import read_watermark_within
from opsmeter_pipeline.storage.price_book import PriceBook

_NO_PERSON = ("pagerduty-", "pagertree-", "opsgenie-", "jira-")
"""Sinks that wake people up or open tickets; a digest is for reading."""
_LENGTH = timedelta(days=7)
_SHOWN, _EVIDENCE = 8, 2
_MONEY = "DECIMAL(38,18)"
_MISSING = "(missing)"
_SUMS = f"""
    SELECT coalesce(sum(cost_usd), 0)::{_MONEY} AS cost_usd,
        coalesce(sum(requests), 0)::BIGINT AS requests,
        coalesce(sum(attempts), 0)::BIGINT AS attempts,
        coalesce(sum(failures), 0)::BIGINT AS failures,
        coalesce(sum(unpriced_attempts), 0)::BIGINT AS unpriced_attempts,
        coalesce(sum(unpriced_low_usd), 0)::{_MONEY} AS unpriced_low_usd,
        CASE WHEN coalesce(sum(unbounded_attempts), 0) = 0
            THEN coalesce(sum(unpriced_high_usd), 0)::{_MONEY} END AS unpriced_high_usd,
        coalesce(sum(cost_usd) FILTER (tenant_id = 'unknown'), 0)::{_MONEY} AS unknown_cost_usd,
        coalesce(sum(requests) FILTER (tenant_id = 'unknown'), 0)::BIGINT AS unknown_requests
    FROM attribution_hourly WHERE hour_at >= $1 AND hour_at < $2 AND {PRODUCTION}
"""
_DEPLOYS = f"""
    WITH served AS (
        SELECT endpoint_tag, prompt_version, min(hour_at) AS first_at,
            sum(requests)::BIGINT AS requests, sum(cost_usd)::{_MONEY} AS cost_usd,
            sum(unpriced_attempts)::BIGINT AS unpriced_attempts
        FROM attribution_hourly
        WHERE hour_at >= $2 AND hour_at < $3 AND {PRODUCTION} AND attempts > 0
        GROUP BY ALL
    ), known AS (
        SELECT DISTINCT endpoint_tag, prompt_version FROM attribution_hourly
        WHERE hour_at < $2 AND {PRODUCTION} AND attempts > 0
    ), before AS (
        SELECT endpoint_tag, prompt_version AS previous_version,
            sum(requests)::BIGINT AS previous_requests,
            sum(cost_usd)::{_MONEY} AS previous_cost_usd
        FROM attribution_hourly
        WHERE hour_at >= $1 AND hour_at < $3 AND {PRODUCTION} AND attempts > 0
            AND (endpoint_tag, prompt_version) IN (SELECT (endpoint_tag, prompt_version) FROM known)
        GROUP BY endpoint_tag, prompt_version
        QUALIFY row_number() OVER (
            PARTITION BY endpoint_tag ORDER BY sum(requests) DESC, prompt_version) = 1
    )
    SELECT s.*, previous_version, coalesce(previous_requests, 0) AS previous_requests,
        coalesce(previous_cost_usd, 0)::{_MONEY} AS previous_cost_usd
    FROM served s LEFT JOIN before USING (endpoint_tag)
    WHERE s.prompt_version <> '{_MISSING}'
        AND endpoint_tag IN (SELECT endpoint_tag FROM known)
        AND (endpoint_tag, s.prompt_version) NOT IN
            (SELECT (endpoint_tag, prompt_version) FROM known)
    ORDER BY s.cost_usd DESC, s.requests DESC, endpoint_tag, s.prompt_version
"""
_VERDICTS = """
    SELECT endpoint_tag, prompt_version, verdict, cost_change, monthly_usd
    FROM prompt_version_drift WHERE environment = 'prod'
    QUALIFY row_number() OVER (
        PARTITION BY endpoint_tag, prompt_version ORDER BY computed_at DESC) = 1
"""
_BUDGETS = """
    SELECT budget, period_name, state, limit_usd, spent_low_usd, spent_high_usd, forecast_usd,
        is_over
    FROM budget_status
    WHERE NOT is_over AND period_start_at <= $2
        OR state IN ('exceeded', 'warning') AND period_end_at > $1 AND period_start_at < $2
    ORDER BY is_over, spent_low_usd / nullif(limit_usd, 0) DESC, budget, period_name LIMIT 12
"""
_TAKEN = """
    SELECT coalesce(sum(lines), 0)::BIGINT AS lines,
        coalesce(sum(quarantined), 0)::BIGINT AS quarantined
    FROM ingest_batches WHERE taken_at >= $1
"""
_HELD = f"""
    SELECT coalesce(sum(estimated_cost_usd), 0)::{_MONEY} AS held_back_usd,
        count(*) FILTER (estimated_cost_usd IS NULL) AS unestimated_lines
    FROM quarantine WHERE batch_id IN (SELECT batch_id FROM ingest_batches WHERE taken_at >= $1)
"""
_FRESH = f"""
    SELECT coalesce(sum(good), 0)::BIGINT AS fresh_events,
        coalesce(sum(late), 0)::BIGINT AS stale_events, max(limit_seconds)::BIGINT AS limit_seconds
    FROM freshness_daily
    WHERE ingested_day >= $1::DATE AND ingested_day < $2::DATE AND {PRODUCTION}
"""
_LATE = f"""
    SELECT count(*) AS late_changes, coalesce(sum(change_cost_usd), 0)::{_MONEY} AS late_change_usd
    FROM late_changes WHERE day < $1::DATE AND visible_at >= $1
"""
_INCIDENTS = """
    SELECT count(*) AS incidents, count(*) FILTER (state <> 'resolved') AS open_incidents
    FROM incidents WHERE opened_at >= $1 AND opened_at < $2
"""
_STATES = """
    SELECT count(*) FILTER (state <> 'final') AS provisional_days FROM overview
    WHERE day >= $1::DATE AND day < $2::DATE
"""
_REPRICED = f"""
    SELECT reason, sum(attempts)::BIGINT AS attempts, sum(change_cost_usd)::{_MONEY} AS change_usd
    FROM restatements WHERE visible_at >= $1 AND visible_at < $2
    GROUP BY ALL ORDER BY abs(sum(change_cost_usd)) DESC, reason
"""
_VERSIONS = """
    SELECT source, source_version, decision, moved_prices FROM price_versions
    WHERE decided_at >= $1 AND decided_at < $2 ORDER BY decision_number
"""
_BURSTS = """
    SELECT * FROM spikes WHERE covered_by IS NULL AND window_start_at >= $1 AND window_end_at <= $2
    QUALIFY row_number() OVER (
        PARTITION BY rule_window, dimension, within, value
        ORDER BY extra_usd DESC, window_start_at) = 1
    ORDER BY extra_usd DESC, window_start_at, dimension, within, value LIMIT 8
"""


def read_facts(lake: Lake, book: PriceBook, week: Week, *, now: datetime) -> Facts:
    """Return all that is told of a week, as the warehouse knows it now.

    Args:
        lake: the warehouse.
        book: the installed prices, by which `drivers` weighs tokens.
        week: which.
        now: the present (UTC).

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    comparison = compare_until(week.end_at, _LENGTH)
    compared = read_compared(lake, book, comparison, late_after=SPIKE_LIMITS.late_after)
    why = explain_change(compared, comparison, limit=_SHOWN)
    span = [week.start_at, week.end_at]
    before = [week.start_at - _LENGTH, week.start_at]
    with lake.connect(read_only=True, all_cores=True) as con:
        return Facts(
            week,
            now,
            Sums(**_one(con, _SUMS, before)),
            Sums(**_one(con, _SUMS, span)),
            _parts_of(why, "endpoint_tag"),
            _parts_of(why, "tenant_id"),
            [Driver(one.change_usd, _describe(one), control.text, control.verify_sql)
             for one, control in why.findings],
            _read_deploys(con, [before[0], *span]),
            _read_budgets(con, span),
            [Burst(describe_spike(to_spike(row)), row["extra_usd"], row["control"],
                   row["verify_sql"]) for row in fetch(con, _BURSTS, span).to_dicts()],
            [*_read_prices(con, span)],
            _read_trust(con, span),
        )  # fmt: skip


def write_files(folder: Path, week: Week, *, markdown: str, html: str) -> tuple[Path, Path]:
    """Write the digest of a week, readable by its owner only; return where.

    A file is there as a whole or not at all, also if the process is killed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = [folder / f"{week.first_day}.{kind}" for kind in ("md", "html")]
    for path, text in zip(written, (markdown, html), strict=True):
        begun = path.with_name(f".{path.name}.begun")
        begun.write_text(text, encoding="utf-8")
        begun.chmod(0o600)
        begun.replace(path)
    return written[0], written[1]


def queue_message(
    lake: Lake, week: Week, *, sinks: Sequence[str], subject: str, body: str, now: datetime
) -> int:
    """Put the digest of a week into the outbox, once for each sink; return how many were added.

    Decided inside the transaction that writes it: of two daemons one adds it.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    told = [one for one in sinks if not one.startswith(_NO_PERSON)]
    message_id = hashlib.sha256(f"{DIGEST}\0{week.first_day}".encode()).hexdigest()[:12]
    known = "SELECT sink FROM alerts WHERE message_id = ?"
    if not {*told} - {*lake.read(known, [message_id])["sink"]}:
        return 0
    added: list[int] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        has = {*fetch(con, known, [message_id])["sink"]}
        new = [one for one in told if one not in has]
        for sink in new:
            con.execute(
                """INSERT INTO alerts (message_id, sink, incident_id, kind, severity, subject, body,
                    decided_at, state, attempts, unknown_attempts, due_at)
                VALUES ($1, $2, $3, $4, 'info', $5, $6, $7, 'waiting', 0, 0, $7)""",
                [message_id, sink, f"{DIGEST}_{week.first_day}", DIGEST, subject, body, now],
            )
        added.append(len(new))

    lake.transact(write)
    return added[-1]


def _describe(finding: Finding) -> str:
    """Return a finding with the numbers that matter most; `opsmeter why` tells the others."""
    return describe_finding(replace(finding, evidence=finding.evidence[:_EVIDENCE]))


def _parts_of(why: Why, dimension: str) -> list[Part]:
    return [
        Part(one.value, one.pair.before.cost_usd, one.pair.after.cost_usd, one.pair.before.requests,
             one.pair.after.requests)
        for one in why.by[dimension]
    ]  # fmt: skip


def _read_deploys(con: duckdb.DuckDBPyConnection, span: Sequence[datetime]) -> list[Deploy]:
    found = fetch(con, _DEPLOYS, span)
    if found.is_empty():
        return []
    if _has(con, "prompt_version_drift"):
        verdicts = fetch(con, _VERDICTS)
        found = found.join(verdicts, on=["endpoint_tag", "prompt_version"], how="left")
    return [Deploy(**row) for row in found.to_dicts()]


def _read_budgets(con: duckdb.DuckDBPyConnection, span: Sequence[datetime]) -> list[Budget] | None:
    if not _has(con, "budget_status"):
        return None
    return [Budget(**row) for row in fetch(con, _BUDGETS, span).to_dicts()]


def _read_prices(con: duckdb.DuckDBPyConnection, span: Sequence[datetime]) -> list[PriceChange]:
    repriced = [
        PriceChange(f"{row['attempts']:,} attempts were priced again ({row['reason']})",
                    row["change_usd"])
        for row in fetch(con, _REPRICED, span).to_dicts()
    ]  # fmt: skip
    versions = [
        PriceChange(f"Prices {row['source']} {row['source_version']}: {row['decision']}, "
                    f"{row['moved_prices']:,} prices moved far")
        for row in fetch(con, _VERSIONS, span).to_dicts()
    ]  # fmt: skip
    return [*repriced, *versions]


def _read_trust(con: duckdb.DuckDBPyConnection, span: Sequence[datetime]) -> Trust:
    watermark = read_watermark_within(con)
    told: dict[str, Any] = {}
    for sql in (_FRESH, _INCIDENTS, _STATES):
        told |= _one(con, sql, span)
    for sql in (_TAKEN, _HELD, _LATE):
        told |= _one(con, sql, span[:1])
    return Trust(
        complete_through=watermark.complete_through if watermark else None,
        **told,
    )


def _has(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    sql = "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = ?"
    return bool(fetch(con, sql, [table]).item())


def _one(con: duckdb.DuckDBPyConnection, sql: str, span: Sequence[datetime]) -> dict[str, Any]:
    (row,) = fetch(con, sql, span).to_dicts()
    return row
