"""The ledger's rows and the verdicts over them."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.tables import EVENTS, INGEST_BATCHES, INGEST_FILES, LANDING_FINDINGS
from opsmeter_pipeline.orchestration.checks import to_result
from opsmeter_pipeline.publish import (
    LEDGER_COUNTS,
    SHARE_LIMITS,
    ShareLimit,
    build_batch_ledger,
    build_damage_findings,
    build_file_ledger,
    count_priced,
    count_rows,
    judge_balance,
    judge_share,
    to_event_rows,
)
from tests.scenario import NOW, at, event, events_of, slice_of

SLICES = [
    slice_of(batch_id="b-1", file="a.jsonl", byte_end=10),
    slice_of(batch_id="b-1", file="b.jsonl", byte_start=5, byte_end=20, first_line_number=4),
    slice_of(batch_id="b-0", file="a.jsonl", ingest_day=date(2026, 11, 22), taken_at=at(-9)),
]
NONE_REPLAYED = pl.DataFrame(schema={"batch_id": pl.String, "visible_at": INSTANT})
NO_COUNTS = pl.DataFrame(
    schema={"slice_index": pl.UInt32} | {name: INGEST_FILES.schema[name] for name in LEDGER_COUNTS}
)


def counted(**columns: list) -> pl.DataFrame:
    return pl.DataFrame(columns, schema_overrides={"slice_index": pl.UInt32})


def file_ledger(*counts: pl.DataFrame) -> pl.DataFrame:
    return build_file_ledger(SLICES, ["c-0", "c-1", "c-2"], [NO_COUNTS, *counts])


def ledger_row(**changes: int) -> pl.DataFrame:
    """Return a ledger row of 10 lines that balances unless it is changed."""
    row = dict.fromkeys(LEDGER_COUNTS, 0) | {"batch_id": "b-1", "file": "a.jsonl"}
    counts = {"lines": 10, "accepted": 6, "duplicates": 2, "quarantined": 1, "blank": 1}
    return pl.DataFrame([row | counts | changes])


def test_each_slice_has_one_row_with_all_that_was_counted_in_it() -> None:
    contract = counted(slice_index=[2, 0], lines=[5, 9], blank=[0, 1], quarantined=[1, 2])
    conflicts = counted(slice_index=[0], quarantined=[3])
    duplicates = counted(slice_index=[0], duplicates=[1])
    priced = counted(slice_index=[0, 2], accepted=[2, 4], cost_usd=[Decimal("0.1"), Decimal(7)])
    files = file_ledger(contract, conflicts, duplicates, priced)
    shown = ["batch_id", "file", "checksum", "byte_start", "byte_end", "first_line_number"]
    assert files.select(shown).rows() == [
        ("b-1", "a.jsonl", "c-0", 0, 10, 1),
        ("b-1", "b.jsonl", "c-1", 5, 20, 4),
        ("b-0", "a.jsonl", "c-2", 0, 100, 1),
    ]
    sums = ["lines", "accepted", "duplicates", "quarantined", "blank", "cost_usd"]
    assert files.select(sums).rows() == [
        (9, 2, 1, 5, 1, Decimal("0.1")),
        (0, 0, 0, 0, 0, Decimal(0)),
        (5, 4, 0, 1, 0, Decimal(7)),
    ]
    assert files.schema == INGEST_FILES.schema
    assert judge_balance(files).passed


def test_batches_sum_up_their_files() -> None:
    files = file_ledger(counted(slice_index=[0, 1, 2], lines=[3, 4, 5], accepted=[3, 4, 5]))
    batches = build_batch_ledger(files, SLICES, run_id="run", now=NOW, replayed=NONE_REPLAYED)
    shown = ["batch_id", "ingest_day", "run_id", "taken_at", "files", "lines", "accepted"]
    assert batches.sort("batch_id").select(shown).rows() == [
        ("b-0", date(2026, 11, 22), "run", at(-9), 1, 5, 5),
        ("b-1", NOW.date(), "run", NOW, 2, 7, 7),
    ]
    assert batches["visible_at"].null_count() == batches["replayed_at"].null_count() == 2
    assert batches.schema == INGEST_BATCHES.schema


def test_replayed_batch_keeps_when_it_was_first_visible() -> None:
    replayed = pl.DataFrame(
        {"batch_id": ["b-0"], "visible_at": [at(-5)]}, schema=NONE_REPLAYED.schema
    )
    batches = build_batch_ledger(file_ledger(), SLICES, run_id="r", now=NOW, replayed=replayed)
    assert batches.sort("batch_id").select("visible_at", "replayed_at").rows() == [
        (at(-5), NOW),
        (None, None),
    ]


def test_run_that_takes_nothing_has_an_empty_ledger() -> None:
    files = build_file_ledger([], [], [NO_COUNTS])
    assert (files.height, files.schema) == (0, INGEST_FILES.schema)
    batches = build_batch_ledger(files, [], run_id="r", now=NOW, replayed=NONE_REPLAYED)
    assert (batches.height, batches.schema) == (0, INGEST_BATCHES.schema)
    assert judge_balance(files).passed


def test_priced_events_are_counted_per_slice() -> None:
    priced = events_of(
        event(cost_usd=Decimal("0.25"), prompt_version="(missing)", environment_defaulted=True),
        event(cost_usd=Decimal("0.5"), extra="{}", data_mode_defaulted=True),
        event(slice_index=2, attempt_inferred=True),
    )
    counts = count_priced(priced).sort("slice_index")
    assert counts.rows(named=True) == [
        {
            "slice_index": 0, "accepted": 2, "environment_defaulted": 1, "data_mode_defaulted": 1,
            "prompt_version_missing": 1, "with_extra_fields": 1, "attempts_inferred": 0,
            "unpriced_events": 0, "cost_usd": Decimal("0.75"),
        },
        {
            "slice_index": 2, "accepted": 1, "environment_defaulted": 0, "data_mode_defaulted": 0,
            "prompt_version_missing": 0, "with_extra_fields": 0, "attempts_inferred": 1,
            "unpriced_events": 1, "cost_usd": Decimal(0),
        },
    ]  # fmt: skip
    assert count_rows(priced, "n").sort("slice_index").rows() == [(0, 2), (2, 1)]


def test_event_rows_carry_the_batch_and_file_of_their_slice() -> None:
    staged = events_of(event(slice_index=2), event(slice_index=1)).drop("batch_id", "file")
    rows = to_event_rows(staged, SLICES)
    assert rows.select("batch_id", "file").rows() == [("b-0", "a.jsonl"), ("b-1", "b.jsonl")]
    assert rows.cast({pl.Categorical: pl.String}).schema == EVENTS.schema


def test_files_whose_reading_had_to_stop_become_findings() -> None:
    damages = pl.DataFrame({"slice_index": [1], "finding": ["damaged"], "detail": ["cut"]})
    findings = build_damage_findings(damages, SLICES, now=NOW)
    row = findings.row(0, named=True)
    assert (row["file"], row["finding"], row["size_bytes"]) == ("b.jsonl", "damaged", 20)
    assert row["detail"] == "cut"
    assert build_damage_findings(damages.clear(), SLICES, now=NOW).schema == LANDING_FINDINGS.schema


def test_ledger_balances_if_every_line_is_accounted_for() -> None:
    verdict = judge_balance(pl.concat([ledger_row(), ledger_row(lines=0, accepted=0,
                            duplicates=0, quarantined=0, blank=0)]))  # fmt: skip
    assert verdict.passed
    assert verdict.figures == {
        "lines": 10, "accepted": 6, "duplicates": 2, "quarantined": 1, "blank": 1,
    }  # fmt: skip
    assert not verdict.culprits


@pytest.mark.parametrize("count", ["lines", "accepted", "duplicates", "quarantined", "blank"])
@pytest.mark.parametrize("off", [-1, 1])
def test_one_line_lost_or_invented_breaks_the_balance(count: str, off: int) -> None:
    row = ledger_row()
    broken = ledger_row(**{count: row[count].item() + off})
    verdict = judge_balance(pl.concat([row, broken, row]))
    assert not verdict.passed
    assert len(verdict.culprits) == 1
    assert verdict.culprits[0]["file"] == "a.jsonl"


def test_errors_that_cancel_each_other_still_break_the_balance() -> None:
    assert not judge_balance(pl.concat([ledger_row(accepted=5), ledger_row(accepted=7)])).passed


def test_balance_names_at_most_ten_culprits() -> None:
    assert len(judge_balance(pl.concat([ledger_row(accepted=5)] * 30)).culprits) == 10


@pytest.mark.parametrize("limit", SHARE_LIMITS, ids=lambda limit: limit.name)
def test_share_may_reach_its_limit_and_not_exceed_it(limit: ShareLimit) -> None:
    whole = 10_000
    at_limit = int(limit.limit * whole)
    within = ledger_row(**{limit.whole: whole, limit.part: at_limit})
    above = ledger_row(**{limit.whole: whole, limit.part: at_limit + 1})
    assert judge_share(limit, within).passed
    assert not judge_share(limit, within).culprits
    verdict = judge_share(limit, above)
    assert not verdict.passed
    assert limit.remedy in verdict.summary
    assert verdict.culprits == [{"file": "a.jsonl", limit.part: at_limit + 1, limit.whole: whole}]


def test_unpriced_events_warn_above_1_percent_and_are_an_error_above_2() -> None:
    (limit,) = (one for one in SHARE_LIMITS if one.name == "unpriced_share")
    verdicts = [
        judge_share(limit, ledger_row(accepted=10_000, unpriced_events=unpriced))
        for unpriced in (100, 101, 200, 201)
    ]
    assert [one.passed for one in verdicts] == [True, False, False, False]
    assert [to_result(one, blocking=False).severity.value for one in verdicts] == [
        *["WARN"] * 3, "ERROR"
    ]  # fmt: skip


def test_share_is_of_all_files_and_names_the_worst_first() -> None:
    limit = SHARE_LIMITS[0]
    good = ledger_row(lines=980, quarantined=0)
    bad = [ledger_row(lines=10, quarantined=n).with_columns(file=pl.lit(f"{n}")) for n in (4, 7)]
    assert not judge_share(limit, pl.concat([good, *bad])).passed
    culprits = judge_share(limit, pl.concat([good, *bad])).culprits
    assert [culprit["file"] for culprit in culprits] == ["7", "4"]
    more = good.with_columns(lines=pl.lit(1_080, pl.Int64))
    assert judge_share(limit, pl.concat([more, *bad])).passed


def test_share_of_nothing_is_within_any_limit() -> None:
    nothing = ledger_row(lines=0, accepted=0, quarantined=0)
    assert all(judge_share(limit, nothing).passed for limit in SHARE_LIMITS)
