"""What the publishing transaction keeps of a batch that it replaces."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import EVENTS, INGEST_BATCHES, INGEST_FILES
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.ledger import read_batches
from opsmeter_pipeline.storage.publisher import Publication, note_visible, publish
from opsmeter_pipeline.storage.staging import Staging

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_replay_that_began_before_a_batch_was_noted_visible_keeps_that_moment(
    tmp_path: Path,
) -> None:
    lake = Lake(tmp_path / "warehouse")
    lake.create({})
    zeros = dict.fromkeys(INGEST_BATCHES.schema, 0)
    told = zeros | {"batch_id": "b1", "ingest_day": NOW.date(), "run_id": "first", "taken_at": NOW,
                    "visible_at": None, "replayed_at": None}  # fmt: skip
    taken = INGEST_BATCHES.arrange(
        pl.DataFrame([told]).with_columns(
            pl.col(name).cast(dtype) for name, dtype in INGEST_BATCHES.schema.items()
        )
    )
    first = _publish(lake, tmp_path, "first", taken, replaced={})
    # The replay reads the ledger here: committed, and not noted yet.
    read = read_batches(lake, ["b1"]).with_columns(run_id=pl.lit("second"))
    note_visible(lake, first, now=lambda: NOW + timedelta(seconds=1))
    second = _publish(lake, tmp_path, "second", read, replaced={"b1": "replay"})
    note_visible(lake, second, now=lambda: NOW + timedelta(hours=1))
    shown = lake.read("SELECT run_id, visible_at FROM ingest_batches")
    assert shown.rows() == [("second", NOW + timedelta(seconds=1))]


def _publish(
    lake: Lake, folder: Path, run_id: str, batches: pl.DataFrame, *, replaced: dict[str, str]
) -> Publication:
    staging = Staging(folder / "staging", run_id)
    known = lake.read("SELECT batch_id, run_id FROM ingest_batches")
    standing = staging.write("standing/batches", known).parent
    files = staging.write("files", INGEST_FILES.empty())
    ledger = staging.write("ledger", batches)
    rows = {EVENTS: [], INGEST_FILES: [files], INGEST_BATCHES: [ledger]}
    scratch = staging.path("freshness")
    publication = Publication(
        run_id, ["b1"], replaced, None, NOW, standing, Slo(), scratch, [], rows
    )
    publish(lake, publication)
    return publication
