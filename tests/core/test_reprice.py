"""What another price changes, over frames; every expected amount is written out."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.reprice import (
    LISTED,
    find_changed,
    list_restatements,
    put_prices,
    sum_listed,
)

D = Decimal
LATE = datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
SCHEMA = {
    "cost_usd": MONEY,
    "price_id": pl.String,
    "unpriced_reason": pl.String,
    "unpriced_low_usd": MONEY,
    "unpriced_high_usd": MONEY,
}


def _events(*prices: tuple[str | None, str | None, str | None]) -> pl.DataFrame:
    """Return events of one batch and model by cost, price and reason, the first one of the 22nd."""
    rows: list[dict[str, Any]] = [
        {
            "batch_id": "b1",
            "file": "a.jsonl",
            "line_number": row + 1,
            "occurred_at": LATE if row == 0 else MIDNIGHT,
            "environment": "prod",
            "data_mode": "real",
            "provider": "acme",
            "model": "acme-9",
        }
        for row in range(len(prices))
    ]
    return pl.DataFrame(rows).hstack(_prices(*prices)).with_row_index("row")


def _prices(*prices: tuple[str | None, str | None, str | None]) -> pl.DataFrame:
    bounds = {"unknown_model": (D(0), D(9)), "ambiguous_model": (D(1), D(2)), None: (None, None)}
    told = [(usd and D(usd), price, why, *bounds[why]) for usd, price, why in prices]
    return pl.DataFrame(told, schema=SCHEMA, orient="row")


FORMER = _events(
    (None, None, "unknown_model"),
    ("0.5", "p1", None),
    ("0.5", "p1", None),
    ("0.5", "p1", None),
    (None, None, "unknown_model"),
    (None, None, "unknown_model"),
)
NOW = FORMER.select("row").hstack(
    _prices(
        ("2", "p2", None),  # had no price
        ("0.25", "p2", None),  # costs less
        ("0.5", "p2", None),  # costs the same by another price
        (None, None, "ambiguous_model"),  # has no price any more
        (None, None, "ambiguous_model"),  # has none still, for another reason
        (None, None, "unknown_model"),  # as it was
    )
)


def test_what_costs_the_same_by_another_price_is_left_alone() -> None:
    changed = find_changed(FORMER, NOW)
    assert changed["row"].to_list() == [0, 1, 3, 4]
    assert changed["former_cost_usd"].to_list() == [None, D("0.5"), D("0.5"), None]
    assert changed["cost_usd"].to_list() == [D(2), D("0.25"), None, None]


def test_only_the_events_that_change_get_their_new_prices() -> None:
    events = put_prices(FORMER, find_changed(FORMER, NOW))
    assert events.select([*SCHEMA][:3]).rows() == [
        (D(2), "p2", None),
        (D("0.25"), "p2", None),
        (D("0.5"), "p1", None),
        (None, None, "ambiguous_model"),
        (None, None, "ambiguous_model"),
        (None, None, "unknown_model"),
    ]
    assert events["unpriced_high_usd"].to_list() == [None, None, None, D(2), D(2), D(9)]


def test_a_restatement_tells_each_utc_day_apart() -> None:
    listed = list_restatements(FORMER, find_changed(FORMER, NOW))
    place = ("b1", "prod", "real", "acme", "acme-9")
    assert listed.columns == list(LISTED)
    assert listed.rows() == [
        ("b1", date(2026, 11, 22), *place[1:], 1, 1, 0, D(0), D(2), D(2)),
        # 0.25 - 0.5, then 0.5 that is gone, then one that is unpriced for another reason.
        ("b1", date(2026, 11, 23), *place[1:], 3, 0, 1, D(1), D("0.25"), D("-0.75")),
    ]
    assert sum_listed(listed)["change_cost_usd"] == D("1.25")


def test_pricing_the_outcome_again_changes_nothing() -> None:
    after = put_prices(FORMER, find_changed(FORMER, NOW))
    assert find_changed(after, NOW).is_empty()


def test_nothing_chosen_changes_nothing() -> None:
    changed = find_changed(FORMER, NOW.clear())
    assert changed.is_empty()
    assert put_prices(FORMER, changed).equals(FORMER)
    assert list_restatements(FORMER, changed).is_empty()
    assert sum_listed(list_restatements(FORMER, changed))["cost_usd"] == D(0)
