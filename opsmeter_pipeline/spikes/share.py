"""Whether one tenant or user, or none that is named, takes more of a day than ever.

Judged by full UTC days, because users are counted by day. A share counts that is large by itself
and above the most that the same one had in an ordinary day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from opsmeter_pipeline.spikes.limits import SpikeRules
from opsmeter_pipeline.spikes.spike import CONCENTRATION, Spike

UNKNOWN = "unknown"
"""What stands for a tenant or user that no line named."""
SHARE_WINDOW = "1d/share"
MEASURES = ("cost_usd", "requests")
_ORDINARY = 0.9
"""Quantile of the past days' shares that is the most of an ordinary day."""


@dataclass(frozen=True)
class Shares:
    """What tenants and users made of each day.

    Attributes:
        days: `day_at`, `attempts`, `requests`, `tokens`, `cost_usd` and bounds of all, per day.
        values: the same by `dimension`, `within` and `value` (tenant_id, user_id) of those that
            make much of a judged day; days in which they have nothing are not there.
    """

    days: pl.DataFrame
    values: pl.DataFrame


def find_concentrations(
    shares: Shares, *, start_at: datetime, end_at: datetime, rules: SpikeRules
) -> list[Spike]:
    """Return who concentrates a day from one midnight to another, in order."""
    past = shares.days.filter(pl.col("day_at") < start_at)
    if past.height < rules.min_days:
        return []
    judged = shares.days.filter((pl.col("day_at") >= start_at) & (pl.col("day_at") < end_at))
    looked_at = shares.values.select("dimension", "within", "value").unique().height
    found = [
        _to_spike(row, measure, looked_at)
        for measure in MEASURES
        for row in _compare(shares.values, past, judged, measure)
        if _is_concentrated(row, rules)
    ]
    found.sort(key=lambda one: (one.window_start_at, one.series, -(one.share or 0)))
    first = {(one.window_start_at, one.series): one for one in reversed(found)}
    return sorted(first.values(), key=lambda one: (one.window_start_at, one.series))


def _compare(
    values: pl.DataFrame, past: pl.DataFrame, judged: pl.DataFrame, measure: str
) -> Iterator[dict[str, Any]]:
    """Yield each value's row of each judged day, with its share then and before."""
    keys = ["dimension", "within", "value"]
    of = pl.col(measure).cast(pl.Float64)
    total = pl.col(f"{measure}_all").cast(pl.Float64)
    share = pl.when(total > 0).then(of.fill_null(0) / total).otherwise(0.0)
    every = values.select(keys).unique().join(
        past.select("day_at", pl.col(measure).alias(f"{measure}_all")), how="cross"
    ).join(values, on=[*keys, "day_at"], how="left")  # fmt: skip
    before = every.group_by(keys).agg(
        usual_share=share.median(), ordinary_share=share.quantile(_ORDINARY, "linear"),
        usual_requests=pl.col("requests").fill_null(0).cast(pl.Float64).median(),
        usual_tokens=pl.col("tokens").fill_null(0).cast(pl.Float64).median(),
        usual_cost_usd=pl.col("cost_usd").cast(pl.Float64).fill_null(0).median(),
    )  # fmt: skip
    now = values.join(
        judged.select("day_at", pl.col(measure).alias(f"{measure}_all")), on="day_at"
    ).with_columns(share=share)
    yield from now.join(before, on=keys).iter_rows(named=True)


def _is_concentrated(row: dict[str, Any], rules: SpikeRules) -> bool:
    limit = rules.unknown_share if row["value"] == UNKNOWN else rules.share
    most = row["cost_usd"] + row["unpriced_high_usd"]
    return (
        row["share"] >= limit
        and row["share"] >= row["ordinary_share"] + rules.share_points
        and row["attempts"] >= rules.min_events
        and (most >= rules.min_usd or row["unbounded_attempts"] > 0)
    )


def _to_spike(row: dict[str, Any], measure: str, looked_at: int) -> Spike:
    return Spike(
        kind=CONCENTRATION,
        rule_window=SHARE_WINDOW,
        window_start_at=row["day_at"],
        window_end_at=row["day_at"] + timedelta(days=1),
        dimension=row["dimension"],
        within=row["within"],
        value=row["value"],
        measure=measure,
        basis="any_day",
        attempts=int(row["attempts"]),
        requests=int(row["requests"]),
        tokens=int(row["tokens"]),
        usual_requests=row["usual_requests"],
        usual_tokens=row["usual_tokens"],
        cost_usd=row["cost_usd"],
        usual_cost_usd=Decimal(f"{row['usual_cost_usd']:.6f}"),
        unpriced_attempts=int(row["unpriced_attempts"]),
        unpriced_low_usd=row["unpriced_low_usd"],
        unpriced_high_usd=None if row["unbounded_attempts"] else row["unpriced_high_usd"],
        late_requests=0,
        late_cost_usd=Decimal(),
        surprise=None,
        surprise_needed=None,
        failure_share=row["failures"] / row["attempts"],
        usual_failure_share=None,
        share=row["share"],
        usual_share=row["usual_share"],
        series_looked_at=looked_at,
    )
