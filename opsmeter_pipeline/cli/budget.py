"""`opsmeter budget`: each budget with a bar, what it will have cost, and when it is exceeded."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.markup import escape

from opsmeter_pipeline.budget.states import EXCEEDED, OK, UNKNOWN, WARNING
from opsmeter_pipeline.budget.words import (
    Row,
    describe_burn,
    describe_driver,
    describe_forecast,
    describe_scope,
    describe_spend,
)
from opsmeter_pipeline.cli.app import out, print_json
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import NoBudgetError
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.budget import compute, read_changes, read_closed
from opsmeter_pipeline.storage.lake import Lake

_STYLES = {OK: "green", WARNING: "yellow", EXCEEDED: "red", UNKNOWN: "magenta"}
_BAR = 20
_SPENT, _POSSIBLE, _LEFT = "█", "▒", "░"


def budget_command(*, closed: int, home: Path | None, as_json: bool) -> None:
    """Print how budgets stand now; exit 1 if one is exceeded in its present period.

    Computed anew and not written down: the table `budget_status` is the job's.

    Raises:
        NoBudgetError: there is none.
        WarehouseMissingError: there is no warehouse yet.
    """
    settings = load_settings(home=home)
    if not settings.budget:
        raise NoBudgetError
    lake, now = Lake(settings.warehouse), utc_now()
    found = compute(lake, settings.budget, now=now)
    rows = _choose(found.rows, read_closed(lake, limit=closed), closed=closed)
    changes = read_changes(lake).vstack(found.changes).to_dicts()
    present = [row for row in rows if not row["is_over"]]
    if as_json:
        shown = {(row["budget"], row["period_name"]) for row in rows}
        told = [one for one in changes if (one["budget"], one["period_name"]) in shown]
        print_json({"computed_at": now, "budgets": rows, "changes": told})
    else:
        for row in rows:
            _print(row, [one for one in changes if _is_of(one, row)])
    if any(row["least_state"] == EXCEEDED for row in present):
        sys.exit(1)


def _choose(rows: pl.DataFrame, known: pl.DataFrame, *, closed: int) -> list[dict[str, Any]]:
    """Return each budget's present period, and its newest ones that are over, the newest first."""
    over = pl.concat([
        rows.filter("is_over"), known.join(rows, on=["budget", "period_name"], how="anti")
    ])  # fmt: skip
    newest = _order(over).filter(pl.int_range(pl.len()).over("budget") < closed)
    shown = [rows.filter(~pl.col("is_over")), newest]
    return _order(pl.concat(shown)).to_dicts()


def _order(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("budget", "period_start_at", descending=[False, True])


def _print(row: Row, changes: Sequence[Row]) -> None:
    style = _STYLES[row["state"]]
    name = escape(f"{row['budget']}  {describe_scope(row)}")
    out.print(f"[{style}]{row['state']:8}[/] {draw_bar(row)} {row['limit_share']:>6.1%}  {name}",
              soft_wrap=True)  # fmt: skip
    finality = "final" if row["is_final"] else "provisional"
    lines = [f"{describe_spend(row)}, {finality}", describe_driver(row), describe_burn(row),
             describe_forecast(row)]  # fmt: skip
    if row["reported_usd"] is not None and row["reported_usd"] != row["spent_usd"]:
        lines.append(f"first reported with {row['reported_usd']:f} USD")
    lines += [
        f"batch {one['batch_id']} ({one['kind']}) changed it by {one['change_usd']:+f} USD"
        for one in changes
    ]
    for line in filter(None, lines):
        out.print(escape(f"{'':9}{line}"), soft_wrap=True)


def draw_bar(row: Row) -> str:
    """Return how much of the limit is spent, and of what has no price how much more may be.

    >>> from decimal import Decimal
    >>> spent = {"limit_usd": Decimal(100), "spent_low_usd": Decimal(40)}
    >>> draw_bar(spent | {"spent_high_usd": Decimal(60)})
    '████████▒▒▒▒░░░░░░░░'
    """
    limit, high = row["limit_usd"], row["spent_high_usd"]
    low = min(int(_BAR * row["spent_low_usd"] / limit), _BAR)
    most = _BAR if high is None else min(int(_BAR * high / limit), _BAR)
    return _SPENT * low + _POSSIBLE * (most - low) + _LEFT * (_BAR - most)


def _is_of(change: Row, row: Row) -> bool:
    keys = ("budget", "period_name")
    return all(change[key] == row[key] for key in keys)
