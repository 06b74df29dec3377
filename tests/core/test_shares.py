"""How a batch is shared out between sources when more waits than it holds."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.burst.simulate import FAIR, NEWEST_FIRST, OLDEST_FIRST, simulate
from opsmeter_pipeline.landing.shares import COMPRESSED_WEIGHT, share_batch
from opsmeter_pipeline.model.landed import FORMATS, Slice
from opsmeter_pipeline.model.source import name_source
from tests.scenario import at, slice_of

LIMIT = 160


def waiting(*files: tuple[str, int]) -> list[tuple[Slice, str]]:
    """Return files of these sizes that landed a second after each other, with their sources."""
    return [
        (
            slice_of(
                file=file,
                format=file.partition(".")[2],
                byte_end=size,
                landed_at=at(n),
                modified_at=at(n),
            ),
            name_source(file),
        )
        for n, (file, size) in enumerate(files)
    ]


def share(*files: tuple[str, int]) -> list[tuple[str, int]]:
    return [(one.file, one.byte_end) for one in share_batch(waiting(*files), batch_bytes=LIMIT)]


def test_what_fits_is_taken_whole() -> None:
    files = [("a.csv", 100), ("b.jsonl", 60)]
    assert share(*files) == files


def test_a_flood_of_one_source_leaves_the_others_their_files() -> None:
    """160 bytes for three: b and c need 50 of it, so that a gets 110, its first five files."""
    flood = [(f"a-{n}.csv", 20) for n in range(50)]
    assert share(*flood, ("b.csv", 20), ("c.csv", 30)) == [*flood[:5], ("b.csv", 20), ("c.csv", 30)]


def test_a_large_log_gets_what_the_others_leave() -> None:
    assert share(("log.jsonl", 9_000), ("b.csv", 20), ("c.csv", 30)) == [
        ("log.jsonl", 110),
        ("b.csv", 20),
        ("c.csv", 30),
    ]


def test_two_large_logs_share_evenly_whichever_landed_first() -> None:
    assert share(("a.jsonl", 9_000), ("b.jsonl", 8_000)) == [("a.jsonl", 80), ("b.jsonl", 80)]


def test_what_a_share_is_too_small_for_is_filled_up_in_order_of_landing() -> None:
    """Shares of 53 fit none of the files of 60; the first goes as too large, then what fits."""
    assert share(("a.csv", 60), ("b.csv", 60), ("c.csv", 60), ("d-1.csv", 30)) == [
        ("a.csv", 60),
        ("b.csv", 60),
        ("d-1.csv", 30),
    ]


def test_a_huge_file_that_must_be_whole_goes_and_the_others_get_half_a_batch_beside_it() -> None:
    huge = [(f"a-{n}.csv", 5_000) for n in range(3)]
    small = [(f"b-{n}.csv", 10) for n in range(20)]
    assert share(*huge, *small) == [huge[0], *small[:8]]
    assert share(*small, huge[0]) == [*small[:8], huge[0]]


def test_no_file_of_a_source_overtakes_one_that_waits() -> None:
    """The second file of a does not fit and the third would."""
    assert share(("a-1.csv", 70), ("a-2.csv", 80), ("a-3.csv", 5), ("b-1.csv", 70), ("b-2.csv", 90)
    ) == [("a-1.csv", 70), ("b-1.csv", 70)]  # fmt: skip


def test_many_sources_do_not_crumble_their_logs() -> None:
    """Of 40 logs of 100 bytes each share is 4 bytes, less than a sixteenth of a batch."""
    names = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}.jsonl" for n in range(40)]
    assert share(*((name, 100) for name in names)) == [(names[0], 80), (names[1], 80)]


@given(
    files=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(FORMATS), st.integers(0, 300)),
        min_size=1, max_size=14,
    ),
    limit=st.integers(1, 400),
)  # fmt: skip
def test_every_backlog_ends_in_order_and_within_bounds(files, limit: int) -> None:
    left = waiting(*((f"{s}-{n}.{form}", size) for n, (s, form, size) in enumerate(files)))
    done: dict[str, list[str]] = defaultdict(list)
    for _ in range(10_000):
        if not left:
            break
        batch = {one.file: one for one in share_batch(left, batch_bytes=limit)}
        weights = [_weight(one) for one in batch.values()]
        largest = max(_weight(one) for one, _ in left)
        assert left[0][0].file in batch  # who has waited longest goes, in part at least
        assert sum(weights) <= max(limit, largest + limit // 2 if largest > limit // 2 else 0)
        left = [
            (replace(one, byte_start=batch[one.file].byte_end), source)
            if one.file in batch
            else (one, source)
            for one, source in left
        ]
        for one, source in left:
            if one.file in batch and one.byte_start == one.byte_end:
                done[source].append(one.file)
        left = [
            (one, source)
            for one, source in left
            if one.file not in batch or one.byte_start < one.byte_end
        ]
    assert not left
    for source, order in done.items():
        numbers = [int(file.partition("-")[2].partition(".")[0]) for file in order]
        assert numbers == sorted(numbers), source


def _weight(one: Slice) -> int:
    size = one.byte_end - one.byte_start
    return size if one.format in ("jsonl", "csv") else size * COMPRESSED_WEIGHT


def test_in_a_burst_only_who_sends_it_is_late_and_no_retry_overtakes_its_original() -> None:
    """The figures of ADR 0025; nothing in it asks a clock."""
    oldest, newest, fair = (simulate(order) for order in (OLDEST_FIRST, NEWEST_FIRST, FAIR))
    assert fair.others_within_limit == 1.0
    assert fair.overtaken == oldest.overtaken == 0
    assert newest.overtaken > 0
    assert oldest.others_within_limit < 0.9
    assert fair.all_within_limit >= oldest.all_within_limit
