"""What is wrong, judged from plain values: both sides of each limit."""

from datetime import UTC, datetime, timedelta

from opsmeter_pipeline.alerts.landing import LandingLook, judge_backlog, judge_stale
from opsmeter_pipeline.alerts.orchestrator import (
    Beat,
    FailedRun,
    FailingTicks,
    judge_beats,
    judge_failed_runs,
    judge_failing_ticks,
)
from opsmeter_pipeline.alerts.quarantine import Judged, judge_quarantine_jump
from opsmeter_pipeline.model.watermark import Watermark

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MIB = 1024**2


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


def watermark(waits_for: float, files: int = 1, looked: float = 0) -> Watermark:
    return Watermark(ago(looked), ago(looked + waits_for), files, 0, 86400)


def test_the_pipeline_is_stale_once_something_waits_longer_than_the_objective():
    assert judge_stale(watermark(300), now=NOON) == []
    (found,) = judge_stale(watermark(301), now=NOON)
    assert (found.severity, found.value, found.limit, found.since_at) == (
        "warning",
        301,
        300,
        ago(1),
    )
    assert judge_stale(watermark(900), now=NOON)[0].severity == "warning"
    assert judge_stale(watermark(901), now=NOON)[0].severity == "critical"


def test_a_landing_in_which_nothing_waits_is_not_stale_however_old_it_is():
    assert judge_stale(watermark(9999, files=0), now=NOON) == []


def looks(*waiting: int, every: float = 60, files: int = 1) -> list[LandingLook]:
    """Looks up to noon, with these bytes waiting."""
    last = len(waiting) - 1
    return [
        LandingLook("sensor", watermark(0, files, looked=(last - n) * every), size)
        for n, size in enumerate(waiting)
    ]


def test_a_backlog_grows_when_the_later_half_is_above_the_earlier_half():
    growing = [n * 20 * MIB for n in range(1, 9)]
    (found,) = judge_backlog(looks(*growing), now=NOON)
    assert (found.value, found.unit, found.since_at) == (160 * MIB, "bytes", ago(420))
    assert judge_backlog(looks(*growing[:5]), now=NOON) == []  # too few looks
    assert judge_backlog(looks(*growing, every=30), now=NOON) == []  # in too short a time
    assert judge_backlog(looks(*(n * MIB for n in range(1, 9))), now=NOON) == []  # too little


def test_a_backlog_that_is_taken_in_bites_does_not_grow():
    bites = [100 * MIB, 300 * MIB, 500 * MIB, 50 * MIB, 300 * MIB, 600 * MIB, 40 * MIB, 700 * MIB]
    assert judge_backlog(looks(*bites), now=NOON) == []


def test_many_small_files_are_a_backlog_too():
    shown = looks(*(n for n in range(8)), files=1)
    grown = [
        LandingLook(one.by, watermark(0, 100 * (n + 1), looked=(7 - n) * 60), 0)
        for n, one in enumerate(shown)
    ]
    assert judge_backlog(grown, now=NOON)[0].unit == "files"


def test_failed_runs_are_one_condition_a_job_and_three_of_ingest_are_critical():
    failed = [FailedRun(f"r{n}", "ingest", ago(300 - n * 60)) for n in range(3)]
    other = FailedRun("d1", "drivers", ago(10))
    found = judge_failed_runs([*failed, other], critical_job="ingest")
    assert [(one.key.scope, one.severity, one.value, one.run_id) for one in found] == [
        ("job:ingest", "critical", 3, "r2"),
        ("job:drivers", "warning", 1, "d1"),
    ]
    assert found[0].since_at == ago(300)
    assert judge_failed_runs(failed[:2], critical_job="ingest")[0].severity == "warning"
    assert judge_failed_runs([], critical_job="ingest") == []


def beat(name: str, silent_seconds: float) -> Beat:
    return Beat(name, ago(silent_seconds), timedelta(seconds=120))


def test_a_dead_daemon_is_named_alone_and_silence_before_we_watched_does_not_count():
    beats = [beat("daemon:SENSOR", 121), beat("sensor:landing_sensor", 500)]
    (found,) = judge_beats(beats, watching_since=ago(3600), now=NOON)
    assert (found.key.scope, found.severity, found.since_at) == (
        "daemon:SENSOR",
        "critical",
        ago(1),
    )
    (found,) = judge_beats([beats[1]], watching_since=ago(3600), now=NOON)
    assert found.key.scope == "sensor:landing_sensor"
    assert judge_beats(beats, watching_since=ago(120), now=NOON) == []
    assert judge_beats([beat("daemon:SENSOR", 120)], watching_since=ago(3600), now=NOON) == []


def test_three_failed_ticks_in_a_row_are_wrong_and_two_are_not():
    failing = [FailingTicks("sensor:landing_sensor", ago(15), n, "OSError") for n in (2, 3)]
    (found,) = judge_failing_ticks(failing)
    assert (found.value, found.limit, found.since_at) == (3, 2, ago(15))


def test_a_jump_in_quarantine_holds_until_the_check_passes():
    bad = Judged(passed=False, judged_at=ago(60), summary="Refused far more often: x.",
                 broken_lines=41, run_id="r1")  # fmt: skip
    (found,) = judge_quarantine_jump(bad)
    assert (found.value, found.what, found.run_id) == (41, "Refused far more often: x.", "r1")
    good = Judged(passed=True, judged_at=NOON, summary="", broken_lines=0, run_id="r2")
    assert judge_quarantine_jump(good) == judge_quarantine_jump(None) == []
