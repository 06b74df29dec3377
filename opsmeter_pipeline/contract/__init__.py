"""The contract stage: every line of a chunk ends as event, quarantined line or blank.

`judge_chunk` is the whole stage; `lines` and `exact` read a line into typed columns,
`privacy` keeps raw identifiers out of them, `rules` hold them to the contract, `redact` says what
of a refused line may be kept, `told` what it tells of its call. Duplicates are not this stage's
business: `identity` finds them. Before it comes `storage.landing`, after it `identity`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
from pandera.errors import SchemaError

from opsmeter_pipeline.contract import rules
from opsmeter_pipeline.contract.exact import parse_exactly
from opsmeter_pipeline.contract.lines import Lines, read_lines
from opsmeter_pipeline.contract.readings import READINGS, read_rows
from opsmeter_pipeline.contract.redact import redact_line
from opsmeter_pipeline.contract.told import keep_told, read_told
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.errors import JudgingError
from opsmeter_pipeline.model.identifiers import REFUSE, IdentifierPolicy
from opsmeter_pipeline.model.landed import Chunk, Slice
from opsmeter_pipeline.model.tables import REFUSED, TOLD
from opsmeter_pipeline.model.wire import DIMENSIONS, MISSING_TAG, UNKNOWN_IDENTITY, WIRE

_CHUNK_ROWS = 1 << 32


class Judged(NamedTuple):
    """What the contract made of a chunk.

    Attributes:
        events: one row per accepted line, in line order: `seq` (its order in the run), its slice
            and place, and the wire's columns with the field's defaults applied.
        quarantine: rows of the table `quarantine` but for what `price` adds (`REFUSED`), and the
            `slice_index` they are from.
        counts: `lines`, `blank` and `quarantined` per `slice_index`.
    """

    events: pl.DataFrame
    quarantine: pl.DataFrame
    counts: pl.DataFrame


def judge_chunk(
    chunk: Chunk, slices: Sequence[Slice], identifiers: IdentifierPolicy = REFUSE
) -> Judged:
    """Return a chunk's lines split into events and quarantine, with nothing lost.

    Args:
        chunk: whole lines.
        slices: the plan; the chunk's parts point into it. A slice's `taken_at` is the `now` of
            the rules, so a replay judges by the clock of the first taking.
        identifiers: what is done with raw identifiers.

    Raises:
        JudgingError: a library failed; its own text, which may quote values, is not kept.
    """
    try:
        return _judge(chunk, slices, identifiers)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, SchemaError) as exc:
        files = sorted({slices[part.slice_index].file for part in chunk.parts})
        raise JudgingError(chunk.number, files, type(exc).__name__) from None


def _judge(chunk: Chunk, slices: Sequence[Slice], identifiers: IdentifierPolicy) -> Judged:
    lines = read_lines(chunk.text, chunk.parts)
    exact = parse_exactly(zip(lines.irregular, lines.read(lines.irregular), strict=True))
    typed = pl.concat([lines.regular, exact.rows], how="diagonal")
    texts = _join_texts(lines.texts, exact.rows)
    rows = _place(typed, lines, slices, texts=texts, identifiers=identifiers)
    broken = rules.CONTRACT.find_broken(rows)
    refused = pl.concat(
        [
            exact.rejected,
            broken.select(rows["position"].gather(broken["row"]), "rule", "detail"),
        ]
    )
    rejected = lines.read(exact.rejected["position"])
    told = [
        read_told(zip(exact.rejected["rule"], rejected, strict=True)),
        keep_told(rows[broken["row"]]),
    ]
    quarantine = _quarantine(refused.hstack(pl.concat(told)), lines, slices)
    events = (
        rows
        if broken.is_empty()
        else rows.filter(~pl.int_range(pl.len()).is_in(broken["row"].implode()))
    )
    return Judged(
        _apply_defaults(events, chunk.number * _CHUNK_ROWS),
        quarantine,
        _count(chunk, quarantine, lines.place(lines.blank)),
    )


def _join_texts(known: Mapping[str, pl.Series], rows: pl.DataFrame) -> Mapping[str, pl.Series]:
    """Return the texts of each column that is categories, with those of rows read exactly."""
    if rows.is_empty():
        return known
    return {
        column: pl.concat([texts, rows[column].cast(pl.String).drop_nulls()]).unique()
        for column, texts in known.items()
    }


def _place(
    rows: pl.DataFrame,
    lines: Lines,
    slices: Sequence[Slice],
    *,
    texts: Mapping[str, pl.Series],
    identifiers: IdentifierPolicy,
) -> pl.DataFrame:
    """Return the rows in line order with their place and readings."""
    rows = rows.sort("position") if not rows["position"].is_sorted() else rows
    return (
        read_rows(rows, texts, identifiers)
        .with_columns(*lines.place(rows["position"]))
        .with_columns(_of_slice(slices, "landed_at"), _of_slice(slices, "taken_at"))
    )


def _of_slice(slices: Sequence[Slice], attribute: str) -> pl.Expr:
    values = pl.Series([getattr(one, attribute) for one in slices])
    values = values.cast(INSTANT) if attribute.endswith("_at") else values
    return pl.lit(values).gather(pl.col("slice_index")).alias(attribute)


def _quarantine(refused: pl.DataFrame, lines: Lines, slices: Sequence[Slice]) -> pl.DataFrame:
    redacted = [redact_line(line or "") for line in lines.read(refused["position"])]
    return (
        lines.place(refused["position"])
        .with_columns(refused)
        .with_columns(pl.Series("line_redacted", redacted, dtype=pl.String))
        .with_columns(
            _of_slice(slices, "batch_id"),
            _of_slice(slices, "file"),
            _of_slice(slices, "landed_at").alias("ingested_at"),
        )
        .sort("position")
        .select("slice_index", *REFUSED.schema)
    )


def _apply_defaults(rows: pl.DataFrame, first_seq: int) -> pl.DataFrame:
    ingested_at = pl.coalesce("ingested_at", "landed_at")
    return rows.with_columns(
        (pl.col("position").cast(pl.Int64) + first_seq).alias("seq"),
        *(_default_text(column, MISSING_TAG) for column in ("endpoint_tag", "prompt_version")),
        *(_default_text(column, UNKNOWN_IDENTITY) for column in ("tenant_id", "user_id")),
        pl.col("environment").is_null().alias("environment_defaulted"),
        pl.col("data_mode").is_null().alias("data_mode_defaulted"),
        pl.col("environment").fill_null("prod"),
        pl.col("data_mode").fill_null("real"),
        pl.coalesce("timestamp", ingested_at).alias("occurred_at"),
        ingested_at.alias("ingested_at"),
    ).drop("position", "timestamp", "landed_at", "taken_at", *READINGS)


def _default_text(column: str, default: str) -> pl.Expr:
    is_missing = pl.col(column).is_null() | pl.col(f"is_blank_{column}")
    dtype = pl.Categorical if column in DIMENSIONS else pl.String
    otherwise = pl.lit(default).cast(dtype)
    return pl.when(is_missing).then(otherwise).otherwise(column).alias(column)


def _count(chunk: Chunk, quarantine: pl.DataFrame, blanks: pl.DataFrame) -> pl.DataFrame:
    lines = pl.DataFrame(
        [(part.slice_index, part.lines) for part in chunk.parts],
        schema={"slice_index": pl.UInt32, "lines": pl.Int64},
        orient="row",
    )
    counts = lines.group_by("slice_index").agg(pl.col("lines").sum())
    for name, removed in (("blank", blanks), ("quarantined", quarantine)):
        removed_by_slice = removed.group_by("slice_index").agg(pl.len().cast(pl.Int64).alias(name))
        counts = counts.join(removed_by_slice, on="slice_index", how="left")
    return counts.with_columns(pl.col("blank", "quarantined").fill_null(0))


def refuse_conflicts(conflicts: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return quarantine rows for events that `identity` found to contradict an earlier one.

    Args:
        conflicts: staged events, with the columns `judge_chunk` gives them.
        slices: the plan.
    """
    shown = [field for field in WIRE if field.column in conflicts.columns]
    wire = conflicts.select(
        pl.col(f.column).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ") if f.kind == "instant" else f.column
        for f in shown
    )
    lines = [
        json.dumps({f.name: row[f.column] for f in shown if row[f.column] is not None})
        for row in wire.iter_rows(named=True)
    ]
    redacted = pl.Series("line_redacted", [redact_line(line) for line in lines], dtype=pl.String)
    return conflicts.select(
        "slice_index",
        _of_slice(slices, "batch_id"),
        _of_slice(slices, "file"),
        "line_number",
        pl.lit("conflicting_duplicate").alias("rule"),
        pl.lit("other content under an id and attempt that is taken; the first stays").alias(
            "detail"
        ),
        redacted,
        "ingested_at",
        *keep_told(conflicts.select(TOLD)),
    )
