"""What is a spike and what is none: named homes, both sides of each limit, and how it is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsmeter_pipeline.model.errors import WindowError
from opsmeter_pipeline.model.tables import SPIKES
from opsmeter_pipeline.spikes import (
    SPIKE_RULES,
    Search,
    Shares,
    Spike,
    SpikeRules,
    find_concentrations,
    plan_search,
)
from opsmeter_pipeline.spikes.rows import (
    advise_plainly,
    build_rows,
    describe_spike,
    judge_open,
    judge_spikes,
    to_spike,
)
from tests.core.spikes_scenario import (
    CENT,
    DAY,
    END,
    FIRST,
    HOUR,
    NOON,
    SEARCH,
    START,
    WEEK,
    Did,
    Doing,
    cells_of,
    like,
    look,
    names_of,
    steady,
)

CHAT, OTHER = ("chat.reply", "gpt-4o", "t1"), ("mail.sort", "gpt-4o-mini", "t2")
QUIET = {CHAT: steady, OTHER: steady}


def noon(did: Did | None) -> dict[tuple[str, str, str], Doing]:
    """The quiet home, whose chat does something else on the judged day at noon."""
    return QUIET | {CHAT: like(steady, h12=did)}


def one_of(spikes: list[Spike]) -> Spike:
    (one,) = (one for one in spikes if one.is_lead)
    return one


def test_a_quiet_home_has_no_spike() -> None:
    assert look(cells_of(QUIET)) == []


def test_three_times_the_requests_are_one_spike_told_once_though_seen_from_four_sides() -> None:
    found = look(cells_of(noon(Did(600))))
    assert names_of(found) == [("spike", "1h", "chat.reply", 12)]
    covered = {(one.dimension, one.value): one.covered_by for one in found if not one.is_lead}
    assert covered == dict.fromkeys(
        [("tenant_id", "t1"), ("model", "gpt-4o"), ("workspace", "(all)")],
        "endpoint_tag chat.reply",
    )


def test_a_spike_says_what_is_usual_and_what_it_cost_more() -> None:
    one = one_of(look(cells_of(noon(Did(600)))))
    assert (one.attempts, one.requests, one.tokens, one.cost_usd) == (600, 600, 600_000, 6)
    assert one.usual_requests == pytest.approx(200, rel=0.06)
    assert one.extra_usd == pytest.approx(Decimal(4), rel=Decimal("0.06"))
    assert one.basis == "weekday"
    assert one.surprise > one.surprise_needed


@pytest.mark.parametrize(("requests", "is_told"), [(280, False), (340, True)])
def test_less_than_half_more_is_no_spike(requests: int, *, is_told: bool) -> None:
    """The usual of Monday noon is about 200 at most 210: 280 is below, 340 above 1.5 times it."""
    rules = replace(SPIKE_RULES, min_usd=Decimal())
    assert bool(look(cells_of(noon(Did(requests))), rules)) is is_told


def test_sixteen_events_are_no_anomaly_though_usually_there_is_one() -> None:
    few = QUIET | {("new.thing", "o3", "t3"): like(lambda _: Did(1), h12=Did(16, Decimal(5)))}
    assert [one for one in look(cells_of(few)) if one.value == "new.thing"] == []


@pytest.mark.parametrize(("each_usd", "is_told"), [("0.0024", False), ("0.0027", True)])
def test_it_must_cost_a_dollar_more_than_usual(each_usd: str, *, is_told: bool) -> None:
    """400 requests more than about 200: 400 x 0.0024 = 0.96, 400 x 0.0027 = 1.08 dollars."""
    cheap = Decimal(each_usd)
    chat = like(lambda at: replace(steady(at), each_usd=cheap), h12=Did(600, cheap))
    rules = replace(SPIKE_RULES, min_usd=Decimal(1))
    assert bool(look(cells_of(QUIET | {CHAT: chat}), rules)) is is_told


def test_a_request_that_costs_five_times_as_much_is_a_spike_without_more_requests() -> None:
    one = one_of(look(cells_of(noon(Did(200, each_usd=5 * CENT)))))
    assert (one.measure, one.requests) == ("cost_usd", 200)
    assert describe_spike(one).startswith(
        "endpoint chat.reply, 2026-11-23 12:00Z: 10.00 USD, usually about "
    )


def test_an_old_hour_that_a_late_file_fills_is_no_spike_and_told_apart() -> None:
    late = cells_of(noon(Did(600))).with_columns(
        is_late=(pl.col("at") == NOON) & (pl.col("endpoint_tag") == "chat.reply")
    )
    assert look(late) == []


def test_what_came_late_is_told_beside_what_is_judged() -> None:
    cells = cells_of(noon(Did(600)))
    more = cells.filter(pl.col("at") == NOON, endpoint_tag="chat.reply").with_columns(is_late=True)
    one = one_of(look(pl.concat([cells, more])))
    assert (one.requests, one.late_requests, one.late_cost_usd) == (600, 600, 6)


def test_a_burst_without_a_price_is_a_spike_of_requests_with_its_bounds() -> None:
    unpriced = QUIET | {CHAT: like(lambda at: replace(steady(at), each_usd=None),
                                   h12=Did(600, each_usd=None))}  # fmt: skip
    one = one_of(look(cells_of(unpriced)))
    assert (one.measure, one.cost_usd, one.usual_cost_usd) == ("requests", 0, None)
    assert (one.unpriced_low_usd, one.unpriced_high_usd) == (0, 6)
    assert "600 attempts have no price, 0.00 to 6.00 USD on top" in describe_spike(one)


def test_nobody_can_tell_what_an_unbounded_burst_costs_and_so_it_is_told() -> None:
    cells = cells_of(QUIET | {CHAT: like(lambda at: replace(steady(at), each_usd=None),
                                         h12=Did(600, each_usd=None))})  # fmt: skip
    unbounded = cells.with_columns(
        unbounded_attempts=pl.col("unpriced_attempts"), unpriced_high_usd=pl.lit(Decimal())
    )
    one = one_of(look(unbounded))
    assert one.unpriced_high_usd is None
    assert "0.00 USD or more, nobody can tell on top" in describe_spike(one)


def test_a_burst_whose_requests_fail_is_told_though_failures_cost_nothing() -> None:
    one = one_of(look(cells_of(noon(Did(900, each_usd=Decimal("0.0023"), failures=700)))))
    assert one.kind == "failing_burst"
    assert "78% of attempts fail, usually 0%" in describe_spike(one)


def test_a_job_that_runs_an_hour_later_is_no_spike() -> None:
    def nightly(at: datetime) -> Did:
        return Did(5_000 if at.hour == 3 else 60)

    moved = like(nightly, h03=Did(60), h04=Did(5_000))
    assert [one for one in look(cells_of(QUIET | {CHAT: moved})) if one.rule_window == "1h"] == []
    far = like(nightly, h03=Did(60), h09=Did(5_000))
    assert names_of(look(cells_of(QUIET | {CHAT: far}))) == [("spike", "1h", "chat.reply", 9)]


def test_growth_week_by_week_is_the_new_usual() -> None:
    def growing(at: datetime) -> Did:
        return Did(int(steady(at).requests * 1.25 ** ((at - FIRST) // WEEK)))

    assert look(cells_of(QUIET | {CHAT: growing})) == []


def test_a_whole_day_at_twice_the_usual_is_a_spike_of_the_day() -> None:
    def doubled(at: datetime) -> Did:
        return Did(steady(at).requests * (2 if at >= START else 1))

    found = look(cells_of(QUIET | {CHAT: doubled}))
    assert ("spike", "1d", "chat.reply", 0) in names_of(found)


def test_two_weeks_of_history_are_compared_by_the_hour_of_day() -> None:
    young = cells_of(noon(Did(900)), first=START - 2 * WEEK)
    one = one_of([one for one in look(young) if one.rule_window == "1h"])
    assert one.basis == "any_day"


def test_six_days_of_history_say_nothing_yet() -> None:
    assert look(cells_of(noon(Did(900)), first=START - 6 * DAY)) == []


def test_an_endpoint_that_began_yesterday_has_no_past_to_be_above() -> None:
    new = ("new.thing", "gpt-4o", "t1")
    found = look(cells_of(QUIET | {new: lambda at: Did(50) if at >= START - DAY else None}))
    assert [one for one in found if one.value == "new.thing"] == []


def test_hours_in_which_the_home_was_down_are_no_zeros() -> None:
    """Half of the weeks have nothing at all at noon; then 200 at noon are no spike."""
    cells = cells_of(QUIET)
    down = (pl.col("at").dt.hour() == 12) & (pl.col("at") < START - 4 * WEEK)
    assert look(cells.filter(~down)) == []


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 9), st.sampled_from(["0.001", "7", "1000"]))
def test_all_costs_times_a_constant_are_the_same_spikes(times: int, factor: str) -> None:
    """But for the absolute minimum, which is switched off here."""
    rules = replace(SPIKE_RULES, min_usd=Decimal())
    cells = cells_of(noon(Did(200 * times, each_usd=times * CENT)))
    scaled = cells.with_columns(
        (pl.col("cost_usd") * pl.lit(Decimal(factor))).cast(pl.Decimal(38, 18))
    )
    first, second = look(cells, rules), look(scaled, rules)
    assert [(o.series, o.window_start_at, o.rule_window, o.measure) for o in first] == [
        (o.series, o.window_start_at, o.rule_window, o.measure) for o in second
    ]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32))
def test_neither_order_nor_batches_matter(seed: int) -> None:
    """Rows in any order, and each hour cut into two batches' rows, are the same spikes."""
    cells = cells_of(noon(Did(600)))
    sums = [name for name in cells.columns if cells.schema[name].is_numeric()]
    none = cells.with_columns(pl.col(sums) * 0)
    cut = pl.concat([cells, none.select(cells.columns).cast(dict(cells.schema))])
    assert look(cut.sample(fraction=1, shuffle=True, seed=seed)) == look(cells)


def test_windows_end_at_the_watermark_and_not_in_the_future() -> None:
    now = datetime(2026, 11, 23, 14, 20, tzinfo=UTC)
    search = plan_search(through=now - 2 * HOUR, now=now)
    assert (search.start_at, search.end_at) == (
        datetime(2026, 11, 22, 12, tzinfo=UTC),
        datetime(2026, 11, 23, 12, tzinfo=UTC),
    )
    assert search.last_midnight == datetime(2026, 11, 23, tzinfo=UTC)
    assert plan_search(through=now + DAY, now=now).end_at == datetime(2026, 11, 23, 14, tzinfo=UTC)


@pytest.mark.parametrize("window", ["0h", "8d", "169h", "soon"])
def test_a_window_beyond_a_week_or_of_no_length_is_refused(window: str) -> None:
    with pytest.raises(WindowError, match="--window"):
        plan_search(through=END, now=END, window=window)


def test_a_spike_is_an_incident_until_three_ordinary_hours_have_passed() -> None:
    told = [(one, advise_plainly(one)) for one in look(cells_of(noon(Did(600)))) if one.is_lead]

    def open_at(end: datetime) -> list[str]:
        rows = build_rows(told, Search(end - DAY, end), now=end)
        return [one.key.scope for one in judge_spikes(rows, SPIKE_RULES)]

    assert open_at(NOON + HOUR) == ["endpoint_tag:chat.reply"]
    assert open_at(NOON + 3 * HOUR) == ["endpoint_tag:chat.reply"]
    assert open_at(NOON + 4 * HOUR) == []


def test_the_incident_tells_the_worst_of_it_and_the_query_to_verify() -> None:
    (one,) = (one for one in look(cells_of(noon(Did(2000)))) if one.is_lead)
    rows = build_rows([(one, advise_plainly(one))], Search(START, NOON + HOUR), now=END)
    (condition,) = judge_spikes(rows, SPIKE_RULES)
    assert condition.severity == "critical"
    assert condition.key == ("endpoint_tag:chat.reply", "spike", "1h")
    assert condition.since_at == NOON
    assert condition.value == pytest.approx(10, rel=0.06)
    assert "WHERE endpoint_tag = 'chat.reply'" in condition.next_step
    verdict = judge_open(rows, SPIKE_RULES)
    assert not verdict.passed
    assert verdict.figures == {"open_spikes": 1, "kept_rows": 1}


def test_rows_keep_all_that_is_known_of_a_spike() -> None:
    found = look(cells_of(noon(Did(600))))
    rows = build_rows([(one, None) for one in found], SEARCH, now=END)
    assert dict(rows.schema) == SPIKES.schema
    assert [to_spike(row) for row in rows.to_dicts()] == found
    assert judge_open(build_rows([], SEARCH, now=END), SPIKE_RULES).passed


def _shares(*today: tuple[str, int], usually: int = 100) -> Shares:
    """Tenants a and b with so many requests a day, a cent each, and what they did today."""
    rows = [
        ("tenant_id", "", name, at, requests)
        for at, names in [
            *((START - n * DAY, (("a", usually), ("b", usually))) for n in range(1, 15)),
            (START, today),
        ]
        for name, requests in names
    ]
    names = ["dimension", "within", "value", "day_at", "requests"]
    values = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.col("day_at").cast(pl.Datetime("us", "UTC")), attempts="requests", failures=0,
        tokens=pl.col("requests") * 1000,
        cost_usd=(pl.col("requests") * pl.lit(CENT)).cast(pl.Decimal(38, 18)),
        unpriced_attempts=0, unbounded_attempts=0,
        unpriced_low_usd=pl.lit(Decimal()).cast(pl.Decimal(38, 18)),
        unpriced_high_usd=pl.lit(Decimal()).cast(pl.Decimal(38, 18)),
    )  # fmt: skip
    days = values.group_by("day_at").agg(pl.col("requests", "cost_usd").sum())
    return Shares(days, values)


def _concentrated(shares: Shares, rules: SpikeRules = SPIKE_RULES) -> list[tuple[str, float]]:
    found = find_concentrations(shares, start_at=START, end_at=END, rules=rules)
    return [(one.value, round(one.share or 0, 2)) for one in found]


def test_a_tenant_that_takes_far_more_of_a_day_than_ever_concentrates_it() -> None:
    assert _concentrated(_shares(("a", 100), ("b", 100))) == []
    assert _concentrated(_shares(("a", 140), ("b", 100))) == []  # 58 %, 8 points above the usual
    assert _concentrated(_shares(("a", 400), ("b", 100))) == [("a", 0.8)]


def test_requests_without_a_tenant_count_from_ten_percent_on() -> None:
    assert _concentrated(_shares(("a", 900), ("b", 900), ("unknown", 190))) == []
    told = _shares(("a", 900), ("b", 900), ("unknown", 210))
    assert _concentrated(told) == [("unknown", 0.1)]
    (one,) = find_concentrations(told, start_at=START, end_at=END, rules=SPIKE_RULES)
    assert describe_spike(one) == ("tenant unknown, 2026-11-23: 10% of the cost, usually 0%.")
    assert "WHERE tenant_id = 'unknown'" in advise_plainly(one).verify_sql


def test_the_only_tenant_of_a_home_concentrates_nothing() -> None:
    alone = _shares(("a", 400))
    only = pl.col("value") == "a"
    values = alone.values.filter(only)
    days = values.group_by("day_at").agg(pl.col("requests", "cost_usd").sum())
    assert _concentrated(Shares(days, values)) == []


def test_few_requests_concentrate_nothing() -> None:
    assert _concentrated(_shares(("a", 40), ("b", 1))) == []
    assert timedelta(days=1) == DAY
