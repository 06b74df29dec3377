"""What is told of a budget in a period: a row of `budget_status`, from what was spent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from opsmeter_pipeline.budget.forecast import (
    Forecast,
    Question,
    measure_burn,
    predict,
    profile_weeks,
)
from opsmeter_pipeline.budget.hours import Usage, number_hour
from opsmeter_pipeline.budget.plan import Asked
from opsmeter_pipeline.budget.states import EXCEEDED, OK, Spend, judge_spend
from opsmeter_pipeline.model.budget import SCOPE_COLUMNS
from opsmeter_pipeline.model.tables import BUDGET_STATUS
from opsmeter_pipeline.model.watermark import Watermark


@dataclass(frozen=True)
class Spent:
    """What the warehouse says of one budget in one period.

    Attributes:
        spend: of the whole period, exactly.
        usage: hour by hour, some weeks back where the period goes on.
    """

    spend: Spend
    usage: Usage


@dataclass(frozen=True)
class Top:
    """The largest part of a dimension: its value, and what it cost (USD)."""

    value: str
    cost_usd: Decimal


@dataclass(frozen=True)
class Look:
    """When and on what the table is computed.

    Attributes:
        now: the present (UTC).
        watermark: how far all that landed is visible; None before the first look.
        changes_through: the newest publish.
        snapshot_id: the snapshot that is read.
    """

    now: datetime
    watermark: Watermark | None
    changes_through: int
    snapshot_id: int

    @property
    def known_hour(self) -> int:
        """The hour from which on some of what landed may still wait."""
        through = self.watermark.complete_through if self.watermark else self.now
        return number_hour(min(through, self.now))

    def is_final(self, end_at: datetime) -> bool:
        """Return whether all before an instant is final."""
        return self.watermark is not None and end_at <= min(self.watermark.final_before, self.now)


def find_troubled(asked: Sequence[Asked], spent: Sequence[Spent]) -> list[Asked]:
    """Return those that are not ok: of them a reader wants to know what drove the spend."""
    pairs = zip(asked, spent, strict=True)
    return [one for one, of_it in pairs if judge_spend(of_it.spend, one.budget)[0] != OK]


def build_rows(
    asked: Sequence[Asked],
    spent: Sequence[Spent],
    tops: Mapping[tuple[str, str], Mapping[str, Top]],
    *,
    look: Look,
) -> pl.DataFrame:
    """Return rows of `budget_status`, one for each budget and period that was asked for.

    Args:
        asked: budgets and periods.
        spent: what the warehouse says of each, in the same order.
        tops: of some of them, by `Asked.key`, the largest part of each dimension by its column.
        look: when and on what.
    """
    rows = [
        _build_row(one, of_it, tops.get(one.key, {}), look)
        for one, of_it in zip(asked, spent, strict=True)
    ]
    return BUDGET_STATUS.arrange(pl.DataFrame(rows, schema=BUDGET_STATUS.schema))


def _build_row(asked: Asked, spent: Spent, tops: Mapping[str, Top], look: Look) -> dict[str, Any]:
    budget, period, spend = asked.budget, asked.period, spent.spend
    state, least, most = judge_spend(spend, budget)
    return {
        "budget": budget.name,
        "period": budget.period,
        "period_name": period.name,
        "period_start_at": period.start_at,
        "period_end_at": period.end_at,
        "zone": budget.zone,
        **{column: getattr(budget, name) for name, column in SCOPE_COLUMNS.items()},
        "limit_usd": budget.limit_usd,
        "warning_usd": budget.warning_usd,
        "attempts": spend.attempts,
        "unpriced_attempts": spend.unpriced_attempts,
        "unbounded_attempts": spend.unbounded_attempts,
        "spent_usd": spend.cost_usd,
        "spent_low_usd": spend.low_usd,
        "spent_high_usd": spend.high_usd,
        "limit_share": round(float(spend.low_usd / budget.limit_usd), 6),
        "state": state,
        "least_state": least,
        "most_state": most,
        **_tell_time(asked, spent, look),
        **_tell_tops(spend, tops),
        **_tell_report(asked, spend, least, look),
        "is_final": look.is_final(period.end_at),
        "computed_at": look.now,
        "complete_through": look.watermark.complete_through if look.watermark else None,
        "changes_through": look.changes_through,
        "snapshot_id": look.snapshot_id,
    }


def _tell_time(asked: Asked, spent: Spent, look: Look) -> dict[str, Any]:
    """Return when its marks were reached, and, while it goes on, how fast and how far it goes."""
    budget, followed = asked.budget, spent.usage.follow(asked.period)
    warning_at = next((at for at, usd in followed if usd >= budget.warning_usd), None)
    exceeded_at = next((at for at, usd in followed if usd > budget.limit_usd), None)
    forecast, burn = Forecast(), None
    if not asked.period.is_over(look.now):
        question = Question(budget, asked.period, spent.spend, spent.usage, look.known_hour)
        profiles = profile_weeks(question)
        burn = measure_burn(question, profiles)
        forecast = predict(question, profiles, burn)
    told = {f"forecast_{name}": value for name, value in asdict(forecast).items()
            if not name.startswith("exceeds")}  # fmt: skip
    return told | {
        "warning_at": warning_at,
        "burn_rate": round(float(burn.rate), 3) if burn else None,
        "burn_against": burn.against if burn else None,
        "exceeds_at": exceeded_at or forecast.exceeds_at,
        "exceeds_soonest_at": exceeded_at or forecast.exceeds_soonest_at,
    }


def _tell_tops(spend: Spend, tops: Mapping[str, Top]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for column, top in tops.items():
        share = float(top.cost_usd / spend.cost_usd) if spend.cost_usd else None
        stem = column.removesuffix("_tag").removesuffix("_id")
        told |= {f"top_{column}": top.value,
                 f"top_{stem}_share": None if share is None else round(share, 6)}  # fmt: skip
    return told


def _tell_report(asked: Asked, spend: Spend, least: str, look: Look) -> dict[str, Any]:
    """Return what is kept from the first time it was exceeded, and over, on."""
    known: Mapping[str, Any] = asked.known.row if asked.known else {}
    is_over = asked.period.is_over(look.now)
    is_reported = known.get("reported_at") is not None
    seen_at = known.get("exceeded_seen_at")
    if seen_at is None and least == EXCEEDED:
        seen_at = look.now
    told = {"is_over": is_over, "exceeded_seen_at": seen_at}
    if not is_over:
        return told | {"reported_at": None, "reported_usd": None}
    return told | {
        "reported_at": known["reported_at"] if is_reported else look.now,
        "reported_usd": known["reported_usd"] if is_reported else spend.cost_usd,
    }
