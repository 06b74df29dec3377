"""What is kept of a batch's lines: additive counts by source, landing hour, endpoint and rule.

Counted once per part of staged events, so that no later question has to read events. Add a count
here and its column in `model.tables`. What the counts mean is judged in the other modules.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.source import name_source
from opsmeter_pipeline.model.tables import FIELD_PRESENCE_HOURLY, TRACKING_HOURLY
from opsmeter_pipeline.model.wire import COLUMN_OF, MISSING_TAG, UNKNOWN_IDENTITY, WIRE

KEPT = "(kept)"
CONFLICT = "conflicting_duplicate"
"""The one rule that lines break which the contract had kept: `identity` finds it."""
_IS_PRODUCTION = (pl.col("environment") == "prod") & (pl.col("data_mode") == "real")
_IS_ASSUMED = pl.col("environment_defaulted") | pl.col("data_mode_defaulted")
_FLAGS: Mapping[str, pl.Expr] = {
    "prompt_version_missing": pl.col("prompt_version") == MISSING_TAG,
    "tenant_missing": pl.col("tenant_id") == UNKNOWN_IDENTITY,
    "user_missing": pl.col("user_id") == UNKNOWN_IDENTITY,
    "environment_defaulted": pl.col("environment_defaulted"),
    "data_mode_defaulted": pl.col("data_mode_defaulted"),
    "assumed_production": _IS_ASSUMED & _IS_PRODUCTION,
    "left_out": ~_IS_PRODUCTION,
    "zero_usage": (pl.col("input_tokens") == 0) & (pl.col("output_tokens") == 0),
}
COUNTED = ("lines", *_FLAGS)
_MISSING_COUNT = {
    "promptVersion": "prompt_version_missing",
    "tenantId": "tenant_missing",
    "userId": "user_missing",
    "environment": "environment_defaulted",
    "dataMode": "data_mode_defaulted",
}
_DEFAULTED = (*_MISSING_COUNT, "endpointTag", "timestamp", "ingestedAt")
_OPTIONAL = [field.name for field in WIRE if not field.required]
_PLAIN = [name for name in _OPTIONAL if name not in _DEFAULTED]
_ENDPOINT = r'"endpointTag"\s*:\s*"([A-Za-z0-9_.:/-]{1,80})"'
_FIELD = rf"\b({'|'.join(sorted((field.name for field in WIRE), key=len, reverse=True))})\b"
_SLICE = {"slice_index": pl.UInt32()}


def count_kept(events: pl.DataFrame) -> pl.DataFrame:
    """Return `COUNTED` per `slice_index` and `endpoint_tag` of judged events."""
    sums = [flag.sum().cast(pl.Int64).alias(name) for name, flag in _FLAGS.items()]
    kept = events.group_by("slice_index", "endpoint_tag").agg(
        pl.len().cast(pl.Int64).alias("lines"), *sums
    )
    return kept.with_columns(
        pl.col("slice_index").cast(pl.UInt32), pl.col("endpoint_tag").cast(pl.String)
    )


def count_present(
    events: pl.DataFrame, kept: pl.DataFrame, slices: Sequence[Slice]
) -> pl.DataFrame:
    """Return `present` per `slice_index` and optional `field` of judged events.

    A timestamp is present where the event's time is not its receipt, `ingestedAt` where the receipt
    is not the landing. A column that is full or empty is not looked through.

    Args:
        events: judged events, with all columns the contract gives them.
        kept: what `count_kept` made of them.
        slices: the plan.
    """
    landed = pl.Series([one.landed_at for one in slices], dtype=INSTANT)
    lines = kept.group_by("slice_index").agg(
        pl.col("lines").sum(),
        pl.col("lines").filter(pl.col("endpoint_tag") == MISSING_TAG).sum().alias("endpoint"),
        pl.col(*_MISSING_COUNT.values()).sum(),
    )
    absent = {name: events[COLUMN_OF[name]].null_count() for name in _PLAIN}
    full = [name for name, lines in absent.items() if lines == 0]
    empty = [name for name, lines in absent.items() if lines == events.height > 0]
    mixed = [name for name, lines in absent.items() if 0 < lines < events.height]
    looked = events.group_by(pl.col("slice_index").cast(pl.UInt32)).agg(
        *(pl.col(COLUMN_OF[name]).count().cast(pl.Int64).alias(name) for name in mixed),
        _count(pl.col("occurred_at") != pl.col("ingested_at")).alias("timestamp"),
        _count(pl.col("ingested_at") != pl.lit(landed).gather(pl.col("slice_index")))
        .alias("ingestedAt"),
    )  # fmt: skip
    told = looked.join(lines, on="slice_index").with_columns(
        *((pl.col("lines") - pl.col(count)).alias(name) for name, count in _MISSING_COUNT.items()),
        *(pl.col("lines").alias(name) for name in full),
        (pl.col("lines") - pl.col("endpoint")).alias("endpointTag"),
        *(pl.lit(0, pl.Int64).alias(name) for name in empty),
    )
    return told.unpivot(_OPTIONAL, index="slice_index", variable_name="field", value_name="present")


def count_refused(refused: pl.DataFrame) -> pl.DataFrame:
    """Return `lines` of quarantine rows by batch, file, hour, endpoint, rule and field."""
    named = refused.with_columns(
        pl.col("line_redacted").str.extract(_ENDPOINT).fill_null(MISSING_TAG).alias("endpoint_tag"),
        pl.col("detail").str.extract(_FIELD).fill_null("").alias("field"),
    )
    return named.group_by("batch_id", "file", "endpoint_tag", "rule", "field").agg(
        pl.len().cast(pl.Int64).alias("lines")
    )


def build_tracking(
    kept: pl.DataFrame, refused: pl.DataFrame, slices: Sequence[Slice]
) -> pl.DataFrame:
    """Return the rows of `tracking_hourly`: each line that is not blank stands in one of them.

    Args:
        kept: what `count_kept` made of all parts.
        refused: what `count_refused` made of the quarantine; lines that `identity` refused were
            kept by the contract before and are taken out there.
        slices: the plan.
    """
    places = place_slices(slices)
    by_file = places.unique(["batch_id", "file"], keep="first").drop("slice_index")
    rows = kept.join(places, on="slice_index").with_columns(rule=pl.lit(KEPT), field=pl.lit(""))
    lost = refused.with_columns(pl.col("batch_id", "file").cast(pl.String)).join(
        by_file, on=["batch_id", "file"]
    )
    taken_out = lost.filter(pl.col("rule") == CONFLICT).with_columns(
        -pl.col("lines"), rule=pl.lit(KEPT), field=pl.lit("")
    )
    keys = [name for name in TRACKING_HOURLY.schema if name not in COUNTED]
    every = pl.concat([rows, lost, taken_out], how="diagonal")
    summed = every.group_by(keys).agg(pl.col(COUNTED).sum()).sort(keys)
    return TRACKING_HOURLY.arrange(summed.filter(pl.col("lines") != 0))


def build_presence(
    kept: pl.DataFrame, present: pl.DataFrame, slices: Sequence[Slice]
) -> pl.DataFrame:
    """Return the rows of `field_presence_hourly`, one for each optional field of each source."""
    lines = kept.group_by("slice_index").agg(pl.col("lines").sum())
    keys = [name for name in FIELD_PRESENCE_HOURLY.schema if name not in ("lines", "present")]
    of_slice = present.group_by("slice_index", "field").agg(pl.col("present").sum())
    rows = of_slice.join(lines, on="slice_index").join(place_slices(slices), on="slice_index")
    summed = rows.group_by(keys).agg(pl.col("lines", "present").sum()).sort(keys)
    return FIELD_PRESENCE_HOURLY.arrange(summed)


def place_slices(slices: Sequence[Slice]) -> pl.DataFrame:
    """Return batch, file, source and landing hour of each `slice_index`."""
    return pl.DataFrame(
        [(n, one.batch_id, one.file, name_source(one.file), one.landed_at) for n, one
         in enumerate(slices)],
        schema=_SLICE | {"batch_id": pl.String, "file": pl.String, "source": pl.String,
                         "landed_hour_at": INSTANT},
        orient="row",
    ).with_columns(pl.col("landed_hour_at").dt.truncate("1h"))  # fmt: skip


def _count(condition: pl.Expr) -> pl.Expr:
    return condition.sum().cast(pl.Int64)
