"""Which producers' clocks differ from ours, told from honest delay by what delay cannot do.

A line that comes before its event proves a clock ahead. A clock behind looks like delay; it is
named only if a producer that lands all the time is late by the same minutes hour after hour. No
clock is read here: what is compared stands in `lags`. See docs/clocks.md for the limits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline.model.condition import WARNING, Condition, Key
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict


@dataclass(frozen=True)
class ClockLimits:
    """When a lag is a clock's and not delay.

    Attributes:
        allowed_minutes: clocks may differ by this much; the contract's tolerance.
        window: how far back before a run its producers' lines are looked at.
        min_lines: lines ahead in that window below which nothing is said.
        min_share: share of the run's lines, 0 to 1, below which nothing is said of lines ahead.
        min_hours: landing hours in a row that must agree before a clock is called behind.
        jitter_minutes: by how much these may differ, and within each the newer half of the lines.
        zone_jitter_minutes: the same where the lag is a time zone's offset.
        min_zone_minutes: a lag below this is never taken for a zone by the wider limit: files
            of an hour often land an hour later.
    """

    allowed_minutes: int = 5
    window: timedelta = timedelta(hours=24)
    min_lines: int = 3
    min_share: float = 0.001
    min_hours: int = 6
    jitter_minutes: int = 2
    zone_jitter_minutes: int = 5
    min_zone_minutes: int = 120


CLOCK_LIMITS = ClockLimits()
CLOCK_SKEW = "clock_skew"
"""The rule of the alert, as the check is named."""
CLOCKS: Mapping[str, str] = MappingProxyType(
    {
        "sender": "sender_lag_minutes",
        "collector": "collector_lag_minutes",
        "landing": "landing_lag_minutes",
    }
)
"""Whose clock is judged by which lag: that of event, ingest and modification times."""
ZONE_OFFSETS = tuple(
    sorted({60 * hours for hours in range(1, 15)} | {150, 210, 270, 330, 345, 390, 525, 570, 630,
                                                    765, 825})
)  # fmt: skip
"""How far zones are from UTC, in minutes, east or west (IANA 2026, summer times included)."""
_HOUR = ["source", "landed_hour_at"]
_FOUND: Mapping[str, type[pl.DataType]] = MappingProxyType(
    {"source": pl.String, "clock": pl.String, "skew_minutes": pl.Int64,
     "largest_minutes": pl.Int64, "lines": pl.Int64, "refused_lines": pl.Int64}
)  # fmt: skip
_QUERY = 'opsmeter query "FROM clock_lags"'


def judge_clock_skew(lags: pl.DataFrame, limits: ClockLimits = CLOCK_LIMITS) -> Verdict:
    """Return whether all clocks of the run's producers agree with the next one within limits.

    A skew has a sign: positive is a clock ahead, negative one behind.

    Args:
        lags: `lines`, `refused_lines` and `run_lines` per `source`, `landed_hour_at` and the lags
            of `CLOCKS`, of the run's sources in the window; `first_batch` and `last_batch` of
            each row. `run_lines` is the run's own part of `lines`.
        limits: when a lag is a clock's.
    """
    found = [pl.DataFrame(schema=_FOUND)]
    for clock, column in CLOCKS.items():
        told = lags.filter(pl.col(column).is_not_null()).rename({column: "lag"})
        found.append(_find_ahead(told, limits).with_columns(clock=pl.lit(clock)))
        if clock != "landing":  # how long a file waits for its run is ours, and no clock
            found.append(_find_behind(told, limits).with_columns(clock=pl.lit(clock)))
    skewed = pl.concat([one.select(*_FOUND) for one in found]).sort(
        "lines", "source", "clock", descending=[True, False, False]
    )
    culprits = [_explain(row, limits) for row in skewed.head(SAMPLE_ROWS).iter_rows(named=True)]
    return Verdict(
        passed=skewed.is_empty(),
        summary=(
            f"No clock is seen to differ by more than {limits.allowed_minutes} minutes."
            if skewed.is_empty()
            else f"Clocks differ by more than {limits.allowed_minutes} minutes: "
            + " ".join(_say(culprit) for culprit in culprits[:3])
        ),
        figures={
            "sources": lags["source"].n_unique(),
            "skewed": skewed.height,
            "allowed_minutes": limits.allowed_minutes,
            "query": _QUERY,
        },
        culprits=culprits,
    )


def find_skew(lags: pl.DataFrame, *, now: datetime) -> list[Condition]:
    """Return a condition if a producer's newest lines were stamped by a clock that is off.

    Args:
        lags: as `judge_clock_skew` takes them, of all producers of the last day; `run_lines` is
            the part of each one's newest lines.
        now: the present (UTC).
    """
    verdict = judge_clock_skew(lags)
    if verdict.passed:
        return []
    return [
        Condition(
            Key("producers", CLOCK_SKEW, "24h"),
            WARNING,
            since_at=now,
            value=max(abs(int(str(one["skew_minutes"]))) for one in verdict.culprits),
            limit=CLOCK_LIMITS.allowed_minutes,
            unit="minutes",
            what=verdict.summary,
            next_step=_QUERY,
        )
    ]


def _find_ahead(told: pl.DataFrame, limits: ClockLimits) -> pl.DataFrame:
    """Return the sources with lines before their time, refused ones included."""
    is_ahead = pl.col("lag") < -limits.allowed_minutes
    ahead = told.filter(is_ahead)
    newest = _quantile(ahead, 0.05, "newest").group_by("source").agg(pl.col("newest").median())
    summed = told.group_by("source").agg(
        pl.col("lines", "refused_lines", "run_lines", "lag").filter(is_ahead).name.prefix("ahead_"),
        pl.col("run_lines").sum(),
    ).with_columns(pl.col("^ahead_.*lines$").list.sum())  # fmt: skip
    return summed.filter(
        pl.col("ahead_lines") >= limits.min_lines,
        pl.col("ahead_run_lines") >= (limits.min_share * pl.col("run_lines")).clip(1),
    ).join(newest, on="source").select(
        "source",
        pl.col("newest").neg().round().cast(pl.Int64).alias("skew_minutes"),
        pl.col("ahead_lag").list.min().neg().cast(pl.Int64).alias("largest_minutes"),
        pl.col("ahead_lines").alias("lines"),
        pl.col("ahead_refused_lines").alias("refused_lines"),
    )  # fmt: skip


def _find_behind(told: pl.DataFrame, limits: ClockLimits) -> pl.DataFrame:
    """Return the sources that land all the time and are late by the same minutes each hour."""
    newest, middle = _quantile(told, 0.05, "newest"), _quantile(told, 0.5, "middle")
    hours = (
        told.group_by(_HOUR)
        .agg(
            (pl.col("first_batch").min() != pl.col("last_batch").max()).alias("is_flow"),
            pl.col("lines", "refused_lines", "run_lines").sum(),
        )
        .join(newest, on=_HOUR)
        .join(middle, on=_HOUR)
        .sort("landed_hour_at")
    )
    # The run's last hours: it may be the first to see what its predecessors' files began.
    lasting = hours.group_by("source").tail(limits.min_hours).group_by("source").agg(
        pl.len().alias("hours"),
        pl.col("is_flow").all(),
        (pl.col("run_lines").sum() > 0).alias("is_of_run"),
        pl.col("newest").min().alias("least"),
        pl.col("newest").median().round().cast(pl.Int64).alias("lag"),
        pl.max_horizontal(pl.col("newest").max() - pl.col("newest").min(),
                          (pl.col("middle") - pl.col("newest")).max()).alias("jitter"),
        pl.col("middle").max().cast(pl.Int64).neg().alias("largest_minutes"),
        pl.col("lines", "refused_lines").sum(),
    )  # fmt: skip
    is_zone = pl.col("lag").map_elements(
        lambda lag: lag >= limits.min_zone_minutes and _name_zone(-lag, limits) is not None,
        return_dtype=pl.Boolean,
    )
    jitter = pl.when(is_zone).then(limits.zone_jitter_minutes).otherwise(limits.jitter_minutes)
    return lasting.filter(
        pl.col("is_flow"),
        pl.col("is_of_run"),
        pl.col("hours") >= limits.min_hours,
        pl.col("least") >= limits.allowed_minutes,
        pl.col("jitter") <= jitter,
    ).with_columns(skew_minutes=pl.col("lag").neg())


def _quantile(told: pl.DataFrame, share: float, name: str) -> pl.DataFrame:
    """Return the lag that this share of a source's lines in an hour does not exceed."""
    below = pl.col("lines").cum_sum().over(_HOUR)
    reached = told.sort("lag").filter(below >= share * pl.col("lines").sum().over(_HOUR))
    return reached.group_by(_HOUR).agg(pl.col("lag").min().alias(name))


def _name_zone(skew_minutes: int, limits: ClockLimits) -> str | None:
    """Return the offset whose local time, taken for UTC, would look like that; None if none.

    Delay makes a clock that is ahead look less so, and one that is behind more so.

    >>> _name_zone(328, CLOCK_LIMITS), _name_zone(-303, CLOCK_LIMITS), _name_zone(40, CLOCK_LIMITS)
    ('UTC+05:30', 'UTC-05:00', None)
    """
    delays = {
        offset: offset - skew_minutes if skew_minutes > 0 else -skew_minutes - offset
        for offset in ZONE_OFFSETS
    }
    near = [one for one, delay in delays.items() if 0 <= delay <= limits.zone_jitter_minutes]
    sign = "+" if skew_minutes > 0 else "-"
    return f"UTC{sign}{near[0] // 60:02}:{near[0] % 60:02}" if near else None


def _explain(row: Mapping[str, object], limits: ClockLimits) -> dict[str, object]:
    """Return a finding with the likely cause and the fix."""
    skew = int(str(row["skew_minutes"]))
    zone = _name_zone(skew, limits) if row["clock"] != "landing" else None
    if row["clock"] == "landing":
        cause, fix = _LANDING
    elif zone:
        cause, fix = f"local time of {zone} sent as UTC", _SEND_OFFSET
    else:
        cause, fix = f"its clock is {'ahead' if skew > 0 else 'behind'}", _SYNCHRONISE
    held = "" if skew > 0 else ", or every line is held that long on its way"
    return {**row, "skew_minutes": f"{skew:+}", "largest_minutes": f"{row['largest_minutes']:+}",
            "cause": cause + held, "fix": fix}  # fmt: skip


def _say(culprit: Mapping[str, object]) -> str:
    return (
        f"{culprit['clock']} of {culprit['source']} by {culprit['skew_minutes']} minutes "
        f"({culprit['cause']}). {culprit['fix']}"
    )


_SEND_OFFSET = "Send times in UTC, or with the zone's offset."
_SYNCHRONISE = "Synchronise that machine's clock (NTP)."
_LANDING: Sequence[str] = (
    "the machine that stamps landed files is ahead, or ours is behind",
    "Synchronise both clocks (NTP).",
)
