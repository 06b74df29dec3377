"""Whatever two windows hold, the parts sum up to the change, to the last decimal."""

from datetime import UTC, datetime
from decimal import Context, Decimal
from fractions import Fraction
from itertools import permutations
from math import prod

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.drivers import Why, explain_change
from opsmeter_pipeline.drivers.rows import build_rows
from opsmeter_pipeline.drivers.shapley import place_on_grid, split_product
from tests.core.drivers_scenario import SUMS, WINDOW, compare, group

EXACT = Context(prec=60)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
fractions = st.fractions(min_value=0, max_value=1000, max_denominator=10_000)
names = st.sampled_from(["a", "b", "c"])
amounts = st.integers(0, 10**24) | st.integers(0, 5)  # in units of the 18th decimal
tokens = st.integers(0, 5000)


@st.composite
def sides(draw, *, is_signed: bool = False) -> dict[str, object]:
    """Return what a group had in one window; nothing now and then, all unpriced now and then."""
    attempts = draw(st.just(0) | st.integers(1, 500))
    if not attempts:
        return dict.fromkeys(SUMS[: len(SUMS) // 2], 0) | {"cost_usd": Decimal()}
    unpriced = draw(st.sampled_from([0, attempts]) | st.integers(0, attempts))
    units = draw(amounts) if unpriced < attempts else 0
    cached = [draw(tokens), draw(tokens)]
    return {
        "requests": draw(st.integers(0, attempts)),
        "attempts": attempts,
        "failures": draw(st.integers(0, attempts)),
        "unpriced_attempts": unpriced,
        "input_tokens": sum(cached) + draw(tokens),
        "cache_read_tokens": cached[0],
        "cache_write_tokens": cached[1],
        "output_tokens": draw(tokens),
        "cost_usd": Decimal(-units if is_signed and draw(st.booleans()) else units).scaleb(
            -18, context=EXACT
        ),
    }


@st.composite
def groups(draw, *, is_signed: bool = False) -> dict[str, object]:
    """Return a group that has something in one of the windows at least."""
    return group(
        draw(sides(is_signed=is_signed)),
        draw(sides(is_signed=is_signed)),
        endpoint_tag=draw(names), prompt_version=draw(names), model=draw(names),
        tenant_id=draw(names), user_id=draw(names), is_late=draw(st.integers(0, 4)) == 0,
    )  # fmt: skip


prices = st.dictionaries(names, st.tuples(*[st.sampled_from(["0", "0.00001", "0.000003"])] * 2))


def total(amounts) -> Decimal:
    """Return a sum that is not rounded to Python's usual 28 digits."""
    summed = Decimal()
    for amount in amounts:
        summed = EXACT.add(summed, amount)
    return summed


def change_of(rows) -> Decimal:
    """Return the change, summed up straight from the groups."""
    costs = [EXACT.subtract(row["cost_usd"], row["previous_cost_usd"]) for row in rows]
    return total(costs)


def assert_sums_up(why: Why, change: Decimal) -> None:
    assert why.total.pair.change_usd == change
    assert total(why.total.factors.values()) == change
    for changes in why.by.values():
        assert total(one.pair.change_usd for one in changes) == change
        for one in changes:
            if one.factors is not None:
                assert total(one.factors.values()) == one.pair.change_usd
    for name in ("endpoint_tag", "model"):
        for factor, part in why.total.factors.items():
            assert total(one.factors[factor] for one in why.by[name]) == part


@given(st.lists(groups(), max_size=12), prices, st.integers(1, 4))
def test_parts_sum_up_to_the_change_by_factor_and_by_each_dimension(rows, prices, limit) -> None:
    why = explain_change(compare(*rows, prices=prices), WINDOW, limit=limit)
    assert_sums_up(why, change_of(rows))
    table = build_rows(why, now=NOW)
    by_dimension = table.group_by("dimension").agg(pl.col("change_usd").sum())
    assert set(by_dimension["change_usd"]) <= {change_of(rows)}


@given(st.lists(groups(is_signed=True), max_size=8), prices)
def test_so_they_do_where_a_cost_is_negative(rows, prices) -> None:
    why = explain_change(compare(*rows, prices=prices), WINDOW, limit=2)
    assert_sums_up(why, change_of(rows))


@given(st.lists(groups(), max_size=8), prices)
def test_swapping_the_windows_changes_the_sign_of_every_part(rows, prices) -> None:
    swapped = [
        row | {now: row[then] for now, then in PAIRS} | {then: row[now] for now, then in PAIRS}
        for row in rows
    ]
    there = explain_change(compare(*rows, prices=prices), WINDOW, limit=9)
    back = explain_change(compare(*swapped, prices=prices), WINDOW, limit=9)
    assert {n: -part for n, part in there.total.factors.items()} == back.total.factors


PAIRS = [(name, f"previous_{name}") for name in SUMS[: len(SUMS) // 2]]


@given(st.lists(groups(), max_size=8))
def test_equal_windows_have_no_part_at_all(rows) -> None:
    same = [row | {now: row[then] for now, then in PAIRS} for row in rows]
    why = explain_change(compare(*same), WINDOW, limit=9)
    assert set(why.total.factors.values()) <= {0}
    assert why.findings == []


@given(st.lists(st.tuples(fractions, fractions), min_size=1, max_size=4))
def test_a_factors_part_is_its_mean_step_over_all_orders(pairs) -> None:
    """The definition, worked out order by order: another route than the polynomials."""
    before, after = ([pair[side] for pair in pairs] for side in (0, 1))
    orders = list(permutations(range(len(pairs))))
    sums = [Fraction()] * len(pairs)
    for order in orders:
        current = list(before)
        for factor in order:
            was = prod(current)
            current[factor] = after[factor]
            sums[factor] += prod(current) - was
    assert split_product(before, after) == [one / len(orders) for one in sums]


@given(st.lists(st.fractions(max_denominator=1000), max_size=8), st.integers(-5, 5))
def test_the_grid_keeps_the_sum_and_moves_no_part_by_one(parts, whole) -> None:
    every = [*parts, whole - sum(parts)]
    placed = place_on_grid(every)
    assert sum(placed) == whole
    assert all(abs(one - part) <= 1 for one, part in zip(placed, every, strict=True))
    assert place_on_grid([-part for part in every]) == [-one for one in placed]
