"""The drivers stage's asset: why a day and a week cost more or less than the ones before."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.drivers import SPIKE_LIMITS, Why, explain_change
from opsmeter_pipeline.drivers.rows import build_rows, describe_finding, show_factors
from opsmeter_pipeline.drivers.windows import compare_until
from opsmeter_pipeline.model.clock import start_of_day, utc_now
from opsmeter_pipeline.model.tables import COST_DRIVERS
from opsmeter_pipeline.orchestration.jobs import PUBLISH_POOL
from opsmeter_pipeline.orchestration.metadata import Figure, preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.drivers import read_compared, replace_drivers
from opsmeter_pipeline.storage.price_book import PriceBook

_LENGTHS = {"day": timedelta(days=1), "week": timedelta(days=7)}
_KEPT = 50
"""How many values of a dimension are kept; the rest are one row."""
_READS = (
    *("attribution_hourly", "users_daily", "events", "ingest_batches"),
    *("price_catalogue", "price_versions", "price_aliases", "model_resolutions"),
)


@dg.multi_asset(
    name="explained_drivers",
    specs=[table_spec(COST_DRIVERS, group="drivers", deps=_READS)],
    partitions_def=INGEST_DAYS,
    pool=PUBLISH_POOL,
)
def explained_drivers(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """Explain the day and the week that end where the partition's day begins, in production.

    Rows of the same windows are replaced, so a later run tells what late data changed.
    """
    staging, now = home.staging(context.run.run_id), utc_now()
    end_at = start_of_day(date.fromisoformat(context.partition_key))
    book = PriceBook()
    whys = {
        name: _explain(home, book, end_at=end_at, length=length)
        for name, length in _LENGTHS.items()
    }
    rows = pl.concat([build_rows(why, now=now) for why in whys.values()])
    replace_drivers(home.lake, staging.write(COST_DRIVERS.name, rows))
    staging.delete()
    return dg.MaterializeResult(COST_DRIVERS.name, metadata=_describe(whys, rows))


def _explain(home: HomeResource, book: PriceBook, *, end_at: datetime, length: timedelta) -> Why:
    comparison = compare_until(end_at, length)
    late_after = SPIKE_LIMITS.late_after
    compared = read_compared(home.lake, book, comparison, late_after=late_after)
    return explain_change(compared, comparison, limit=_KEPT)


def _describe(whys: dict[str, Why], rows: pl.DataFrame) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for name, why in whys.items():
        figures |= {
            f"{name}_class": why.spike_class,
            f"{name}_change_usd": f"{why.total.pair.change_usd:f}",
            f"{name}_factors": preview(_to_frame(why)),
            f"{name}_caveats": " ".join(why.caveats) or "none",
        }
        for finding, control in why.findings[:1]:
            figures |= {
                f"{name}_driver": describe_finding(finding),
                f"{name}_control": control.text,
                f"{name}_verify_sql": control.verify_sql,
            }
    return rows_metadata(rows.height, figures)


def _to_frame(why: Why) -> pl.DataFrame:
    parts: Sequence[tuple[str, str]] = [
        (factor, f"{part:f}") for factor, part in show_factors(why.total).items()
    ]
    return pl.DataFrame(parts, schema=["factor", "change_usd"], orient="row")
