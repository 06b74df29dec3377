"""Sums that add up under any split, to the last decimal, and buckets within their stated error."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from opsmeter_pipeline.cube import (
    LATENCY_BASE,
    USER_BUCKETS_PER_STEP,
    CubeSums,
    cut_events,
    judge_dimensions,
    judge_sums,
    judge_views,
    latency_bucket,
    sum_events,
    sum_straight,
)
from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    CUBES,
    EVENTS,
    LATENCY_HOURLY,
    MEASURE_NAMES,
    USERS_DAILY,
    USERS_LATENCY_DAILY,
)
from tests.scenario import event, events_of
from tests.strategies import latencies, moments

SUMMED = (ATTRIBUTION_HOURLY, USERS_DAILY)
COUNTED = (LATENCY_HOURLY, USERS_LATENCY_DAILY)
D = Decimal


def published(*rows: dict[str, Any]) -> pl.DataFrame:
    return EVENTS.arrange(events_of(*rows))


def bounds(low: str, high: str) -> dict[str, Decimal]:
    return {"unpriced_low_usd": D(low), "unpriced_high_usd": D(high)}


def sums_of(*rows: dict[str, Any], duplicates: tuple = ()) -> dict[str, pl.DataFrame]:
    """Return the rows of each cube table, sorted by their dimensions."""
    sums = sum_events(published(*rows), published(*duplicates).drop("cost_usd"))
    return {table.name: add_up(table, [sums[table.name]]) for table in CUBES}


def add_up(table: Table, parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the sums of several parts' rows, the way a reader of the table would."""
    dimensions = [name for name in table.schema if name not in MEASURE_NAMES]
    return pl.concat(parts).group_by(dimensions).agg(pl.all().sum()).sort(dimensions)


def add_parts(*parts: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each cube table, of parts that several threads add."""
    sums = CubeSums()
    with ThreadPoolExecutor(3) as pool:
        [*pool.map(sums.add, parts)]
    return {name: rows.cast({pl.Categorical: pl.String}) for name, rows in sums.tables()}


def test_measures_of_a_few_events_are_these() -> None:
    rows = [
        event(cost_usd=D("0.000000000000000001"), cache_read_tokens=10, reasoning_tokens=3),
        event(
            attempt=2, attempt_inferred=True, is_first_attempt=False, outcome="timeout",
            cost_usd=D("0.5"), cache_write_tokens=7, latency_ms=None,
        ),
        event(outcome="unknown", latency_ms=0, input_tokens=0, output_tokens=0,
              unpriced_reason="unknown_model", **bounds("0.02", "0.30")),
        event(attempt=3, is_first_attempt=False, unpriced_reason="no_usable_price"),
    ]  # fmt: skip
    expected = {
        "requests": 2,
        "attempts": 4,
        "redeliveries": 0,
        "inferred_attempts": 1,
        "failures": 1,
        "input_tokens": 3_000,
        "cache_read_tokens": 10,
        "cache_write_tokens": 7,
        "output_tokens": 600,
        "reasoning_tokens": 3,
        "latency_ms": 1_700,
        "timed_attempts": 3,
        "unpriced_attempts": 2,
        "unbounded_attempts": 1,
        "unpriced_low_usd": D("0.02"),
        "unpriced_high_usd": D("0.30"),
        "cost_usd": D("0.500000000000000001"),
        "inferred_cost_usd": D("0.5"),
    }
    for table in SUMMED:
        row = sums_of(*rows)[table.name].row(0, named=True)
        assert {name: row[name] for name in expected} == expected
    for table in COUNTED:
        assert sorted(sums_of(*rows)[table.name]["attempts"]) == [1, 2]
    unpriced = sums_of(*rows)["unpriced_hourly"].sort("unpriced_reason").select(
        "unpriced_reason", "requests", "attempts", "unbounded_attempts", "input_tokens",
        "unpriced_low_usd", "unpriced_high_usd",
    )  # fmt: skip
    assert unpriced.rows() == [
        ("no_usable_price", 0, 1, 1, 1_000, D(0), D(0)),
        ("unknown_model", 1, 1, 0, 0, D("0.02"), D("0.30")),
    ]


def test_moments_of_a_few_events_are_these() -> None:
    rows = [
        event(input_tokens=100, output_tokens=20, cost_usd=D("0.5")),
        event(input_tokens=300, output_tokens=0, cost_usd=D(0)),
        event(input_tokens=900, output_tokens=90, outcome="unknown"),
        event(input_tokens=7, output_tokens=7, outcome="error", cost_usd=D(9)),
    ]
    row = sums_of(*rows, duplicates=(event(),))["token_moments_hourly"].row(0, named=True)
    assert (row["finished_attempts"], row["costed_attempts"]) == (3, 1)
    assert (row["finished_input_tokens"], row["finished_output_tokens"]) == (1_300, 110)
    assert (row["cost"], row["cost_squared"]) == (0.5, 0.25)
    assert row["output_squared"] == 20**2 + 90**2
    assert row["output_log"] == pytest.approx(math.log(20) + math.log(90))
    assert row["input_log_squared"] == pytest.approx(
        math.log(100) ** 2 + math.log(300) ** 2 + math.log(900) ** 2
    )
    above = [row[f"output_above_{one}_tokens"] for one in (16, 32, 64, 128)]
    assert above == [2, 1, 1, 0]
    assert [row[f"input_above_{one}_tokens"] for one in (256, 1_024)] == [2, 0]


def test_an_hour_without_a_finished_event_has_no_moments() -> None:
    assert sums_of(event(outcome="error"))["token_moments_hourly"].is_empty()


@pytest.mark.parametrize("outcome", ["error", "timeout", "cancelled", "rate_limited"])
def test_known_outcomes_but_success_are_failures(outcome: str) -> None:
    assert sums_of(event(outcome=outcome))["attribution_hourly"]["failures"].item() == 1


def test_hours_and_days_begin_at_their_first_instant() -> None:
    instants = [
        datetime(2026, 11, 22, 22, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 22, 23, tzinfo=UTC),
        datetime(2026, 11, 22, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 23, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    ]
    sums = sums_of(*(event(occurred_at=instant) for instant in instants))
    assert sums["attribution_hourly"].select("hour_at", "attempts").rows() == [
        (datetime(1969, 12, 31, 23, tzinfo=UTC), 1),
        (datetime(2026, 11, 22, 22, tzinfo=UTC), 1),
        (datetime(2026, 11, 22, 23, tzinfo=UTC), 2),
        (datetime(2026, 11, 23, tzinfo=UTC), 1),
    ]
    assert sums["users_daily"].select("day", "attempts").rows() == [
        (date(1969, 12, 31), 1),
        (date(2026, 11, 22), 3),
        (date(2026, 11, 23), 1),
    ]


def test_redeliveries_are_counted_and_nothing_else_of_them() -> None:
    duplicates = (*[event(input_tokens=9)] * 3, event(endpoint_tag="b", latency_ms=7))
    sums = sums_of(event(cost_usd=D(5)), duplicates=duplicates)
    shown = ["endpoint_tag", "redeliveries", "attempts", "requests", "input_tokens", "cost_usd"]
    assert sums["attribution_hourly"].select(shown).rows() == [
        ("b", 1, 0, 0, 0, D(0)),
        ("chat.answer", 3, 1, 1, 1_000, D(5)),
    ]
    assert sums["users_daily"].select(shown[1:]).rows() == [(4, 1, 1, 1_000, D(5))]
    for table in COUNTED:
        assert sums[table.name]["attempts"].to_list() == [1]


def test_no_events_make_no_rows_in_the_tables_shape() -> None:
    for table in CUBES:
        assert sums_of()[table.name].is_empty()
        assert sums_of()[table.name].schema == table.schema
        assert sums_of(event())[table.name].schema == table.schema


@pytest.mark.parametrize(("step", "bound"), [(1, 0.01), (USER_BUCKETS_PER_STEP, 0.18)])
def test_latency_read_back_from_its_bucket_is_off_by_no_more_than_stated(step, bound) -> None:
    values = [*range(1, 20_000), *(10**n for n in range(4, 13)), *(2**n for n in range(14, 41))]
    buckets = pl.DataFrame({"v": values}).select(latency_bucket(pl.col("v"), step=step))
    width = LATENCY_BASE**step
    for value, bucket in zip(values, buckets.to_series(), strict=True):
        middle = 2 * width**bucket / (1 + width)
        assert abs(middle - value) <= bound * value, value


def test_buckets_keep_the_order_of_latencies_and_zero_stands_apart() -> None:
    values = [0, 1, 2, 3, 10, 100, 2**40]
    for step in (1, USER_BUCKETS_PER_STEP):
        found = pl.DataFrame({"v": values}).select(b=latency_bucket(pl.col("v"), step=step))["b"]
        assert found.dtype == pl.Int32
        assert found[:2].to_list() == [-1, 0]
        assert found.is_sorted()
    told = pl.DataFrame({"v": [None]}, schema={"v": pl.Int64})
    assert told.select(latency_bucket(pl.col("v"), step=1)).to_series().to_list() == [None]


COSTS = st.decimals(0, 10**6, places=18)
MONIES = st.one_of(
    st.builds(lambda cost: {"cost_usd": cost}, COSTS),
    st.just({"unpriced_reason": "no_usable_price"}),
    st.builds(
        lambda one, two: {"unpriced_reason": "unknown_model", "unpriced_low_usd": min(one, two),
                          "unpriced_high_usd": max(one, two)},
        COSTS, COSTS,
    ),
)  # fmt: skip
"""What is known of an event's cost: all, nothing, or bounds."""
ROWS = st.lists(
    st.builds(
        lambda money, **changes: event(**changes | money),
        money=MONIES,
        batch_id=st.sampled_from(["b-1", "b-2"]),
        endpoint_tag=st.sampled_from(["a", "b"]),
        user_id=st.sampled_from(["u-1", "u-2"]),
        data_mode=st.sampled_from(["real", "test"]),
        outcome=st.sampled_from(["success", "error", "unknown"]),
        input_tokens=st.integers(0, 2**40),
        cache_read_tokens=st.none() | st.integers(0, 2**40),
        latency_ms=st.none() | latencies(),
        attempt_inferred=st.booleans(),
        is_first_attempt=st.booleans(),
        occurred_at=moments(),
    ),
    max_size=12,
)


@given(rows=ROWS, data=st.data())
def test_sums_are_the_same_however_the_events_are_split(rows: list, data: st.DataObject) -> None:
    part = data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    shuffled = data.draw(st.permutations(range(len(rows))))
    parts = [[rows[n] for n in shuffled if part[n] == number] for number in range(3)]
    sums = [sums_of(*one) for one in parts]
    together = add_parts(*(published(*one) for one in parts))
    whole = sums_of(*rows)
    for table in CUBES:
        added = add_up(table, [one[table.name] for one in sums])
        assert_frame_equal(add_up(table, [together[table.name]]), added, rel_tol=1e-9)
        exact = [name for name, kind in table.schema.items() if kind != pl.Float64]
        assert added.select(exact).equals(whole[table.name].select(exact))
        # Sums of logs and squares are floats: statistics, not money.
        assert_frame_equal(added, whole[table.name], rel_tol=1e-9)


@given(rows=ROWS, at=st.integers(0, 20))
def test_parts_are_proven_as_the_whole_is(rows: list, at: int) -> None:
    cubes = sum_events(published(*rows), published())
    parts = [published(*rows[:at]), published(*rows[at:])]
    cuts = [cut_events(one) for one in parts]
    assert judge_sums([sum_straight(one) for one in parts], cubes, redelivered=0).passed
    assert judge_dimensions(cuts, cubes).passed
    shown = pl.concat(one.shown for one in cuts).sum()
    assert shown.equals(cut_events(published(*rows)).shown)
    without_last = judge_sums([sum_straight(parts[0])], cubes, redelivered=0)
    assert without_last.passed is parts[1].is_empty()


def test_a_dimension_without_a_value_is_refused() -> None:
    """It has a default; a null would be taken for some other value."""
    with pytest.raises(ValueError, match="'tenant_id' is null in 1 rows"):
        sum_events(published(event(), event(tenant_id=None)), published())


def test_money_of_many_events_is_exact_beyond_64_bits() -> None:
    rows = [event(cost_usd=D("999999999.999999999999999999"))] * 1_000
    assert sums_of(*rows)["attribution_hourly"]["cost_usd"].item() == D(
        "999999999999.999999999999999"
    )


@given(rows=ROWS)
def test_each_combination_of_dimensions_has_one_row(rows: list) -> None:
    sums = sum_events(published(*rows), published(*rows[:3]))
    for table in CUBES:
        dimensions = [name for name in table.schema if name not in MEASURE_NAMES]
        assert sums[table.name].select(dimensions).is_unique().all()


@given(rows=ROWS)
def test_any_cut_of_the_money_equals_its_events_to_the_last_decimal(rows: list) -> None:
    hourly = sums_of(*rows)["attribution_hourly"]
    for dimension in ("endpoint_tag", "data_mode", "batch_id"):
        for value in {row[dimension] for row in rows}:
            cost = hourly.filter(pl.col(dimension) == value)["cost_usd"].sum()
            exact = sum(
                int(row["cost_usd"].scaleb(18))
                for row in rows
                if row[dimension] == value and row.get("cost_usd") is not None
            )
            assert int(cost.scaleb(18)) == exact


@given(rows=ROWS)
def test_sums_of_their_own_events_are_found_good(rows: list) -> None:
    events, cubes = published(*rows), sums_of(*rows)
    assert judge_sums([sum_straight(events)], cubes, redelivered=0).passed


@pytest.mark.parametrize("table", [table.name for table in CUBES])
def test_sums_that_miss_an_event_are_found_wrong(table: str) -> None:
    rows = [event(cost_usd=D("0.1")), event(unpriced_reason="unknown_model", latency_ms=5)]
    cubes = sums_of(*rows) | {table: sums_of(rows[0])[table]}
    verdict = judge_sums([sum_straight(published(*rows))], cubes, redelivered=0)
    assert not verdict.passed
    assert {culprit["table"] for culprit in verdict.culprits} == {table}


def test_sums_that_miss_the_last_decimal_are_found_wrong() -> None:
    events = published(event(cost_usd=D("1.000000000000000001")))
    cubes = sums_of(event(cost_usd=D(1)))
    verdict = judge_sums([sum_straight(events)], cubes, redelivered=0)
    assert not verdict.passed
    assert {culprit["measure"] for culprit in verdict.culprits} == {"cost_usd"}


def test_sums_that_miss_a_redelivered_line_are_found_wrong() -> None:
    verdict = judge_sums([sum_straight(published(event()))], sums_of(event()), redelivered=1)
    assert {culprit["measure"] for culprit in verdict.culprits} == {"redeliveries"}


def test_every_dimension_and_no_view_of_their_own_events_differs() -> None:
    rows = [event(cost_usd=D("0.0035")),
            event(outcome="error", cost_usd=D("0.25"), data_mode="test"),
            event(unpriced_reason="unknown_model", tenant_id="t2", **bounds("1", "2"))]  # fmt: skip
    events, cubes = published(*rows), sums_of(*rows, duplicates=(event(tenant_id="only here"),))
    assert judge_dimensions([cut_events(events)], cubes).passed
    shown = {"requests": 2, "attempts": 2, "failures": 0, "input_tokens": 2000,
             "output_tokens": 400, "unpriced_attempts": 1, "unbounded_attempts": 0,
             "cost_usd": D("0.0035"), "failed_cost_usd": D(0)} | bounds("1", "2")  # fmt: skip
    assert judge_views([cut_events(events)], {"overview": shown}).passed
    verdict = judge_views(
        [cut_events(events)], {"overview": shown, "top_users": shown | {"failures": 1}}
    )
    assert [(one["place"], one["measure"]) for one in verdict.culprits] == [
        ("top_users", "failures")
    ]


def test_a_view_that_shows_a_most_although_of_one_attempt_nobody_knows_it_is_found() -> None:
    rows = [event(unpriced_reason="unknown_model", **bounds("1", "2")),
            event(unpriced_reason="no_usable_price")]  # fmt: skip
    events = published(*rows)
    honest = {"requests": 2, "attempts": 2, "failures": 0, "input_tokens": 2000,
              "output_tokens": 400, "unpriced_attempts": 2, "unbounded_attempts": 1,
              "unpriced_low_usd": D(1), "unpriced_high_usd": None, "cost_usd": D(0),
              "failed_cost_usd": D(0)}  # fmt: skip
    assert judge_views([cut_events(events)], {"overview": honest}).passed
    verdict = judge_views([cut_events(events)], {"overview": honest | {"unpriced_high_usd": D(2)}})
    assert [one["measure"] for one in verdict.culprits] == ["unpriced_high_usd"]


def test_money_moved_from_one_tenant_to_another_is_found_although_all_totals_agree() -> None:
    rows = [event(tenant_id="t1", cost_usd=D(1)), event(tenant_id="t2", cost_usd=D(1))]
    cubes = sums_of(*rows)
    moved = pl.when(pl.col("tenant_id") == "t1").then(D("0.001")).otherwise(D("-0.001"))
    name = ATTRIBUTION_HOURLY.name
    cubes[name] = cubes[name].with_columns(
        pl.col("cost_usd") + moved.cast(cubes[name].schema["cost_usd"])
    )
    assert judge_sums([sum_straight(published(*rows))], cubes, redelivered=0).passed
    verdict = judge_dimensions([cut_events(published(*rows))], cubes)
    assert [(one["place"], one["dimension"], one["value"]) for one in verdict.culprits] == [
        (name, "tenant_id", "t1"), (name, "tenant_id", "t2")
    ]  # fmt: skip


def test_a_value_that_only_one_side_has_is_found() -> None:
    rows = [event(prompt_version="v1")]
    cubes = sums_of(event(prompt_version="v2"))
    verdict = judge_dimensions([cut_events(published(*rows))], cubes)
    assert [(one["dimension"], one["value"]) for one in verdict.culprits] == [
        ("prompt_version", "v1"), ("prompt_version", "v2")
    ]  # fmt: skip
