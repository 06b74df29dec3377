"""When a drill has passed, and every way in which it has not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opsmeter_pipeline.drills import DRILLS
from opsmeter_pipeline.drills.report import Counts, Report, Sighting, Told, judge
from opsmeter_pipeline.drills.watch import see_silence
from opsmeter_pipeline.storage.webhook import Webhook

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
COUNTS = Counts(files=2, written=9, accepted=6, duplicates=1, quarantined=1, blank=1, missing=0,
                surplus=0, requests=6, absent=0, repeated=0)  # fmt: skip


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


TOLD = Told("inc_1", "run_failed", opened=1, resolved=1, first_at=at(9), last_at=at(60))


def good(**changes: object) -> Report:
    report = Report(
        "worker", "killed", ("alert:run_failed", "check:clock_skew"), {}, 300,
        injected="SIGKILL", injected_at=NOON,
        sightings=[Sighting("alert", "run_failed", "Failed.", at(8.04)),
                   Sighting("check", "clock_skew", "Off.", at(20))],
        told=[TOLD], mended="nothing", recovered_at=at(60), counts=COUNTS,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(report, name, value)
    return report


def test_a_drill_passes_if_all_was_seen_told_once_over_and_counted() -> None:
    report = good()
    assert judge(report) == []
    assert report.detected
    assert report.after(report.sightings[0].at) == 8.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sightings": good().sightings[1:]}, "Not detected within 300 s by alert:run_failed."),
        ({"sightings": good().sightings[:1]}, "Not detected within 300 s by check:clock_skew."),
        ({"told": [replace(TOLD, opened=0)]}, "inc_1 was told 0 times instead of once."),
        ({"told": [replace(TOLD, opened=2)]}, "inc_1 was told 2 times instead of once."),
        ({"told": [replace(TOLD, resolved=0)]}, "The end of inc_1 was told 0 times."),
        ({"told": [replace(TOLD, resolved=2)]}, "The end of inc_1 was told 2 times."),
        (
            {"told": [TOLD, replace(TOLD, incident_id="inc_2")]},
            "run_failed had 2 incidents instead of one.",
        ),
        ({"recovered_at": None}, "Not recovered within 300 s."),
        ({"counts": None}, "Lines were not counted, so nobody knows that none was lost."),
        ({"counts": replace(COUNTS, missing=1)}, "1 lines are nowhere, 0 requests no event."),
        ({"counts": replace(COUNTS, absent=2)}, "0 lines are nowhere, 2 requests no event."),
        ({"counts": replace(COUNTS, surplus=1)}, "1 lines and 0 requests count twice."),
        ({"counts": replace(COUNTS, repeated=3)}, "0 lines and 3 requests count twice."),
        ({"failures": ["It broke."]}, "It broke."),
    ],
)
def test_each_thing_that_is_not_so_fails_it_and_is_said(
    changes: dict[str, object], problem: str
) -> None:
    assert judge(good(**changes)) == [problem]


def test_a_drill_that_came_to_no_injection_has_failed() -> None:
    report = good(injected_at=None, injected=None, failures=["The page did not answer."])
    assert judge(report) == ["The page did not answer."]
    assert not report.detected
    assert judge(good(injected_at=None)) == ["It did not come to the injection."]


def test_a_heartbeat_is_missed_only_after_the_limit() -> None:
    webhook, limit = Webhook(0, beats=[at(0), at(5)]), timedelta(seconds=15)
    assert see_silence(webhook, since=at(6), limit=limit, now=at(20)) == []
    (silent,) = see_silence(webhook, since=at(6), limit=limit, now=at(20.1))
    assert (silent.kind, silent.at) == ("heartbeat", at(20))
    assert see_silence(webhook, since=at(20.1), limit=limit, now=at(30)) == []  # before
    assert see_silence(Webhook(0), since=at(0), limit=limit, now=at(99)) == []


def test_every_drill_is_told_to_people_by_an_alert() -> None:
    assert [*DRILLS] == ["worker", "daemon", "burst", "schema", "clock"]
    for drill in DRILLS.values():
        assert drill.rules, drill.name
        assert {one.partition(":")[0] for one in drill.expected} <= {"alert", "check", "heartbeat"}
