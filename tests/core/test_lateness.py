"""Late changes and states, by the warehouse's own SQL on tables in memory, held to a plain model.

The model keeps each day's totals in a dictionary and what was final in another; it knows nothing of
logs, windows or snapshots.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsmeter_pipeline.lateness import LATE_CHANGES, tell_state
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    DAY_CHANGES,
    LATENCY_HOURLY,
    MEASURE_NAMES,
    WATERMARKS,
)
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.quality import build_suite
from opsmeter_pipeline.storage.lake import create_table_sql, fetch
from opsmeter_pipeline.storage.lateness import record_changes, record_look, sum_days
from opsmeter_pipeline.views import VIEWS

FIRST = date(2025, 3, 10)
"""The UTC day on which the home is first used: earlier days are history."""
START = datetime(2025, 3, 10, 6, tzinfo=UTC)
ALLOWANCE = timedelta(hours=2)
SQL = {view.name: view.sql for view in VIEWS}
Rows = Mapping[tuple[date, str], tuple[int, Decimal]]
"""Attempts and dollars of a batch, by UTC day and environment."""


def day(offset: int) -> date:
    return FIRST + timedelta(days=offset)


def end_of(one: date) -> datetime:
    return datetime(one.year, one.month, one.day, tzinfo=UTC) + timedelta(days=1)


@dataclass
class Home:
    """A warehouse in memory, and what a plain count expects of it."""

    con: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    batches: dict[str, Rows] = field(default_factory=dict)
    shown: dict[date, datetime] = field(default_factory=dict)
    looks: list[Watermark] = field(default_factory=list)
    late: list[tuple[Any, ...]] = field(default_factory=list)
    numbers: int = 0

    def __post_init__(self) -> None:
        self.con.execute("SET TimeZone = 'UTC'")
        for table in (ATTRIBUTION_HOURLY, LATENCY_HOURLY, DAY_CHANGES, WATERMARKS):
            self.con.execute(create_table_sql(table))

    def publish(self, batch_id: str, rows: Rows, *, at: datetime, kind: str = "live") -> None:
        """Publish a batch, or replace it, and note that it is visible at that moment."""
        self._expect(batch_id, rows, at=at, kind=kind)
        before = sum_days(self.con, [batch_id] if kind != "live" else [])
        self.con.execute("DELETE FROM attribution_hourly WHERE batch_id = ?", [batch_id])
        for (one, environment), (attempts, dollars) in rows.items():
            self._insert(batch_id, one, environment, attempts, dollars)
        record_changes(
            self.con, before, sum_days(self.con, [batch_id]),
            kinds={batch_id: kind}, run_id="run", now=at,
        )  # fmt: skip
        self.con.execute("UPDATE day_changes SET visible_at = ? WHERE visible_at IS NULL", [at])
        self.batches[batch_id] = rows

    def look(self, complete_through: datetime, *, at: datetime) -> None:
        watermark = Watermark(at, complete_through, 0, 0, int(ALLOWANCE.total_seconds()))
        record_look(self.con, watermark, batch_id=None)
        self.looks.append(watermark)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return fetch(self.con, sql).rows()

    def total(self, one: date) -> tuple[int, Decimal]:
        """Return a day's attempts and dollars in production, counted straight."""
        held = [rows.get((one, "prod"), (0, Decimal(0))) for rows in self.batches.values()]
        return sum(n for n, _ in held), sum((dollars for _, dollars in held), Decimal(0))

    def _insert(self, batch_id: str, one: date, *values: Any) -> None:
        environment, attempts, dollars = values
        hour = datetime(one.year, one.month, one.day, 23, tzinfo=UTC)
        told = {name: 0 if name in MEASURE_NAMES else "x" for name in ATTRIBUTION_HOURLY.schema}
        told |= {"batch_id": batch_id, "hour_at": hour, "environment": environment}
        told |= {"data_mode": "real", "requests": attempts, "attempts": attempts}
        told |= {"input_tokens": 10 * attempts, "output_tokens": attempts, "cost_usd": dollars}
        marks = ", ".join("?" * len(told))
        self.con.execute(f"INSERT INTO attribution_hourly VALUES ({marks})", [*told.values()])

    def _expect(self, batch_id: str, rows: Rows, *, at: datetime, kind: str) -> None:
        """Note which late changes this publish makes, by the words of ADR 0013."""
        old = self.batches.get(batch_id, {})
        changed = {key for key in {*old, *rows} if _value(old, key) != _value(rows, key)}
        self.numbers += bool(changed)
        for one in sorted({one for one, _ in changed}):
            was_shown = one in self.shown
            is_history = bool(self.looks) and end_of(one) <= self.looks[0].looked_at
            began_at = max(
                (look.looked_at for look in self.looks
                 if is_history and was_shown and look.looked_at <= self.shown[one]),
                default=None,
            )  # fmt: skip
            claims = [
                look.looked_at
                for look in self.looks
                if end_of(one) <= look.complete_through - ALLOWANCE and look.complete_through <= at
                and (began_at is None or look.complete_through >= began_at)
            ]  # fmt: skip
            was_final = bool(claims) and (was_shown or not is_history)
            was_reported = was_shown and at > end_of(one) and not is_history
            self.shown.setdefault(one, at)
            if (one, "prod") in changed and (was_final or was_reported):
                attempts, dollars = self.total(one)
                new, was = _value(rows, (one, "prod")), _value(old, (one, "prod"))
                change = (new[0] - was[0], new[1] - was[1])
                after = (attempts + change[0], dollars + change[1])
                expected = (one, self.numbers, batch_id, kind, at, was_final)
                self.late.append((*expected, attempts, *change[:1], after[0],
                                  dollars, change[1], after[1]))  # fmt: skip


def _value(rows: Rows, key: tuple[date, str]) -> tuple[int, Decimal]:
    return rows.get(key, (0, Decimal(0)))


SHOWN = f"""
    SELECT day, number, batch_id, kind, visible_at, day_was_final,
        before_attempts, change_attempts, after_attempts,
        before_cost_usd, change_cost_usd, after_cost_usd
    FROM ({LATE_CHANGES}) ORDER BY number, day
"""


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home()
    yield home
    home.con.close()


def dollars(text: str) -> Decimal:
    return Decimal(text)


def test_a_day_in_progress_has_no_late_changes(home: Home) -> None:
    home.look(START, at=START)
    for n, hour in enumerate((7, 12, 23)):
        at = datetime(2025, 3, 10, hour, tzinfo=UTC)
        home.publish(f"b{n}", {(FIRST, "prod"): (1, dollars("0.1"))}, at=at)
        home.look(at, at=at)
    assert home.rows(LATE_CHANGES) == []
    assert home.rows(f"SELECT state FROM ({SQL['overview']})") == [("provisional",)]


def test_a_change_after_the_days_end_is_late_and_after_the_allowance_it_was_final(
    home: Home,
) -> None:
    midnight = end_of(FIRST)
    home.look(START, at=START)
    home.publish("b1", {(FIRST, "prod"): (3, dollars("0.3"))}, at=midnight - timedelta(hours=1))
    after_end, before_final = midnight + timedelta(minutes=1), midnight + timedelta(minutes=119)
    home.publish("b2", {(FIRST, "prod"): (1, dollars("0.000000000000000001"))}, at=after_end)
    home.look(midnight + ALLOWANCE - timedelta(microseconds=1), at=before_final)
    assert home.rows(f"SELECT state FROM ({SQL['overview']})") == [("provisional",)]
    final_at = midnight + timedelta(hours=3)
    home.look(midnight + ALLOWANCE, at=final_at)
    overview = f"SELECT state, changes_after_final FROM ({SQL['overview']})"
    hourly = f"SELECT hour_at, state FROM ({SQL['overview_hourly']})"
    assert home.rows(overview) == [("final", 0)]
    assert home.rows(hourly) == [(midnight - timedelta(hours=1), "final")]
    third = midnight + timedelta(hours=9)
    home.publish("b1", {(FIRST, "prod"): (2, dollars("0.2"))}, at=third, kind="replay")
    assert home.rows(overview) == [("final", 1)]
    late = f"SELECT first_reported_at, final_at, change_tokens FROM ({LATE_CHANGES})"
    assert home.rows(late) == [(midnight, None, 11), (midnight, final_at, -11)]
    assert home.rows(SHOWN) == [
        (FIRST, 2, "b2", "live", after_end, False,
         3, 1, 4, dollars("0.3"), dollars("1E-18"), dollars("0.300000000000000001")),
        (FIRST, 3, "b1", "replay", third, True,
         4, -1, 3, dollars("0.300000000000000001"), dollars("-0.1"),
         dollars("0.200000000000000001")),
    ]  # fmt: skip


def test_a_day_that_was_final_without_a_row_changes_from_nothing(home: Home) -> None:
    home.look(START, at=START)
    said = end_of(day(1)) + timedelta(hours=5)
    home.look(said, at=said)
    came = said + timedelta(hours=1)
    home.publish("b1", {(day(1), "prod"): (1, dollars("0.5"))}, at=came)
    (row,) = home.rows(SHOWN)
    assert row[4:9] == (came, True, 0, 1, 1)
    assert home.rows(f"SELECT first_reported_at FROM ({LATE_CHANGES})") == [(said,)]


def test_history_that_is_loaded_is_a_first_report(home: Home) -> None:
    home.look(START, at=START)
    home.publish("b1", {(day(-30), "prod"): (1, dollars("0.5"))}, at=START + timedelta(hours=1))
    assert home.rows(LATE_CHANGES) == []
    home.publish("b2", {(day(-30), "prod"): (1, dollars("0.5"))}, at=START + timedelta(hours=2))
    assert [row[5] for row in home.rows(SHOWN)] == [True]


def test_a_watermark_that_goes_back_makes_totals_provisional_and_forgets_no_promise(
    home: Home,
) -> None:
    said = end_of(FIRST) + ALLOWANCE
    home.look(START, at=START)
    home.publish("b1", {(FIRST, "prod"): (1, dollars("0.5"))}, at=START)
    home.look(said, at=said)
    home.look(START, at=said)
    home.publish("b2", {(FIRST, "prod"): (1, dollars("0.5"))}, at=said + timedelta(hours=1))
    overview = f"SELECT state, changes_after_final FROM ({SQL['overview']})"
    assert home.rows(overview) == [("provisional", 1)]


def test_a_look_by_a_clock_that_was_ahead_is_not_believed(home: Home) -> None:
    ahead = datetime(2999, 1, 1, tzinfo=UTC)
    home.look(START, at=START)
    home.publish("b1", {(FIRST, "prod"): (1, dollars("0.5"))}, at=START)
    home.look(ahead, at=ahead)
    home.publish("b2", {(FIRST, "prod"): (1, dollars("0.5"))}, at=START + timedelta(hours=1))
    assert home.rows(LATE_CHANGES) == []
    state = tell_state("now()", day="current_date")
    assert home.rows(f"SELECT {state}") == [("provisional",)]


def test_traffic_outside_production_is_no_late_change_but_shows_the_day(home: Home) -> None:
    late = end_of(FIRST) + timedelta(minutes=5)
    home.look(START, at=START)
    home.publish("b1", {(FIRST, "dev"): (1, dollars("0.5"))}, at=START)
    home.publish("b2", {(FIRST, "dev"): (1, dollars("0.5"))}, at=late)
    assert home.rows(LATE_CHANGES) == []
    home.publish("b3", {(FIRST, "prod"): (1, dollars("0.5"))}, at=late)
    assert [row[2] for row in home.rows(SHOWN)] == ["b3"]


def test_a_replay_that_changes_nothing_leaves_no_trace(home: Home) -> None:
    rows = {(FIRST, "prod"): (1, dollars("0.5")), (FIRST, "dev"): (1, dollars("0.5"))}
    home.publish("b1", rows, at=START)
    home.publish("b1", rows, at=START + timedelta(days=9), kind="backfill")
    assert home.rows("SELECT count(*) FROM day_changes") == [(1,)]


_CENTS = st.integers(0, 10**20).map(lambda n: Decimal(n).scaleb(-18))
_ROWS = st.dictionaries(
    st.tuples(st.integers(-2, 2).map(day), st.sampled_from(["prod", "prod", "dev"])),
    st.tuples(st.integers(0, 5), _CENTS),
    max_size=4,
)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish", "replay", "look"]),
        _ROWS,
        st.integers(1, 30),
        st.integers(0, 40),
    ),
    max_size=9,
)


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(steps=_STEPS)
def test_every_change_is_logged_exactly_and_late_ones_are_those_of_the_model(
    steps: list[tuple[str, Rows, int, int]],
) -> None:
    home, clock = Home(), START
    home.look(START, at=START)
    for number, (step, rows, hours, back) in enumerate(steps):
        clock += timedelta(hours=hours)
        if step == "look":
            home.look(clock - timedelta(hours=back), at=clock)
        elif step == "replay" and home.batches:
            batch_id = sorted(home.batches)[back % len(home.batches)]
            home.publish(batch_id, rows, at=clock, kind="replay")
        else:
            home.publish(f"b{number}", rows, at=clock)
    assert home.rows(SHOWN) == home.late
    newest = defaultdict(lambda: (0, Decimal(0)))
    for row in home.rows(SHOWN):
        assert row[6] + row[7] == row[8]
        assert row[9] + row[10] == row[11]
        newest[row[0]] = (row[8], row[11])
    for one, told in newest.items():
        assert told == home.total(one)
    now = f"SELECT day, attempts, cost_usd FROM ({SQL['overview']}) ORDER BY day"
    logged = """
        SELECT day, sum(change_attempts)::BIGINT AS attempts,
            sum(change_cost_usd)::DECIMAL(38,18) AS cost_usd
        FROM day_changes GROUP BY day HAVING attempts <> 0 OR cost_usd <> 0 ORDER BY day
    """
    shown = [row for row in home.rows(now) if row[1:] != (0, 0)]
    assert home.rows(logged) == shown
    home.con.close()


def test_the_log_of_changes_is_held_to_the_cube_by_a_promise(home: Home) -> None:

    (promise,) = [one for one in build_suite(DAY_CHANGES) if one.kind == "balance"]
    rows = {(FIRST, "prod"): (1, dollars("0.5")), (FIRST, "dev"): (1, dollars("0.5"))}
    home.publish("b1", rows, at=START)
    assert home.rows(promise.culprits) == []
    for name in (one for one in DAY_CHANGES.schema if one.startswith("change_")):
        step = "0.000000000000000001" if name.endswith("_usd") else "1"
        home.con.execute(f"UPDATE day_changes SET {name} = {name} + {step}")
        assert [row[:2] for row in home.rows(promise.culprits)] == [("b1", FIRST)], name
        home.con.execute(f"UPDATE day_changes SET {name} = {name} - {step}")
    assert home.rows(promise.culprits) == []
    home.con.execute("DELETE FROM day_changes")
    assert [row[:2] for row in home.rows(promise.culprits)] == [("b1", FIRST)]


def test_a_backlog_that_takes_several_batches_is_one_first_report(home: Home) -> None:
    """Copied in at once, it waits since then; how old its events are says nothing of that."""
    copied, minutes = START - timedelta(hours=1), timedelta(minutes=10)
    overview = f"SELECT state, changes_after_final FROM ({SQL['overview']})"
    for n in range(3):
        at = START + n * minutes
        home.publish(f"b{n}", {(day(-30), "prod"): (1, dollars("0.5"))}, at=at + minutes / 2)
        home.look(at if n == 2 else copied, at=at)
        assert home.rows(overview) == [("final" if n == 2 else "provisional", 0)]
    assert home.rows(LATE_CHANGES) == []
    # All that had landed when its first batch was taken is visible now: what comes is late.
    home.publish("b3", {(day(-30), "prod"): (1, dollars("0.5"))}, at=START + timedelta(hours=1))
    last = START + 2 * minutes
    told = f"SELECT batch_id, first_reported_at, final_at, day_was_final FROM ({LATE_CHANGES})"
    assert home.rows(told) == [("b3", last, last, True)]
    assert home.rows(overview) == [("final", 1)]
