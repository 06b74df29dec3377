"""What a run's own lags say: its figures, and whether it kept what was promised of its events.

The promise over a window of days is judged in `slo`; a run can only say how it did itself.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline.freshness.slo import Tally, allow_late, find_percentile
from opsmeter_pipeline.model.objective import Scope, Slo
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict

CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "freshness_slo": "Of a run's live events of each objective, as many as its share tells "
        "were visible within its limit of their ingest time.",
        "begin_before_visible": "A publishing transaction began before its batch was visible.",
    }
)
"""The checks on `freshness_lags`, with what they promise."""
_QUERY = (
    'opsmeter query "SELECT * FROM batch_stages ORDER BY visible_at DESC LIMIT 10" '
    "says at which stage the time went."
)


def tell_lags(lags: pl.DataFrame) -> dict[str, int]:
    """Return the figures of a run's live events: by outcome, and percentiles in seconds."""
    live = lags.filter(pl.col("kind") == "live")
    told = count_outcomes(live, pl.col("limit_seconds"))
    bins = dict(live.drop_nulls().group_by("lag_up_to_seconds").agg(pl.sum("events")).iter_rows())
    found = {f"p{n}_seconds": find_percentile(bins, Decimal(n) / 100) for n in (50, 95, 99)}
    known = {name: value for name, value in found.items() if value is not None}
    return {"live_events": told.events, **told._asdict(), **known}


def count_outcomes(lags: pl.DataFrame, limit: pl.Expr) -> Tally:
    """Return the events of rows of `freshness_lags` by outcome."""
    lag, events = pl.col("lag_up_to_seconds"), pl.col("events")
    sums = lags.select(
        good=events.filter(lag <= limit).sum(),
        late=events.filter(lag > limit).sum(),
        clock=events.filter(lag.is_null()).sum(),
    )
    return Tally(*sums.row(0))


def judge_run(lags: pl.DataFrame, *, slo: Slo) -> Verdict:
    """Return whether a run's live real events kept what is promised of them.

    Args:
        lags: the rows of `freshness_lags` it brought.
        slo: what is promised.
    """
    live = lags.filter((pl.col("kind") == "live") & (pl.col("data_mode") == "real"))
    tallies = {scope: _count_scope(live, scope, slo) for scope in slo.scopes}
    broken = [
        {"scope": scope.name, "limit_seconds": scope.objective.limit_seconds, **one._asdict()}
        for scope, one in tallies.items()
        if one.late + one.clock > allow_late(one.events, scope.objective.target_share)
    ]
    events = sum(one.events for one in tallies.values())
    named = "; ".join(f"{one['late']} late and {one['clock']} of unknown lag in {one['scope']}"
                      for one in broken)  # fmt: skip
    return Verdict(
        passed=not broken,
        summary=f"{named}. {_QUERY}" if broken else f"{events} live events were visible in time.",
        figures=tell_lags(live),
        culprits=broken[:SAMPLE_ROWS],
    )


def judge_begin(times: pl.DataFrame) -> Verdict:
    """Return whether each batch's transaction began no later than the batch was visible.

    Args:
        times: `batch_id`, `begun_at` and `visible_at` of a run's batches.
    """
    wrong = times.filter(pl.col("begun_at") > pl.col("visible_at"))
    return Verdict(
        passed=wrong.is_empty(),
        summary=f"{times.height} batches were visible after their publish had begun."
        if wrong.is_empty()
        else "Batches were visible before their publish began: the clock was set back in between. "
        "Their lags are too short; keep this machine's clock by NTP.",
        figures={"batches": times.height, "wrong": wrong.height},
        culprits=wrong.head(SAMPLE_ROWS).to_dicts(),
    )


def _count_scope(lags: pl.DataFrame, scope: Scope, slo: Slo) -> Tally:
    pairs = lags.select("environment", "endpoint_tag").unique()
    own = [pair for pair in pairs.iter_rows() if slo.find_scope(*pair) == scope]
    chosen = pl.DataFrame(own, schema=pairs.schema, orient="row")
    rows = lags.join(chosen, on=["environment", "endpoint_tag"], how="semi")
    return count_outcomes(rows, pl.lit(scope.objective.limit_seconds))
