"""What a run takes of the landing: new files, growth, the oldest day, up to the size."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.landing import (
    FIRST_DAY,
    Candidate,
    Taken,
    date_waiting,
    find_candidates,
    find_left,
    find_refused,
    plan_batch,
)
from opsmeter_pipeline.landing.shares import COMPRESSED_WEIGHT
from opsmeter_pipeline.model.landed import FORMATS, LandedFile, format_of
from opsmeter_pipeline.model.watermark import Watermark
from tests.scenario import NOW, at, slice_of

TODAY = NOW.date()


def landed(file: str = "a.jsonl", size: int = 100, **changes: Any) -> LandedFile:
    return replace(LandedFile(file, size, at(-60)), **changes)


def taken(**changes: Any) -> Taken:
    return replace(Taken(100, 11, size_bytes=100, modified_at=at(-60)), **changes)


def new(file: str = "a.jsonl", size: int = 100, **changes: Any) -> tuple[Candidate, int]:
    one = landed(file, size, **changes)
    return Candidate(one, format_of(file), 0, 1, is_known=False), size


def plan(*measured: tuple[Candidate, int], limit: int = 10**9, **options: Any) -> list[str]:
    slices = plan_batch(measured, now=NOW, batch_id="b", batch_bytes=limit, **options)
    return [one.file for one in slices]


@pytest.mark.parametrize("form", FORMATS)
def test_new_files_are_candidates_from_their_first_byte(form: str) -> None:
    candidates, findings = find_candidates([landed(f"day/u.{form}")], {})
    assert candidates == [Candidate(landed(f"day/u.{form}"), form, 0, 1, is_known=False)]
    assert findings == []


@pytest.mark.parametrize(
    "file", ["notes.txt", "u.json", "u.JSONL", "u.csv.gz", "u.jsonl.bz2", "jsonl"]
)
def test_other_files_are_findings(file: str) -> None:
    candidates, findings = find_candidates([landed(file)], {})
    assert candidates == []
    assert [(one.landed.file, one.finding) for one in findings] == [(file, "unsupported")]
    seen = {file: taken(byte_end=0, next_line_number=1)}
    assert find_candidates([landed(file)], seen) == ([], [])


@pytest.mark.parametrize("form", FORMATS)
def test_file_that_looks_as_before_is_passed_over(form: str) -> None:
    assert find_candidates([landed(f"u.{form}")], {f"u.{form}": taken()}) == ([], [])


@pytest.mark.parametrize("change", [{"size_bytes": 101}, {"modified_at": at(-59)}], ids=str)
@pytest.mark.parametrize("form", FORMATS)
def test_file_that_looks_different_is_looked_at_from_where_it_was_left(form, change) -> None:
    one = landed(f"u.{form}", **change)
    candidates, _ = find_candidates([one], {f"u.{form}": taken()})
    assert candidates == [Candidate(one, form, 100, 11, is_known=True)]


def test_unfinished_last_line_is_looked_at_again_in_plain_files_alone() -> None:
    unfinished = taken(byte_end=90)
    candidates, _ = find_candidates([landed("u.jsonl")], {"u.jsonl": unfinished})
    assert [one.byte_start for one in candidates] == [90]
    assert find_candidates([landed("u.csv")], {"u.csv": unfinished}) == ([], [])


def test_slice_says_what_was_taken_and_when() -> None:
    candidate = Candidate(landed(size=250), "jsonl", 100, 11, is_known=True)
    (one,) = plan_batch([(candidate, 240)], now=NOW, batch_id="b-7", batch_bytes=140)
    assert (one.byte_start, one.byte_end, one.first_line_number) == (100, 240, 11)
    assert (one.batch_id, one.file, one.format) == ("b-7", "a.jsonl", "jsonl")
    assert (one.taken_at, one.landed_at, one.modified_at) == (NOW, at(-60), at(-60))
    assert (one.ingest_day, one.checksum) == (TODAY, None)


def test_known_file_without_a_whole_new_line_is_not_taken_and_an_empty_new_one_is() -> None:
    known = Candidate(landed(size=120), "jsonl", 100, 11, is_known=True)
    assert plan((known, 100)) == []
    assert plan((known, 101)) == ["a.jsonl"]
    assert plan(new(size=0)) == ["a.jsonl"]
    assert plan() == []


def test_oldest_day_goes_first_and_alone() -> None:
    files = [
        new("today.jsonl"),
        new("old-2.jsonl", modified_at=at(-86_400)),
        new("old-1.jsonl", modified_at=at(-86_401)),
        new("older.jsonl", modified_at=at(-10 * 86_400)),
    ]
    assert plan(*files) == ["older.jsonl"]
    assert plan(*files[:3]) == ["old-1.jsonl", "old-2.jsonl"]
    assert plan(*files, day=TODAY) == ["today.jsonl"]
    assert plan(*files, day=date(2026, 11, 1)) == []


def test_ingest_day_is_that_of_utc_midnight() -> None:
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    before, after = midnight - timedelta(microseconds=1), midnight
    assert plan(new("x.jsonl", modified_at=after), day=TODAY) == ["x.jsonl"]
    assert plan(new("x.jsonl", modified_at=before), day=TODAY) == []


def test_files_of_a_day_are_taken_in_order_of_landing_then_name() -> None:
    files = [new("c.jsonl"), new("b.jsonl", modified_at=at(-61)), new("a.jsonl")]
    assert plan(*files) == ["b.jsonl", "a.jsonl", "c.jsonl"]


def test_batch_is_filled_up_to_its_size_and_not_beyond() -> None:
    files = [new("u-1.csv", 40), new("u-2.csv", 60), new("u-3.csv", 1)]
    assert plan(*files, limit=100) == ["u-1.csv", "u-2.csv"]
    assert plan(*files, limit=99) == ["u-1.csv"]
    assert plan(*files, limit=101) == ["u-1.csv", "u-2.csv", "u-3.csv"]


def test_after_a_batch_of_history_the_newest_day_goes_and_after_that_the_oldest() -> None:
    old, older = at(-86_400), at(-10 * 86_400)
    files = [
        new("live.jsonl"),
        new("archive-1.jsonl", modified_at=older),
        new("archive-2.jsonl", modified_at=old),
    ]
    assert plan(*files) == ["archive-1.jsonl"]
    assert plan(*files, last_day=older.date()) == ["live.jsonl"]
    assert plan(*files, last_day=TODAY) == ["archive-1.jsonl"]
    # What landed last of a source that has older files waits for them, on whatever day.
    assert plan(*files[1:], last_day=older.date()) == ["archive-1.jsonl"]
    assert plan(*files[1:], day=old.date()) == []


@pytest.mark.parametrize("form", ["jsonl.gz", "jsonl.zst", "parquet"])
def test_compressed_files_weigh_what_they_may_unfold_to(form: str) -> None:
    files = [new(f"u-1.{form}", 10), new(f"u-2.{form}", 10)]
    assert plan(*files, limit=20 * COMPRESSED_WEIGHT) == [f"u-1.{form}", f"u-2.{form}"]
    assert plan(*files, limit=20 * COMPRESSED_WEIGHT - 1) == [f"u-1.{form}"]


def test_growth_weighs_its_new_part_alone() -> None:
    grown = Candidate(landed("a.jsonl", size=1_000), "jsonl", 990, 11, is_known=True)
    assert plan((grown, 1_000), new("b.jsonl", 90), limit=100) == ["a.jsonl", "b.jsonl"]


def test_no_file_landed_later_than_it_was_listed() -> None:
    future = [new("a.jsonl", modified_at=at(5)), new("b.jsonl", modified_at=at(40 * 86_400))]
    slices = plan_batch(future, now=NOW, batch_id="b", batch_bytes=10**9)
    assert [one.landed_at for one in slices] == [NOW, NOW]
    assert [one.modified_at for one in slices] == [at(5), at(40 * 86_400)]
    assert {one.ingest_day for one in slices} == {TODAY}


@pytest.mark.parametrize(
    ("modified_at", "day"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), FIRST_DAY),
        (datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC), FIRST_DAY),
        (datetime(2020, 1, 1, tzinfo=UTC), FIRST_DAY),
        (datetime(2020, 1, 2, tzinfo=UTC), date(2020, 1, 2)),
    ],
)
def test_files_older_than_the_first_day_are_taken_on_it(modified_at, day: date) -> None:
    (one,) = plan_batch(
        [new(modified_at=modified_at)], now=NOW, batch_id="b", batch_bytes=1, day=day
    )
    assert (one.ingest_day, one.landed_at) == (day, modified_at)


@given(
    sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8),
    days=st.lists(st.integers(0, 2), min_size=8, max_size=8),
    limit=st.integers(1, 120),
)
def test_backlog_is_taken_batch_by_batch_to_its_last_file(sizes, days, limit: int) -> None:
    waiting = [
        new(f"{n}.jsonl", size, modified_at=at(-86_400 * day))
        for n, (size, day) in enumerate(zip(sizes, days, strict=False))
    ]
    order, days_taken = [], []
    while waiting:
        batch = plan_batch(waiting, now=NOW, batch_id="b", batch_bytes=limit)
        assert batch
        assert len({one.ingest_day for one in batch}) == 1
        assert len(batch) == 1 or sum(one.byte_end for one in batch) <= limit
        files = [one.file for one in batch]
        order += files
        days_taken.append(batch[0].ingest_day)
        waiting = [one for one in waiting if one[0].landed.file not in files]
    assert sorted(order) == sorted(f"{n}.jsonl" for n in range(len(sizes)))
    assert days_taken == sorted(days_taken)


BEFORE = Watermark(at(-600), at(-5000), 1, 0, 0)
LIMIT = 100


def waiting_since(
    file: str,
    *,
    size: int,
    end: int,
    modified_at: datetime,
    before: Watermark | None,
    known: int = 0,
    taken_to: int | None = None,
) -> list[datetime]:
    """Return since when a file waits, known up to a byte, of which a batch takes up to another."""
    one = LandedFile(file, size, modified_at)
    candidate = Candidate(one, format_of(file), known, 1, is_known=known > 0)
    slices = [] if taken_to is None else [slice_of(file=file, byte_end=taken_to)]
    left = find_left([(candidate, end)], slices, batch_bytes=LIMIT)
    return date_waiting(left, now=NOW, before=before)


@pytest.mark.parametrize(
    ("case", "since"),
    [
        # A file that was taken to its end waits for nothing.
        ({"size": 90, "end": 90, "taken_to": 90}, None),
        # One that was left waits since its modification time, or since now if that is ahead.
        ({"size": 90, "end": 90, "file": "a.csv"}, -60),
        ({"size": 90, "end": 90, "file": "a.csv", "modified_at": at(999)}, 0),
        ({"size": 90, "end": 90, "modified_at": at(-700)}, -700),
        # A plain one that nobody has taken yet, too.
        ({"size": 90, "end": 90}, -60),
        ({"size": 90, "end": 90, "before": None}, -60),
        # One that is larger than a batch holds lines of nobody knows when.
        ({"size": 500, "end": 95, "taken_to": 95, "modified_at": at(-700)}, -5000),
        ({"size": 500, "end": 95, "taken_to": 95, "before": None}, "ever"),
        ({"size": 200, "end": 160, "known": 90}, -5000),
        ({"size": 200, "end": 160, "known": 90, "before": None}, "ever"),
        # An unfinished last line landed with the last change.
        ({"size": 90, "end": 80, "taken_to": 80}, -60),
        ({"size": 90, "end": 80, "known": 80}, -60),
        ({"size": 90, "end": 80, "known": 80, "before": None}, -60),
        # Nothing is older than the file's own time.
        ({"size": 90, "end": 90, "modified_at": at(-9000)}, -9000),
    ],
)
def test_what_a_batch_leaves_waits_since_it_landed(
    case: dict[str, Any], since: float | str | None
) -> None:
    case = {"file": "a.jsonl", "modified_at": at(-60), "before": BEFORE} | case
    ever = datetime(2020, 1, 1, tzinfo=UTC)
    expected = [] if since is None else [ever if since == "ever" else at(since)]
    assert waiting_since(**case) == expected


def test_a_refused_file_is_counted_until_it_changes_or_goes() -> None:
    names = ["changed", "damaged", "touched", "good", "gone", "mended"]
    taken = {
        name: Taken(10, 2, 10, NOW, finding=None if name == "good" else name) for name in names
    } | {"mended": Taken(10, 2, 10, NOW, finding="unreadable")}
    listing = [LandedFile(name, 10, NOW) for name in names if name != "gone"]
    listing[-1] = LandedFile("mended", 10, at(5))
    assert [one.file for one in find_refused(listing, taken)] == ["changed", "damaged"]
