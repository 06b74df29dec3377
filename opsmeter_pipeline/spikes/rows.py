"""Spikes in words, as rows of `spikes`, as a verdict and as conditions for the alerts.

What is a spike is decided in `spikes.find` and `spikes.share`; here it is only told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key
from opsmeter_pipeline.model.sql import spell_query
from opsmeter_pipeline.model.tables import SPIKES
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict
from opsmeter_pipeline.spikes.limits import SpikeRules
from opsmeter_pipeline.spikes.search import WORKSPACE, Search
from opsmeter_pipeline.spikes.spike import CONCENTRATION, FAILING, Spike

SPIKE_RULE = "spike"
"""Name of the alert rule."""
CHECK = "no_spike"
_SEVERE_TIMES = 10


class Advice(NamedTuple):
    """What drove a spike, and the one thing to do about it.

    Attributes:
        driver: in words; None if nothing stands out.
        control: what to do.
        verify_sql: the query that shows whether it helped.
    """

    driver: str | None
    control: str
    verify_sql: str


def advise_plainly(spike: Spike) -> Advice:
    """Return the control for a spike of which no single driver stands out."""
    if spike.kind == CONCENTRATION:
        control = (
            f"Find out who sends requests without a {spike.dimension}, and have it told."
            if spike.value == "unknown"
            else f"Limit {_name(spike)} (a quota per hour), and check whether its key has leaked."
        )
    elif spike.kind == FAILING:
        control = f"Fix or stop what fails at {_name(spike)}: cap attempts, back off with jitter."
    else:
        control = f"Set a budget and a rate limit for {_name(spike)}."
    return Advice(None, control, build_query(spike))


def build_query(spike: Spike) -> str:
    """Return the query that shows a series by the hour, or the day, since a week before."""
    since = spike.window_start_at - timedelta(days=7)
    is_hour = spike.rule_window == "1h"
    by_day = spike.dimension == "user_id"
    place = {"endpoint_tag": ["endpoint_tag"], "model": ["provider", "model"],
             "tenant_id": ["tenant_id"], "user_id": ["tenant_id", "user_id"]}  # fmt: skip
    names = place.get(spike.dimension, [])
    values = [spike.within, spike.value][-len(names) :] if names else []
    time = "day" if by_day else f"date_trunc('{'hour' if is_hour else 'day'}', hour_at) AS at"
    first = f"day >= DATE '{since:%Y-%m-%d}'" if by_day else (
        f"hour_at >= TIMESTAMPTZ '{since.isoformat()}'")  # fmt: skip
    conditions = [
        *(f"{name} = {_quote(value)}" for name, value in zip(names, values, strict=True)),
        first, "environment = 'prod'", "data_mode = 'real'",
    ]  # fmt: skip
    return (
        f"SELECT {time}, sum(requests)::BIGINT AS requests, sum(failures)::BIGINT AS failures, "
        f"sum(cost_usd)::DECIMAL(38,18) AS cost_usd, "
        f"sum(unpriced_attempts)::BIGINT AS unpriced_attempts "
        f"FROM {'users_daily' if by_day else 'attribution_hourly'} "
        f"WHERE {' AND '.join(conditions)} GROUP BY ALL ORDER BY ALL"
    )


def describe_spike(spike: Spike) -> str:
    """Return a spike in one sentence: of what, when, how much against the usual."""
    when = f"{spike.window_start_at:%Y-%m-%d %H:%M}Z" if spike.rule_window == "1h" else (
        f"{spike.window_start_at:%Y-%m-%d}")  # fmt: skip
    if spike.kind == CONCENTRATION:
        what = {"cost_usd": "the cost", "requests": "the requests"}[spike.measure]
        told = f"{_percent(spike.share)} of {what}, usually {_percent(spike.usual_share)}"
    else:
        told = "; ".join(
            [f"{show(spike, name)}, usually {show_usual(spike, name)}" for name in _told(spike)]
        )
        if spike.kind == FAILING:
            told += (f"; {_percent(spike.failure_share)} of attempts fail, usually "
                     f"{_percent(spike.usual_failure_share)}")  # fmt: skip
    return f"{_name(spike)}, {when}: {told}{_tell_unpriced(spike)}."


def show(spike: Spike, measure: str) -> str:
    """Return a measure of a spike for a person."""
    value = getattr(spike, measure)
    return f"{show_usd(value)} USD" if measure == "cost_usd" else f"{value:,} {measure}"


def show_usual(spike: Spike, measure: str) -> str:
    """Return what is usual, in as many digits as an estimate deserves."""
    usual = spike.usual_of(measure)
    if usual is None:
        return "unknown"
    return f"about {show_usd(Decimal(usual)) if measure == 'cost_usd' else f'{usual:,.0f}'}"


def show_usd(amount: Decimal) -> str:
    """Return dollars to the cent, smaller amounts with two digits that count.

    >>> show_usd(Decimal("1234.5678")), show_usd(Decimal("0.001234")), show_usd(Decimal(0))
    ('1,234.57', '0.0012', '0.00')
    """
    if amount and abs(amount) < Decimal("0.1"):
        return f"{amount:.{min(18, 1 - amount.adjusted())}f}"
    return f"{amount:,.2f}"


def build_rows(
    spikes: Sequence[tuple[Spike, Advice | None]], search: Search, *, now: datetime
) -> pl.DataFrame:
    """Return the rows of `spikes`, each with its advice if it is told."""
    rows = [
        asdict(spike)
        | {
            "judged_at": now,
            "judged_through": search.end_at if spike.rule_window == "1h" else search.last_midnight,
            "extra_usd": spike.extra_usd,
        }
        | (advice._asdict() if advice else dict.fromkeys(Advice._fields))
        for spike, advice in spikes
    ]
    return pl.DataFrame(rows, schema_overrides=SPIKES.schema, schema=list(SPIKES.schema))


def find_open(rows: pl.DataFrame, rules: SpikeRules) -> pl.DataFrame:
    """Return the rows of told spikes that are not over."""
    held = pl.when(pl.col("rule_window") == "1h").then(rules.hold_hours - 1).otherwise(0)
    return rows.filter(
        pl.col("covered_by").is_null()
        & (pl.col("window_end_at") >= pl.col("judged_through") - pl.duration(hours=held))
    ).sort("window_start_at", "dimension", "within", "value")


def judge_spikes(rows: pl.DataFrame, rules: SpikeRules) -> list[Condition]:
    """Return a condition for each series and length of window whose spike is not over.

    Args:
        rows: rows of `spikes`.
        rules: when one is over, and which is critical.
    """
    keys = ["dimension", "within", "value", "rule_window"]
    groups = find_open(rows, rules).partition_by(keys, maintain_order=True)
    return [_to_condition(group.to_dicts(), rules) for group in groups]


def judge_open(rows: pl.DataFrame, rules: SpikeRules) -> Verdict:
    """Return whether no spike is going on, for the asset check."""
    found = judge_spikes(rows, rules)
    named = " ".join(one.what for one in found[:3])
    return Verdict(
        passed=not found,
        summary=f"{len(found)} spikes go on: {named}" if found else "No spike goes on.",
        figures={"open_spikes": len(found), "kept_rows": rows.height},
        culprits=[
            {"series": one.key.scope, "window": one.key.rule_window, "what": one.what,
             "next_step": one.next_step}
            for one in found[:SAMPLE_ROWS]
        ],
    )  # fmt: skip


def to_spike(row: Mapping[str, Any]) -> Spike:
    """Return the spike of a row of `spikes`."""
    return Spike(**{name: row[name] for name in Spike.__dataclass_fields__})


def _to_condition(rows: Sequence[Mapping[str, Any]], rules: SpikeRules) -> Condition:
    newest = rows[-1]
    spike = to_spike(newest)
    times = spike.times
    is_severe = spike.kind != CONCENTRATION and (
        spike.extra_usd >= _SEVERE_TIMES * rules.min_usd
        and (times is None or times >= rules.severe_ratio)
    )
    is_share = spike.kind == CONCENTRATION
    within = f"{spike.within}/" if spike.within else ""
    driver = f" Driver: {newest['driver']}." if newest["driver"] else ""
    return Condition(
        Key(f"{spike.dimension}:{within}{spike.value}", SPIKE_RULE, spike.rule_window),
        CRITICAL if is_severe else WARNING,
        since_at=rows[0]["window_start_at"],
        value=round((spike.share or 0) * 100 if is_share else (times or 0), 2),
        limit=round((spike.usual_share or 0) * 100, 2) if is_share else rules.min_ratio,
        unit="percent" if is_share else "times the usual",
        what=describe_spike(spike) + driver,
        next_step=f"{newest['control']} Verify: {spell_query(newest['verify_sql'])}",
    )


def _told(spike: Spike) -> Iterable[str]:
    """Return the measures that are told: its own, and the cost or what explains it."""
    other = "requests" if spike.measure == "cost_usd" else "cost_usd"
    return (spike.measure, other)


def _tell_unpriced(spike: Spike) -> str:
    if not spike.unpriced_attempts:
        return ""
    high = spike.unpriced_high_usd
    most = f"to {show_usd(high)} USD" if high is not None else "USD or more, nobody can tell"
    low = show_usd(spike.unpriced_low_usd)
    return f"; {spike.unpriced_attempts:,} attempts have no price, {low} {most} on top"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _name(spike: Spike) -> str:
    if spike.dimension == WORKSPACE:
        return "all production traffic"
    words = {"endpoint_tag": "endpoint", "model": "model", "tenant_id": "tenant",
             "user_id": "user"}  # fmt: skip
    within = {"model": f"{spike.within} ", "user_id": f"{spike.within} / "}.get(spike.dimension, "")
    return f"{words[spike.dimension]} {within}{spike.value}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
