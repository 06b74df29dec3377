"""The promises are built from the catalogue, and a broken one is named."""

import polars as pl

from opsmeter_pipeline.model.columns import Table, count, instant, money, text
from opsmeter_pipeline.model.tables import EVENTS, TABLES
from opsmeter_pipeline.quality import (
    KINDS,
    Outcome,
    build_suite,
    describe_checks,
    judge_outcomes,
    name_check,
)
from opsmeter_pipeline.quality.promises import PLACES


def _columns(kind: str, table: Table = EVENTS) -> set[str]:
    return {
        str(one.arguments["column"])
        for one in build_suite(table)
        if one.kind == kind and "column" in one.arguments
    }


def test_each_column_that_cannot_be_null_is_promised_to_be_present() -> None:
    for table in TABLES:
        assert _columns("present", table) == {c.name for c in table.columns if not c.nullable}


def test_each_count_and_all_money_but_a_change_is_promised_not_to_be_negative() -> None:
    for table in TABLES:
        numbers = {
            c.name
            for c in table.columns
            if (c.dtype == pl.Int64 or isinstance(c.dtype, pl.Decimal)) and not c.is_signed
        }
        assert _columns("amounts", table) == numbers


def test_a_column_added_to_the_catalogue_is_held_to_it_without_a_word() -> None:
    table = Table(
        "events",
        "A test's.",
        (text("batch_id", "."), count("seats", "."), money("fee_usd", ".", nullable=True),
         instant("hour_at", ".")),
    )  # fmt: skip
    meanings = {one.meaning for one in build_suite(table)}
    assert {"seats is at least 0.", "fee_usd is at least 0.", "seats is not null.",
            "hour_at is the start of an hour."} <= meanings  # fmt: skip
    assert "fee_usd is not null." not in meanings


def test_each_table_says_how_a_row_of_it_is_found_again() -> None:
    for table in TABLES:
        assert set(PLACES[table.name]) <= set(table.schema)


def test_the_same_thing_is_never_promised_twice() -> None:
    for table in TABLES:
        meanings = [(one.kind, one.meaning) for one in build_suite(table)]
        assert len(meanings) == len(set(meanings))


def test_each_kind_of_promise_is_used_and_has_a_check_of_its_name() -> None:
    kinds = {kind for _, kind in describe_checks()}
    assert kinds == set(KINDS)
    assert name_check("balance") == "quality_balance"


def test_kept_promises_are_reported_too() -> None:
    outcomes = [Outcome(promise, kept=True) for promise in build_suite(EVENTS)[:3]]
    verdict = judge_outcomes("events", outcomes)
    assert verdict.passed
    assert verdict.summary == "All 3 promises of events are kept."
    assert verdict.figures == {"promises": 3, "broken_promises": 0, "broken_places": 0}


def test_a_broken_promise_is_named_with_at_most_ten_culprits_and_the_remedy() -> None:
    kept, broken = build_suite(EVENTS)[2:4]
    culprits = [{"batch_id": f"b{number}"} for number in range(10)]
    outcomes = [
        Outcome(kept, kept=True),
        Outcome(broken, kept=False, broken_places=40, culprits=culprits),
        Outcome(broken, kept=False, broken_places=1, culprits=culprits[:1]),
    ]
    verdict = judge_outcomes("events", outcomes)
    assert not verdict.passed
    assert "2 of 3 promises of events are broken: " in verdict.summary
    assert "(broken at 40 places)" in verdict.summary
    assert "Replay the ingest day" in verdict.summary
    assert verdict.figures["broken_places"] == 41
    assert len(verdict.culprits) == 10
    assert verdict.culprits[0] == {"promise": broken.meaning, "batch_id": "b0"}


def test_what_could_not_be_judged_is_broken_and_says_why() -> None:
    outcome = Outcome(build_suite(EVENTS)[0], kept=False, error="no such table")
    verdict = judge_outcomes("events", [outcome])
    assert not verdict.passed
    assert "(no such table)" in verdict.summary
