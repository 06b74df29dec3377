"""Texts and numbers as UTC instants, and instants as ingest days."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from opsmeter_pipeline.model.clock import (
    MAX_EPOCH_MS,
    MIN_EPOCH_MS,
    from_epoch_ms,
    ingest_day,
    parse_rfc3339,
    utc_now,
)
from tests.strategies import date_time_texts


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23t10:00:00z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23 10:00:00-00:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T15:30:00+05:30", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T10:00:00.1234569Z", datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-23T10:00:59.999999Z", datetime(2026, 11, 23, 10, 0, 59, 999_999, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.5Z", datetime(2017, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("2026-11-23T10:00:00", None),
        ("2026-11-23 10:00:00.5", None),
    ],
)
def test_date_times_are_read(text: str, instant: datetime | None) -> None:
    assert parse_rfc3339(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-23", "2026-11-23T10:00Z", "2026-11-23T10:00:00.Z", "2026-11-23T10:00:00Z\n",
        "2026-02-30T10:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T10:00:61Z",
        "2026-11-23T10:00:99", "2026-11-23T10:00:00+24:00", "2026-11-23T10:00:00+05:60",
        "0000-01-01T00:00:00Z", "\uff12\uff10\uff12\uff16-11-23T10:00:00Z", "1763892000250",
    ],
)  # fmt: skip
def test_texts_that_name_no_moment_raise(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


@given(text=date_time_texts())
def test_any_shape_is_read_as_python_reads_it_or_raises(text: str) -> None:
    assume(not text.endswith(":60"))  # Python takes an offset's minute 60 for an hour
    is_leap = text[17:19] == "60"
    try:
        plain = datetime.fromisoformat(text[:17] + ("59" if is_leap else text[17:19]) + text[19:])
        expected = (plain + timedelta(seconds=is_leap)).astimezone(UTC)
    except (ValueError, OverflowError):
        with pytest.raises((ValueError, OverflowError)):
            parse_rfc3339(text)
    else:
        assert parse_rfc3339(text) == expected


@pytest.mark.parametrize(
    ("epoch_ms", "instant"),
    [
        (MIN_EPOCH_MS, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (MIN_EPOCH_MS + 1, datetime(1973, 3, 3, 9, 46, 40, 1_000, tzinfo=UTC)),
        (1_763_892_000_250, datetime(2025, 11, 23, 10, 0, 0, 250_000, tzinfo=UTC)),
        (MAX_EPOCH_MS, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
)
def test_epoch_milliseconds_are_read(epoch_ms: int, instant: datetime) -> None:
    assert from_epoch_ms(epoch_ms) == instant


@pytest.mark.parametrize(
    "epoch_ms", [-1, 0, 1_763_892_000, MIN_EPOCH_MS - 1, MAX_EPOCH_MS + 1, 10**30]
)
def test_epoch_milliseconds_out_of_range_raise(epoch_ms: int) -> None:
    with pytest.raises(ValueError, match="1973 to 9999"):
        from_epoch_ms(epoch_ms)


@given(epoch_ms=st.integers(MIN_EPOCH_MS, MAX_EPOCH_MS))
def test_epoch_milliseconds_survive_the_way_there_and_back(epoch_ms: int) -> None:
    since = from_epoch_ms(epoch_ms) - datetime(1970, 1, 1, tzinfo=UTC)
    assert since // timedelta(milliseconds=1) == epoch_ms


def test_ingest_day_is_the_day_in_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert ingest_day(datetime(2026, 11, 23, tzinfo=UTC)) == date(2026, 11, 23)
    assert ingest_day(datetime(2026, 11, 23, 5, 29, 59, tzinfo=east)) == date(2026, 11, 22)
    assert ingest_day(datetime(2026, 11, 23, 5, 30, tzinfo=east)) == date(2026, 11, 23)


def test_present_moment_is_an_aware_utc_instant() -> None:
    assert utc_now().utcoffset() == timedelta()
