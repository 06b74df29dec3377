"""The identity stage's asset: which events are attempts and which are redeliveries."""

from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.contract import refuse_conflicts
from opsmeter_pipeline.identity import (
    KNOWN,
    PUBLISHED,
    REQUEST_ID,
    identify_batches,
    mark_candidates,
)
from opsmeter_pipeline.model.tables import REFUSED
from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.publish import count_rows, find_slices, order_batches
from opsmeter_pipeline.storage.ledger import read_known_events
from opsmeter_pipeline.storage.parallel import map_bounded


@dg.asset(
    deps=["judged_events"],
    partitions_def=INGEST_DAYS,
    group_name="identity",
    kinds={"polars", "duckdb"},
)
def identity_verdicts(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """A verdict for each staged event whose id occurs more than once, here or in the warehouse.

    An event not named here is the only attempt of its request. Duplicates are staged beside it
    for `cube` to count, conflicting ones for `publish` to quarantine.
    """
    staging = home.staging(context.run.run_id)
    slices, events, hashes = (
        staging.read_slices(), staging.events("judged_events"), staging.events("id_hashes"),
    )  # fmt: skip
    ids = (events.read(part, [REQUEST_ID])[REQUEST_ID] for part in events.paths)
    found = read_known_events(home.lake, staging, ids=ids, columns=PUBLISHED)
    is_replayed = pl.col("batch_id").is_in(staging.read("replayed")["batch_id"].implode())
    published, known = found.filter(is_replayed), found.filter(~is_replayed).select(KNOWN)
    masks = mark_candidates(map(hashes.read, hashes.paths), known)
    marked = zip(events.paths, masks, strict=True)
    candidates = pl.concat(map_bounded(lambda one: events.read(one[0], mask=one[1]), marked))
    verdicts = identify_batches(
        order_batches(candidates, slices), known, find_slices(published, slices)
    )
    removed = {
        name: candidates.join(verdicts.filter(pl.col("verdict") == name), on="seq", how="semi")
        for name in ("duplicate", "conflicting_duplicate")
    }
    conflicts = refuse_conflicts(removed["conflicting_duplicate"], slices)
    staging.write("identity_verdicts", verdicts)
    staging.write("duplicates", removed["duplicate"])
    staging.write("refused/conflicts", REFUSED.arrange(conflicts))
    staging.write_counts(
        "duplicates", [count_rows(removed["duplicate"], "duplicates")], columns=["duplicates"]
    )
    staging.write_counts(
        "conflicts", [count_rows(conflicts, "quarantined")], columns=["quarantined"]
    )
    figures = {name: frame.height for name, frame in removed.items()}
    return dg.MaterializeResult(metadata=rows_metadata(verdicts.height, figures))
