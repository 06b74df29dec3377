"""`opsmeter why`: the drivers of a cost change against the window before, and what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table, spell_command
from opsmeter_pipeline.drivers import SPIKE_LIMITS, Why, explain_change
from opsmeter_pipeline.drivers.dimensions import Change, choose_dimensions
from opsmeter_pipeline.drivers.rows import (
    MEANINGS,
    describe_finding,
    show_factors,
    show_pair,
)
from opsmeter_pipeline.drivers.windows import plan_comparison
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.sql import spell_query
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.drivers import read_compared
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook

_MINUTES = "%Y-%m-%d %H:%M"
_FINDINGS_SHOWN = 3


@dataclass(frozen=True)
class Question:
    """What a person asks: which window, of what, by which dimensions.

    Attributes:
        start: first instant of the window, RFC 3339; None as `plan_comparison` says.
        end: first instant after it; likewise.
        window: its length, such as `7d`; likewise.
        by: dimensions with commas; None is all.
        limit: how many values of a dimension are shown.
        environment: the one that is compared.
        data_mode: likewise.
    """

    start: str | None
    end: str | None
    window: str | None
    by: str | None
    limit: int
    environment: str
    data_mode: str


def why_command(question: Question, *, home: Path | None, as_json: bool) -> None:
    """Print why a window cost more or less than the one before it.

    Raises:
        UsageError: there is no such window or dimension, or no warehouse.
        SumsDifferError: the cubes disagree.
    """
    comparison = plan_comparison(
        now=utc_now(),
        start=question.start,
        end=question.end,
        window=question.window,
        environment=question.environment,
        data_mode=question.data_mode,
    )
    shown = choose_dimensions(question.by)
    lake = Lake(load_settings(home=home).warehouse)
    compared = read_compared(lake, PriceBook(), comparison, late_after=SPIKE_LIMITS.late_after)
    why = explain_change(compared, comparison, limit=question.limit)
    if as_json:
        print_json(_to_document(why, shown))
    else:
        _print_why(why, shown)
        _print_next(why, spell_command(home))


def _to_document(why: Why, shown: Sequence[str]) -> dict[str, Any]:
    one = why.comparison
    return {
        "window": {"from": one.start_at, "to": one.end_at},
        "previous_window": {"from": one.previous_start_at, "to": one.start_at},
        "environment": one.environment,
        "data_mode": one.data_mode,
        "class": why.spike_class,
        "total": _show(why.total),
        "by": {name: [_place(c) | _show(c) for c in why.by[name]] for name in shown},
        "findings": [
            {
                "class": finding.spike_class,
                "driver": finding.driver,
                "change_usd": finding.change_usd,
                "evidence": [number._asdict() for number in finding.evidence],
                "control": control.text,
                "verify_sql": control.verify_sql,
            }
            for finding, control in why.findings
        ],
        "unpriced": [_place(c) | show_pair(c.pair) for c in why.unpriced],
        "caveats": why.caveats,
    }


def _show(one: Change) -> dict[str, Any]:
    factors = {"factors": show_factors(one)} if one.factors is not None else {}
    return {"change_usd": one.pair.change_usd, **factors, **show_pair(one.pair)}


def _place(one: Change) -> dict[str, str]:
    return {"within": one.within, "value": one.value}


def _print_why(why: Why, shown: Sequence[str]) -> None:
    one, pair = why.comparison, why.total.pair
    out.print(f"{one.start_at:{_MINUTES}} to {one.end_at:{_MINUTES}} UTC, against "
              f"{one.previous_start_at:{_MINUTES}} to {one.start_at:{_MINUTES}}",
              soft_wrap=True)  # fmt: skip
    before, after = (_usd(side.cost_usd) for side in pair)
    told = f"{_signed(pair.change_usd)} USD ({before} -> {after}){_percent(why)}"
    out.print(f"[bold]{told}: {why.spike_class}[/bold], {MEANINGS[why.spike_class]}\n",
              soft_wrap=True)  # fmt: skip
    factors = [
        {"factor": name, "change_usd": _signed(part or Decimal())}
        for name, part in show_factors(why.total).items()
    ]
    print_table(factors, title="by factor")
    for name in shown:
        print_table([_to_line(change) for change in why.by[name]], title=f"by {name}")
    if why.unpriced:
        print_table([*_unpriced_lines(why)], title="unknown: attempts without a price")
    for caveat in why.caveats:
        err.print(f"[yellow]note:[/yellow] {escape(caveat)}", soft_wrap=True)


def _to_line(one: Change) -> dict[str, object]:
    before, after = one.pair
    return {
        **({"within": one.within} if one.dimension not in ("endpoint_tag", "tenant_id") else {}),
        "value": one.value,
        "change_usd": _signed(one.pair.change_usd),
        "previous_cost_usd": _usd(before.cost_usd),
        "cost_usd": _usd(after.cost_usd),
        "previous_requests": before.requests,
        "requests": after.requests,
    }


def _unpriced_lines(why: Why) -> Iterator[dict[str, object]]:
    for one in why.unpriced:
        before, after = one.pair
        yield {
            "provider": one.within,
            "model": one.value,
            "previous_unpriced_attempts": before.unpriced_attempts,
            "unpriced_attempts": after.unpriced_attempts,
            "previous_tokens": before.input_tokens + before.output_tokens,
            "tokens": after.input_tokens + after.output_tokens,
        }


def _print_next(why: Why, command: str) -> None:
    for finding, control in why.findings[:_FINDINGS_SHOWN]:
        told = f"{_signed(finding.change_usd)} USD {describe_finding(finding)}"
        out.print(escape(told), soft_wrap=True)
        out.print(escape(f"  do: {control.text}"), soft_wrap=True)
        query = spell_query(control.verify_sql, command=command)
        out.print(escape(f"  verify: {query}\n"), soft_wrap=True)
    left = len(why.findings) - _FINDINGS_SHOWN
    if left > 0:
        out.print(f"{left} smaller ones: --json tells them.")


def _usd(amount: Decimal) -> str:
    return f"{amount:,.4f}"


def _signed(amount: Decimal) -> str:
    return f"{amount:+,.4f}"


def _percent(why: Why) -> str:
    before = why.total.pair.before.cost_usd
    return f", {100 * why.total.pair.change_usd / before:+.1f} %" if before else ""
