"""What rules and defaults need to know of typed rows, read once: blanks and outcomes.

Each reading is one more column beside the wire's. Comes after `contract.lines` and
`contract.exact`, before `contract.rules`.
"""

from collections.abc import Mapping

import polars as pl

from opsmeter_pipeline.contract.privacy import RAW, guard_identifiers
from opsmeter_pipeline.model.identifiers import IdentifierPolicy
from opsmeter_pipeline.model.wire import STATUSES, UNKNOWN_IDENTITY, WIRE

TEXTS = tuple(field.column for field in WIRE if field.kind == "text")
READINGS = (
    *(f"is_blank_{column}" for column in TEXTS),
    RAW,
)
"""Columns that no event keeps."""


def read_rows(
    rows: pl.DataFrame, texts: Mapping[str, pl.Series], identifiers: IdentifierPolicy
) -> pl.DataFrame:
    """Return the rows with their readings.

    Raw identifiers are gone or named in `RAW`, as the policy says. `is_blank_<text>` is true where
    a text is empty or white space; `outcome` is what became of the attempt, null where `status` is
    none that the contract knows.

    Args:
        rows: typed rows.
        texts: of each column that is categories, its texts.
        identifiers: what is done with raw identifiers.
    """
    read = [
        _find_blanks(rows[column], texts.get(column)).alias(f"is_blank_{column}")
        for column in TEXTS
    ]
    rows = rows.with_columns(*read, _read_outcomes(rows["status"], texts["status"]))
    return guard_identifiers(rows, texts, identifiers)


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


def _read_outcomes(status: pl.Series, distinct: pl.Series) -> pl.Series:
    """Return what became of each attempt; HTTP codes are read as RFC 9110 means them."""
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
    known = pl.DataFrame({"status": distinct.cast(pl.Categorical), "code": distinct}).select(
        "status", outcome.cast(pl.Categorical).alias("outcome")
    )
    read = status.to_frame().join(known, on="status", how="left", maintain_order="left")
    unknown = pl.lit(UNKNOWN_IDENTITY).cast(pl.Categorical)
    return read.select(
        pl.when(pl.col("status").is_null()).then(unknown).otherwise("outcome").alias("outcome")
    ).to_series()
