"""Which versions are compared with what: a version that is new in traffic is a deploy.

For 7 days it is held against the version it replaced; after that against its own last week. Both
sides begin at a fixed moment and only grow, which is what lets one look as often as one likes.
"""

from datetime import datetime, timedelta

import polars as pl

from opsmeter_pipeline.drift.limits import DRIFT_LIMITS, DriftLimits
from opsmeter_pipeline.drift.tags import find_exploding
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.wire import MISSING_TAG

REPLACED, PAST = "replaced", "past"
ENDPOINT = ["environment", "endpoint_tag"]
VERSION = [*ENDPOINT, "prompt_version"]
PAIRS_SCHEMA = {
    "pair": pl.Int64,
    **dict.fromkeys([*VERSION, "compared_with", "baseline_version"], pl.String),
    **dict.fromkeys(["new_from", "new_to", "baseline_from", "baseline_to"], INSTANT),
}


def plan_pairs(
    timeline: pl.DataFrame, *, as_of: datetime, limits: DriftLimits = DRIFT_LIMITS
) -> pl.DataFrame:
    """Return one row per version with traffic: what it is compared with, and when.

    Args:
        timeline: one row per environment, endpoint, version and UTC `day` with traffic, of the
            last two months: `first_hour_at`, `last_hour_at` and `attempts`.
        as_of: end of what is known; nothing later is compared.
        limits: how long a version is new, and how far back its baseline reaches.

    Returns:
        Columns `PAIRS_SCHEMA`; ends are exclusive. A version with nothing to compare it with has no
        `baseline_version`. Left out are calls without an endpoint, and endpoints that tell another
        version with each call.
    """
    if timeline.is_empty():
        return pl.DataFrame(schema=PAIRS_SCHEMA)
    spans = timeline.group_by(VERSION).agg(
        pl.col("first_hour_at").min(), pl.col("last_hour_at").max()
    )
    # Calls that name no endpoint are of several; their versions replace nothing.
    named = spans.filter(pl.col("endpoint_tag") != MISSING_TAG)
    told = named.join(find_exploding(timeline, as_of=as_of), on=ENDPOINT, how="anti")
    is_new = (pl.col("first_hour_at") >= as_of - limits.deploy_for) & (
        pl.col("prompt_version") != MISSING_TAG
    )
    deploys = _plan_deploys(told.filter(is_new), timeline, as_of=as_of, limits=limits)
    new_from = as_of.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    lasting = told.filter(~is_new, pl.col("last_hour_at") >= new_from).select(
        *VERSION,
        compared_with=pl.lit(PAST),
        baseline_version=pl.when(pl.col("first_hour_at") < new_from).then("prompt_version"),
        new_from=pl.lit(new_from, INSTANT),
        new_to=pl.lit(as_of, INSTANT),
        baseline_from=pl.lit(new_from - limits.baseline, INSTANT),
        baseline_to=pl.lit(new_from, INSTANT),
    )
    pairs = pl.concat([deploys, lasting]).sort(VERSION).with_row_index("pair")
    return pairs.select(pl.col(name).cast(kind) for name, kind in PAIRS_SCHEMA.items())


def pair_versions(
    environment: str,
    endpoint: str,
    *,
    baseline: str,
    version: str,
    starts: tuple[datetime, datetime],
    end: datetime,
) -> pl.DataFrame:
    """Return the one pair a person asked for; `starts` are those of baseline and version."""
    baseline_from, new_from = starts
    row = (0, environment, endpoint, version, REPLACED, baseline, new_from, end, baseline_from, end)
    return pl.DataFrame([row], schema=PAIRS_SCHEMA, orient="row")


def _plan_deploys(
    new: pl.DataFrame, timeline: pl.DataFrame, *, as_of: datetime, limits: DriftLimits
) -> pl.DataFrame:
    """Set each new version against the one that had most of the traffic right before it."""
    before = timeline.rename({"prompt_version": "baseline_version"}).with_columns(
        pl.col("first_hour_at").min().over(*ENDPOINT, "baseline_version").alias("known_from")
    )
    deployed = pl.col("first_hour_at_new").dt.date()
    traffic = (
        new.rename({"first_hour_at": "first_hour_at_new"})
        .join(before, on=ENDPOINT)
        .filter(
            pl.col("known_from") < pl.col("first_hour_at_new"),
            pl.col("day").is_between(deployed - limits.baseline, deployed),
        )
        .group_by(*VERSION, "baseline_version")
        .agg(
            is_told=(pl.col("baseline_version") != MISSING_TAG).first(),
            right_before=pl.col("attempts").filter(pl.col("day") >= deployed - pl.duration(days=1))
            .sum(),
            attempts=pl.col("attempts").sum(),
        )
    )  # fmt: skip
    ranked = traffic.sort(
        "is_told", "right_before", "attempts", "baseline_version",
        descending=[True, True, True, False],
    )  # fmt: skip
    replaced = ranked.unique(VERSION, keep="first", maintain_order=True)
    return new.join(replaced, on=VERSION, how="left").select(
        *VERSION,
        compared_with=pl.lit(REPLACED),
        baseline_version="baseline_version",
        new_from="first_hour_at",
        new_to=pl.lit(as_of, INSTANT),
        baseline_from=pl.col("first_hour_at") - limits.baseline,
        baseline_to=pl.lit(as_of, INSTANT),
    )
