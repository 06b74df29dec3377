"""When a budget is ok, near its limit, exceeded or unknown, in which period, and what is told."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.budget import Moved, Part, list_changes
from opsmeter_pipeline.budget.conditions import judge_spend_conditions, judge_unknown_conditions
from opsmeter_pipeline.budget.periods import find_period, list_periods
from opsmeter_pipeline.budget.plan import Touched, find_dropped, is_due, plan, read_known
from opsmeter_pipeline.budget.verdict import judge_budgets
from opsmeter_pipeline.model.tables import BUDGET_STATUS
from tests.core.budget_scenario import (
    DAY,
    HOUR,
    NOON,
    WEEK,
    Spending,
    budget,
    hourly,
    is_within,
    refresh,
    stand,
    utc,
)

D = Decimal
ALL_DAY = "daily"
TODAY = NOON - timedelta(hours=2)
NEXT_DAY = NOON + DAY
STATES: dict[str, tuple[list[Spending], str, str, str]] = {
    "no traffic": ([], "ok", "ok", "ok"),
    "just below the warning": ([Spending(TODAY, "79.999999999999")], "ok", "ok", "ok"),
    "spend equals the warning": ([Spending(TODAY, "80")], "warning", "warning", "warning"),
    "spend equals the limit": ([Spending(TODAY, "100")], "warning", "warning", "warning"),
    "one nano-dollar above": (
        [Spending(TODAY, "100"), Spending(TODAY, "0.000000001")],
        *("exceeded", "exceeded", "exceeded"),
    ),
    "unpriced but small": (
        [Spending(TODAY, "10"), Spending(TODAY, None, "1", "2")], "ok", "ok", "ok"
    ),
    "unpriced may be a warning": (
        [Spending(TODAY, "79"), Spending(TODAY, None, "0.5", "1")], "unknown", "ok", "warning"
    ),
    "unpriced may be too much": (
        [Spending(TODAY, "85"), Spending(TODAY, None, "1", "20")], "unknown", "warning", "exceeded"
    ),
    "unpriced is a warning either way": (
        [Spending(TODAY, "80"), Spending(TODAY, None, "1", "20")], "warning", "warning", "warning"
    ),
    "unpriced is too much either way": (
        [Spending(TODAY, "99"), Spending(TODAY, None, "1.5", "20")],
        *("exceeded", "exceeded", "exceeded"),
    ),
    "nobody can tell": (
        [Spending(TODAY, "1"), Spending(TODAY, None)], "unknown", "ok", "exceeded"
    ),
    "nobody can tell, yet too much already": (
        [Spending(TODAY, "101"), Spending(TODAY, None)], "exceeded", "exceeded", "exceeded"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_certain_only_where_both_ends_agree(name: str) -> None:
    events, *states = STATES[name]
    row = stand(budget(period=ALL_DAY), events)
    assert [row["state"], row["least_state"], row["most_state"]] == states
    assert judge_budgets([row]).passed is (states[0] == "ok")


def test_what_is_spent_is_told_with_both_ends() -> None:
    row = stand(budget(), [Spending(TODAY, "40"), Spending(TODAY, None, "1.25", "2.5")])
    assert [row[name] for name in ("spent_usd", "spent_low_usd", "spent_high_usd")] == [
        Decimal(40), Decimal("41.25"), Decimal("42.5")
    ]  # fmt: skip
    assert (row["attempts"], row["unpriced_attempts"], row["limit_share"]) == (2, 1, 0.4125)
    blind = stand(budget(), [Spending(TODAY, None, "0", None)])
    assert (blind["spent_high_usd"], blind["unbounded_attempts"]) == (None, 1)


PERIODS: dict[str, tuple[str, str, datetime, datetime, datetime]] = {
    "a day": ("daily", "UTC", NOON, utc(2026, 11, 23), utc(2026, 11, 24)),
    "a month": ("monthly", "UTC", NOON, utc(2026, 11, 1), utc(2026, 12, 1)),
    "a leap day": ("daily", "UTC", utc(2028, 2, 29, 5), utc(2028, 2, 29), utc(2028, 3, 1)),
    "a leap month": ("monthly", "UTC", utc(2028, 2, 29, 23), utc(2028, 2, 1), utc(2028, 3, 1)),
    "a plain month": ("monthly", "UTC", utc(2026, 2, 28, 23), utc(2026, 2, 1), utc(2026, 3, 1)),
    "the last day of a year": (
        "daily", "America/New_York", utc(2027, 1, 1, 4, 59), utc(2026, 12, 31, 5),
        utc(2027, 1, 1, 5),
    ),
    "the first month of a year": (
        "monthly", "America/New_York", utc(2027, 1, 1, 5), utc(2027, 1, 1, 5), utc(2027, 2, 1, 5)
    ),
    "a day of 23 hours": (
        "daily", "Europe/Berlin", utc(2026, 3, 29, 12), utc(2026, 3, 28, 23), utc(2026, 3, 29, 22)
    ),
    "a day of 25 hours": (
        "daily", "Europe/Berlin", utc(2026, 10, 25, 12), utc(2026, 10, 24, 22),
        utc(2026, 10, 25, 23),
    ),
    "a month with both offsets": (
        "monthly", "Europe/Berlin", utc(2026, 10, 25, 12), utc(2026, 9, 30, 22),
        utc(2026, 10, 31, 23),
    ),
    "a zone of +05:30": (
        "daily", "Asia/Kolkata", utc(2026, 11, 22, 18, 30), utc(2026, 11, 22, 18, 30),
        utc(2026, 11, 23, 18, 30),
    ),
    "an instant before it": (
        "daily", "Asia/Kolkata", utc(2026, 11, 22, 18, 29, 59), utc(2026, 11, 21, 18, 30),
        utc(2026, 11, 22, 18, 30),
    ),
    "a zone of +05:45": (
        "monthly", "Asia/Kathmandu", NOON, utc(2026, 10, 31, 18, 15), utc(2026, 11, 30, 18, 15)
    ),
    "a zone of -03:30, in the month the clocks go back": (
        "monthly", "America/St_Johns", NOON, utc(2026, 11, 1, 2, 30), utc(2026, 12, 1, 3, 30)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PERIODS)
def test_a_period_is_what_clocks_of_the_zone_date_so(name: str) -> None:
    kind, zone, at, start, end = PERIODS[name]
    period = find_period(budget(period=kind, zone=zone), at)
    assert (period.start_at, period.end_at) == (start, end)
    assert start <= at < end


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns"])
def test_events_at_a_border_count_in_the_period_that_their_clocks_show(zone: str) -> None:
    daily = budget(period="daily", zone=zone, limit="10")
    start = find_period(daily, NOON).start_at
    tick = timedelta(microseconds=1)
    events = [Spending(start - tick, "1"), Spending(start, "2"), Spending(start + tick, "4")]
    assert stand(daily, events)["spent_usd"] == 6
    assert stand(daily, events, now=start - tick)["spent_usd"] == 1
    # Both marks are reached within the hour that holds the border, in the part that counts.
    low = budget(period="daily", zone=zone, limit="5")
    assert stand(low, events)["exceeds_at"] == start
    assert stand(low, events)["warning_at"] == start


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the strategy wants naive bounds
    st.sampled_from(["UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin", "Africa/Cairo"]),
)
def test_the_days_of_a_month_leave_no_instant_of_it_out_nor_twice(at: datetime, zone: str) -> None:
    month = find_period(budget(zone=zone), at)
    daily = budget(zone=zone, period="daily")
    days = list_periods(daily, since=month.start_at, now=month.end_at - HOUR, limit=40)
    lengths = [span.end - span.start for day in days for span in day.spans]
    assert sum(lengths, timedelta()) == sum(
        (one.end - one.start for one in month.spans), timedelta()
    )
    (own,) = [day for day in days if any(one.start <= at < one.end for one in day.spans)]
    assert find_period(daily, at) == own
    assert is_within(daily, own.name, at)
    assert own.name.startswith(month.name)


def test_the_order_of_budgets_does_not_matter() -> None:
    budgets = [
        budget(name="a"), budget(name="b", period="daily"), budget(name="c", zone="Asia/Kolkata")
    ]  # fmt: skip
    events = hourly(NOON - 2 * DAY, NOON, "0.7")
    told = [refresh(order, events, now=NOON) for order in permutations(budgets)]
    assert all(one == told[0] for one in told)
    assert [row["budget"] for row in told[0]] == ["a", "b", "c"]


STEADY = hourly(NOON - 10 * WEEK, NOON, "1")


def test_a_steady_spend_goes_on_and_its_weeks_agree() -> None:
    """1 USD an hour: 540 of the month's 720 hours are gone at 12:00 on the 23rd."""
    row = stand(budget("1000"), STEADY)
    assert row["spent_usd"] == 540
    assert (row["forecast_by"], row["forecast_weeks"]) == ("weeks", 8)
    assert [row[f"forecast_{name}usd"] for name in ("", "low_", "high_")] == [720, 720, 720]
    assert (row["exceeds_at"], row["exceeds_soonest_at"]) == (None, None)
    assert (row["burn_rate"], row["burn_against"]) == (1.0, "weeks")


def test_the_hour_in_which_a_limit_will_be_passed_is_told() -> None:
    row = stand(budget("600"), STEADY)
    assert (row["state"], row["exceeds_at"]) == ("warning", NOON + 60 * HOUR)
    # 12 of today's 24 hours are gone; the limit of 20 is passed in the 21st.
    day = stand(budget("20", period="daily"), STEADY)
    assert (day["forecast_usd"], day["exceeds_at"]) == (24, utc(2026, 11, 23, 20))


def test_weekends_are_known_by_their_weeks_and_not_by_the_pace_so_far() -> None:
    """Nothing is spent on weekends: after five workdays in six days, 16 workdays are to come."""
    now = utc(2026, 11, 7)
    events = [one for one in hourly(now - 10 * WEEK, now, "1") if one.at.weekday() < 5]
    row = stand(budget("1000"), events, now=now)
    assert (row["spent_usd"], row["forecast_usd"]) == (5 * 24, 21 * 24)
    assert row["spent_usd"] * 30 / 6 == 600  # as spend by days elapsed would have it


def test_hours_of_the_day_are_known_by_their_weeks() -> None:
    """All is spent from 09:00 to 17:00 in Kolkata: at 12:00 there, five of eight hours remain."""
    local = timedelta(hours=5, minutes=30)
    events = [one for one in hourly(NOON - 10 * WEEK, utc(2026, 11, 23, 7), "3")
              if 9 <= (one.at + local).hour < 17]  # fmt: skip
    row = stand(budget(period="daily", zone="Asia/Kolkata"), events, now=utc(2026, 11, 23, 6, 30))
    assert row["spent_usd"] == 9
    assert row["forecast_usd"] == 24


def test_a_week_of_summer_time_is_read_by_its_clocks() -> None:
    """09:00 in Berlin is another UTC hour after 25 October; the forecast still meets the hour."""
    events = [Spending(at, "5") for nth in range(60)
              if (at := utc(2026, 9, 10, 7) + nth * DAY
                  + (HOUR if utc(2026, 9, 10) + nth * DAY >= utc(2026, 10, 25) else 0 * HOUR))
              < utc(2026, 11, 6)]  # fmt: skip
    row = stand(budget("9", period="daily", zone="Europe/Berlin"), events,
                now=utc(2026, 11, 6, 6))  # fmt: skip
    assert (row["forecast_usd"], row["exceeds_at"]) == (5, None)
    tight = stand(budget("4", period="daily", zone="Europe/Berlin"), events,
                  now=utc(2026, 11, 6, 6))  # fmt: skip
    assert tight["exceeds_at"] == utc(2026, 11, 6, 8)


@pytest.mark.parametrize(
    ("weeks", "told", "end_usd"), [(1, 1, None), (3, 3, None), (4, 4, 720), (9, 8, 720)]
)
def test_an_interval_needs_four_weeks(weeks: int, told: int, end_usd: int | None) -> None:
    row = stand(budget("1000"), hourly(NOON - weeks * WEEK, NOON, "1"))
    assert (row["forecast_by"], row["forecast_weeks"]) == ("weeks", told)
    if end_usd is None:
        assert (row["forecast_low_usd"], row["forecast_high_usd"]) == (None, None)
    else:
        assert row["forecast_low_usd"] == row["forecast_usd"] == row["forecast_high_usd"] == end_usd


def test_without_a_week_the_pace_is_told_as_what_it_is() -> None:
    """Traffic since 72 hours: that pace goes on, not that of a month of which most had none."""
    row = stand(budget("1000"), hourly(NOON - 3 * DAY, NOON, "1"))
    assert (row["forecast_by"], row["forecast_weeks"], row["forecast_low_usd"]) == ("pace", 0, None)
    assert row["forecast_usd"] == 72 + 180
    young = stand(budget("1000"), hourly(NOON - 20 * HOUR, NOON, "1"))
    assert (young["forecast_usd"], young["forecast_by"], young["exceeds_at"]) == (None, None, None)


def test_the_interval_holds_what_weeks_made_and_what_the_present_pace_makes() -> None:
    quiet = hourly(NOON - 9 * WEEK, NOON - DAY, "1")
    busy = hourly(NOON - DAY, NOON, "3")
    row = stand(budget("1000"), quiet + busy)
    assert (row["burn_rate"], row["forecast_usd"]) == (3.0, 516 + 72 + 180)
    assert row["forecast_low_usd"] == 516 + 72 + 180
    assert row["forecast_high_usd"] == 516 + 72 + 3 * 180
    assert (row["exceeds_at"], row["exceeds_soonest_at"]) == (None, NOON + 137 * HOUR)
    unpriced = stand(budget("1000"), [*quiet, *busy, Spending(TODAY, None, "0", "10")])
    assert unpriced["forecast_high_usd"] == row["forecast_high_usd"] + 10
    blind = stand(budget("1000"), [*quiet, *busy, Spending(TODAY, None)])
    assert (blind["forecast_high_usd"], blind["forecast_low_usd"]) == (None, 768)


def test_hours_that_may_not_be_there_yet_are_taken_as_usual_and_not_as_nothing() -> None:
    """The pipeline stands since six hours: what is known is less, what will be is the same."""
    known = [one for one in STEADY if one.at < NOON - 6 * HOUR]
    (row,) = refresh([budget("1000")], known, now=NOON, through=NOON - 6 * HOUR)
    assert (row["spent_usd"], row["forecast_usd"], row["burn_rate"]) == (534, 720, 1.0)


def test_a_burn_rate_without_weeks_is_told_against_the_even_pace() -> None:
    """24 USD a day of a limit of 240 in 30 days, which is 8 a day."""
    row = stand(budget("240"), hourly(NOON - 2 * DAY, NOON, "1"))
    assert (row["burn_rate"], row["burn_against"]) == (3.0, "limit")
    assert stand(budget(), [])["burn_rate"] is None


def _spike(usd: str) -> list[Spending]:
    """Return a steady 1 USD an hour that ended a day ago, and other hours since."""
    return [*hourly(NOON - 9 * WEEK, NOON - DAY, "1"), *hourly(NOON - DAY, NOON, usd)]


CONDITIONS: dict[str, tuple[str, list[Spending], datetime, list[str]]] = {
    "far below": ("1000", STEADY, NOON, []),
    "a warning at the usual pace": ("600", STEADY, NOON, ["warning"]),
    "a warning at 1.9 times the usual": ("700", _spike("1.9"), NOON, ["warning"]),
    "a warning at twice the usual": ("700", _spike("2"), NOON, ["critical"]),
    "exceeded at the usual pace": ("539", STEADY, NOON, ["critical"]),
    "spent to the last cent": ("540", STEADY, NOON, ["warning"]),
    "a new period": ("1", STEADY, utc(2026, 12, 1), []),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_warning_is_critical_once_the_pace_confirms_it_and_too_much_at_once(name: str) -> None:
    limit, events, now, severities = CONDITIONS[name]
    rows = refresh([budget(limit)], events, now=NOON)
    found = judge_spend_conditions(rows, now=now)
    assert [one.severity for one in found] == severities
    for one in found:
        assert one.key == ("budget:support", "budget_spend", "monthly 2026-11")
        assert one.since_at <= now


def test_two_budgets_on_one_scope_are_two_conditions_and_one_unknown_is_for_all() -> None:
    events = [Spending(TODAY, "90"), Spending(TODAY, None)]
    both = [budget("100", name="soft"), budget("80", name="hard", period="daily")]
    rows = refresh(both, events, now=NOON)
    found = {one.key.scope: one for one in judge_spend_conditions(rows, now=NOON)}
    assert {scope: one.severity for scope, one in found.items()} == {
        "budget:hard": "critical", "budget:soft": "critical"
    }  # fmt: skip
    assert found["budget:hard"].key.rule_window == "daily 2026-11-23"
    assert "at least 90.00 (at most nobody knows how much) of 100.00" in found["budget:soft"].what
    (unknown,) = judge_unknown_conditions(rows, now=NOON)
    assert (unknown.key.scope, unknown.value, unknown.severity) == ("budgets", 1, "warning")
    assert "soft: at least 90.00" in unknown.what
    assert judge_unknown_conditions(rows, now=NOON + 40 * DAY) == []


def test_a_day_that_late_data_pushed_over_its_limit_is_told_until_it_is_final() -> None:
    daily = budget("10", period="daily")
    late = NOON.replace(hour=23)
    before = refresh([daily], [Spending(TODAY, "9")], now=late)
    events = [Spending(TODAY, "9"), Spending(late, "2")]
    after = refresh([daily], events, now=NEXT_DAY, rows=before)
    (found,) = judge_spend_conditions(after, now=NEXT_DAY)
    assert (found.key.rule_window, found.severity) == ("daily 2026-11-23", "critical")
    assert found.what.endswith("It is over; what shows this landed after its end.")
    final = refresh([daily], events, now=NEXT_DAY + DAY, rows=after)
    assert judge_spend_conditions(final, now=NEXT_DAY + DAY) == []
    seen = [row["exceeded_seen_at"] for row in final if row["period_name"] == "2026-11-23"]
    assert seen == [NEXT_DAY]


def test_a_day_that_was_exceeded_in_time_is_over_with_it() -> None:
    daily = budget("10", period="daily")
    before = refresh([daily], [Spending(TODAY, "11")], now=NOON)
    assert len(judge_spend_conditions(before, now=NOON)) == 1
    after = refresh([daily], [Spending(TODAY, "11")], now=NEXT_DAY, rows=before)
    assert judge_spend_conditions(after, now=NEXT_DAY) == []


def _only(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (row,) = (row for row in rows if row["period_name"] == name)
    return row


def test_a_limit_changed_within_a_period_counts_at_once_and_never_in_one_that_is_over() -> None:
    first = refresh([budget("10", period="daily")], [Spending(TODAY, "9")], now=NOON)
    lower = refresh([budget("8", period="daily")], [Spending(TODAY, "9")], now=NOON, rows=first)
    assert (first[0]["state"], lower[0]["state"]) == ("warning", "exceeded")
    raised = budget("100", period="daily")
    after = refresh([raised], [Spending(TODAY, "9")], now=NEXT_DAY, rows=lower)
    assert _only(after, "2026-11-23")["limit_usd"] == 8
    assert _only(after, "2026-11-23")["state"] == "exceeded"
    assert _only(after, "2026-11-24")["limit_usd"] == 100


def test_a_budget_added_within_a_period_counts_all_of_it_and_none_before() -> None:
    rows = refresh([budget()], [Spending(utc(2026, 11, 2), "70"), Spending(utc(2026, 10, 31), "5")],
                   now=NOON)  # fmt: skip
    assert [(row["period_name"], row["spent_usd"]) for row in rows] == [("2026-11", Decimal(70))]


def test_periods_that_nobody_looked_at_are_made_up_for() -> None:
    daily = budget("10", period="daily")
    first = refresh([daily], [], now=NOON)
    later = refresh([daily], hourly(NOON, NOON + 3 * DAY, "1"), now=NOON + 3 * DAY, rows=first)
    assert [(row["period_name"], row["spent_usd"], row["is_over"]) for row in later] == [
        ("2026-11-23", 12, True), ("2026-11-24", 24, True), ("2026-11-25", 24, True),
        ("2026-11-26", 12, False),
    ]  # fmt: skip


def test_a_period_is_computed_again_until_it_is_final_and_when_a_publish_touches_it() -> None:
    daily = budget("10", period="daily")
    rows = refresh([daily], [], now=NOON)
    second = refresh([daily], [], now=NEXT_DAY, rows=rows, changes=5)
    assert [row["is_final"] for row in second] == [False, False]
    third = refresh([daily], [], now=NOON + 2 * DAY, rows=second, changes=5)
    assert [row["is_final"] for row in third] == [True, False, False]
    known = read_known(third)
    now = NOON + 2 * DAY + HOUR
    names = [one.period.name for one in plan([daily], known, [], now=now)]
    assert names == ["2026-11-24", "2026-11-25"]
    for number, day, is_touched in (
        (6, date(2026, 11, 23), True), (5, date(2026, 11, 23), False),
        (6, date(2026, 11, 22), False),
    ):  # fmt: skip
        asked = plan([daily], known, [Touched(number, "late", day, "live")], now=now)
        assert ("2026-11-23" in [one.period.name for one in asked]) is is_touched


def test_what_was_reported_first_stays_and_is_not_reported_before_the_end() -> None:
    daily = budget("10", period="daily")
    rows = refresh([daily], [Spending(TODAY, "3")], now=NOON)
    assert (rows[0]["reported_at"], rows[0]["reported_usd"]) == (None, None)
    rows = refresh([daily], [Spending(TODAY, "3")], now=NEXT_DAY, rows=rows)
    rows = refresh([daily], [Spending(TODAY, "4")], now=NEXT_DAY + HOUR, rows=rows)
    yesterday = _only(rows, "2026-11-23")
    assert (yesterday["reported_at"], yesterday["reported_usd"]) == (NEXT_DAY, 3)
    assert yesterday["spent_usd"] == 4


@pytest.mark.parametrize(
    ("parts", "listed"),
    [
        # Both are known.
        ({"b1": Part(1, D(2)), "b2": Part(0, D(-1))}, [("b1", 1, 2), ("b2", 0, -1)]),
        # One that did not touch the budget has no row.
        ({"b1": Part(1, D(1)), "b2": Part(0, D(0))}, [("b1", 1, 1)]),
        # The snapshot is gone: what is left is of the one that was there before, or of any.
        ({"b1": Part(1, D(2))}, [("b1", 1, 2), ("b2", 0, -1)]),
        ({}, [("b1, b2", 1, 1)]),
    ],
)
def test_changes_by_batch_sum_up_to_what_the_spend_moved_by(
    parts: dict[str, Part], listed: list[tuple[str, int, int]]
) -> None:
    daily = budget("10", period="daily")
    rows = refresh([daily], [Spending(TODAY, "9")], now=NEXT_DAY,
                   rows=refresh([daily], [], now=NOON))  # fmt: skip
    (known,) = (one for one in read_known(rows) if one.period.name == "2026-11-23")
    touches = [Touched(4, "b1", NOON.date(), "live"), Touched(5, "b2", NOON.date(), "replay")]
    moved = [Moved(known, touches, parts)]
    attempts, usd = (sum(one[nth] for one in listed) for nth in (1, 2))
    now_told = dict(known.row) | {
        "attempts": 1 + attempts, "spent_usd": D(9 + usd), "state": "warning"
    }  # fmt: skip
    after = pl.DataFrame([now_told], schema=BUDGET_STATUS.schema)
    told = list_changes(moved, after, now=NEXT_DAY)
    assert told.select("batch_id", "change_attempts", "change_usd").rows() == listed
    assert told["number"].max() == (5 if len(listed) == 2 or "," in listed[0][0] else 4)
    assert set(told["kind"]) <= {"live", "replay", "live, replay"}


def test_a_budget_that_is_gone_keeps_what_is_over_and_loses_what_goes_on() -> None:
    daily = budget("10", period="daily")
    rows = refresh([daily], [], now=NEXT_DAY, rows=refresh([daily], [], now=NOON))
    known = read_known(rows)
    asked = plan([], known, [], now=NEXT_DAY)
    assert [one.key for one in asked] == [("support", "2026-11-23")]
    assert find_dropped(known, asked, now=NEXT_DAY) == [("support", "2026-11-24")]


@pytest.mark.parametrize(
    ("budgets", "newest_change", "after", "said"),
    [
        ([budget(period="daily")], 7, timedelta(minutes=5), None),
        ([budget(period="daily")], 8, timedelta(minutes=5), "something was published"),
        ([budget(period="daily")], 7, timedelta(hours=1), "a full hour has passed"),
        ([budget(period="daily")], 7, timedelta(hours=12), "a period has ended"),
        ([budget("7", period="daily")], 7, timedelta(0), "budgets are not as they were set"),
        ([], 7, timedelta(0), "budgets are not as they were set"),
    ],
)
def test_the_table_is_due_when_something_can_have_changed(
    budgets: list[Any], newest_change: int, after: timedelta, said: str | None
) -> None:
    known = read_known(refresh([budget(period="daily")], [], now=NOON, changes=7))
    why = is_due(budgets, known, newest_change=newest_change, now=NOON + after)
    assert (why is None) if said is None else said in why


def test_nothing_is_due_without_budgets() -> None:
    assert is_due([], [], newest_change=9, now=NOON) is None


def test_the_verdict_names_the_worst_first_and_is_severe_if_one_is_exceeded() -> None:
    events = [Spending(TODAY, "90")]
    limits = {"near": "100", "over": "50", "far": "1e6"}
    rows = refresh([budget(limits[name], name=name) for name in limits], events, now=NOON)
    verdict = judge_budgets(rows)
    assert (verdict.passed, verdict.is_severe) == (False, True)
    assert verdict.summary.startswith("exceeded: budget over (prod): 90.00 of 50.00 USD")
    assert [one["budget"] for one in verdict.culprits] == ["over", "near"]
    assert verdict.figures == {
        "budgets": 3, "ok_budgets": 1, "warning_budgets": 1, "exceeded_budgets": 1,
        "unknown_budgets": 0,
    }  # fmt: skip
    near = judge_budgets([row for row in rows if row["budget"] == "near"])
    assert (near.passed, near.is_severe) == (False, False)
