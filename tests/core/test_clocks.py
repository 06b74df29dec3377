"""How lags are counted, and both sides of every limit that tells a clock from honest delay."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest

from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.tables import CLOCKS_HOURLY, REFUSED
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.tracking.clocks import ZONE_OFFSETS, find_skew, judge_clock_skew
from opsmeter_pipeline.tracking.lags import build_clocks, count_lags, count_leads, to_lag_minutes
from tests.scenario import NOW, at, event, events_of, judge, line, slice_of

MINUTE, HOUR = 60, 3600


@pytest.mark.parametrize(
    ("lag", "minutes"),
    [
        (timedelta(seconds=-300), -5),  # five minutes to the second are still allowed
        (timedelta(seconds=-300, microseconds=-1), -6),
        (timedelta(hours=23, minutes=59, seconds=59), 1_439),
        (timedelta(days=2, minutes=59), 2_880),
        (timedelta(days=-2, minutes=-1), -2_940),
        (timedelta(days=45, hours=23), 64_800),
        (NOW - datetime(1, 1, 1, tzinfo=UTC), 1_000_000_000),
    ],
)
def test_a_lag_is_counted_in_steps_that_grow_with_it(lag: timedelta, minutes: int) -> None:
    frame = pl.DataFrame({"lag": [lag]}, schema={"lag": pl.Duration("us")})
    assert frame.select(to_lag_minutes(pl.col("lag"))).item() == minutes


def test_each_event_stands_in_one_row_with_its_money() -> None:
    slices = [slice_of(file="shop/a.jsonl", modified_at=at(-90))]
    rows = [
        event(occurred_at=at(-59)),
        event(occurred_at=at(-3 * HOUR), cost_usd=Decimal("0.25"), is_first_attempt=False),
        event(occurred_at=at(-3 * HOUR), cost_usd=Decimal("0.50")),
        event(),  # it told neither time: both are the landing
        event(occurred_at=at(-2 * HOUR), ingested_at=at(-HOUR)),
    ]
    clocks = build_clocks(count_lags(events_of(*rows), slices), count_leads(_refused(), slices),
                          slices)  # fmt: skip
    assert clocks.schema == CLOCKS_HOURLY.schema
    assert clocks["landed_hour_at"].unique().to_list() == [NOW]
    assert set(clocks.drop("batch_id", "landed_hour_at").rows()) == {
        ("shop/a.*", 0, None, 1, 1, 1, 0, Decimal(0)),
        ("shop/a.*", 180, None, 1, 2, 1, 0, Decimal("0.75")),
        ("shop/a.*", None, None, 1, 1, 1, 0, Decimal(0)),
        ("shop/a.*", 60, 60, 1, 1, 1, 0, Decimal(0)),
    }


def _refused(*lines: str, **slice_changes) -> pl.DataFrame:
    return REFUSED.arrange(judge(*lines, **slice_changes).quarantine)


def test_refused_lines_count_with_how_far_they_were_ahead_of_the_landing() -> None:
    """They were taken an hour after they landed, and refused by the clock of the taking."""
    place = {"file": "shop/a.jsonl", "landed_at": at(-HOUR), "modified_at": at(-HOUR)}
    refused = _refused(
        line(timestamp="2026-11-23T16:30:00Z"),
        line(ingestedAt="2026-11-23T13:00:00Z", timestamp="2026-11-23T12:50:00Z"),
        line(ingestedAt="2026-11-23T13:00:00Z"),
        line(inputTokens=-1, timestamp="2026-11-23T16:30:00Z"),
        **place,
    )
    assert refused["detail"].to_list() == [
        "timestamp 16200 seconds ahead",
        "timestamp 3000 seconds ahead, ingestedAt 3600 seconds ahead",
        "ingestedAt 3600 seconds ahead",
        "inputTokens below 0",
    ]
    slices = [slice_of(**place)]
    clocks = build_clocks(count_lags(events_of(), slices), count_leads(refused, slices), slices)
    assert clocks["landed_hour_at"].unique().to_list() == [at(-HOUR)]
    shown = clocks.select("sender_lag_minutes", "collector_lag_minutes", "landing_lag_minutes",
                          "attempts", "refused_lines")  # fmt: skip
    assert set(shown.rows()) == {
        (-330, None, 60, 0, 1),
        (10, -120, 60, 0, 1),
        (None, -120, 60, 0, 1),
    }


def test_a_batch_without_lines_makes_no_row() -> None:
    slices = [slice_of()]
    clocks = build_clocks(count_lags(events_of(), slices), count_leads(_refused(), slices), slices)
    assert clocks.is_empty()
    assert clocks.schema == CLOCKS_HOURLY.schema


LAGS = {
    "source": pl.String, "landed_hour_at": INSTANT, "sender_lag_minutes": pl.Int32,
    "collector_lag_minutes": pl.Int32, "landing_lag_minutes": pl.Int32, "lines": pl.Int64,
    "refused_lines": pl.Int64, "run_lines": pl.Int64, "first_batch": pl.String,
    "last_batch": pl.String,
}  # fmt: skip


def _row(ago: int = 0, lag: int | None = 0, **changes) -> dict:
    """Return one row of a producer that lands all the time; the run is of the last hour."""
    lines = changes.get("lines", 100)
    return {"source": "shop/*", "landed_hour_at": at(-ago * HOUR), "sender_lag_minutes": lag,
            "collector_lag_minutes": None, "landing_lag_minutes": 0, "lines": lines,
            "refused_lines": 0, "run_lines": 0 if ago else lines, "first_batch": f"{ago}a",
            "last_batch": f"{ago}b"} | changes  # fmt: skip


def _judge(*rows: dict) -> Verdict:
    return judge_clock_skew(pl.DataFrame(list(rows), schema=LAGS))


def test_clocks_that_agree_pass_and_the_check_says_where_the_lags_stand() -> None:
    verdict = _judge(*(_row(ago, lag) for ago in range(24) for lag in (0, 1, 2)))
    assert verdict.passed
    assert verdict.summary == "No clock is seen to differ by more than 5 minutes."
    assert verdict.figures == {"sources": 1, "skewed": 0, "allowed_minutes": 5,
                               "query": 'opsmeter query "FROM clock_lags"'}  # fmt: skip
    assert _judge().passed


def test_lines_before_their_time_name_the_sender_with_sign_size_cause_and_fix() -> None:
    verdict = _judge(_row(), _row(lag=-7, lines=30), _row(lag=-9, lines=5, refused_lines=5))
    assert not verdict.passed
    assert verdict.culprits == [{
        "source": "shop/*", "clock": "sender", "skew_minutes": "+9", "largest_minutes": "+9",
        "lines": 35, "refused_lines": 5, "cause": "its clock is ahead",
        "fix": "Synchronise that machine's clock (NTP).",
    }]  # fmt: skip
    assert "sender of shop/* by +9 minutes (its clock is ahead)" in verdict.summary


@pytest.mark.parametrize(
    ("lag", "lines", "passed"),
    [(-5, 50, True), (-6, 50, False), (-6, 2, True), (-6, 3, False)],
)
def test_few_lines_and_five_minutes_are_no_skew(lag: int, lines: int, *, passed: bool) -> None:
    assert _judge(_row(), _row(lag=lag, lines=lines)).passed is passed


def test_a_thousandth_of_the_runs_lines_must_be_ahead() -> None:
    assert _judge(_row(lines=9_999), _row(lag=-60, lines=9)).passed
    assert not _judge(_row(lines=8_991), _row(lag=-60, lines=9)).passed


def test_a_clock_that_was_mended_is_named_no_more() -> None:
    assert not _judge(_row(1, -60, run_lines=1), _row()).passed
    assert _judge(_row(1, -60), _row()).passed


def test_a_skew_is_a_condition_that_names_its_minutes_and_clocks_that_agree_are_none() -> None:
    lags = pl.DataFrame([_row(), _row(lag=-60, lines=30)], schema=LAGS)
    (found,) = find_skew(lags, now=NOW)
    assert (*found.key, found.severity) == ("producers", "clock_skew", "24h", "warning")
    assert (found.value, found.limit, found.unit) == (60, 5, "minutes")
    assert "sender of shop/* by +60 minutes" in found.what
    assert find_skew(pl.DataFrame([_row()], schema=LAGS), now=NOW) == []


@pytest.mark.parametrize("offset", [330, 345, 630])
def test_local_time_east_of_utc_sent_as_utc_is_refused_and_named_as_a_zone(offset: int) -> None:
    """An hour's file: its newest lines show the whole offset, its oldest an hour less."""
    lags = range(-offset, -offset + 60)
    rows = [_row(lag=lag, lines=10, refused_lines=10, first_batch="a", last_batch="a")
            for lag in lags]  # fmt: skip
    (culprit,) = _judge(*rows).culprits
    zone = f"UTC+{offset // 60:02}:{offset % 60:02}"
    assert culprit["cause"] == f"local time of {zone} sent as UTC"
    assert 0 <= offset - int(culprit["skew_minutes"]) <= 3
    assert culprit["fix"] == "Send times in UTC, or with the zone's offset."
    assert culprit["refused_lines"] == 600


def test_one_absurd_time_does_not_hide_the_skew_of_the_others() -> None:
    rows = [_row(lag=-60, lines=99), _row(lag=-20_000_000, lines=1)]
    (culprit,) = _judge(*rows).culprits
    assert (culprit["skew_minutes"], culprit["largest_minutes"]) == ("+60", "+20000000")


def test_a_collector_and_a_landing_ahead_are_told_apart() -> None:
    collector = {"sender_lag_minutes": 0, "collector_lag_minutes": -8}
    culprits = _judge(_row(**collector), _row(source="host-*", landing_lag_minutes=-45)).culprits
    assert [(one["source"], one["clock"], one["skew_minutes"]) for one in culprits] == [
        ("host-*", "landing", "+45"),
        ("shop/*", "collector", "+8"),
    ]
    assert culprits[0]["cause"] == (
        "the machine that stamps landed files is ahead, or ours is behind"
    )


def _hours(*lags: int, hours: int = 6, **changes) -> list[dict]:
    return [_row(ago, lag, **changes) for ago in range(hours) for lag in lags]


def test_files_of_an_hour_are_delay_however_late_they_land() -> None:
    for close in (0, 60, 120, 300):
        one_batch = {"first_batch": "a", "last_batch": "a"}
        assert _judge(*_hours(*range(close, close + 60), **one_batch)).passed
        assert _judge(*_hours(*range(close, close + 60))).passed


def test_a_nightly_export_is_delay() -> None:
    assert _judge(_row(0, 120), _row(23, 120)).passed


def test_a_backlog_that_is_worked_off_is_delay() -> None:
    assert _judge(*(_row(ago, 300 + 40 * ago) for ago in range(6))).passed


def test_a_flow_that_is_late_by_a_zone_for_hours_is_named_with_a_doubt() -> None:
    verdict = _judge(*_hours(300, 301, 303))
    (culprit,) = verdict.culprits
    assert (culprit["clock"], culprit["skew_minutes"]) == ("sender", "-300")
    assert culprit["cause"] == (
        "local time of UTC-05:00 sent as UTC, or every line is held that long on its way"
    )
    assert culprit["lines"] == 1_800


@pytest.mark.parametrize(
    ("lags", "changes", "passed"),
    [
        ((7, 8, 9), {}, False),
        ((4, 5), {}, True),  # within what is allowed
        ((5, 6), {}, False),
        ((7, 10, 11), {}, True),  # a delay that jitters
        ((300, 304, 305), {}, False),  # a zone's offset may jitter more
        ((290, 294, 295), {}, True),
        ((60, 64, 65), {}, True),  # files of ten minutes that land an hour later
        ((7, 8, 9), {"hours": 5}, True),
        ((7, 8, 9), {"first_batch": "a", "last_batch": "a"}, True),  # lands once an hour
        ((7, 8, 9, 5_000), {}, False),  # an old line now and then
        ((0, 7, 8, 9), {}, True),  # a quarter of the lines is in time
    ],
)
def test_a_clock_is_behind_only_if_it_is_so_without_jitter(
    lags: tuple[int, ...], changes: dict, *, passed: bool
) -> None:
    verdict = _judge(*_hours(*lags, **changes))
    assert verdict.passed is passed
    if not passed and lags[0] < 10:
        assert verdict.culprits[0]["cause"].startswith("its clock is behind, or every line is held")


def test_six_hours_after_a_change_its_past_is_forgotten() -> None:
    assert _judge(*_hours(7, hours=5), *(_row(ago, 0) for ago in range(5, 24))).passed
    assert not _judge(*_hours(7, hours=6), *(_row(ago, 0) for ago in range(6, 24))).passed


def test_the_zones_offsets_are_those_that_clocks_really_show() -> None:
    """Every offset of the tz database in 2026, in winter and in summer."""
    instants = [datetime(2026, month, 15, 12, tzinfo=UTC) for month in (1, 7)]
    offsets = {
        abs(instant.astimezone(ZoneInfo(name)).utcoffset()) // timedelta(minutes=1)
        for name in available_timezones()
        for instant in instants
    }
    assert set(ZONE_OFFSETS) == offsets - {0}
