"""The contract stage's assets: every line of the run as event or quarantined line."""

import dagster as dg
import polars as pl

from opsmeter_pipeline.contract import judge_chunk
from opsmeter_pipeline.contract.lines import count_lines
from opsmeter_pipeline.identity import hash_ids
from opsmeter_pipeline.model.landed import Chunk
from opsmeter_pipeline.model.tables import REFUSED
from opsmeter_pipeline.orchestration.jobs import LANDED_SLICES
from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.price import NAMES
from opsmeter_pipeline.storage.parallel import map_bounded
from opsmeter_pipeline.tracking.counts import count_kept, count_present


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "judged_events",
            deps=[LANDED_SLICES],
            description="Lines that keep the contract, a row each, staged in parts. Not yet "
            "deduplicated or priced; `identity` and `price` read it.",
            kinds={"polars", "parquet"},
        ),
        dg.AssetSpec(
            "judged_quarantine",
            deps=[LANDED_SLICES],
            description="Lines that broke a rule, a row each, redacted, staged in parts. "
            "Conflicting duplicates are not among them yet: `identity` finds those.",
            kinds={"polars", "parquet"},
        ),
    ],
    partitions_def=INGEST_DAYS,
    group_name="contract",
)
def judged_lines(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Judge each line of the run's slices, a bounded number of chunks at a time."""
    staging = home.staging(context.run.run_id)
    slices, identifiers = staging.read_slices(), home.identifiers

    events, hashes = (staging.events(name).write() for name in ("judged_events", "id_hashes"))

    def judge(chunk: Chunk) -> pl.DataFrame:
        judged = judge_chunk(chunk, slices, identifiers)
        events.write(chunk.number, judged.events)
        hashes.write(chunk.number, hash_ids(judged.events))
        # Listed and counted here, because reading the events again costs more.
        staging.write(f"names/{chunk.number:05}", judged.events.select(NAMES).unique())
        kept = count_kept(judged.events)
        staging.write(f"kept/{chunk.number:05}", kept)
        staging.write(f"present/{chunk.number:05}", count_present(judged.events, kept, slices))
        if not judged.quarantine.is_empty():
            staging.write(f"refused/{chunk.number:05}", REFUSED.arrange(judged.quarantine))
        return judged.counts

    limits = home.settings
    reader = home.landing_files().read_chunks(
        slices,
        count_lines=count_lines,
        chunk_bytes=limits.chunk_bytes,
        unpacked_bytes=limits.unpacked_bytes,
    )
    columns = ("lines", "blank", "quarantined")
    with events, hashes:
        counts = staging.write_counts("contract", map_bounded(judge, reader), columns=columns)
    staging.write(
        "checksums", pl.DataFrame({"checksum": reader.checksums}, schema={"checksum": pl.String})
    )
    staging.write(
        "damages",
        pl.DataFrame(
            [(index, *damage) for index, damage in reader.damages.items()],
            schema={"slice_index": pl.Int64, "finding": pl.String, "detail": pl.String},
            orient="row",
        ),
    )
    lines, blank, quarantined = (int(counts[name].sum()) for name in columns)
    figures = {"lines": lines, "blank": blank}
    yield dg.MaterializeResult(
        "judged_events", metadata=rows_metadata(lines - blank - quarantined, figures)
    )
    yield dg.MaterializeResult("judged_quarantine", metadata=rows_metadata(quarantined, figures))
