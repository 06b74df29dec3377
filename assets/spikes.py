"""The spikes stage's asset: hours and days far above their own past, with what drove them."""

from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import SPIKES
from opsmeter_pipeline.orchestration.jobs import PUBLISH_POOL
from opsmeter_pipeline.orchestration.metadata import Figure, preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.spikes import plan_search
from opsmeter_pipeline.spikes.rows import describe_spike
from opsmeter_pipeline.storage.lateness import read_watermark
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.spikes import Looked, look_for_spikes, read_rules, replace_spikes

_READS = (
    *("attribution_hourly", "users_daily", "events", "ingest_batches", "watermarks"),
    *("day_changes", "price_catalogue", "price_versions", "price_aliases", "model_resolutions"),
)


@dg.multi_asset(
    name="found_spikes",
    specs=[table_spec(SPIKES, group="spikes", deps=_READS)],
    pool=PUBLISH_POOL,
)
def found_spikes(home: HomeResource) -> dg.MaterializeResult[Any]:
    """Judge the last day of hours below the watermark, and the last full day, in production.

    Rows of the same windows are replaced, so that what landed late within two days is heeded.
    """
    lake, now = home.lake, utc_now()
    watermark = read_watermark(lake)
    if watermark is None:
        figures: dict[str, Figure] = {"caveats": "Nothing has landed yet."}
        return dg.MaterializeResult(SPIKES.name, metadata=rows_metadata(0, figures))
    search = plan_search(through=watermark.complete_through, now=now)
    looked = look_for_spikes(lake, PriceBook(), search, rules=read_rules(home.settings))
    rows = replace_spikes(lake, looked, now=now)
    return dg.MaterializeResult(SPIKES.name, metadata=rows_metadata(rows.height, _tell(looked)))


def _tell(looked: Looked) -> dict[str, Figure]:
    told = [
        {"spike": describe_spike(one), "driver": advice.driver, "control": advice.control}
        for one, advice in looked.spikes
        if advice
    ]
    late = [(one.day, one.kind, one.requests, f"{one.cost_usd:f}") for one in looked.late]
    return {
        "judged_from": looked.search.start_at.isoformat(),
        "judged_through": looked.search.end_at.isoformat(),
        "spikes": preview(pl.DataFrame(told)),
        "late_additions": preview(
            pl.DataFrame(late, schema=["day", "kind", "requests", "cost_usd"], orient="row")
        ),
        "caveats": " ".join(looked.caveats) or "none",
    }
