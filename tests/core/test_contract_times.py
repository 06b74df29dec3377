"""Times in a line: which are instants, which have no offset, which lie too far ahead."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from opsmeter_pipeline.model.clock import MIN_EPOCH_MS
from tests.scenario import ABSENT, NOW, at, judge, judge_one, line, line_saying
from tests.strategies import date_time_texts, instants

TIMES = ["timestamp", "ingestedAt"]
COLUMNS = {"timestamp": "occurred_at", "ingestedAt": "ingested_at"}
EXACTLY_AHEAD = NOW + timedelta(minutes=5)
TOO_FAR_AHEAD = EXACTLY_AHEAD + timedelta(microseconds=1)


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    ("spelled", "instant"),
    [
        ("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23t10:00:00z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23 10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23 10:00:00+00:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T10:00:00-00:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T15:30:00+05:30", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-22T23:00:00-11:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-24T09:59:00+23:59", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T10:00:00.5Z", datetime(2026, 11, 23, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-11-23T10:00:00.123456Z", datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-23T10:00:00.123456789Z", datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-23T10:00:00.9999999999Z", datetime(2026, 11, 23, 10, 0, 0, 999_999, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.25Z", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2017-01-01T05:29:60+05:30", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("1969-12-31T23:59:59Z", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (1_763_892_000_250, datetime(2025, 11, 23, 10, 0, 0, 250_000, tzinfo=UTC)),
        (MIN_EPOCH_MS, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
    ],
    ids=str,
)
def test_times_with_an_offset_are_instants(field: str, spelled: Any, instant: datetime) -> None:
    assert judge_one(line(**{field: spelled}))[COLUMNS[field]] == instant


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    "spelled", ["2026-11-23T10:00:00", "2026-11-23 10:00:00", "2026-11-23T10:00:00.123"]
)
def test_times_without_an_offset_are_naive(field: str, spelled: str) -> None:
    assert judge_one(line(**{field: spelled})) == "naive_timestamp"


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    "spelled",
    [
        "2026-02-30T10:00:00Z",
        "2025-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-00-10T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:60:00Z",
        "2026-11-23T10:00:61Z",
        "2026-11-23T10:00:99Z",
        "2026-11-23t10:00:61Z",
        "2026-11-23 10:00:75Z",
        "2026-11-23T10:00:00+24:00",
        "2026-11-23T10:00:00+05:60",
        "0000-01-01T00:00:00Z",
        "0000-01-01 00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1763892000250",
        "1763892000",
        "2026-11-23",
        "10:00:00Z",
        "20261123T100000Z",
        "2026-11-23T10:00Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00,5Z",
        "2026-11-23T10:00:00 Z",
        "2026-11-23T10:00:00+0530",
        "2026-11-23T10:00:00+05",
        "2026-11-23T10:00:00UTC",
        "2026-11-23T10:00:00Z ",
        "2026-11-23T10:00:00Z\n",
        " 2026-11-23T10:00:00Z",
        "2026-11-23_10:00:00Z",
        "+2026-11-23T10:00:00Z",
        "\uff12\uff10\uff12\uff16-11-23T10:00:00Z",
        "2026-W48-1T10:00:00Z",
        "Mon, 23 Nov 2026 10:00:00 GMT",
        "yesterday",
        "",
        " ",
        -1,
        253_402_300_800_000,
        10**20,
    ],
    ids=repr,
)
def test_times_that_name_no_moment_are_unreadable(field: str, spelled: Any) -> None:
    assert judge_one(line(**{field: spelled})) == "unreadable_timestamp"


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    ("literal", "rule"),
    [("1763892000250.0", "wrong_type"), ("1.7e12", "wrong_type"), ("true", "wrong_type"),
     ("[]", "wrong_type"), ("{}", "wrong_type")],
)  # fmt: skip
def test_times_are_texts_or_whole_numbers(field: str, literal: str, rule: str) -> None:
    assert judge_one(line_saying(field, literal)) == rule


@pytest.mark.parametrize("field", TIMES)
def test_clocks_may_run_five_minutes_ahead_and_not_a_microsecond_more(field: str) -> None:
    kept = judge_one(line(**{field: EXACTLY_AHEAD.isoformat()}))
    assert kept[COLUMNS[field]] == EXACTLY_AHEAD
    assert judge_one(line(**{field: TOO_FAR_AHEAD.isoformat()})) == "future_timestamp"
    exactly_ms = int(EXACTLY_AHEAD.timestamp() * 1_000)
    assert judge_one(line(**{field: exactly_ms}))[COLUMNS[field]] == EXACTLY_AHEAD
    assert judge_one(line(**{field: exactly_ms + 1})) == "future_timestamp"


@pytest.mark.parametrize(
    "spelled", ["9999-12-31T23:59:59Z", 9_999_999_999_999, 10_000_000_000_000, 253_402_300_799_999]
)
def test_far_future_is_in_the_future(spelled: Any) -> None:
    assert judge_one(line(timestamp=spelled)) == "future_timestamp"


def test_future_is_measured_from_when_the_batch_listed_the_landing() -> None:
    earlier = {"taken_at": at(-3_600), "landed_at": at(-7_200)}
    text = line(timestamp=at(-3_600 + 300).isoformat())
    assert judge(text, **earlier).events["occurred_at"].to_list() == [at(-3_300)]
    text = line(timestamp=at(-3_600 + 301).isoformat())
    assert judge(text, **earlier).quarantine["rule"].to_list() == ["future_timestamp"]


def test_null_times_are_absent_times() -> None:
    found = judge_one(line(timestamp=None, ingestedAt=None), landed_at=at(-5))
    assert found["occurred_at"] == found["ingested_at"] == at(-5)


@given(spelled=instants())
def test_any_past_time_is_read_as_python_reads_it(spelled: str | int) -> None:
    if isinstance(spelled, int):
        expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=spelled)
    else:
        expected = datetime.fromisoformat(spelled).astimezone(UTC)
    assert judge(line(timestamp=spelled)).events["occurred_at"].to_list() == [expected]


@given(spelled=date_time_texts())
def test_time_is_judged_alike_in_a_regular_and_an_irregular_line(spelled: str) -> None:
    regular = line(timestamp=ABSENT)[:-1]
    judged = [
        judge(f'{regular},"timestamp":{gap}"{spelled}"}}', line()) for gap in ("", " ", "   ")
    ]
    for one in judged:
        assert one.events.height + one.quarantine.height == 2
        assert one.events["occurred_at"].to_list() == judged[0].events["occurred_at"].to_list()
        assert one.quarantine["rule"].to_list() == judged[0].quarantine["rule"].to_list()
