"""The ledger: what became of every line of a file and a batch, and what could not be taken."""

import polars as pl

from opsmeter_pipeline.model.columns import (
    BATCH_ID,
    FILE,
    INSTANT,
    Column,
    Table,
    count,
    instant,
    money,
    text,
)
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.tables.events import QUARANTINE

_LEDGER_COUNTS = (
    count("lines", "Lines read: accepted + duplicates + quarantined + blank."),
    count("accepted", "Lines that became events."),
    count("duplicates", "Redelivered lines: counted, not billed."),
    count("quarantined", "Lines that broke a rule."),
    count("blank", "Lines of white space only."),
    count("environment_defaulted", "Events whose environment was assumed."),
    count("data_mode_defaulted", "Events whose data mode was assumed."),
    count("prompt_version_missing", "Events without a prompt version."),
    count("with_extra_fields", "Events with unknown fields."),
    count("attempts_inferred", "Events whose attempt was inferred and is above 1."),
    count("unpriced_events", "Events without a price."),
    money("cost_usd", "Cost of the priced events."),
)

INGEST_BATCHES = Table(
    "ingest_batches",
    "One batch: the lines that one run took.",
    (
        BATCH_ID,
        Column("ingest_day", pl.Date, "UTC day on which its files landed: its partition."),
        text("run_id", "Dagster run that published it, or replayed it last."),
        instant("taken_at", "When the run listed the landing."),
        count("files", "Slices of files in the batch."),
        *_LEDGER_COUNTS,
        instant("visible_at", "When its commit had returned; null until measured.", nullable=True),
        instant("replayed_at", "When it was replayed last; null if never.", nullable=True),
    ),
)

INGEST_FILES = Table(
    "ingest_files",
    "One slice of a landed file in one batch: a whole file, or what a growing one gained.",
    (
        BATCH_ID,
        FILE,
        text("format", "jsonl, jsonl.gz, jsonl.zst, csv or parquet."),
        Column("ingest_day", pl.Date, "UTC day on which the slice landed."),
        instant("landed_at", "When it landed: its modification time, never later than taken."),
        instant("modified_at", "Modification time of the file, as the landing tells it."),
        count("byte_start", "First byte of the slice in the stored file."),
        count("byte_end", "Byte after the slice."),
        text("checksum", "XXH3-128 of these bytes, hexadecimal."),
        count("first_line_number", "Number of its first line in the file."),
        instant(
            "landed_since_at",
            "Of what a `.jsonl` gained after it was taken: no line landed "
            "before. Null if all landed at `landed_at`, or so it seems.",
            nullable=True,
        ),
        *_LEDGER_COUNTS,
    ),
)

SLICE_SCHEMA = {name: INGEST_FILES.schema.get(name, INSTANT) for name in Slice.__annotations__}
"""The Polars schema of a plan: one row per `model.landed.Slice`."""

LANDING_FINDINGS = Table(
    "landing_findings",
    "One thing found in the landing that could not be taken as it was; a log.",
    (
        FILE,
        text(
            "finding",
            "changed, gone, unsupported, unreadable, damaged, oversized or touched (harmless).",
        ),
        text("detail", "What differs and what to do."),
        count("size_bytes", "Size of the file when it was found so."),
        instant("modified_at", "Modification time of the file when it was found so."),
        instant("found_at", "When it was found."),
    ),
)

MOVED_LINES = Table(
    "moved_lines",
    "One line that a replay moved from quarantine to events; a log, of which the last row counts.",
    (
        text("batch_id", "The batch that took the line, and keeps its first `visible_at`."),
        *QUARANTINE.pick("file", "line_number"),
        text("rule", "Name of the rule it was quarantined by."),
        text("run_id", "Dagster run that moved it."),
        instant(
            "moved_at",
            "When that run's commit had returned and the event was visible; null until measured.",
            nullable=True,
        ),
    ),
)
