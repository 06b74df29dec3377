"""A row of `budget_status` in words, the same for alerts, checks and the command."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from opsmeter_pipeline.budget.states import UNKNOWN
from opsmeter_pipeline.model.budget import ANY, SCOPE_COLUMNS

Row = Mapping[str, Any]
_CENT = Decimal("0.01")


def show_usd(usd: Decimal | None) -> str:
    """Return dollars with two decimals, or more where there is less than a cent.

    >>> show_usd(Decimal("1234.5")), show_usd(Decimal("0.0035")), show_usd(Decimal(0))
    ('1,234.50', '0.0035', '0.00')
    >>> show_usd(None)
    'nobody knows how much'
    """
    if usd is None:
        return "nobody knows how much"
    if usd and abs(usd) < _CENT:
        return f"{usd.normalize():f}"
    return f"{usd.quantize(_CENT, ROUND_HALF_EVEN):,f}"


def show_at(row: Row, column: str) -> str | None:
    """Return an instant to the hour on the clocks of the budget's zone; None is none."""
    at = row[column]
    return None if at is None else f"{at.astimezone(ZoneInfo(row['zone'])):%Y-%m-%d %H:%M}"


def describe_scope(row: Row) -> str:
    """Return what a budget is of, such as `prod, endpoint support.*`."""
    where = "all environments" if row["environment"] == ANY else row["environment"]
    told = [f"{name} {row[column]}" for name, column in SCOPE_COLUMNS.items()
            if name != "environment" and row[column] != ANY]  # fmt: skip
    return ", ".join([where, *told])


def describe_spend(row: Row) -> str:
    """Return what was spent of how much, both ends where what has no price makes two."""
    limit = f"{show_usd(row['limit_usd'])} USD in {row['period_name']} ({row['zone']})"
    spent = show_usd(row["spent_low_usd"])
    if row["spent_high_usd"] == row["spent_low_usd"]:
        return f"{spent} of {limit}"
    return f"at least {spent} (at most {show_usd(row['spent_high_usd'])}) of {limit}"


def describe_driver(row: Row) -> str:
    """Return the largest parts of what was spent, or nothing if they are not told."""
    parts = [
        f"{name} {row[column]} is {row[share]:.1%} of it"
        for name, column, share in (
            ("endpoint", "top_endpoint_tag", "top_endpoint_share"),
            ("tenant", "top_tenant_id", "top_tenant_share"),
        )
        if row[column] is not None and row[share] is not None
    ]
    return ", ".join(parts)


def describe_forecast(row: Row) -> str:
    """Return what the period will have cost and when it is exceeded, or why nobody can tell."""
    if row["is_over"]:
        return "the period is over"
    if row["forecast_usd"] is None:
        return "too little is known for a forecast"
    by = f"by {row['forecast_weeks']} past weeks" if row["forecast_weeks"] else (
        "by its own pace, as there is no week of history")  # fmt: skip
    ends = ""
    if row["forecast_low_usd"] is not None:
        ends = f" ({show_usd(row['forecast_low_usd'])} to {show_usd(row['forecast_high_usd'])})"
    text = f"forecast {show_usd(row['forecast_usd'])} USD at its end{ends}, {by}"
    at = show_at(row, "exceeds_at")
    return f"{text}; exceeded at {at}" if at else text


def describe_burn(row: Row) -> str:
    """Return how fast is spent against what is usual, or nothing if that is not told."""
    if row["burn_rate"] is None:
        return ""
    usual = "usual at these hours" if row["burn_against"] == "weeks" else "the even pace"
    return f"spending at {row['burn_rate']:.1f} times {usual}"


def describe(row: Row) -> str:
    """Return all of it in one sentence."""
    unknown = ""
    if row["state"] == UNKNOWN:
        unknown = f"{row['unpriced_attempts']:,} events have no price"
    parts = (describe_spend(row), unknown, describe_driver(row), describe_burn(row),
             describe_forecast(row))  # fmt: skip
    told = "; ".join(part for part in parts if part)
    return f"budget {row['budget']} ({describe_scope(row)}): {told}"
