"""The budget stage's assets: how budgets stand, and what changed of those that were reported."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.budget.words import describe
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import BUDGET_CHANGES, BUDGET_STATUS
from opsmeter_pipeline.orchestration.metadata import preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.budget import refresh

_READS = ("attribution_hourly", "events", "watermarks", "day_changes")
_SHOWN = ("budget", "period_name", "state", "spent_low_usd", "limit_usd", "forecast_usd")


@dg.multi_asset(
    name="computed_budgets",
    specs=[
        table_spec(BUDGET_STATUS, group="budget", deps=_READS),
        table_spec(BUDGET_CHANGES, group="budget", deps=_READS),
    ],
)
def computed_budgets(home: HomeResource) -> Iterator[dg.MaterializeResult[Any]]:
    """Compute the present periods, and those that are over and not final or that changed."""
    found = refresh(home.lake, home.settings.budget, now=utc_now())
    rows = found.rows
    told = [describe(row) for row in rows.filter(pl.col("state") != "ok").to_dicts()]
    figures = {
        "budgets": preview(rows.select(_SHOWN), rows=50),
        "not_ok": "; ".join(told) or "none",
    }
    yield dg.MaterializeResult(BUDGET_STATUS.name, metadata=rows_metadata(rows.height, figures))
    changes = rows_metadata(found.changes.height, {"changes": preview(found.changes)})
    yield dg.MaterializeResult(BUDGET_CHANGES.name, metadata=changes)
