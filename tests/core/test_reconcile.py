"""Differences explained part by part; every expected amount is worked out beside it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.statement import (
    MEASURES,
    Span,
    Statement,
    StatementRow,
    merge_spans,
)
from opsmeter_pipeline.reconcile import (
    PARTS,
    Compared,
    Key,
    Known,
    Period,
    Reconciliation,
    Refused,
    Uncovered,
    Warehouse,
    reconcile_statement,
)

DAY = date(2026, 11, 2)
NEXT_DAY = date(2026, 11, 3)
NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)
AFTER = datetime(2026, 11, 4, tzinfo=UTC)
"""When the newest file had landed: after both days."""


def _usd(text: str) -> Decimal:
    return Decimal(text)


def _row(model: str | None = "gpt-4o", day: date = DAY, **measures: Any) -> StatementRow:
    cost = measures.pop("cost_usd", None)
    return StatementRow(day, "openai", model, cost_usd=cost and _usd(cost), **measures)


def _known(model: str = "gpt-4o", day: date = DAY, **fields: Any) -> Known:
    """Return sums of a model; by default 10 attempts of 100 tokens each that cost 1 dollar."""
    amounts = fields.pop("amounts", {})
    names = ("late", "unbilled")
    parts = {name: _amounts(fields.pop(name)) for name in names if name in fields}
    plain = {"requests": 10, "input_tokens": 900, "output_tokens": 100, "cost_usd": "1"}
    return Known(day, Key("openai", model), _amounts(plain | amounts), **parts, **fields)


def _amounts(values: dict[str, Any]) -> dict[str, Decimal]:
    return {name: Decimal(value) for name, value in values.items()}


def _reconcile(
    rows: list[StatementRow],
    known: list[Known],
    *,
    days: int = 2,
    tolerance: str = "0",
    exported_at: datetime | None = None,
    taken_through: datetime | None = AFTER,
    refused: tuple[Refused, ...] = (),
    uncovered: tuple[Uncovered, ...] = (),
    covered_days: int | None = None,
    now: datetime = NOW,
    attempts: dict[date, int] | None = None,
) -> Reconciliation:
    told = {name for row in rows for name in row.told()}
    spans = merge_spans(
        Span(start_of_day(DAY + timedelta(days=n)), start_of_day(DAY + timedelta(days=n + 1)))
        for n in range(days if covered_days is None else covered_days)
    )
    statement = Statement(
        "csv", ("openai",), tuple(n for n in MEASURES if n in told), tuple(rows), spans, exported_at
    )
    return reconcile_statement(
        statement,
        Warehouse(tuple(known), refused, uncovered, taken_through, attempts or {}),
        keys={(row.provider, row.model): Key(row.provider, row.model) for row in rows},
        period=Period(DAY, DAY + timedelta(days=days)),
        tolerance=_usd(tolerance),
        now=now,
    )


def _parts(row: Compared) -> dict[str, str]:
    """Return the parts that are not 0, without trailing zeros."""
    return {name: f"{part.normalize():f}" for name, part in row.parts.items() if part}


def _only(found: Reconciliation, measure: str = "cost_usd") -> Compared:
    (row,) = [row for row in found.rows if row.measure == measure]
    return row


def test_what_agrees_has_no_parts_and_passes_without_any_tolerance() -> None:
    found = _reconcile([_row(cost_usd="0.6"), _row(cost_usd="0.4", requests=10)], [_known()])
    assert [(r.measure, r.delta, _parts(r)) for r in found.rows] == [
        ("requests", 0, {}), ("cost_usd", 0, {})
    ]  # fmt: skip
    assert found.passed


@pytest.mark.parametrize(
    ("tolerance", "passed"), [("0.01", True), ("0.009999", False), ("0", False)]
)
def test_the_tolerance_is_a_part_of_what_the_provider_says(tolerance: str, passed: bool) -> None:  # noqa: FBT001
    # 0.99 against 1.00: exactly 1 %.
    found = _reconcile(
        [_row(cost_usd="1")], [_known(amounts={"cost_usd": "0.99"})], tolerance=tolerance
    )
    assert found.passed is passed
    assert _parts(_only(found)) == {"unexplained": "-0.01"}


def test_a_model_without_any_price_explains_all_that_the_provider_bills_for_it() -> None:
    known = _known(amounts={"cost_usd": 0}, unpriced_attempts=10, unpriced_tokens=1000)
    assert _parts(_only(_reconcile([_row(cost_usd="7.5")], [known]))) == {"unpriced": "-7.5"}


def test_some_unpriced_attempts_explain_what_their_tokens_would_cost_on_average() -> None:
    # 800 priced tokens cost 1 dollar, so 200 unpriced ones may cost 0.25; 2 are lacking.
    known = _known(unpriced_attempts=2, unpriced_tokens=200)
    found = _reconcile([_row(cost_usd="3")], [known])
    assert _parts(_only(found)) == {"unpriced": "-0.25", "unexplained": "-1.75"}
    # Less is lacking than they could explain.
    found = _reconcile([_row(cost_usd="1.1")], [known])
    assert _parts(_only(found)) == {"unpriced": "-0.1"}
    # Unpriced attempts do not explain tokens: those are counted.
    found = _reconcile([_row(input_tokens=1000)], [known])
    assert _parts(_only(found, "input_tokens")) == {"unexplained": "-100"}


def test_quarantined_lines_explain_requests_and_the_mean_of_each() -> None:
    refused = (Refused(DAY, "wrong_type", 2), Refused(DAY, "naive_timestamp", 1))
    rows = [_row(requests=15, input_tokens=1500, cost_usd="2")]
    found = _reconcile(rows, [_known()], refused=refused)
    # 5 requests are lacking: 3 lines lie in quarantine, 2 are nowhere.
    assert _parts(_only(found, "requests")) == {"quarantined": "-3", "missing": "-2"}
    # 600 tokens: 3 lines of 90 tokens as ours have, 2 requests of 100 as the provider's have.
    assert _parts(_only(found, "input_tokens")) == {
        "quarantined": "-270", "missing": "-200", "unexplained": "-130"
    }  # fmt: skip
    # 1 dollar: 3 lines of 0.1, 2 of the provider's 15 requests: 2 x 2 / 15 to 18 decimals.
    assert _parts(_only(found)) == {
        "quarantined": "-0.3",
        "missing": "-0.266666666666666667",
        "unexplained": "-0.433333333333333333",
    }


def test_a_quarantined_line_that_tells_its_call_is_counted_as_it_tells() -> None:
    key = Key("openai", "gpt-4o")
    refused = (
        Refused(DAY, "wrong_type", 2, key, _amounts({"cost_usd": "0.7"})),
        Refused(DAY, "wrong_type", 9, Key("openai", "other"), _amounts({"cost_usd": "5"})),
        Refused(NEXT_DAY, "wrong_type", 9, key, _amounts({"cost_usd": "5"})),
    )
    found = _reconcile([_row(cost_usd="2")], [_known()], refused=refused)
    assert _parts(_only(found)) == {"quarantined": "-0.7", "unexplained": "-0.3"}


def test_a_model_whose_lines_were_all_refused_is_not_missing() -> None:
    refused = (Refused(DAY, "wrong_type", 2, Key("openai", "o3"), _amounts({"cost_usd": "0.7"})),)
    for requests, parts in (
        (2, {"quarantined": "-0.7", "unexplained": "-1.3"}),
        # Two of four requests are nowhere: 2 x 2 / 4.
        (4, {"quarantined": "-0.7", "missing": "-1", "unexplained": "-0.3"}),
    ):
        found = _reconcile([_row("o3", requests=requests, cost_usd="2")], [], refused=refused)
        assert _parts(_only(found)) == parts


def test_no_quarantined_line_explains_two_models() -> None:
    refused = (Refused(DAY, "wrong_type", 4),)
    rows = [_row("a", requests=13), _row("b", requests=15), _row("c", requests=9)]
    known = [_known("a"), _known("b"), _known("c")]
    found = _reconcile(rows, known, refused=refused)
    # b lacks 5 and comes first; nothing is left for a. c has one too many.
    assert [_parts(row) for row in found.rows] == [
        {"missing": "-3"}, {"quarantined": "-4", "missing": "-1"}, {"unexplained": "1"}
    ]  # fmt: skip


def test_without_requests_a_model_has_its_share_of_the_days_quarantined_lines() -> None:
    # Of 40 attempts 10 are its own, so 2 of 8 lines, each of 0.1; all 8 would explain everything.
    refused = (Refused(DAY, "wrong_type", 8),)
    found = _reconcile([_row(cost_usd="1.7")], [_known()], refused=refused, attempts={DAY: 40})
    assert _parts(_only(found)) == {"quarantined": "-0.2", "unexplained": "-0.5"}
    # A model of which we have nothing has no share.
    found = _reconcile([_row("o3", cost_usd="1.7")], [], refused=refused, attempts={DAY: 40})
    assert _parts(_only(found)) == {"missing": "-1.7"}


def test_a_model_and_a_day_that_we_do_not_have_are_missing() -> None:
    rows = [_row(cost_usd="1"), _row("o3", cost_usd="2"), _row(day=NEXT_DAY, cost_usd="4")]
    found = _reconcile(rows, [_known()])
    assert [(r.place[0], r.place[2], _parts(r)) for r in found.rows if r.place] == [
        (DAY, "gpt-4o", {}), (DAY, "o3", {"missing": "-2"}),
        (NEXT_DAY, "gpt-4o", {"missing": "-4"}),
    ]  # fmt: skip
    assert not found.passed


def test_what_is_lacking_is_late_until_something_landed_after_the_day() -> None:
    evening = datetime(2026, 11, 2, 23, 59, 59, tzinfo=UTC)
    for taken_through in (evening, None):
        found = _reconcile(
            [_row(cost_usd="3"), _row("o3", cost_usd="2")], [_known()], taken_through=taken_through
        )
        assert [_parts(row) for row in found.rows] == [{"late": "-2"}, {"late": "-2"}]
    midnight = datetime(2026, 11, 3, tzinfo=UTC)
    found = _reconcile([_row(cost_usd="3")], [_known()], taken_through=midnight)
    assert _parts(_only(found)) == {"unexplained": "-2"}


def test_what_the_provider_does_not_bill_is_extra() -> None:
    # A day and a model that the export leaves out, though it speaks for them, is 0 there.
    found = _reconcile([_row(cost_usd="1")], [_known(), _known("o3"), _known(day=NEXT_DAY)])
    assert [(row.statement, _parts(row)) for row in found.rows] == [
        (1, {}), (0, {"extra": "1"}), (0, {"extra": "1"})
    ]  # fmt: skip
    assert not found.passed


def test_failed_and_inferred_attempts_explain_an_excess_as_far_as_they_go() -> None:
    known = _known(unbilled={"requests": 2, "cost_usd": "0.2"})
    found = _reconcile([_row(requests=7, cost_usd="0.9")], [known])
    assert _parts(_only(found, "requests")) == {"extra": "2", "unexplained": "1"}
    assert _parts(_only(found)) == {"extra": "0.1"}


def test_batches_after_the_export_explain_an_excess_exactly() -> None:
    known = _known(late={"requests": 4, "cost_usd": "0.37"})
    rows = [_row(requests=6, cost_usd="0.6")]
    found = _reconcile(rows, [known], exported_at=AFTER)
    assert _parts(_only(found, "requests")) == {"late": "4"}
    assert _parts(_only(found)) == {"late": "0.37", "unexplained": "0.03"}


def test_a_day_that_was_not_over_when_the_export_was_made_leaves_nothing_unexplained() -> None:
    rows = [_row(cost_usd="0.6")]
    noon = datetime(2026, 11, 2, 12, tzinfo=UTC)
    found = _reconcile(rows, [_known()], exported_at=noon)
    assert _parts(_only(found)) == {"late": "0.4"}
    # If it does not tell when it was made, the present counts.
    assert _parts(_only(_reconcile(rows, [_known()], now=noon))) == {"late": "0.4"}
    assert _parts(_only(_reconcile(rows, [_known()]))) == {"unexplained": "0.4"}
    assert not found.passed


def test_an_export_without_models_is_compared_by_day() -> None:
    rows = [_row(None, cost_usd="1.5"), _row(None, day=NEXT_DAY, cost_usd="1")]
    found = _reconcile(rows, [_known("a"), _known("b"), _known("b", day=NEXT_DAY)])
    assert [(r.place, r.delta) for r in found.rows] == [
        ((DAY, "openai", None), _usd("0.5")), ((NEXT_DAY, "openai", None), 0)
    ]  # fmt: skip


def test_a_charge_without_a_model_stands_beside_the_models() -> None:
    rows = [_row(cost_usd="1"), _row(None, cost_usd="0.01")]
    found = _reconcile(rows, [_known()])
    assert [(r.place and r.place[2], _parts(r)) for r in found.rows] == [
        (None, {"missing": "-0.01"}), ("gpt-4o", {})
    ]  # fmt: skip


def test_what_the_export_does_not_tell_is_not_compared_and_never_0() -> None:
    rows = [_row("a", requests=10), _row("b", cost_usd="1")]
    found = _reconcile(rows, [_known("a"), _known("b")])
    assert [(r.measure, r.statement, r.delta, r.is_within) for r in found.rows] == [
        ("requests", 10, 0, True), ("cost_usd", None, None, None),
        ("requests", None, None, None), ("cost_usd", 1, 0, True),
    ]  # fmt: skip
    assert [(t.measure, t.statement, t.warehouse) for t in found.totals] == [
        ("requests", 10, 10), ("cost_usd", 1, 1)
    ]  # fmt: skip
    assert found.passed


def test_a_day_of_which_the_export_tells_nothing_fails_and_part_of_a_day_is_said() -> None:
    beyond = (Uncovered(NEXT_DAY, 3, _usd("0.3")),)
    found = _reconcile([_row(cost_usd="1")], [_known()], uncovered=beyond, covered_days=1)
    assert found.uncovered == beyond
    assert not found.passed
    within = (Uncovered(DAY, 3, _usd("0.3")),)
    found = _reconcile([_row(cost_usd="1")], [_known()], uncovered=within, covered_days=1)
    assert found.uncovered == ()
    assert found.passed
    assert "24 of 24 hours" in found.notes[0]  # of a whole day the reader never says so


_WIDE = Context(prec=99)
_MONEY = st.decimals(
    min_value=0, max_value=10**15, places=18, allow_nan=False, allow_infinity=False
)
_COUNT = st.integers(min_value=0, max_value=2**62)


@st.composite
def _sides(draw: st.DrawFn) -> tuple[list[StatementRow], list[Known], tuple[Refused, ...]]:
    """Return any statement and any sums of two models and two days, whether they fit or not."""
    places = st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([DAY, NEXT_DAY]))
    rows = [
        StatementRow(
            day,
            "openai",
            model,
            draw(st.none() | _COUNT),
            draw(st.none() | _COUNT),
            cost_usd=draw(st.none() | _MONEY | _MONEY.map(Decimal.copy_negate)),
        )
        for model, day in draw(st.lists(places, min_size=1, max_size=4))
    ]
    amounts = st.fixed_dictionaries(
        {"requests": _COUNT.map(Decimal), "input_tokens": _COUNT.map(Decimal), "cost_usd": _MONEY}
    )
    known = [
        Known(day, Key("openai", model or "c"), draw(amounts), draw(amounts), draw(amounts),
              draw(st.integers(0, 20)), draw(_COUNT))
        for model, day in draw(st.lists(places, max_size=4))
    ]  # fmt: skip
    keys = st.none() | st.sampled_from([Key("openai", "a"), Key("openai", "b")])
    refused = tuple(
        Refused(day, "wrong_type", draw(st.integers(1, 10**6)), draw(keys),
                draw(st.just({}) | amounts))
        for _, day in draw(st.lists(places, max_size=4))
    )  # fmt: skip
    return rows, known, refused


@given(_sides(), st.none() | st.just(AFTER), st.booleans())
def test_parts_always_sum_to_the_delta_and_never_exceed_it(
    sides: tuple[list[StatementRow], list[Known], tuple[Refused, ...]],
    exported_at: datetime | None,
    is_taken: bool,  # noqa: FBT001
) -> None:
    rows, known, refused = sides
    found = _reconcile(rows, known, refused=refused, exported_at=exported_at,
                       taken_through=AFTER if is_taken else None,
                       attempts={DAY: 3, NEXT_DAY: 7})  # fmt: skip
    for row in found.rows:
        if row.delta is None or row.statement is None:
            assert row.parts == {}
            continue
        assert row.delta == _exact_sum([row.warehouse, row.statement.copy_negate()])
        assert _exact_sum(list(row.parts.values())) == row.delta
        assert set(row.parts) == set(PARTS)
        assert all(part == 0 or (part > 0) == (row.delta > 0) for part in row.parts.values())
        if row.measure != "cost_usd":
            assert all(part == int(part) for part in row.parts.values())
    for total in found.totals:
        own = [r for r in found.rows if r.measure == total.measure and r.delta is not None]
        assert total.delta == _exact_sum([r.delta for r in own if r.delta is not None])
        assert _exact_sum(list(total.parts.values())) == total.delta
    # Nothing of either side gets lost on the way to the rows.
    ours = _exact_sum([one.amounts["cost_usd"] for one in known])
    costs = [r.warehouse for r in found.rows if r.measure == "cost_usd"]
    assert not costs or _exact_sum(costs) == ours
    lines = sum(one.lines for one in refused)
    assert sum(case.refused_lines for case in found.cases) <= lines


def _exact_sum(values: list[Decimal]) -> Decimal:
    """Return a sum by whole numbers of 10^-18, which Python adds without a limit."""
    units = sum(int(value.scaleb(18, context=_WIDE)) for value in values)
    return Decimal(units).scaleb(-18, context=_WIDE)
