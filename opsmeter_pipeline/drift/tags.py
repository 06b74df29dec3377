"""What is odd in how versions are told: none at all, one per call, or one that should be gone.

Judged on the days of a timeline alone, without any test: these are counts, not samples.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from opsmeter_pipeline.model.tables import PROMPT_VERSION_FINDINGS
from opsmeter_pipeline.model.wire import MISSING_TAG

NO_VERSION, RETURNED, LINGERING, EXPLODING = "no_version", "returned", "lingering", "exploding"
FINDINGS = (NO_VERSION, RETURNED, LINGERING, EXPLODING)
_ENDPOINT = ["environment", "endpoint_tag"]
_VERSION = [*_ENDPOINT, "prompt_version"]


@dataclass(frozen=True)
class TagLimits:
    """When the way versions are told is odd.

    Attributes:
        min_attempts: attempts of the newest day below which nothing is said.
        missing_share: part of an endpoint's attempts without a version.
        lingering_share: part that a replaced version may keep.
        served_share: part of the attempts from which on the newest version has been rolled out.
        lingering_after: how long after the newest version was deployed it must be gone.
        silent: how long a version that other traffic replaced must have been gone to return.
        new_versions: how many versions may be new within a day.
    """

    min_attempts: int = 50
    missing_share: float = 0.05
    lingering_share: float = 0.05
    served_share: float = 0.5
    lingering_after: timedelta = timedelta(days=2)
    silent: timedelta = timedelta(days=2)
    new_versions: int = 20


TAG_LIMITS = TagLimits()


def find_exploding(
    timeline: pl.DataFrame, *, as_of: datetime, limits: TagLimits = TAG_LIMITS
) -> pl.DataFrame:
    """Return the endpoints with more new versions within a day than anybody deploys.

    A version that is a timestamp or a hash of the call is no version. Their pairs would be as many
    as their calls, so they are compared with nothing.
    """
    first = timeline.group_by(_VERSION).agg(pl.col("first_hour_at").min())
    is_new = first.filter(pl.col("first_hour_at") >= as_of - timedelta(days=1))
    counts = is_new.group_by(_ENDPOINT).agg(
        versions=pl.len().cast(pl.Int64), since_at=pl.col("first_hour_at").min()
    )
    return counts.filter(pl.col("versions") > limits.new_versions)


def find_odd_versions(
    timeline: pl.DataFrame, *, as_of: datetime, now: datetime, limits: TagLimits = TAG_LIMITS
) -> pl.DataFrame:
    """Return rows of `prompt_version_findings`, endpoints with most attempts first.

    Args:
        timeline: one row per environment, endpoint, version and UTC day with traffic, of the
            last two months: `first_hour_at`, `last_hour_at` and `attempts`.
        as_of: end of what is known.
        now: when this is computed (UTC).
        limits: what is odd.
    """
    day = as_of.date() if as_of.hour or as_of.minute else (as_of - timedelta(hours=1)).date()
    versions = (
        timeline.sort("day")
        .group_by(_VERSION)
        .agg(
            first_at=pl.col("first_hour_at").min(),
            last_at=pl.col("last_hour_at").max(),
            attempts=pl.col("attempts").filter(pl.col("day") == day).sum(),
            came_at=pl.col("first_hour_at").filter(pl.col("day") >= day - timedelta(days=1)).min(),
            gone_at=pl.col("last_hour_at").filter(pl.col("day") < day - timedelta(days=1)).max(),
        )
        .with_columns(total=pl.col("attempts").sum().over(_ENDPOINT))
        .with_columns(share=pl.col("attempts") / pl.col("total"))
    )
    exploding = find_exploding(timeline, as_of=as_of, limits=limits)
    steady = versions.filter(pl.col("total") >= limits.min_attempts).join(
        exploding, on=_ENDPOINT, how="anti"
    )
    newest = steady.filter(pl.col("prompt_version") != MISSING_TAG).with_columns(
        newest_at=pl.col("first_at").max().over(_ENDPOINT),
        newest=pl.col("prompt_version").sort_by("first_at", "prompt_version").last()
        .over(_ENDPOINT),
    ).with_columns(
        newest_share=pl.col("share").filter(pl.col("prompt_version") == pl.col("newest")).first()
        .over(_ENDPOINT),
    )  # fmt: skip
    returned = _find_returned(newest, limits)
    found = [
        _find_missing(steady, limits),
        returned,
        _find_lingering(newest, as_of, limits).join(returned, on=_VERSION, how="anti"),
        _tell_exploding(exploding, versions),
    ]
    rows = pl.concat(found).with_columns(
        computed_at=pl.lit(now), as_of_at=pl.lit(as_of),
    )  # fmt: skip
    return PROMPT_VERSION_FINDINGS.arrange(rows).sort(
        "attempts", "environment", "endpoint_tag", "finding", "prompt_version",
        descending=[True, False, False, False, False],
    )  # fmt: skip


def _find_missing(versions: pl.DataFrame, limits: TagLimits) -> pl.DataFrame:
    found = versions.filter(
        pl.col("prompt_version") == MISSING_TAG, pl.col("share") >= limits.missing_share
    )
    detail = pl.format(
        "{} % of the attempts tell no promptVersion, so nobody sees when this prompt changes: "
        "send it with each call.",
        _percent(),
    )
    return _tell(found, NO_VERSION, since="first_at", detail=detail)


def _find_returned(newest: pl.DataFrame, limits: TagLimits) -> pl.DataFrame:
    """Return versions that were gone, while a newer one served, and serve again."""
    found = newest.filter(
        pl.col("attempts") > 0,
        pl.col("came_at") - pl.col("gone_at") >= limits.silent,
        pl.col("newest_at") > pl.col("first_at"),
        pl.col("newest_at") < pl.col("came_at"),
    )
    detail = pl.format(
        "It was gone since {} and serves {} % again: a rollback, or a client that was not "
        "deployed. If it was meant, nothing is to be done.",
        pl.col("gone_at").dt.strftime("%Y-%m-%d %H:%MZ"),
        _percent(),
    )
    return _tell(found, RETURNED, since="came_at", detail=detail)


def _find_lingering(newest: pl.DataFrame, as_of: datetime, limits: TagLimits) -> pl.DataFrame:
    """Return versions that still serve although a newer one was deployed days ago."""
    found = newest.filter(
        pl.col("prompt_version") != pl.col("newest"),
        pl.col("newest_at") <= as_of - limits.lingering_after,
        pl.col("share") >= limits.lingering_share,
        pl.col("newest_share") >= limits.served_share,  # else the new one is on trial
    )
    detail = pl.format(
        "It still serves {} % although {} is there since {}: some client was not deployed, or "
        "both are meant to serve.",
        _percent(),
        "newest",
        pl.col("newest_at").dt.strftime("%Y-%m-%d %H:%MZ"),
    )
    return _tell(found, LINGERING, since="newest_at", detail=detail)


def _tell_exploding(exploding: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return endpoints whose version is another one with about each call."""
    new = versions.join(exploding, on=_ENDPOINT).filter(pl.col("first_at") >= pl.col("since_at"))
    grouped = new.group_by(*_ENDPOINT, "since_at", "versions").agg(
        pl.col("attempts").sum(), pl.col("total").first(),
        example=pl.col("prompt_version").sort().first(),
    )  # fmt: skip
    found = grouped.with_columns(
        prompt_version=pl.lit(""), share=pl.col("attempts") / pl.col("total")
    )
    detail = pl.format(
        "{} versions are new within a day, such as {}: send the name of the prompt's release, not "
        "a time, hash or id of the call. None of them is compared.",
        "versions",
        "example",
    )
    return _tell(found, EXPLODING, since="since_at", detail=detail)


def _percent() -> pl.Expr:
    return (100 * pl.col("share")).round(1).cast(pl.String)


def _tell(found: pl.DataFrame, finding: str, *, since: str, detail: pl.Expr) -> pl.DataFrame:
    versions = pl.col("versions") if "versions" in found.columns else pl.lit(1, pl.Int64)
    return found.select(
        *_ENDPOINT,
        pl.col("prompt_version").cast(pl.String),
        finding=pl.lit(finding),
        since_at=pl.col(since),
        attempts=pl.col("attempts").cast(pl.Int64),
        versions=versions,
        share=pl.col("share").cast(pl.Float64),
        detail=detail,
    )
