"""When drift is worth a word to somebody: the check's verdict, an incident for each version."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from opsmeter_pipeline.drift.measures import COST, OUTPUT, OUTPUT_MEAN, OUTPUT_TAIL, UNIT_COST
from opsmeter_pipeline.drift.verdicts import REGRESSED
from opsmeter_pipeline.model.condition import WARNING, Condition, Key
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict

PROMPT_DRIFT = "prompt_drift"
DRIFT_CHECK = "prompt_version_drift"
_NAMED = 3


@dataclass(frozen=True)
class AlarmLimits:
    """From which confident regression on somebody is told.

    Attributes:
        cost_change: growth of the cost of a request, as a share.
        output_change: growth of the mean of output tokens, likewise.
    """

    cost_change: float = 0.15
    output_change: float = 0.20


def find_alarming(rows: pl.DataFrame, limits: AlarmLimits) -> pl.DataFrame:
    """Return the rows of `prompt_version_drift` that somebody must see.

    The verdict is that the version regressed, the measure in question is one of those that moved
    beyond chance, and its change is as large as the limit.
    """
    moved = pl.col("moved").str.split(", ")

    def has(*names: str) -> pl.Expr:
        return pl.any_horizontal(moved.list.contains(name) for name in names)

    is_dear = has(COST, UNIT_COST) & (pl.col("cost_change") >= limits.cost_change)
    is_long = has(OUTPUT, OUTPUT_MEAN, OUTPUT_TAIL) & (
        pl.col("output_change") >= limits.output_change
    )
    return rows.filter(pl.col("verdict") == REGRESSED, is_dear | is_long)


def judge_drift(rows: pl.DataFrame, limits: AlarmLimits) -> Verdict:
    """Return whether no version regressed by as much as the limits, beyond chance.

    Args:
        rows: rows of `prompt_version_drift` as of the last look.
        limits: from where on it is told.
    """
    found = find_alarming(rows, limits)
    named = "; ".join(describe_row(row) for row in found.head(_NAMED).iter_rows(named=True))
    more = f"; and {found.height - _NAMED} more" if found.height > _NAMED else ""
    counts = dict(rows["verdict"].value_counts().iter_rows())
    shown = ["environment", "endpoint_tag", "prompt_version", "baseline_version", "driver",
             "monthly_usd"]  # fmt: skip
    return Verdict(
        passed=found.is_empty(),
        summary="No prompt version regressed beyond chance by as much as the limits."
        if found.is_empty()
        else f"{named}{more}.",
        figures={
            "versions": rows.height,
            **{name: int(count) for name, count in sorted(counts.items())},
            "limit_cost_change": f"{limits.cost_change:+.0%}",
            "limit_output_change": f"{limits.output_change:+.0%}",
            "query": 'opsmeter query "FROM prompt_version_drift"',
        },
        culprits=found.select(shown).head(SAMPLE_ROWS).to_dicts(),
    )


def find_conditions(rows: pl.DataFrame, limits: AlarmLimits) -> list[Condition]:
    """Return a condition for each endpoint and version that somebody must see."""
    return [_to_condition(row, limits) for row in find_alarming(rows, limits).to_dicts()]


def describe_row(row: dict[str, Any]) -> str:
    """Return a row in one clause: which version, against which, and what it came to."""
    month = row["monthly_usd"]
    dollars = "" if month is None else f", {month:+,.2f} USD in 30 days at today's volume"
    against = "its own past" if row["compared_with"] == "past" else str(row["baseline_version"])
    where = "" if row["environment"] == "prod" else f" in {row['environment']}"
    return (
        f"{row['endpoint_tag']} {row['prompt_version']}{where} against {against}: "
        f"{row['driver']}{dollars}"
    )


def _to_condition(row: dict[str, Any], limits: AlarmLimits) -> Condition:
    scope = f"{row['environment']}/{row['endpoint_tag']}/{row['prompt_version']}"
    changes = ((row["cost_change"], limits.cost_change),
               (row["output_change"], limits.output_change))  # fmt: skip
    told = [(float(change), limit) for change, limit in changes if change is not None]
    value, limit = max(told, key=lambda one: one[0] / one[1])
    return Condition(
        Key(scope, PROMPT_DRIFT, row["compared_with"]),
        WARNING,
        since_at=row["since_at"],
        value=round(value, 4),
        limit=limit,
        unit="share",
        what=f"{describe_row(row)}.",
        next_step=row["control"] or "",
    )
