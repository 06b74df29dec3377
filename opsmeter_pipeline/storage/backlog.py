"""How much of the landing waits, and when it will have been taken, by the ledger's last hour.

One call for whoever shows or judges it: `opsmeter status`, the landing sensor, alerts, a page.
The arithmetic is the landing stage's (`landing.catch_up`).
"""

from datetime import timedelta

from opsmeter_pipeline.landing import Candidate
from opsmeter_pipeline.landing.catch_up import (
    ARRIVAL_SECONDS,
    HISTORY_SECONDS,
    CatchUp,
    TakenBatch,
    Waiting,
    estimate_catch_up,
)
from opsmeter_pipeline.landing.shares import COMPRESSED_WEIGHT, weigh
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.survey import Survey

_TEXT_BYTES = f"""
    coalesce(sum((f.byte_end - f.byte_start)
        * CASE WHEN f.format IN ('jsonl', 'csv') THEN 1 ELSE {COMPRESSED_WEIGHT} END), 0)::BIGINT
"""
_TAKEN = f"""
    SELECT b.taken_at, b.visible_at, {_TEXT_BYTES} AS text_bytes
    FROM ingest_batches b JOIN ingest_files f USING (batch_id)
    WHERE b.taken_at >= ? GROUP BY b.batch_id, b.taken_at, b.visible_at
"""
_LANDED = f"SELECT {_TEXT_BYTES} FROM ingest_files f WHERE landed_at > ? AND landed_at <= ?"


def read_backlog(survey: Survey, lake: Lake, settings: Settings) -> CatchUp:
    """Return what waits by a survey, and until when by the ledger; reads nothing else."""
    now = survey.now
    batches = lake.read(_TAKEN, [now - timedelta(seconds=HISTORY_SECONDS)]).iter_rows(named=True)
    landed = lake.read(_LANDED, [now - timedelta(seconds=ARRIVAL_SECONDS), now]).item()
    return estimate_catch_up(
        list_waiting(survey, batch_bytes=settings.batch_bytes),
        [TakenBatch(**row) for row in batches],
        now=now,
        landed_bytes=landed,
        batch_bytes=settings.batch_bytes,
    )


def list_waiting(survey: Survey, *, batch_bytes: int) -> list[Waiting]:
    """Return the files of which whole lines wait, with the size of what does."""
    return [
        Waiting(
            landed_at=min(candidate.landed.modified_at, survey.now),
            text_bytes=weigh(_size(candidate, end, batch_bytes), candidate.format),
            is_dated=not candidate.is_known,
        )
        for candidate, end in survey.measured
        if end > candidate.byte_start
    ]


def _size(candidate: Candidate, end: int, batch_bytes: int) -> int:
    """Return the stored bytes that wait; the lines of a large file were looked for in part."""
    left = candidate.landed.size_bytes - candidate.byte_start
    return left if left > batch_bytes else end - candidate.byte_start
