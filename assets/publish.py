"""The publish stage's assets: the run's ledger, and the one transaction that publishes it all."""

from threading import Thread
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.freshness.run import CHECKS, judge_begin, judge_run, tell_lags
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import (
    BATCH_TABLES,
    BATCH_TIMES,
    CUBES,
    DAY_CHANGES,
    EVENTS,
    FRESHNESS_LAGS,
    INGEST_BATCHES,
    INGEST_FILES,
    LANDING_FINDINGS,
    MANIFESTS,
    MOVED_LINES,
    QUARANTINE,
    TRACKING,
    WATERMARKS,
)
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.orchestration.checks import to_result
from opsmeter_pipeline.orchestration.jobs import PUBLISH_POOL
from opsmeter_pipeline.orchestration.metadata import preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.publish import (
    build_batch_ledger,
    build_damage_findings,
    build_file_ledger,
    find_moved,
)
from opsmeter_pipeline.storage.ledger import read_batches, read_quarantined
from opsmeter_pipeline.storage.publisher import Publication, note_visible, publish

_PUBLISHED = (
    *(*BATCH_TABLES, BATCH_TIMES, MOVED_LINES, LANDING_FINDINGS, MANIFESTS),
    *(DAY_CHANGES, WATERMARKS),
)


@dg.asset(
    deps=["judged_quarantine", "identity_verdicts", "priced_events"],
    partitions_def=INGEST_DAYS,
    group_name="publish",
    kinds={"polars", "parquet"},
)
def batch_ledger(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """The run's ledger, staged: a row per slice of a file and a row per batch.

    A blocking check holds lines = accepted + duplicates + quarantined + blank in each row.
    """
    staging, now = home.staging(context.run.run_id), utc_now()
    slices, replayed = staging.read_slices(), staging.read("replayed")["batch_id"].to_list()
    checksums = staging.read("checksums")["checksum"].to_list()
    files = build_file_ledger(slices, checksums, staging.read_counts())
    batches = build_batch_ledger(
        files,
        slices,
        run_id=context.run.run_id,
        now=now,
        replayed=read_batches(home.lake, replayed),
    )
    findings = pl.concat(
        [staging.read("findings"), build_damage_findings(staging.read("damages"), slices, now=now)]
    )
    moved = find_moved(
        read_quarantined(home.lake, replayed),
        staging.scan_parts("priced_events"),
        run_id=context.run.run_id,
    )
    staging.write("ledger/ingest_files", files)
    staging.write("ledger/moved_lines", moved)
    staging.write("ledger/ingest_batches", batches)
    staging.write("ledger/landing_findings", findings)
    return dg.MaterializeResult(metadata=rows_metadata(files.height, {"batches": preview(batches)}))


@dg.multi_asset(
    specs=[
        table_spec(
            table,
            group="publish",
            deps=[
                *("batch_ledger", "cube_sums", "priced_events", "priced_quarantine"),
                "tracking_counts",
            ],
        )
        for table in _PUBLISHED
    ],
    # Checks of what is in this step's hands anyway; in a step of their own they would cost a read.
    check_specs=[
        dg.AssetCheckSpec(name, asset=FRESHNESS_LAGS.name, description=text, blocking=False)
        for name, text in CHECKS.items()
    ],
    partitions_def=INGEST_DAYS,
    pool=PUBLISH_POOL,
)
def published_tables(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Publish the run's batches in one transaction, then write down when they were visible."""
    staging = home.staging(context.run.run_id)
    batches = staging.read("ledger/ingest_batches")
    looks = staging.read("watermark").iter_rows(named=True)
    publication = Publication(
        run_id=context.run.run_id,
        batch_ids=batches["batch_id"].to_list(),
        replaced=dict(staging.read("replayed").select("batch_id", "kind").rows()),
        watermark=next((Watermark(**look) for look in looks), None),
        now=utc_now(),
        standing=staging.folder / "standing",
        slo=home.settings.slo,
        scratch=staging.path("freshness_lags"),
        arrivals=staging.parts("arrivals"),
        rows={
            EVENTS: staging.parts("priced_events"),
            QUARANTINE: [staging.path("priced_quarantine")],
            INGEST_BATCHES: [staging.path("ledger/ingest_batches")],
            INGEST_FILES: [staging.path("ledger/ingest_files")],
            MOVED_LINES: [staging.path("ledger/moved_lines")],
            LANDING_FINDINGS: [staging.path("ledger/landing_findings")],
            MANIFESTS: [staging.path("tracking/manifests")],
            **{table: [staging.path(f"cubes/{table.name}")] for table in CUBES},
            **{table: [staging.path(f"tracking/{table.name}")] for table in TRACKING},
        },
    )
    rows = publish(home.lake, publication)
    noted = note_visible(home.lake, publication, now=utc_now)
    # A gigabyte takes a while to go; what is left of the run does not need it.
    Thread(target=staging.delete).start()
    rows[FRESHNESS_LAGS.name] = noted.lags.height
    for name, count in rows.items():
        figures = tell_lags(noted.lags) if name == FRESHNESS_LAGS.name else {}
        shown = {"visible_at": noted.visible_at.isoformat(), **figures}
        yield dg.MaterializeResult(name, metadata=rows_metadata(count, shown))
    verdicts = (judge_run(noted.lags, slo=publication.slo), judge_begin(noted.times))
    for name, verdict in zip(CHECKS, verdicts, strict=True):
        yield to_result(verdict, blocking=False, name=name, asset=FRESHNESS_LAGS.name)
