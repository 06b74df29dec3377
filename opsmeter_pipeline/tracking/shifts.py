"""What changed against a producer's own past: refused lines, lost fields, fields of another type.

Every share is compared with the median of the same producer's earlier hours, and counts only if
chance cannot explain it. Add a comparison here; fixed limits that need no past are mistakes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict
from opsmeter_pipeline.tracking.counts import KEPT

ANY_ENDPOINT = "(any)"
FIELD_RULES = ("wrong_type", "missing_field", "missing_usage", "empty_field")
"""The rules a line breaks when a field changes its type or a required one is gone."""


@dataclass(frozen=True)
class ShiftLimits:
    """When a share of a producer's lines has changed.

    Attributes:
        min_lines: lines of a rule in an hour, or in a run's part of it, below which nothing is
            said (16 lines were called an anomaly elsewhere: PostHog PR 57924).
        min_share: share of the lines, 0 to 1; the fixed limit of `quarantine_share`.
        min_ratio: how many times the usual share it must be.
        floor_share: the usual share is taken to be at least this; a rule nobody broke in some
            hundred lines may still be broken once in a thousand.
        chance: the probability, at most, that the usual share brings as many broken lines.
        window: how far back an hour is compared with earlier ones.
        min_hours: earlier hours below which there is no usual share.
        min_hour_lines: lines an earlier hour must have to count.
    """

    min_lines: int = 20
    min_share: float = 0.01
    min_ratio: float = 2.0
    floor_share: float = 0.001
    chance: float = 1e-6
    window: timedelta = timedelta(days=7)
    min_hours: int = 6
    min_hour_lines: int = 20


@dataclass(frozen=True)
class PresenceLimits:
    """When a field has disappeared.

    Attributes:
        usual_share: the median share of lines that had it before must be at least this.
        lost_share: the share now must be below this.
        min_lines: lines of the producer now below which nothing is said.
        window: how far back an hour is compared with earlier ones.
        min_hours: earlier hours below which there is no usual share.
        min_hour_lines: lines an earlier hour must have to count.
    """

    usual_share: float = 0.95
    lost_share: float = 0.5
    min_lines: int = 20
    window: timedelta = timedelta(days=7)
    min_hours: int = 6
    min_hour_lines: int = 20


SHIFT_LIMITS = ShiftLimits()
PRESENCE_LIMITS = PresenceLimits()
_HOUR = "landed_hour_at"
_QUERY = (
    'opsmeter query "SELECT file, line_number, detail, line_redacted FROM quarantine '
    "WHERE file GLOB '<source>' AND rule = '<rule>' ORDER BY ingested_at DESC\""
)
_FIELD_QUERY = (
    'opsmeter query "SELECT landed_hour_at, field, sum(present) / sum(lines) AS share '
    "FROM field_presence_hourly WHERE source = '<source>' AND field = '<field>' "
    'GROUP BY ALL ORDER BY 1 DESC"'
)


def judge_quarantine_shift(counts: pl.DataFrame, limits: ShiftLimits = SHIFT_LIMITS) -> Verdict:
    """Return whether any producer's lines break a rule far more often than they used to.

    Args:
        counts: `source`, `landed_hour_at`, `endpoint_tag`, `rule`, `lines`, of the judged hours and
            those before; `judged_lines` and `run_lines` are the part of `lines` to judge: of the
            hour so far, null if it is not judged, and of the run alone.
        limits: when a share has changed.
    """
    by_endpoint, every = (
        _find_shifts(frame, part=["rule"], whole=["source", "endpoint_tag"], limits=limits)
        for frame in (counts, counts.with_columns(endpoint_tag=pl.lit(ANY_ENDPOINT)))
    )
    keys = ["source", "rule", _HOUR]
    wide = every.join(by_endpoint, on=keys, how="anti")
    shifted = pl.concat([by_endpoint, wide]).sort("broken", *keys, descending=[True, *[False] * 3])
    said = ", ".join(
        f"{row['rule']} from {row['source']} ({row['endpoint_tag']})"
        for row in shifted.unique(["rule", "source"], keep="first", maintain_order=True)
        .head(3)
        .iter_rows(named=True)
    )
    return _verdict(
        shifted.select("source", "endpoint_tag", "rule", _HOUR, "broken", "lines", "share",
                       "usual_share"),
        counts,
        good="No producer's lines break a rule more often than in its hours before.",
        bad=f"Refused far more often than before: {said}. Look for that producer's last deploy, "
        "mend the field it names, then replay.",
        query=_QUERY,
    )  # fmt: skip


def judge_field_change(
    counts: pl.DataFrame,
    presence: pl.DataFrame,
    limits: ShiftLimits = SHIFT_LIMITS,
    lost: PresenceLimits = PRESENCE_LIMITS,
) -> Verdict:
    """Return whether a field that a producer used to send is gone or has another type.

    Args:
        counts: as `judge_quarantine_shift` takes them, with `field`.
        presence: `source`, `landed_hour_at`, `field`, `lines`, `present`, `judged_lines`,
            `judged_present`, `run_lines` and `run_present`, likewise.
        limits: when a required field is gone, or any has another type.
        lost: when an optional field is gone.
    """
    named = counts.with_columns(
        pl.when(pl.col("rule").is_in(FIELD_RULES) & (pl.col("field") != ""))
        .then("rule").otherwise(pl.lit(KEPT)).alias("rule")
    )  # fmt: skip
    refused = _find_shifts(named, part=["rule", "field"], whole=["source"], limits=limits)
    changed = pl.concat(
        [
            refused.select("source", "field", pl.col("rule").alias("change"), _HOUR, "lines",
                           "share", "usual_share"),
            _find_lost(presence, lost).with_columns(change=pl.lit("disappeared")).select(
                "source", "field", "change", _HOUR, "lines", "share", "usual_share"),
        ]
    ).sort("source", "field", _HOUR)  # fmt: skip
    said = ", ".join(
        f"{field} of {source} ({change})"
        for source, field, change in changed.select("source", "field", "change")
        .unique(maintain_order=True)
        .head(3)
        .iter_rows()
    )
    return _verdict(
        changed,
        presence,
        good="Every field that producers used to send is still there, and of its type.",
        bad=f"Changed against the hours before: {said}. Ask who deploys that producer; a share is "
        "of its lines, of a field that disappeared the share that still has it.",
        query=_FIELD_QUERY,
    )


def _find_shifts(
    counts: pl.DataFrame, *, part: Sequence[str], whole: Sequence[str], limits: ShiftLimits
) -> pl.DataFrame:
    """Return the judged shares that are far above the producer's usual one."""
    totals = counts.group_by(*whole, _HOUR).agg(pl.col("lines", "judged_lines", "run_lines").sum())
    parts = (
        counts.filter(pl.col("rule") != KEPT)
        .group_by(*whole, *part, _HOUR)
        .agg(pl.col("lines", "judged_lines", "run_lines").sum())
    )
    joined = parts.join(totals, on=[*whole, _HOUR], suffix="_whole")
    windows = pl.concat(
        joined.select(*whole, *part, _HOUR, broken=window, lines=f"{window}_whole")
        for window in ("judged_lines", "run_lines")
    ).with_columns(share=pl.col("broken") / pl.col("lines"))
    candidates = windows.filter(
        pl.col("broken") >= limits.min_lines, pl.col("share") >= limits.min_share
    )
    before = _usual(
        candidates, totals, parts.select(*whole, *part, _HOUR, value="lines"), keys=(whole, part),
        window=limits.window, min_hours=limits.min_hours, min_hour_lines=limits.min_hour_lines,
    )  # fmt: skip
    usual = pl.max_horizontal("usual_share", pl.lit(limits.floor_share))
    shifted = before.filter(
        pl.col("share") >= limits.min_ratio * usual,
        _chance(pl.col("lines"), pl.col("share"), usual) < limits.chance,
    )
    return shifted.sort("share", descending=True).unique(
        [*whole, *part, _HOUR], keep="first", maintain_order=True
    )


def _find_lost(presence: pl.DataFrame, limits: PresenceLimits) -> pl.DataFrame:
    """Return the fields that a producer's judged lines no longer have."""
    keys = ["source", "field", _HOUR]
    windows = pl.concat(
        presence.select(*keys, lines=f"{window}_lines", had=f"{window}_present")
        for window in ("judged", "run")
    ).with_columns(share=pl.col("had") / pl.col("lines"))
    candidates = windows.filter(
        pl.col("lines") >= limits.min_lines, pl.col("share") < limits.lost_share
    )
    before = _usual(
        candidates, presence.select(*keys, "lines"), presence.select(*keys, value="present"),
        keys=(["source", "field"], []),
        window=limits.window, min_hours=limits.min_hours, min_hour_lines=limits.min_hour_lines,
    )  # fmt: skip
    gone = before.filter(pl.col("usual_share") >= limits.usual_share)
    return gone.sort("share").unique(keys, keep="first", maintain_order=True)


def _usual(
    candidates: pl.DataFrame,
    totals: pl.DataFrame,
    parts: pl.DataFrame,
    *,
    keys: tuple[Sequence[str], Sequence[str]],
    window: timedelta,
    min_hours: int,
    min_hour_lines: int,
) -> pl.DataFrame:
    """Return the candidates that have a past, with the median share of their earlier hours.

    An hour in which nothing of the part occurred has a share of 0.
    """
    whole, part = keys
    asked = candidates.select(*whole, *part, _HOUR).unique()
    past = totals.select(*whole, past_at=_HOUR, past_lines="lines").filter(
        pl.col("past_lines") >= min_hour_lines
    )
    hours = asked.join(past, on=[*whole]).filter(
        pl.col("past_at") < pl.col(_HOUR), pl.col("past_at") >= pl.col(_HOUR) - window
    )
    shares = hours.join(
        parts.rename({_HOUR: "past_at"}), on=[*whole, *part, "past_at"], how="left"
    ).with_columns(past_share=pl.col("value").fill_null(0) / pl.col("past_lines"))
    usual = shares.group_by(*whole, *part, _HOUR).agg(
        pl.col("past_share").median().alias("usual_share"), pl.len().alias("hours")
    )
    return candidates.join(usual.filter(pl.col("hours") >= min_hours), on=[*whole, *part, _HOUR])


def _chance(lines: pl.Expr, share: pl.Expr, usual: pl.Expr) -> pl.Expr:
    """Return at most how likely so large a share is if each line breaks with the usual one.

    The bound of Chernoff and Hoeffding on a binomial tail: exp(-n KL(share || usual)).
    """
    rest = (1 - share) * ((1 - share).clip(1e-300) / (1 - usual)).log()
    return (-(lines * (share * (share / usual).log() + rest))).exp()


def _verdict(
    found: pl.DataFrame, judged: pl.DataFrame, *, good: str, bad: str, query: str
) -> Verdict:
    shown = found.head(SAMPLE_ROWS).with_columns(
        (pl.col("share", "usual_share") * 100).round(2).cast(pl.String) + " %"
    )
    return Verdict(
        passed=found.is_empty(),
        summary=good if found.is_empty() else bad,
        figures={
            "producers": judged["source"].n_unique(),
            "judged_hours": judged.filter(pl.col("judged_lines") > 0)
            .select("source", _HOUR)
            .n_unique(),
            "found": found.height,
            "query": query,
        },
        culprits=shown.to_dicts(),
    )
