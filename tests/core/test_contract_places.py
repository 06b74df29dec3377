"""Where each line is from: no line costs another, and each keeps its file and number."""

from datetime import UTC, datetime

import polars as pl

from opsmeter_pipeline.contract import judge_chunk, refuse_conflicts
from opsmeter_pipeline.model.landed import Part
from opsmeter_pipeline.model.tables import EVENTS, REFUSED
from tests.scenario import ABSENT, NOW, PRICED, at, chunk_of, judge, line, slice_of


def test_one_bad_line_never_costs_another() -> None:
    bad = ["{", line(inputTokens=-1), b"\xff\xfe", "", "[]", line(timestamp="yesterday"), "\x00"]
    good = [line(externalRequestId=f"req-{number}") for number in range(len(bad) + 1)]
    mixed = [text for pair in zip(good, bad, strict=False) for text in pair] + [good[-1]]
    judged = judge(*mixed)
    assert judged.events["external_request_id"].to_list() == [f"req-{n}" for n in range(len(good))]
    assert judged.events["line_number"].to_list() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert judged.quarantine["line_number"].to_list() == [2, 4, 6, 10, 12, 14]
    assert judged.counts.row(0, named=True) == {
        "slice_index": 0, "lines": 15, "blank": 1, "quarantined": 6,
    }  # fmt: skip


def test_lines_keep_their_place_over_several_parts() -> None:
    slices = [
        slice_of(batch_id="b-1", file="a.jsonl", landed_at=at(-20)),
        slice_of(batch_id="b-1", file="b.jsonl", landed_at=at(-10)),
        slice_of(batch_id="b-2", file="c.jsonl", landed_at=NOW),
    ]
    texts = [line(timestamp=ABSENT), "x", "", line(timestamp=ABSENT), "y", line(timestamp=ABSENT)]
    parts = [Part(0, 7, 1), Part(2, 100, 3), Part(1, 1, 2)]
    judged = judge_chunk(chunk_of(*texts, parts=parts, number=3), slices)
    assert judged.events.select("slice_index", "line_number", "ingested_at").rows() == [
        (0, 7, at(-20)),
        (2, 102, NOW),
        (1, 2, at(-10)),
    ]
    refused = ["slice_index", "batch_id", "file", "line_number", "ingested_at"]
    assert judged.quarantine.select(refused).rows() == [
        (2, "b-2", "c.jsonl", 100, NOW),
        (1, "b-1", "b.jsonl", 1, at(-10)),
    ]
    assert judged.counts.sort("slice_index").rows() == [(0, 1, 0, 0), (1, 2, 0, 1), (2, 3, 1, 1)]


def test_order_of_reading_goes_on_from_chunk_to_chunk() -> None:
    chunks = [judge_chunk(chunk_of(line(), line(), number=n), [slice_of()]) for n in range(3)]
    order = pl.concat(chunk.events for chunk in chunks)["seq"].to_list()
    assert order == sorted(set(order))
    assert len(order) == 6


def test_chunk_without_lines_has_the_shape_of_any_other() -> None:
    empty, full = judge_chunk(chunk_of(), [slice_of()]), judge(line(), "{")
    assert (empty.events.height, empty.quarantine.height) == (0, 0)
    assert empty.events.schema == full.events.schema
    assert empty.quarantine.schema == full.quarantine.schema


def test_events_and_quarantine_have_the_types_of_their_tables() -> None:
    judged = judge(line(extraField=1, ingestedAt=1_763_892_000_250), "{")
    later = {"batch_id", "file", "attempt_told", "attempt_inferred", "is_first_attempt"}
    later |= set(PRICED)
    for name in EVENTS.schema.keys() - later:
        dtype = judged.events.schema[name]
        assert (pl.String if dtype == pl.Categorical else dtype) == EVENTS.schema[name], name
    for name, dtype in REFUSED.schema.items():
        assert judged.quarantine.schema[name] == dtype, name


def test_conflicting_duplicates_are_filed_with_their_place_and_without_persons() -> None:
    judged = judge(line(), line(userId="ann-lee-4711", attempt=2))
    conflicts = refuse_conflicts(judged.events.filter(pl.col("line_number") == 2), [slice_of()])
    row = conflicts.row(0, named=True)
    assert (row["rule"], row["file"], row["line_number"]) == (
        "conflicting_duplicate",
        "usage.jsonl",
        2,
    )
    assert row["ingested_at"] == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert "ann" not in row["line_redacted"]
    assert "4711" not in row["line_redacted"]
    assert conflicts.select(list(REFUSED.schema)).schema == REFUSED.schema
    assert refuse_conflicts(judged.events.clear(), [slice_of()]).schema == conflicts.schema
