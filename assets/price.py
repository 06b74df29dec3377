"""The price stage's assets: the catalogue in the warehouse, and what each event costs."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.cube import READS
from opsmeter_pipeline.identity import apply_verdicts
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import (
    MODEL_RESOLUTIONS,
    PRICE_ALIASES,
    PRICE_CATALOGUE,
    PRICE_VERSIONS,
)
from opsmeter_pipeline.orchestration.metadata import rows_metadata, table_spec
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.price import NAMES, price_events
from opsmeter_pipeline.publish import PRICED_COUNTS, count_priced, to_event_rows
from opsmeter_pipeline.storage.parallel import map_bounded
from opsmeter_pipeline.storage.price_log import describe_log
from opsmeter_pipeline.storage.price_versions import settle_prices
from opsmeter_pipeline.storage.prices import find_cards
from opsmeter_pipeline.tracking.lags import count_lags


@dg.multi_asset(
    specs=[
        *(
            table_spec(table, group="price")
            for table in (PRICE_CATALOGUE, PRICE_ALIASES, PRICE_VERSIONS)
        ),
        table_spec(MODEL_RESOLUTIONS, group="price", deps=[PRICE_CATALOGUE.name, "judged_events"]),
    ],
    partitions_def=INGEST_DAYS,
)
def price_tables(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Load what is new of the price sources, and resolve names not asked for before."""
    run_id, sources, now = context.run.run_id, home.price_sources(), utc_now()
    staging = home.staging(run_id)
    log = settle_prices(home.lake, sources, staging, by=run_id, now=now)
    parts = staging.event_parts("judged_events")
    named = map_bounded(lambda part: staging.read_events(part, NAMES).unique(), parts)
    names = pl.concat(named).unique().cast(pl.String)
    found = find_cards(home.lake, sources.book, log, staging, names=names, now=now)
    staging.write("price_cards", found.cards)
    figures = describe_log(log)
    for table in (PRICE_CATALOGUE, PRICE_ALIASES, PRICE_VERSIONS):
        yield dg.MaterializeResult(table.name, metadata=figures)
    unknown = {"unknown_names": found.unknown_names}
    yield dg.MaterializeResult(
        MODEL_RESOLUTIONS.name, metadata=rows_metadata(found.answers.height, figures | unknown)
    )


@dg.asset(
    deps=["judged_events", "identity_verdicts", MODEL_RESOLUTIONS.name],
    partitions_def=INGEST_DAYS,
    group_name="price",
    kinds={"polars", "parquet"},
)
def priced_events(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """The run's events as the table `events` will hold them, staged in parts.

    Duplicates are gone, attempts are numbered, cost is exact, or null with the reason.
    """
    staging = home.staging(context.run.run_id)
    slices = staging.read_slices()
    verdicts, cards = staging.read("identity_verdicts"), staging.read("price_cards")

    def price(part: Path) -> pl.DataFrame:
        priced = price_events(apply_verdicts(staging.read_events(part), verdicts), cards)
        rows = to_event_rows(priced, slices)
        staging.write(f"priced_events/{part.stem}", rows)
        staging.write_events(f"priced_measures/{part.stem}", rows.select(READS))
        staging.write(f"lags/{part.stem}", count_lags(priced, slices))
        return count_priced(priced)

    counts = staging.write_counts(
        "price", map_bounded(price, staging.event_parts("judged_events")), columns=PRICED_COUNTS
    )
    figures = {
        "cost_usd": str(counts["cost_usd"].sum()),
        "unpriced": int(counts["unpriced_events"].sum()),
    }
    return dg.MaterializeResult(metadata=rows_metadata(int(counts["accepted"].sum()), figures))
