"""The price stage's assets: the catalogue, what events cost, what refused lines may have cost."""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.cube import specify_sums, stage_sums
from opsmeter_pipeline.cube import CubeSums
from opsmeter_pipeline.freshness.counts import count_arrivals
from opsmeter_pipeline.identity import apply_verdicts
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import (
    MODEL_RESOLUTIONS,
    PRICE_ALIASES,
    PRICE_CATALOGUE,
    PRICE_VERSIONS,
    QUARANTINE,
    REFUSED,
)
from opsmeter_pipeline.orchestration.metadata import Figure, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.price import NAMES, Comparables, estimate_refused, price_events
from opsmeter_pipeline.publish import PRICED_COUNTS, count_priced, to_event_rows
from opsmeter_pipeline.storage.parallel import map_bounded
from opsmeter_pipeline.storage.price_log import describe_log
from opsmeter_pipeline.storage.price_versions import settle_prices
from opsmeter_pipeline.storage.prices import find_cards
from opsmeter_pipeline.storage.staging import Staging
from opsmeter_pipeline.tracking.lags import count_lags
from opsmeter_pipeline.tracking.source import name_sources


@dg.multi_asset(
    specs=[
        *(
            table_spec(table, group="price")
            for table in (PRICE_CATALOGUE, PRICE_ALIASES, PRICE_VERSIONS)
        ),
        table_spec(
            MODEL_RESOLUTIONS,
            group="price",
            deps=[PRICE_CATALOGUE.name, "judged_events", "judged_quarantine"],
        ),
    ],
    partitions_def=INGEST_DAYS,
)
def price_tables(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Load what is new of the price sources, and resolve names not asked for before."""
    run_id, sources, now = context.run.run_id, home.price_sources(), utc_now()
    staging = home.staging(run_id)
    log = settle_prices(home.lake, sources, staging, by=run_id, now=now)
    parts = [*staging.parts("names"), *staging.parts("refused")]
    named = (pl.read_parquet(part, columns=[*NAMES]).cast(pl.String) for part in parts)
    names = pl.concat(named).unique().drop_nulls()
    found = find_cards(home.lake, sources.book, log, staging, names=names, now=now)
    staging.write("price_cards", found.cards)
    staging.write("comparable_names", found.comparables.names)
    staging.write("comparable_rates", found.comparables.rates)
    figures = describe_log(log)
    for table in (PRICE_CATALOGUE, PRICE_ALIASES, PRICE_VERSIONS):
        yield dg.MaterializeResult(table.name, metadata=figures)
    unknown = {"unknown_names": found.unknown_names}
    yield dg.MaterializeResult(
        MODEL_RESOLUTIONS.name, metadata=rows_metadata(found.answers.height, figures | unknown)
    )


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "priced_events",
            deps=["judged_events", "identity_verdicts", MODEL_RESOLUTIONS.name],
            description="The run's events as the table `events` will hold them, staged in parts. "
            "Duplicates are gone, attempts are numbered, cost is exact, or null with the reason.",
            group_name="price",
            kinds={"polars", "parquet"},
        ),
        dg.AssetSpec(
            "priced_quarantine",
            deps=["judged_quarantine", "identity_verdicts", MODEL_RESOLUTIONS.name],
            description="The run's refused lines as the table `quarantine` will hold them, staged: "
            "with what each may have cost, or why nobody can tell. In no total.",
            group_name="price",
            kinds={"polars", "parquet"},
        ),
        specify_sums(),
    ],
    partitions_def=INGEST_DAYS,
)
def priced_lines(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Price the run's events and sum them up, part by part; then estimate its refused lines."""
    staging = home.staging(context.run.run_id)
    slices = staging.read_slices()
    verdicts, cards = staging.read("identity_verdicts"), staging.read("price_cards")
    comparables = Comparables(staging.read("comparable_names"), staging.read("comparable_rates"))
    judged, sums = staging.events("judged_events"), CubeSums()

    def price(part: Path) -> pl.DataFrame:
        events = apply_verdicts(judged.read(part), verdicts)
        priced = price_events(events, cards, comparables=comparables)
        rows = to_event_rows(priced, slices)
        staging.write(f"priced_events/{part.stem}", rows)
        sums.add(rows)
        staging.write(f"lags/{part.stem}", count_lags(priced, slices))
        staging.write(f"arrivals/{part.stem}", count_arrivals(rows))
        return count_priced(priced)

    counts = staging.write_counts("price", map_bounded(price, judged.paths), columns=PRICED_COUNTS)
    figures = {
        "cost_usd": str(counts["cost_usd"].sum()),
        "unpriced": int(counts["unpriced_events"].sum()),
    }
    yield dg.MaterializeResult(
        "priced_events", metadata=rows_metadata(int(counts["accepted"].sum()), figures)
    )
    yield dg.MaterializeResult("priced_quarantine", metadata=_estimate(staging, cards))
    yield dg.MaterializeResult("cube_sums", metadata=stage_sums(staging, sums, slices))


def _estimate(staging: Staging, cards: pl.DataFrame) -> dict[str, Figure]:
    """Write the run's quarantine with estimates, and return what is told of it."""
    refused = pl.concat([REFUSED.empty(), *map(pl.read_parquet, staging.parts("refused"))])
    named = refused.join(name_sources(refused["file"]), on="file", maintain_order="left")
    held = QUARANTINE.arrange(estimate_refused(named, cards)) if len(named) else QUARANTINE.empty()
    staging.write("priced_quarantine", held)
    estimates = held["estimated_cost_usd"]
    figures = {"estimated_cost_usd": str(estimates.sum()), "unestimated": estimates.null_count()}
    return rows_metadata(held.height, figures)
