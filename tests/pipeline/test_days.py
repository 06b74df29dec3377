"""Totals of a zone's days equal the events that its clocks date with them, to the last decimal."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from opsmeter_pipeline.cube import READS, sum_events
from opsmeter_pipeline.model.errors import DayRangeError
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, EVENTS
from opsmeter_pipeline.model.zones import open_zone, span_days
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.days import MEASURES, read_days, sum_days
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.views import VIEWS
from tests.pipeline.support import call_opsmeter
from tests.scenario import event, events_of

ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York",
         "Europe/Berlin", "Pacific/Chatham", "Pacific/Kiritimati"]  # fmt: skip
SPRING = (date(2026, 3, 7), date(2026, 4, 6))
AUTUMN = (date(2026, 10, 3), date(2026, 11, 2))
"""Ranges that hold both DST days of all these zones."""
TICK = timedelta(microseconds=1)


def _instants() -> list[datetime]:
    """Return instants all over both ranges, and the two on each side of each day's border."""
    chance = random.Random(7)
    spread = [
        datetime(2026, month, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(40 * 86_400))
        for month in (3, 10)
        for _ in range(4_000)
    ]
    borders = [
        span.start
        for zone in ZONES
        for first, last in (SPRING, AUTUMN)
        for span in span_days(open_zone(zone), first, last)
        if span.start.hour != (span.start - TICK).hour or not span.is_whole_hour
    ]
    return [*spread, *borders, *(border - TICK for border in borders)]


def _money(number: int, usd: Decimal) -> dict[str, object]:
    """Return what is known of an event's cost: one in 11 has bounds, one in 1,100 nothing."""
    if number % 11:
        return {"cost_usd": usd}
    if number % 1100 == 0:
        return {"unpriced_reason": "no_usable_price"}
    return {"unpriced_reason": "unknown_model", "unpriced_low_usd": usd,
            "unpriced_high_usd": usd + 1}  # fmt: skip


def _fill(lake: Lake, folder: Path) -> None:
    chance = random.Random(8)
    rows = [
        event(
            line_number=number,
            occurred_at=occurred_at,
            is_first_attempt=number % 5 > 0,
            **_money(number, Decimal(chance.randrange(10**20)).scaleb(-18)),
            input_tokens=chance.randrange(10_000),
            cache_read_tokens=None if number % 3 else number,
            environment="staging" if number % 13 == 0 else "prod",
            data_mode="test" if number % 17 == 0 else "real",
        )
        for number, occurred_at in enumerate(_instants())
    ]
    events = events_of(*rows)
    cube = sum_events(events.select(READS), events.clear())
    frames = {EVENTS: events, ATTRIBUTION_HOURLY: cube[ATTRIBUTION_HOURLY.name]}
    for table, frame in frames.items():
        path = folder / f"{table.name}.parquet"
        table.arrange(frame).write_parquet(path)
        sql = f"INSERT INTO {table.name} SELECT * FROM read_parquet('{path}')"
        lake.transact(lambda con, sql=sql: con.execute(sql))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    lake = Lake(load_settings(home=folder).warehouse)
    lake.create({view.name: view.sql for view in VIEWS})
    _fill(lake, folder)
    return folder


@pytest.fixture(scope="module")
def lake(home: Path) -> Lake:
    return Lake(load_settings(home=home).warehouse)


_BY_ZONE = """
    SELECT {day} AS day, count(*) FILTER (is_first_attempt), count(*),
        sum(cost_usd)::DECIMAL(38,18), count(*) FILTER (cost_usd IS NULL),
        count(*) FILTER (unpriced_reason = 'no_usable_price'),
        coalesce(sum(unpriced_low_usd), 0)::DECIMAL(38,18),
        CASE WHEN count(*) FILTER (unpriced_reason = 'no_usable_price') = 0
            THEN coalesce(sum(unpriced_high_usd), 0)::DECIMAL(38,18) END,
        sum(input_tokens)::BIGINT, coalesce(sum(cache_read_tokens), 0)::BIGINT,
        sum(output_tokens)::BIGINT
    FROM events WHERE environment = 'prod' AND data_mode = 'real'
        AND timezone($1, occurred_at)::DATE BETWEEN $2 AND $3
    GROUP BY ALL ORDER BY ALL
"""
"""The other route: each event is dated by itself, by the zone rules that DuckDB brings."""


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("span", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_days_and_their_sum_are_those_of_the_events(
    lake: Lake, zone: str, span: tuple[date, date]
) -> None:
    days = read_days(lake, open_zone(zone), first=span[0], last=span[1])
    by_event = lake.read(_BY_ZONE.format(day="timezone($1, occurred_at)::DATE"), [zone, *span])
    assert [(day["day"], *(day[name] for name in MEASURES)) for day in days] == by_event.rows()
    (straight,) = lake.read(_BY_ZONE.format(day="true"), [zone, *span]).rows()
    total = sum_days(days)
    assert tuple(total[name] for name in MEASURES) == straight[1:]
    assert isinstance(total["cost_usd"], Decimal)


def test_a_border_belongs_to_the_day_it_begins(tmp_path: Path) -> None:
    """00:00 in Kathmandu is 18:15 UTC: of three events one is of the day before."""
    lake = Lake(tmp_path / "warehouse")
    lake.create({})
    border = datetime(2026, 11, 22, 18, 15, tzinfo=UTC)
    rows = [event(line_number=n, occurred_at=at, cost_usd=Decimal(n).scaleb(-18))
            for n, at in enumerate((border - TICK, border, border + TICK), start=1)]  # fmt: skip
    cube = sum_events(events_of(*rows).select(READS), events_of())
    for table, frame in (
        (EVENTS, events_of(*rows)),
        (ATTRIBUTION_HOURLY, cube["attribution_hourly"]),
    ):
        table.arrange(frame).write_parquet(tmp_path / "rows.parquet")
        sql = f"INSERT INTO {table.name} FROM read_parquet('{tmp_path / 'rows.parquet'}')"
        lake.transact(lambda con, sql=sql: con.execute(sql))
    days = read_days(lake, open_zone("Asia/Kathmandu"))
    assert len(days) == 30
    assert [(day["day"], day["requests"], day["cost_usd"]) for day in days[-2:]] == [
        (date(2026, 11, 22), 1, Decimal("0.000000000000000001")),
        (date(2026, 11, 23), 2, Decimal("0.000000000000000005")),
    ]
    assert days[0] == {"day": date(2026, 10, 25), "hours": 24.0, "requests": 0, "attempts": 0,
                       "cost_usd": 0, "unpriced_attempts": 0, "unbounded_attempts": 0,
                       "unpriced_low_usd": 0, "unpriced_high_usd": 0, "input_tokens": 0,
                       "cache_read_tokens": 0, "output_tokens": 0,
                       "priced_share": None}  # fmt: skip


def test_only_hours_in_which_a_day_ends_are_read_from_events(lake: Lake) -> None:
    """Without its events, a day keeps what the cube has of its whole hours."""
    zone = open_zone("Asia/Kolkata")
    whole = pl.DataFrame(
        [(one.hour_at,) for one in span_days(zone, *SPRING) if one.is_whole_hour],
        schema={"hour_at": ATTRIBUTION_HOURLY.schema["hour_at"]}, orient="row",
    )  # fmt: skip
    assert whole.height == 31 * 23
    path = lake.folder / "whole.parquet"
    whole.write_parquet(path)
    sql = (
        "SELECT sum(attempts)::BIGINT FROM attribution_hourly JOIN read_parquet(?) USING (hour_at)"
    )
    production = f"{sql} WHERE environment = 'prod' AND data_mode = 'real'"
    of_cube = lake.read(production, [str(path)]).item()
    total = sum_days(read_days(lake, zone, first=SPRING[0], last=SPRING[1]))
    assert 0 < of_cube < total["attempts"]


def test_an_empty_warehouse_has_no_day_and_an_asked_range_has_its_days(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "warehouse")
    lake.create({})
    zone = open_zone("Pacific/Apia")
    assert read_days(lake, zone) == []
    assert sum_days([])["cost_usd"] == 0
    days = read_days(lake, zone, first=date(2011, 12, 29), last=date(2011, 12, 31))
    assert [day["hours"] for day in days] == [24, 0, 24]
    assert sum(day["attempts"] for day in days) == 0
    with pytest.raises(DayRangeError):
        read_days(lake, zone, first=date(2026, 2, 2), last=date(2026, 2, 1))


def test_the_command_prints_days_and_their_sum(home: Path) -> None:
    asked = ["days", "--zone", "Australia/Lord_Howe", "--from", "2026-10-03", "--to", "2026-10-04"]
    code, out, err = call_opsmeter(*asked, "--json", home=home)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["zone"] == "Australia/Lord_Howe"
    assert [(day["day"], day["hours"]) for day in told["days"]] == [
        ("2026-10-03", 24.0),
        ("2026-10-04", 23.5),
    ]
    costs = [Decimal(day["cost_usd"]) for day in told["days"]]
    assert Decimal(told["total"]["cost_usd"]) == sum(costs) > 0
    assert told["total"]["attempts"] == sum(day["attempts"] for day in told["days"])
    code, out, _ = call_opsmeter(*asked, home=home)
    assert code == 0
    assert "total" in out
    assert told["total"]["cost_usd"] in out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--zone", "Asia/Kolkatta"], "Did you mean Asia/Kolkata"),
        (["--zone", "UTC", "--from", "yesterday"], "'yesterday' is no day"),
        (["--zone", "UTC", "--from", "2026-10-04", "--to", "2026-10-03"], "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_wrong_usage(home: Path, asked: list[str], said: str) -> None:
    code, out, err = call_opsmeter("days", *asked, home=home)
    assert (code, out) == (2, "")
    assert said in err
