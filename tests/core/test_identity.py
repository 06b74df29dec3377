"""Attempts are billed, redeliveries are not: the rules of one request's many lines."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.identity import (
    CANDIDATE,
    KNOWN,
    REQUEST_ID,
    apply_verdicts,
    hash_ids,
    identify,
    mark_candidates,
)
from tests.scenario import at, event, events_of

JUDGED = ["seq", "attempt", "attempt_inferred", "is_first_attempt"]
NOTHING_KNOWN = events_of().select(KNOWN)


def sent(seq: int, *, answer: int = 1, told: int | None = None, **changes: Any) -> dict[str, Any]:
    """Return a staged line of one request; `answer` is what it cost, `told` its attempt."""
    times = {"occurred_at": at(seq), "ingested_at": at(seq)}
    return event(seq=seq, attempt=told, output_tokens=answer, **times | changes)


def take(staged: list[dict[str, Any]], known: pl.DataFrame = NOTHING_KNOWN) -> pl.DataFrame:
    """Return the events of a batch, as published while `known` stands in the warehouse."""
    frame = events_of(*staged).drop("attempt_told", "attempt_inferred", "is_first_attempt")
    [mask] = mark_candidates([hash_ids(frame)], known)
    found = identify(frame.filter(mask).select(CANDIDATE), known)
    return apply_verdicts(frame.sort("seq"), found)


def verdicts(staged: list[dict[str, Any]], known: pl.DataFrame = NOTHING_KNOWN) -> dict[int, str]:
    found = identify(events_of(*staged).select(CANDIDATE), known)
    return dict(found.select("seq", "verdict").rows())


def numbered(events: pl.DataFrame) -> dict[int, int]:
    return dict(events.select("seq", "attempt").rows())


def known_from(*published: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([NOTHING_KNOWN, *(events.select(KNOWN) for events in published)])


def requests(*published: pl.DataFrame) -> int:
    return sum(int(events["is_first_attempt"].sum()) for events in published)


def test_line_alone_with_its_id_is_the_first_attempt() -> None:
    events = take([sent(1)])
    kept = events.select("attempt", "attempt_inferred", "is_first_attempt").rows()
    assert kept == [(1, False, True)]
    assert numbered(take([sent(1, told=3)])) == {1: 3}


def test_told_attempts_are_events_of_one_request() -> None:
    events = take([sent(1, told=1), sent(2, told=2), sent(3, told=3, answer=9)])
    assert numbered(events) == {1: 1, 2: 2, 3: 3}
    assert events["attempt_inferred"].to_list() == [False, False, False]
    assert events["is_first_attempt"].to_list() == [True, False, False]


def test_told_attempt_repeated_is_a_redelivery() -> None:
    staged = [sent(1, told=1), sent(2, told=1, occurred_at=at(500))]
    assert verdicts(staged) == {1: "event", 2: "duplicate"}


def test_told_attempt_with_other_content_conflicts_and_the_first_stays() -> None:
    staged = [sent(1, told=1), sent(2, told=1, answer=2), sent(3, told=1)]
    assert verdicts(staged) == {1: "event", 2: "conflicting_duplicate", 3: "duplicate"}


@pytest.mark.parametrize("told", [None, 1])
def test_equal_lines_are_one_event_redelivered(told: int | None) -> None:
    staged = [sent(seq, told=told) for seq in range(1, 5)]
    assert list(verdicts(staged).values()) == ["event", "duplicate", "duplicate", "duplicate"]


def test_restamped_time_does_not_make_another_event() -> None:
    staged = [sent(1, occurred_at=at(0)), sent(2, occurred_at=at(3_600))]
    assert verdicts(staged) == {1: "event", 2: "duplicate"}


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "azure"},
        {"model": "gpt-4o-mini"},
        {"endpoint_tag": "chat.title"},
        {"prompt_version": "v4"},
        {"input_tokens": 999},
        {"cache_read_tokens": 0},
        {"cache_write_tokens": 5},
        {"output_tokens": 999},
        {"reasoning_tokens": 1},
        {"latency_ms": None},
        {"status": "error"},
        {"status": None},
    ],
    ids=str,
)
def test_lines_that_differ_in_content_are_attempts(change: dict[str, Any]) -> None:
    events = take([sent(1), sent(2) | change])
    assert numbered(events) == {1: 1, 2: 2}
    assert events["attempt_inferred"].to_list() == [False, True]
    assert events["is_first_attempt"].to_list() == [True, False]


@pytest.mark.parametrize("change", [{"user_id": "u-2"}, {"tenant_id": "t-2"}, {"extra": "{}"}])
def test_what_is_no_content_does_not_make_another_event(change: dict[str, Any]) -> None:
    assert verdicts([sent(1), sent(2) | change]) == {1: "event", 2: "duplicate"}


@pytest.mark.parametrize(
    "change", [{"environment": "staging"}, {"external_request_id": "req-0001 "}]
)
def test_other_environment_or_id_is_another_request(change: dict[str, Any]) -> None:
    events = take([sent(1), sent(2) | change])
    assert numbered(events) == {1: 1, 2: 1}
    assert requests(events) == 2


def test_inferred_attempts_are_numbered_in_order_of_event_time() -> None:
    staged = [
        sent(1, answer=1, occurred_at=at(30)),
        sent(2, answer=2, occurred_at=at(10)),
        sent(3, answer=3, occurred_at=at(20)),
    ]
    events = take(staged)
    assert numbered(events) == {1: 3, 2: 1, 3: 2}
    assert dict(events.select("seq", "is_first_attempt").rows()) == {1: False, 2: True, 3: False}


def test_earliest_received_line_is_the_event() -> None:
    staged = [sent(1, ingested_at=at(9)), sent(2, ingested_at=at(8)), sent(3, ingested_at=at(8.5))]
    assert verdicts(staged) == {1: "duplicate", 2: "event", 3: "duplicate"}


def test_attempts_nobody_named_are_numbered_among_themselves() -> None:
    staged = [
        sent(1, told=2, answer=1),
        sent(2, told=5, answer=2),
        *(sent(seq, answer=seq) for seq in (3, 4, 5, 6)),
    ]
    assert numbered(take(staged)) == {1: 2, 2: 5, 3: 1, 4: 2, 5: 3, 6: 4}


def test_line_without_attempt_that_equals_a_told_one_is_its_redelivery() -> None:
    assert verdicts([sent(1, told=2), sent(2)]) == {1: "event", 2: "duplicate"}
    assert verdicts([sent(1), sent(2, told=2)]) == {1: "duplicate", 2: "event"}


def test_published_event_always_stays() -> None:
    published = take([sent(5, ingested_at=at(100))])
    known = known_from(published)
    assert verdicts([sent(1, ingested_at=at(-100))], known) == {1: "duplicate"}
    assert verdicts([sent(1, told=1)], known) == {1: "duplicate"}
    assert verdicts([sent(1, told=1, answer=2)], known) == {1: "event"}
    told = known_from(take([sent(5, told=1)]))
    assert verdicts([sent(1, told=1, answer=2)], told) == {1: "conflicting_duplicate"}


def test_new_attempts_are_numbered_after_published_ones() -> None:
    published = take([sent(1, answer=1), sent(2, answer=2), sent(3, told=4, answer=3)])
    assert numbered(published) == {1: 1, 2: 2, 3: 4}
    later = take([sent(7, answer=7), sent(8, answer=8), sent(9, answer=2)], known_from(published))
    assert numbered(later) == {7: 3, 8: 4}
    assert later["attempt_inferred"].to_list() == [True, True]
    assert requests(published, later) == 1


def test_told_attempt_is_billed_though_its_number_was_inferred_for_another() -> None:
    """A number we guessed must not cost a producer's own attempt its place in the total."""
    published = take([sent(1, answer=1), sent(2, answer=2)])
    later = take([sent(3, told=2, answer=3)], known_from(published))
    together = take([sent(1, answer=1), sent(2, answer=2), sent(3, told=2, answer=3)])
    assert published.height + later.height == together.height == 3


def test_told_attempt_with_the_content_of_a_published_untold_one_is_its_redelivery() -> None:
    first = take([sent(1)])
    assert verdicts([sent(2, told=2)], known_from(first)) == {2: "duplicate"}
    assert numbered(take([sent(1)])) == numbered(first) == {1: 1}


def test_request_is_counted_once_whatever_comes_later() -> None:
    first = take([sent(1, told=2)])
    second = take([sent(2, told=1, answer=2)], known_from(first))
    third = take([sent(3, answer=3)], known_from(first, second))
    assert [events.height for events in (first, second, third)] == [1, 1, 1]
    assert requests(first, second, third) == 1


def test_candidates_are_the_lines_whose_id_occurs_twice_or_is_known() -> None:
    texts = [["a", "b"], ["c", "a", "d"], []]
    parts = [hash_ids(pl.DataFrame({REQUEST_ID: one}, {REQUEST_ID: pl.String})) for one in texts]
    known = known_from(take([sent(9, external_request_id="d")]))
    for published, marked in (
        (NOTHING_KNOWN, [[True, False], [False, True, False], []]),
        (known, [[True, False], [False, True, True], []]),
    ):
        assert [mask.to_list() for mask in mark_candidates(parts, published)] == marked
    assert mark_candidates([], NOTHING_KNOWN) == []


def test_nothing_staged_has_no_verdicts() -> None:
    assert take([]).is_empty()
    assert take([], known_from(take([sent(1)]))).is_empty()


LINES = st.builds(
    dict,
    answer=st.integers(1, 3),
    told=st.sampled_from([None, None, 1, 2, 3]),
    occurred_at=st.integers(0, 3).map(at),
    external_request_id=st.sampled_from("AB"),
)
BATCHES = st.lists(st.lists(LINES, min_size=1, max_size=4), min_size=1, max_size=3)


def publish_all(batches: list[list[dict[str, Any]]]) -> tuple[list[list[dict]], list[pl.DataFrame]]:
    """Return the batches with their order and time of receipt, and the events of each."""
    staged, published = [], []
    for number, batch in enumerate(batches):
        received = {"ingested_at": at(100 * number)}
        staged.append([sent(10 * number + n, **one | received) for n, one in enumerate(batch)])
        published.append(take(staged[-1], known_from(*published)))
    return staged, published


@given(batches=BATCHES)
def test_replaying_any_batch_gives_its_events_the_same_attempts(batches: list) -> None:
    staged, published = publish_all(batches)
    for number, batch in enumerate(staged):
        others = published[:number] + published[number + 1 :]
        again = take(batch, known_from(*others))
        assert again.select(JUDGED).rows() == published[number].select(JUDGED).rows()


@given(batches=BATCHES)
def test_attempts_are_unique_and_each_request_is_counted_once(batches: list) -> None:
    staged, published = publish_all(batches)
    events = pl.concat(published)
    key = ["environment", "external_request_id", "attempt", "attempt_told"]
    assert events.select(key).is_unique().all()
    assert requests(*published) == events["external_request_id"].n_unique()
    assert events["external_request_id"].n_unique() == len(
        {one["external_request_id"] for batch in staged for one in batch}
    )


@given(batch=st.lists(LINES, min_size=1, max_size=6), data=st.data())
def test_order_of_a_batch_does_not_matter(batch: list, data: st.DataObject) -> None:
    staged = [sent(seq, **one) for seq, one in enumerate(batch)]
    shuffled = data.draw(st.permutations(staged))
    found = take(staged).select(JUDGED)
    assert take(shuffled).select(JUDGED).sort("seq").rows() == found.sort("seq").rows()


@given(batch=st.lists(LINES, min_size=1, max_size=6))
def test_each_line_of_a_repeated_id_gets_exactly_one_verdict(batch: list) -> None:
    staged = [sent(seq, **one) for seq, one in enumerate(batch)]
    assert sorted(verdicts(staged)) == list(range(len(batch)))
    assert set(verdicts(staged).values()) <= {"event", "duplicate", "conflicting_duplicate"}


def test_a_verdict_without_its_event_is_refused() -> None:
    frame = events_of(sent(1), sent(2), sent(4))
    found = identify(events_of(sent(3), sent(4)).select(CANDIDATE), NOTHING_KNOWN)
    with pytest.raises(ValueError, match="A verdict's event is not there"):
        apply_verdicts(frame, found)
