"""What rules and defaults need to know of typed rows, read once: instants, blanks, outcomes.

Each reading is one more column beside the wire's. Comes after `contract.lines` and
`contract.exact`, before `contract.rules`.
"""

import polars as pl

from opsmeter_pipeline.contract.privacy import RAW, guard_identifiers
from opsmeter_pipeline.model.clock import (
    FIRST_INSTANT,
    LAST_INSTANT,
    MAX_EPOCH_MS,
    MIN_EPOCH_MS,
)
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.identifiers import REFUSE, IdentifierPolicy
from opsmeter_pipeline.model.wire import DIMENSIONS, STATUSES, UNKNOWN_IDENTITY, WIRE

INSTANTS = tuple(field.column for field in WIRE if field.kind == "instant")
TEXTS = tuple(field.column for field in WIRE if field.kind == "text")
READINGS = (
    *(f"has_bad_{column}" for column in INSTANTS),
    *(f"is_blank_{column}" for column in TEXTS),
    RAW,
)
"""Columns that no event keeps."""
_SECOND = "%Y-%m-%dT%H:%M:%S"
_FRACTION_DIGITS = {0: 0, 4: 3, 7: 6}


def read_rows(rows: pl.DataFrame, identifiers: IdentifierPolicy = REFUSE) -> pl.DataFrame:
    """Return the rows with dimensions as categories, instants read, and their readings.

    Raw identifiers are gone or named in `RAW`, as the policy says.

    `has_bad_<instant>` is true where something stands that is no instant we can show,
    `is_blank_<text>` where a text is empty or white space; `outcome` is what became of the
    attempt, null where `status` is none that the contract knows.
    """
    rows = rows.with_columns(pl.col(DIMENSIONS).cast(pl.Categorical))
    distinct = {
        column: rows[column].unique().drop_nulls().cast(pl.String)
        for column in TEXTS
        if column in DIMENSIONS
    }
    read: list[pl.Series] = []
    for column in INSTANTS:
        instant = _read_instants(rows[column])
        is_bad = rows[column].is_not_null() & instant.is_null()
        read += [instant.alias(column), is_bad.alias(f"has_bad_{column}")]
    read += [
        _find_blanks(rows[column], distinct.get(column)).alias(f"is_blank_{column}")
        for column in TEXTS
    ]
    rows = rows.with_columns(*read, _read_outcomes(rows["status"]))
    return guard_identifiers(rows, distinct, identifiers)


def _read_instants(text: pl.Series) -> pl.Series:
    """Return RFC 3339 texts and epoch milliseconds as instants, null where they are neither."""
    instant = _read_uniform(text)
    if instant.null_count() > text.null_count():
        instant = _read_mixed(text)
    shown = instant.is_between(FIRST_INSTANT, LAST_INSTANT)
    return instant if shown.all() else instant.set(~shown.fill_null(value=False), None)


def _read_uniform(text: pl.Series) -> pl.Series:
    """Return the instants if all texts are of one length and in UTC, else nothing but null.

    Date, second and fraction apart take a fifth of the time of the parser for any RFC 3339.
    """
    sizes = text.str.len_bytes().unique().drop_nulls().to_list()
    shortest = len("2026-01-01T00:00:00Z")
    digits = _FRACTION_DIGITS.get(sizes[0] - shortest) if len(sizes) == 1 else None
    if digits is None or not text.str.ends_with("Z").all():
        return pl.repeat(None, len(text), dtype=INSTANT, eager=True)
    second = text.str.slice(0, shortest - 1).str.to_datetime(_SECOND, time_unit="us", strict=False)
    second = second.dt.replace_time_zone("UTC")
    if digits == 0:
        return second
    fraction = text.str.slice(shortest, digits).cast(pl.Int64, strict=False)
    return second + (fraction * 10 ** (6 - digits)).cast(pl.Duration("us"))


def _read_mixed(text: pl.Series) -> pl.Series:
    instant = text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    if instant.null_count() == text.null_count():
        return instant
    number = text.cast(pl.Int64, strict=False)
    is_epoch = number.is_between(MIN_EPOCH_MS, MAX_EPOCH_MS)
    epoch = number.cast(pl.Datetime("ms", "UTC")).cast(INSTANT)
    return instant.zip_with(instant.is_not_null() | ~is_epoch.fill_null(value=False), epoch)


def _find_blanks(text: pl.Series, distinct: pl.Series | None) -> pl.Series:
    """Return where a text is there but has nothing to read; false where it is null."""
    none = pl.zeros(len(text), pl.Boolean, eager=True)
    if distinct is not None:
        blank = distinct.filter(distinct.str.strip_chars() == "")
        return none if blank.is_empty() else text.is_in(blank.implode()).fill_null(value=False)
    # Most texts begin with a visible ASCII letter, which is seen in a tenth of the time.
    if ((text >= "!") & (text < "\x7f")).all():
        return none
    return (text.str.strip_chars() == "").fill_null(value=False)


def _read_outcomes(status: pl.Series) -> pl.Series:
    """Return what became of each attempt; HTTP codes are read as RFC 9110 means them."""
    distinct = status.unique().drop_nulls()
    code = pl.col("code")
    is_code = code.str.contains(r"^[1-5][0-9]{2}$")
    outcome = (
        pl.when(code.is_in(["408", "504"])).then(pl.lit("timeout"))
        .when(code == "429").then(pl.lit("rate_limited"))
        .when(code == "499").then(pl.lit("cancelled"))
        .when(is_code & code.str.starts_with("2")).then(pl.lit("success"))
        .when(is_code).then(pl.lit("error"))
        .when(code.is_in(STATUSES)).then(code)
    )  # fmt: skip
    known = pl.DataFrame({"status": distinct, "code": distinct.cast(pl.String)}).select(
        "status", outcome.cast(pl.Categorical).alias("outcome")
    )
    read = status.to_frame().join(known, on="status", how="left", maintain_order="left")
    unknown = pl.lit(UNKNOWN_IDENTITY).cast(pl.Categorical)
    return read.select(
        pl.when(pl.col("status").is_null()).then(unknown).otherwise("outcome").alias("outcome")
    ).to_series()
