"""The doctor's colours: each sign at its limit and just beyond."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opsmeter_pipeline.doctor import (
    Catalogue,
    Colour,
    LastBatches,
    Sign,
    find_worst,
    judge_backlog,
    judge_catalogue,
    judge_clock,
    judge_conditions,
    judge_disk,
    judge_freshness,
    judge_home,
    judge_incidents,
    judge_living,
    judge_page,
    judge_prices,
    judge_quarantine,
    judge_runs,
    judge_schedules,
    judge_unread,
)
from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
GREEN, AMBER, RED = Colour.GREEN, Colour.AMBER, Colour.RED
LAST = LastBatches(batches=20, lines=1000, quarantined=10, accepted=1000, unpriced=20)
GIB = 1024**3


def wrong(severity: str, what: str = "x broke.") -> Condition:
    key = Key("x", "rule", "now")
    return Condition(key, severity, NOW, 1, 0, "runs", what, f"mend {severity}")


def backlog(*, files: int = 3, seconds: float = 300, refused: int = 0) -> Sign:
    return judge_backlog(
        files=files, stored_bytes=3 * 1024**2, complete_through=NOW - timedelta(seconds=seconds),
        refused=refused, stale=timedelta(seconds=300), now=NOW,
    )  # fmt: skip


def test_a_backlog_is_amber_beyond_stale_and_red_beyond_three_times_that():
    assert backlog().colour is GREEN
    assert backlog(seconds=301).colour is AMBER
    assert backlog(seconds=900).colour is AMBER
    late = backlog(seconds=901)
    assert (late.colour, late.next_step) == (RED, "opsmeter run")
    assert late.found == "3 files (3.0 MiB) wait, the oldest for 901 s"
    assert backlog(files=0, seconds=9000).colour is GREEN  # nothing waits
    assert backlog(files=0, refused=1).colour is AMBER


@pytest.mark.parametrize(
    ("free", "colour"),
    [(4 * GIB, GREEN), (4 * GIB - 1, AMBER), (GIB // 2, AMBER), (GIB // 2 - 1, RED), (0, RED)],
)
def test_a_disk_by_its_free_bytes(free, colour):
    assert judge_disk("disk of the home", free).colour is colour


def test_a_catalogue_wants_wal_and_a_log_that_is_folded_in():
    good = Catalogue("wal", 256 * 1024**2, 12_345, 5 * GIB)
    assert judge_catalogue(good).colour is GREEN
    assert judge_catalogue(good).found.startswith("12,345 snapshots, 5.0 GiB, journal mode wal")
    assert judge_catalogue(replace(good, wal_bytes=256 * 1024**2 + 1)).colour is AMBER
    assert judge_catalogue(replace(good, journal_mode="delete")).colour is AMBER


def test_a_clock_behind_its_own_past_is_red_and_others_ahead_are_amber():
    second = timedelta(seconds=1)
    assert judge_clock(NOW + 5 * second, ahead_events=0, now=NOW).colour is GREEN
    assert judge_clock(None, ahead_events=0, now=NOW).colour is GREEN
    behind = judge_clock(NOW + 6 * second, ahead_events=9, now=NOW)
    assert (behind.colour, "6 s behind" in behind.found) == (RED, True)
    assert judge_clock(NOW, ahead_events=1, now=NOW).colour is AMBER


def test_quarantine_and_prices_by_their_shares():
    assert judge_quarantine(LAST).colour is GREEN
    assert judge_quarantine(replace(LAST, quarantined=11)).colour is AMBER
    assert judge_quarantine(replace(LAST, quarantined=100)).colour is AMBER
    assert judge_quarantine(replace(LAST, quarantined=101)).colour is RED
    empty = LastBatches(0, 0, 0, 0, 0)
    assert judge_quarantine(empty).colour is GREEN
    assert judge_prices([], empty).colour is GREEN
    assert judge_prices([], LAST).colour is GREEN
    assert judge_prices([], replace(LAST, unpriced=21)).colour is AMBER
    assert judge_prices(["2026-11"], LAST).next_step == "opsmeter prices pending"


def test_what_others_judged_is_as_bad_as_its_worst():
    assert judge_conditions("ticks", [], well="fine") == Sign("ticks", GREEN, "fine")
    assert judge_conditions("ticks", [wrong(WARNING)], well="").colour is AMBER
    both = judge_conditions("ticks", [wrong(WARNING), wrong(CRITICAL, "y broke.")], well="")
    assert (both.colour, both.found) == (RED, "y broke. x broke.")
    assert both.next_step == "mend critical"
    five = judge_conditions("ticks", [wrong(WARNING)] * 5, well="")
    assert five.found.endswith("And 2 more.")
    assert judge_living([], []).colour is AMBER
    assert judge_living(["daemon:SENSOR"], []).colour is GREEN
    assert judge_living(["daemon:SENSOR"], [wrong(CRITICAL)]).colour is RED
    assert judge_runs([], last_error="old").found == "no failed run that was not made good"
    failed = judge_runs([wrong(WARNING)], last_error="no space")
    assert (failed.colour, failed.found) == (AMBER, "x broke. The last error: no space")
    assert judge_schedules({}).colour is GREEN
    assert judge_schedules({"quality_schedule": "no such job"}).found == (
        "quality_schedule failed: no such job"
    )


def test_health_by_state():
    assert judge_home(exists=False, is_writable=False, path="/h").colour is RED
    assert judge_home(exists=True, is_writable=False, path="/h").colour is RED
    assert judge_home(exists=True, is_writable=True, path="/h").colour is GREEN
    assert judge_page("refused", address="http://x").colour is AMBER
    assert judge_page(None, address="http://x").colour is GREEN
    colours = [judge_freshness(one, []).colour for one in ("met", "no_data", "breached", "else")]
    assert colours == [GREEN, AMBER, RED, RED]
    assert judge_incidents([]).colour is GREEN
    assert judge_incidents([(WARNING, "i1")]).colour is AMBER
    known = judge_incidents([(WARNING, "i1"), (CRITICAL, "i2")])
    assert (known.colour, known.next_step) == (RED, "opsmeter incident show i2")


def test_what_cannot_be_read_is_never_green_and_nothing_at_all_is_red():
    assert judge_unread("workers", "no", "x").colour is RED
    assert find_worst([]) is RED
    green, amber = Sign("a", GREEN, ""), Sign("b", AMBER, "")
    assert find_worst([green]) is GREEN
    assert find_worst([green, amber]) is AMBER
    assert find_worst([judge_unread("workers", "no", "x"), green]) is RED
