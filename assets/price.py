"""The price stage's assets: the catalogue in the warehouse, and what each event costs."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.cube import READS
from opsmeter_pipeline.identity import apply_verdicts
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE
from opsmeter_pipeline.orchestration.metadata import rows_metadata, table_spec
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.price import NAMES, build_cards, price_events
from opsmeter_pipeline.publish import PRICED_COUNTS, count_priced, to_event_rows
from opsmeter_pipeline.storage.parallel import map_bounded
from opsmeter_pipeline.storage.prices import ensure_catalogue, read_prices, resolve_names
from opsmeter_pipeline.tracking.lags import count_lags


@dg.multi_asset(
    specs=[
        table_spec(PRICE_CATALOGUE, group="price"),
        table_spec(MODEL_RESOLUTIONS, group="price", deps=[PRICE_CATALOGUE.name, "judged_events"]),
    ],
    partitions_def=INGEST_DAYS,
)
def price_tables(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Load the installed price list if it is new, and resolve names not asked for before."""
    staging, book, now = home.staging(context.run.run_id), home.price_book(), utc_now()
    rows = ensure_catalogue(home.lake, book, staging, now=now)
    parts = staging.event_parts("judged_events")
    named = map_bounded(lambda part: staging.read_events(part, NAMES).unique(), parts)
    names = pl.concat(named).unique().cast(pl.String)
    resolutions = resolve_names(home.lake, book, staging, names=names, now=now)
    prices = read_prices(home.lake, book, resolutions=resolutions)
    staging.write("price_cards", build_cards(prices, resolutions))
    version = {"genai_prices_version": book.version}
    unknown = {"unknown_names": resolutions["model_id"].null_count()}
    yield dg.MaterializeResult(PRICE_CATALOGUE.name, metadata=rows_metadata(rows, version))
    yield dg.MaterializeResult(
        MODEL_RESOLUTIONS.name, metadata=rows_metadata(resolutions.height, version | unknown)
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
