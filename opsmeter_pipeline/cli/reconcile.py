"""`opsmeter reconcile`: the warehouse against a provider's own export, by UTC day and model."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table, spell_command
from opsmeter_pipeline.importers.statements import FORMATS, read_statement
from opsmeter_pipeline.model.clock import parse_rfc3339, utc_now
from opsmeter_pipeline.model.statement import COST, DAY, Statement
from opsmeter_pipeline.model.statement_errors import EmptyStatementError, ReconcileOptionError
from opsmeter_pipeline.reconcile import PARTS, Compared, Period, Reconciliation, reconcile_statement
from opsmeter_pipeline.reconcile.sums import Case, Place
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.reconcile import (
    Traffic,
    read_export,
    read_own_aliases,
    read_warehouse,
    resolve_keys,
)

_MARK = {True: "", False: "outside", None: "not told"}
_NEXT = """\
Try next:
  {opsmeter} query "FROM unpriced_models"   what has no price, if `unpriced` is not 0
  {opsmeter} quarantine   what was refused, if `quarantined` is not 0
  docs/reconcile.md says what each part means and what to do about it
"""


@dataclass(frozen=True)
class Asked:
    """The options as they were given; see `opsmeter reconcile --help`."""

    file: Path
    form: str | None
    tolerance: str
    start: str | None
    end: str | None
    exported_at: str | None
    provider: str | None
    environment: str | None
    data_mode: str | None


def reconcile_command(asked: Asked, *, home: Path | None, as_json: bool) -> None:
    """Print what differs and why; exit 1 if a day and model is outside the tolerance.

    Raises:
        UsageError: an option or the export cannot be used, or there is no warehouse.
        Exit: with 1, something is outside the tolerance.
    """
    now = utc_now()
    tolerance, statement = parse_tolerance(asked.tolerance), _read(asked)
    period = choose_period(statement, start=asked.start, end=asked.end)
    book, lake = PriceBook(), Lake(load_settings(home=home).warehouse)
    aliases = read_own_aliases(lake)
    warehouse = read_warehouse(
        lake,
        book,
        providers=statement.providers,
        aliases=aliases,
        period=period,
        spans=statement.spans,
        traffic=Traffic(asked.environment, asked.data_mode),
        exported_at=statement.exported_at,
        now=now,
    )
    names = {(row.provider, row.model) for row in statement.rows}
    keys = resolve_keys(book, names, aliases=aliases, now=now)
    found = reconcile_statement(
        statement, warehouse, keys=keys, period=period, tolerance=tolerance, now=now
    )
    if as_json:
        about = {"file": str(asked.file), "tolerance": tolerance,
                 "environment": asked.environment, "data_mode": asked.data_mode,
                 "taken_through": warehouse.taken_through}  # fmt: skip
        print_json(about | _to_document(statement, found))
    else:
        _print(statement, found)
        if not found.passed:
            out.print(escape(_NEXT.format(opsmeter=spell_command(home))), soft_wrap=True)
    if not found.passed:
        raise typer.Exit(1)


def parse_tolerance(text: str) -> Decimal:
    """Return a tolerance as a part of 1; without `%` only 0, because 0.5 would be 50 %.

    >>> parse_tolerance("0.5%"), parse_tolerance("0")
    (Decimal('0.005'), Decimal('0.00'))

    Raises:
        ReconcileOptionError: it is no percentage from 0 to 100.
    """
    found = re.fullmatch(r"(0|\d{1,3}(?:\.\d{1,9})?\s*(?=%))%?", text.strip(), re.ASCII)
    part = Decimal(found[1]) * Decimal("0.01") if found else None
    if part is None or part > 1:
        raise ReconcileOptionError("--tolerance", text, "0.5%")
    return part


def choose_period(statement: Statement, *, start: str | None, end: str | None) -> Period:
    """Return the UTC days to compare: those asked for, else all that the export speaks for.

    Raises:
        ReconcileOptionError: an option is no day.
        EmptyStatementError: there is no day between them, or the export speaks for none of them.
    """
    first, last = statement.spans[0].start_at.date(), statement.spans[-1].end_at
    period = Period(
        _parse_day("--from", start) or first,
        _parse_day("--to", end) or (last - DAY / 86_400).date() + DAY,
    )
    if period.days <= 0:
        raise EmptyStatementError(why=f"no day lies from {period.start} up to {period.end}")
    if not any(
        span.start_at.date() < period.end and (span.end_at - DAY / 86_400).date() >= period.start
        for span in statement.spans
    ):
        told = f"the export speaks for {first} to {last.date()}"
        raise EmptyStatementError(why=f"{told}, not for {period.start} up to {period.end}")
    return period


def _read(asked: Asked) -> Statement:
    if asked.form is not None and asked.form not in FORMATS:
        raise ReconcileOptionError("--format", asked.form, f"one of {', '.join(FORMATS)}")
    return read_statement(
        read_export(asked.file),
        file=str(asked.file),
        form=asked.form,
        provider=asked.provider,
        exported_at=_parse_instant("--exported-at", asked.exported_at),
    )


def _parse_day(option: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError as exc:
        raise ReconcileOptionError(option, text, "a UTC day such as 2026-11-23") from exc


def _parse_instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    expected = "an instant such as 2026-11-23T09:30:00Z"
    try:
        moment = parse_rfc3339(text.strip())
    except ValueError as exc:
        raise ReconcileOptionError(option, text, expected) from exc
    if moment is None:
        raise ReconcileOptionError(option, text, expected)
    return moment


def _to_document(statement: Statement, found: Reconciliation) -> dict[str, Any]:
    return {
        "format": statement.format,
        "providers": statement.providers,
        "exported_at": statement.exported_at,
        "from": found.period.start,
        "to": found.period.end,
        "passed": found.passed,
        "rows": [_place(row.place) | _show(row) for row in found.rows],
        "totals": [_show(row) for row in found.totals],
        "evidence": [_to_evidence(case) for case in found.cases],
        "quarantine": [
            {"day": one.day, "rule": one.rule, "lines": one.lines} for one in found.refused
        ],
        "uncovered_days": [one._asdict() for one in found.uncovered],
        "notes": found.notes,
    }


def _place(place: Place | None) -> dict[str, object]:
    return {} if place is None else place._asdict()


def _show(row: Compared) -> dict[str, object]:
    """Return a row's amounts: dollars exact, counts as whole numbers."""
    sides = {"statement": row.statement, "warehouse": row.warehouse, "delta": row.delta}
    amounts = {**sides, **{name: row.parts.get(name) for name in PARTS}}
    return {
        "measure": row.measure,
        **{name: _plain(amount, row.measure) for name, amount in amounts.items()},
        "is_within": row.is_within,
    }


def _plain(amount: Decimal | None, measure: str) -> object:
    return amount if amount is None or measure == COST else int(amount)


def _to_evidence(case: Case) -> dict[str, object]:
    known = case.known
    return {
        **_place(case.place),
        "statement_models": sorted(case.told_names),
        "warehouse_models": sorted(known.names),
        "attempts": int(known.amounts.get("requests", 0)),
        "late_attempts": int(known.late.get("requests", 0)),
        "unbilled_attempts": int(known.unbilled.get("requests", 0)),
        "unpriced_attempts": known.unpriced_attempts,
        "unpriced_tokens": known.unpriced_tokens,
        "quarantined_lines": case.refused_lines,
        "is_listed": case.is_listed,
        "is_taken": case.is_taken,
        "is_over": case.is_over,
    }


def _print(statement: Statement, found: Reconciliation) -> None:
    """Print a table for each measure that the export tells, and what a reader must know."""
    days = f"UTC days from {found.period.start} up to {found.period.end}"
    named = escape(", ".join(statement.providers))
    out.print(f"{statement.format}: {named}, {days}; delta is warehouse less statement",
              soft_wrap=True)  # fmt: skip
    by_model = {row.place.provider for row in found.rows if row.place and row.place.model}
    for total in found.totals:
        rows = [row for row in found.rows if row.measure == total.measure]
        lines = [_to_line(row, by_model=by_model) for row in (*rows, total)]
        print_table(lines, title=total.measure)
    for one in found.uncovered:
        told = f"{one.attempts} attempts, {one.cost_usd:f} USD, and the export tells nothing of it"
        err.print(f"[red]{one.day}:[/red] {told}", soft_wrap=True)
    for note in found.notes:
        err.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)
    judged = [row.is_within for row in found.rows if row.is_within is not None]
    out.print(f"{sum(judged)} of {len(judged)} sums are within the tolerance.")


def _to_line(row: Compared, *, by_model: Collection[str]) -> dict[str, object]:
    """Return a row for reading, with the parts that are not 0 as a text."""
    amounts = {"statement": row.statement, "warehouse": row.warehouse, "delta": row.delta}
    parts = [f"{name} {_round(part, row.measure):+f}" for name, part in row.parts.items() if part]
    return {
        "day": row.place.day.isoformat() if row.place else "total",
        "model": _spell_model(row.place, by_model=by_model) if row.place else "",
        **{n: None if a is None else _round(a, row.measure) for n, a in amounts.items()},
        "explained by": ", ".join(parts),
        "": _MARK[row.is_within],
    }


def _spell_model(place: Place, *, by_model: Collection[str]) -> str:
    if place.model is not None:
        return f"{place.provider}/{place.model}"
    return f"{place.provider} (no model)" if place.provider in by_model else place.provider


def _round(amount: Decimal, measure: str) -> Decimal:
    """Return an amount for reading: dollars with four decimals; --json has all of them."""
    return round(amount, 4) if measure == COST else Decimal(int(amount))
