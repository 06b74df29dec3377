"""The reprice stage's asset: the log of money that was restated because a person asked."""

from datetime import date
from typing import Any

import dagster as dg

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import RESTATEMENTS
from opsmeter_pipeline.orchestration.jobs import PUBLISH_POOL, REPRICED_EVENTS, RepriceConfig
from opsmeter_pipeline.orchestration.metadata import preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.reprice import sum_listed
from opsmeter_pipeline.storage.reprice import Choice, reprice_events, settle_cards
from opsmeter_pipeline.storage.restate import Order

_READS = ("events", "ingest_files", "ingest_batches", "model_resolutions", "price_versions")


@dg.multi_asset(
    name=REPRICED_EVENTS,
    specs=[table_spec(RESTATEMENTS, group="reprice", deps=_READS)],
    pool=PUBLISH_POOL,
)
def repriced_events(
    context: dg.AssetExecutionContext, config: RepriceConfig, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """Price the chosen events again, and make anew what is summed of their batches."""
    run_id, staging = context.run.run_id, home.staging(context.run.run_id)
    choice = to_choice(config)
    found = settle_cards(home.lake, home.price_sources(), staging, choice=choice, by=run_id,
                         now=utc_now())  # fmt: skip
    order = Order(config.reason, config.asked_by, run_id, found.log)
    listed = reprice_events(home.lake, staging, found, choice, order, now=utc_now)
    staging.delete()
    figures = {
        **{name: str(total) for name, total in sum_listed(listed).items()},
        "reason": config.reason,
        "listed": preview(listed),
    }
    return dg.MaterializeResult(RESTATEMENTS.name, metadata=rows_metadata(len(listed), figures))


def to_choice(config: RepriceConfig) -> Choice:
    """Return the choice a run was configured with."""
    first, last = config.first_day, config.last_day
    return Choice(
        first=date.fromisoformat(first) if first else None,
        last=date.fromisoformat(last) if last else None,
        provider=config.provider,
        model=config.model,
        priced_too=config.priced_too,
    )
