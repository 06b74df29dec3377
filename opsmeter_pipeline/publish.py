"""What one publish writes, and the law it must keep: nothing is lost in silence.

Builds the ledger's rows from what the stages counted and judges whether they balance: lines =
accepted + duplicates + quarantined + blank. The transaction itself is `storage.publisher`'s. Comes
after `cube`; `views` read what it wrote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl

from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.tables import (
    EVENTS,
    INGEST_BATCHES,
    INGEST_FILES,
    LANDING_FINDINGS,
    MOVED_LINES,
    QUARANTINE,
    SLICE_SCHEMA,
)
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict
from opsmeter_pipeline.model.wire import MISSING_TAG

LEDGER_COUNTS = tuple(
    name
    for name in INGEST_FILES.schema
    if name in INGEST_BATCHES.schema and name not in ("batch_id", "ingest_day")
)
PRICED_COUNTS = (
    "accepted",
    "environment_defaulted",
    "data_mode_defaulted",
    "prompt_version_missing",
    "with_extra_fields",
    "attempts_inferred",
    "unpriced_events",
    "cost_usd",
)
_BALANCE = ("accepted", "duplicates", "quarantined", "blank")


def to_event_rows(priced: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return priced events as rows of the table `events`."""
    return EVENTS.arrange(name_batches(priced, slices))


def name_batches(staged: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return staged rows with the `batch_id` and `file` their `slice_index` stands for."""
    index = pl.col("slice_index")
    batch_ids, files = (
        pl.Series([getattr(one, name) for one in slices], dtype=pl.String).cast(pl.Categorical)
        for name in ("batch_id", "file")
    )
    return staged.with_columns(
        pl.lit(batch_ids).gather(index).alias("batch_id"), pl.lit(files).gather(index).alias("file")
    )


def order_batches(staged: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return staged rows with `batch`: the order in which their batches were taken."""
    order = {
        batch_id: number
        for number, batch_id in enumerate(dict.fromkeys(one.batch_id for one in slices))
    }
    numbers = pl.Series([order[one.batch_id] for one in slices], dtype=pl.UInt32)
    return staged.with_columns(pl.lit(numbers).gather(pl.col("slice_index")).alias("batch"))


def find_slices(rows: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return published rows of the plan's batches with their `slice_index`."""
    plan = [(index, one.batch_id, one.file) for index, one in enumerate(slices)]
    schema = {"slice_index": pl.UInt32, "batch_id": pl.String, "file": pl.String}
    kinds = [pl.col(name).cast(rows.schema[name]) for name in ("batch_id", "file")]
    planned = pl.DataFrame(plan, schema, orient="row").with_columns(kinds)
    return rows.join(planned, on=["batch_id", "file"])


def find_moved(quarantined: pl.DataFrame, events: pl.LazyFrame, *, run_id: str) -> pl.DataFrame:
    """Return rows of `moved_lines` for quarantined lines that this run makes events.

    Args:
        quarantined: rows `quarantine` has of the replayed batches.
        events: rows of `events` the run brings.
        run_id: the run.
    """
    if quarantined.is_empty():
        return MOVED_LINES.empty()
    place = ["batch_id", "file", "line_number"]
    places = events.select(pl.col(name).cast(QUARANTINE.schema[name]) for name in place)
    moved = quarantined.lazy().join(places, on=place, how="semi").collect()
    return MOVED_LINES.arrange(moved.with_columns(run_id=pl.lit(run_id), moved_at=pl.lit(None)))


def count_rows(staged: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return how many rows each `slice_index` has, in a column of that name."""
    return staged.group_by("slice_index").agg(pl.len().cast(pl.Int64).alias(name))


def count_priced(priced: pl.DataFrame) -> pl.DataFrame:
    """Return what the ledger counts of priced events, per `slice_index`: `PRICED_COUNTS`."""
    return priced.group_by("slice_index").agg(
        pl.len().cast(pl.Int64).alias("accepted"),
        pl.col("environment_defaulted", "data_mode_defaulted").sum().cast(pl.Int64),
        (pl.col("prompt_version") == MISSING_TAG)
        .sum()
        .cast(pl.Int64)
        .alias("prompt_version_missing"),
        pl.col("extra").is_not_null().sum().cast(pl.Int64).alias("with_extra_fields"),
        pl.col("attempt_inferred").sum().cast(pl.Int64).alias("attempts_inferred"),
        pl.col("cost_usd").is_null().sum().cast(pl.Int64).alias("unpriced_events"),
        pl.col("cost_usd").fill_null(0).sum(),
    )


def build_file_ledger(
    slices: Sequence[Slice], checksums: Sequence[str], counts: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """Return the rows of `ingest_files`: one per slice, with everything that was counted in it.

    Args:
        slices: the plan.
        checksums: what each slice's bytes summed up to, in the plan's order.
        counts: frames with `slice_index` and some of the ledger's counts; a slice that a frame
            does not name counted 0 there.
    """
    planned = (
        pl.DataFrame([vars(one) for one in slices], schema=SLICE_SCHEMA)
        .with_columns(pl.Series("checksum", checksums, dtype=pl.String))
        .with_row_index("slice_index")
    )
    summed = pl.concat(counts, how="diagonal").group_by("slice_index").agg(pl.all().sum())
    rows = planned.join(summed, on="slice_index", how="left", maintain_order="left")
    return INGEST_FILES.arrange(rows.with_columns(pl.col(LEDGER_COUNTS).fill_null(0)))


def build_batch_ledger(
    files: pl.DataFrame,
    slices: Sequence[Slice],
    *,
    run_id: str,
    now: datetime,
    replayed: pl.DataFrame,
) -> pl.DataFrame:
    """Return the rows of `ingest_batches`: one per batch of these files.

    A new batch has no `visible_at` yet: it is measured after the commit has returned. A replayed
    one keeps the time at which it was first seen, and gets `replayed_at`.

    Args:
        files: rows of `ingest_files`.
        slices: the plan they are from.
        run_id: the run that publishes.
        now: when it does (UTC).
        replayed: the rows `ingest_batches` has of replayed batches.
    """
    taken = pl.DataFrame(
        [*{one.batch_id: one.taken_at for one in slices}.items()],
        schema={"batch_id": pl.String, "taken_at": INSTANT},
        orient="row",
    )
    rows = files.group_by("batch_id", "ingest_day", maintain_order=True).agg(
        pl.len().alias("files"), pl.col(LEDGER_COUNTS).sum()
    )
    known = replayed.select("batch_id", "visible_at", replayed_at=pl.lit(now, INSTANT))
    return INGEST_BATCHES.arrange(
        rows.join(taken, on="batch_id", how="left")
        .join(known, on="batch_id", how="left")
        .with_columns(run_id=pl.lit(run_id))
    )


def build_damage_findings(
    damages: pl.DataFrame, slices: Sequence[Slice], *, now: datetime
) -> pl.DataFrame:
    """Return rows of `landing_findings` for slices whose reading had to stop early.

    Args:
        damages: `slice_index`, `finding` and `detail`.
        slices: the plan.
        now: when it was found (UTC).
    """
    found: list[tuple[int, str, str]] = damages.rows()
    rows = [
        {
            "file": slices[index].file,
            "finding": finding,
            "detail": detail,
            "size_bytes": slices[index].byte_end,
            "modified_at": slices[index].modified_at,
            "found_at": now,
        }
        for index, finding, detail in found
    ]
    return pl.DataFrame(rows, schema=LANDING_FINDINGS.schema)


def judge_balance(ledger: pl.DataFrame) -> Verdict:
    """Return whether every row of a ledger balances."""
    parts = pl.sum_horizontal(_BALANCE)
    broken = ledger.filter(pl.col("lines") != parts)
    return Verdict(
        passed=broken.is_empty(),
        summary=(
            f"{ledger['lines'].sum()} lines in {ledger.height} ledger rows: "
            + ("each is accounted for." if broken.is_empty() else
               f"{broken.height} rows do not balance. Nothing is published; report this as a bug.")
        ),
        figures={name: int(ledger[name].sum()) for name in ("lines", *_BALANCE)},
        culprits=broken.select("batch_id", *(c for c in ("file",) if c in ledger.columns),
                               "lines", *_BALANCE).head(SAMPLE_ROWS).to_dicts(),
    )  # fmt: skip


@dataclass(frozen=True)
class ShareLimit:
    """How large a part of a batch may be before people should know of it.

    Attributes:
        name: the check's name.
        part: the ledger column, or sum of columns, that is the part.
        whole: the ledger column it is a part of.
        limit: the share above which it is worth a warning.
        remedy: what to do then.
        severe: the share above which it is no warning any more but an error; None is never.
    """

    name: str
    part: str
    whole: str
    limit: Decimal
    remedy: str
    severe: Decimal | None = None


SHARE_LIMITS = (
    ShareLimit(
        "quarantine_share",
        "quarantined",
        "lines",
        Decimal("0.01"),
        'Read the rules they broke: opsmeter query "FROM quarantine".',
    ),
    ShareLimit(
        "environment_defaulted_share",
        "environment_defaulted",
        "accepted",
        Decimal("0.10"),
        "Have the producer send `environment`; without it test traffic counts as production.",
    ),
    ShareLimit(
        "data_mode_defaulted_share",
        "data_mode_defaulted",
        "accepted",
        Decimal("0.10"),
        "Have the producer send `dataMode`; without it demo data counts as real.",
    ),
    ShareLimit(
        "unpriced_share",
        "unpriced_events",
        "accepted",
        Decimal("0.01"),
        'Read which models have no price: opsmeter query "FROM unpriced_models".',
        severe=Decimal("0.02"),
    ),
    ShareLimit(
        "missing_prompt_version_share",
        "prompt_version_missing",
        "accepted",
        Decimal("0.05"),
        "Have the producer send `promptVersion` with each deploy.",
    ),
)
"""Limits the field's pages name where they do (unpriced: 1 %), else where a habit begins."""


def judge_share(limit: ShareLimit, ledger: pl.DataFrame) -> Verdict:
    """Return whether a share of some batches' lines stays within its limit.

    Args:
        limit: which part of which whole.
        ledger: rows of `ingest_files`; the files above the limit are the culprits.
    """
    part, whole = int(ledger[limit.part].sum()), int(ledger[limit.whole].sum())
    passed = part <= limit.limit * whole
    above = ledger.filter(pl.col(limit.part) > 0).sort(limit.part, "file", descending=[True, False])
    said = f"{part} of {whole} {limit.whole} are {limit.part}, the limit is {limit.limit:%}."
    return Verdict(
        passed=passed,
        summary=said if passed else f"{said} {limit.remedy}",
        is_severe=limit.severe is not None and part > limit.severe * whole,
        figures={limit.part: part, limit.whole: whole, "limit": str(limit.limit)},
        culprits=()
        if passed
        else above.select("file", limit.part, limit.whole).head(SAMPLE_ROWS).to_dicts(),
    )
