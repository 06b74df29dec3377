"""What is wrong with budgets, as conditions for alerts; who is told is the `alerts` stage's.

A condition is of one budget and one period, so a new period ends it, and it is told once however
often it is looked at: a warning from `warning_usd` on, critical once the burn rate confirms it or
the limit is passed.
"""

from collections.abc import Sequence
from datetime import datetime

from opsmeter_pipeline.budget.states import EXCEEDED, OK, UNKNOWN
from opsmeter_pipeline.budget.words import Row, describe, show_usd
from opsmeter_pipeline.model.condition import CRITICAL, Condition, Key
from opsmeter_pipeline.model.condition import WARNING as WARNING_SEVERITY

BUDGET_SPEND = "budget_spend"
BUDGET_UNKNOWN = "budget_unknown"
BURN_CONFIRMS = 2.0
"""From how many times the usual pace on a warning is critical: the lower end of the 2 to 3 times
that the field confirms by, because four fifths of the money are gone already."""
_NAMED = 5


def judge_spend_conditions(rows: Sequence[Row], *, now: datetime) -> list[Condition]:
    """Return a condition for each budget that is near its limit or above it.

    A period that is over has none, but for one that turned out to be exceeded after its end, by
    data that landed late: that holds until the period is final.

    Args:
        rows: of `budget_status`.
        now: the present (UTC).
    """
    return [_to_condition(row, now) for row in rows if _is_wrong(row, now)]


def judge_unknown_conditions(rows: Sequence[Row], *, now: datetime) -> list[Condition]:
    """Return one condition if of some budgets nobody can tell whether they are exceeded.

    One for all: what has no price makes every budget that it falls into unknown.
    """
    blind = [
        row for row in rows
        if row["period_end_at"] > now and row["state"] == UNKNOWN
        and row["most_state"] == EXCEEDED
    ]  # fmt: skip
    if not blind:
        return []
    named = "; ".join(
        f"{row['budget']}: at least {show_usd(row['spent_low_usd'])}, at most "
        f"{show_usd(row['spent_high_usd'])} of {show_usd(row['limit_usd'])} USD"
        for row in blind[:_NAMED]
    )
    more = f" and {len(blind) - _NAMED} more" if len(blind) > _NAMED else ""
    return [
        Condition(
            Key("budgets", BUDGET_UNKNOWN, "now"),
            WARNING_SEVERITY,
            since_at=min(row["computed_at"] for row in blind),
            value=len(blind),
            limit=0,
            unit="budgets",
            what=f"Events without a price may have exceeded a budget: {named}{more}.",
            next_step='opsmeter query "FROM unpriced_models", then opsmeter reprice',
        )
    ]


def is_confirmed(row: Row) -> bool:
    """Return whether a warning is one to act on at once: the money is spent faster than usual."""
    return row["burn_rate"] is not None and row["burn_rate"] >= BURN_CONFIRMS


def _is_wrong(row: Row, now: datetime) -> bool:
    if row["period_end_at"] > now:
        return row["least_state"] != OK
    seen_at = row["exceeded_seen_at"]
    return (
        row["least_state"] == EXCEEDED
        and not row["is_final"]
        and seen_at is not None
        and seen_at >= row["period_end_at"]
    )


def _to_condition(row: Row, now: datetime) -> Condition:
    is_exceeded = row["least_state"] == EXCEEDED
    since = row["exceeds_at"] if is_exceeded else row["warning_at"]
    mark = row["limit_usd"] if is_exceeded else row["warning_usd"]
    said = describe(row)
    late = " It is over; what shows this landed after its end." if row["is_over"] else ""
    return Condition(
        Key(f"budget:{row['budget']}", BUDGET_SPEND, f"{row['period']} {row['period_name']}"),
        CRITICAL if is_exceeded or is_confirmed(row) else WARNING_SEVERITY,
        since_at=min(since or row["computed_at"], now),
        value=round(100 * row["limit_share"], 2),
        limit=round(float(100 * mark / row["limit_usd"]), 2),
        unit="% of the budget",
        what=f"{said[0].upper()}{said[1:]}.{late}",
        next_step=f"opsmeter why --window {'24h' if row['period'] == 'daily' else '7d'}"
        f"{'' if row['environment'] in {'prod', '*'} else ' --environment ' + row['environment']}",
    )
