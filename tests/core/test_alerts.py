"""Ticks with a fake clock: what opens, escalates, comes back and resolves, and who is told what."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.alerts import (
    Entry,
    Incident,
    Look,
    MaintenanceWindow,
    Message,
    Rules,
    acknowledge,
    decide,
)
from opsmeter_pipeline.alerts.messages import Addresses, write_body, write_subject
from opsmeter_pipeline.alerts.report import write_report
from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = Key("pipeline", "pipeline_stale", "now")
RULES = Rules(cooldown=timedelta(seconds=300))
LINKS = Addresses("http://127.0.0.1:3000", "http://127.0.0.1:8080")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def late(severity: str = WARNING, since: float = -60, **other) -> Condition:
    return Condition(KEY, severity, at(since), 360.0, 300.0, "seconds", "Files wait.",
                     "opsmeter status", **other)  # fmt: skip


class World:
    """What a warehouse and its sinks would hold, kept in memory over ticks."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.incidents: dict[str, Incident] = {}
        self.entries: list[Entry] = []
        self.messages: list[Message] = []

    def tick(self, seconds: float, *found: Condition, unjudged=()) -> list[str]:
        """Return the kinds of message that this tick decided to send."""
        current = [one for one in self.incidents.values() if one.state != "resolved"]
        look = Look(found, frozenset(unjudged))
        return self.take(decide(look, current, rules=self.rules, now=at(seconds)))

    def take(self, made) -> list[str]:
        self.incidents |= {one.incident_id: one for one in made.incidents}
        self.entries += made.entries
        self.messages += made.messages
        return [one.kind for one in made.messages]

    @property
    def only(self) -> Incident:
        (incident,) = self.incidents.values()
        return incident

    def kinds(self) -> list[str]:
        return [one.kind for one in self.entries]


def test_one_message_when_late_and_one_when_back():
    world = World()
    assert [world.tick(n * 30, late()) for n in range(4)] == [["opened"], [], [], []]
    assert world.tick(120) == []  # gone, but for how long?
    assert (world.only.state, world.only.recovered_at) == ("recovering", at(120))
    assert world.tick(419.999999) == []
    assert world.tick(420) == ["resolved"]
    assert world.tick(450) == []
    assert (world.only.since_at, world.only.opened_at) == (at(-60), at(0))
    assert (world.only.recovered_at, world.only.resolved_at) == (at(120), at(420))
    assert world.kinds() == ["first_bad", "detected", "alert_decided", "recovered", "resolved",
                             "alert_decided"]  # fmt: skip


def test_what_comes_back_within_the_cooldown_is_the_same_incident_and_tells_nobody():
    world = World()
    world.tick(0, late())
    for n in range(1, 6):
        assert world.tick(n * 200) == []
        assert world.tick(n * 200 + 100, late()) == []
    assert (world.only.state, world.only.reopened, world.only.recovered_at) == ("open", 5, None)
    world.tick(2000)
    assert world.tick(2300) == ["resolved"]
    assert world.tick(2301, late(since=2290)) == ["opened"]
    assert len(world.incidents) == 2


def test_a_rise_in_severity_passes_the_cooldown_and_is_told_once():
    world = World()
    assert world.tick(0, late()) == ["opened"]
    assert world.tick(1, late(CRITICAL)) == ["escalated"]
    assert world.tick(2, late()) == world.tick(3, late(CRITICAL)) == []
    assert (world.only.severity, world.only.escalated_at) == (CRITICAL, at(1))
    world.tick(10)
    assert world.tick(310) == ["resolved"]


def test_what_comes_back_worse_is_told():
    world = World()
    world.tick(0, late())
    world.tick(30)
    assert world.tick(60, late(CRITICAL)) == ["escalated"]
    assert world.kinds()[-3:] == ["reopened", "escalated", "alert_decided"]


def test_without_a_cooldown_the_first_good_look_resolves():
    world = World(Rules(timedelta(0)))
    world.tick(0, late())
    assert world.tick(30) == ["resolved"]


def test_who_takes_an_incident_is_written_down_once_and_a_rise_is_still_told():
    world = World()
    world.tick(0, late())
    world.take(acknowledge(world.only, by="ann", now=at(40)))
    assert acknowledge(world.only, by="bob", now=at(50)).incidents == ()
    assert (world.only.state, world.only.acknowledged_by) == ("acknowledged", "ann")
    assert world.tick(60, late()) == []
    assert world.tick(90, late(CRITICAL)) == ["escalated"]
    world.tick(120)
    world.tick(150, late(CRITICAL))
    assert world.only.state == "acknowledged"  # also after it came back


WINDOW = MaintenanceWindow(at(0), at(3600), "move to the new disk")


def test_in_a_maintenance_window_all_is_recorded_and_nothing_sent_until_its_end():
    world = World(Rules(maintenance=(WINDOW,)))
    assert world.tick(0, late()) == []
    assert world.tick(1800, late(CRITICAL)) == []
    assert world.only.announced_severity is None
    assert "held_back" in world.kinds()
    assert world.tick(3599.9, late(CRITICAL)) == []
    assert world.tick(3600, late(CRITICAL)) == ["opened"]


def test_what_is_over_before_the_window_is_was_never_told_and_is_not_called_back():
    world = World(Rules(maintenance=(WINDOW,)))
    world.tick(0, late())
    world.tick(100)
    assert world.tick(500) == []
    assert world.only.state == "resolved"


def test_what_was_told_before_a_window_is_called_back_after_it():
    world = World(Rules(maintenance=(WINDOW,)))
    assert world.tick(-30, late()) == ["opened"]
    world.tick(100)
    assert world.tick(3599) == []
    assert world.only.state == "recovering"
    assert world.tick(3600) == ["resolved"]


def test_without_sinks_an_incident_waits_to_be_told():
    world = World(Rules(has_sinks=False))
    assert world.tick(0, late()) == []
    world.rules = RULES
    assert world.tick(30, late()) == ["opened"]


def test_a_rule_that_cannot_be_judged_is_no_recovery():
    world = World()
    world.tick(0, late())
    assert world.tick(1000, unjudged=[KEY.rule]) == []
    assert world.only.state == "open"


def test_a_look_from_before_the_incident_does_not_end_it():
    world = World(Rules(cooldown=timedelta(0)))
    assert world.tick(10, late()) == ["opened"]
    assert world.tick(5) == []
    assert world.only.state == "open"
    assert world.tick(20) == ["resolved"]


def test_first_bad_is_never_after_detection():
    world = World()
    world.tick(0, late(since=500))
    assert world.only.since_at == at(0)


def test_a_message_says_what_since_when_how_bad_and_what_to_do():
    world = World()
    world.tick(0, late(run_id="r-1"))
    message = world.messages[0]
    assert write_subject(message) == "[opsmeter] warning: pipeline pipeline_stale"
    assert write_body(message, LINKS).splitlines() == [
        "Files wait.",
        "since: 2026-11-24 11:59:00Z, detected 2026-11-24 12:00:00Z",
        "how bad: warning, 360 seconds (limit 300)",
        "next step: opsmeter status",
        "run: http://127.0.0.1:3000/runs/r-1",
        "page: http://127.0.0.1:8080",
        f"timeline: opsmeter incident show {world.only.incident_id}",
        f"message: {message.message_id}",
    ]
    world.tick(60)
    world.tick(360)
    body = write_body(world.messages[1], LINKS)
    assert "recovered 2026-11-24 12:01:00Z after 0:02:00" in body
    assert "next step" not in body


def test_the_report_is_the_timeline_in_order_and_says_what_is_not_counted():
    world = World()
    world.tick(0, late())
    world.take(acknowledge(world.only, by="ann | bob", now=at(30)))
    world.tick(60)
    page = write_report(world.only, world.entries, addresses=LINKS, now=at(90))
    lines = [line for line in page.splitlines() if line.startswith("- 2026")]
    assert [line.split("**")[1] for line in lines] == ["first_bad", "detected", "alert_decided",
                                                       "acknowledged", "recovered"]  # fmt: skip
    assert "| lasted | 0:02:00 |" in page
    assert "by ann \\| bob |" in page
    assert "- events affected: not counted" in page


SCOPES = ("pipeline", "job:ingest")


@st.composite
def histories(draw):
    """Ticks at growing times; at each, what is wrong, what cannot be judged, who takes what."""
    states = st.sampled_from([None, None, WARNING, CRITICAL, "unjudged"])
    gaps = st.sampled_from([1, 30, 100, 299, 300, 301, 1000])
    tick = st.tuples(gaps, st.tuples(*(states for _ in SCOPES)), st.booleans())
    return draw(st.lists(tick, max_size=40))


def assert_told(world: World, found: list[Condition]) -> None:
    ranks = {None: 0, WARNING: 1, CRITICAL: 2}
    open_now = {
        one.scope: one.announced_severity
        for one in world.incidents.values()
        if one.state in {"open", "acknowledged"}
    }
    for one in found:
        assert ranks[open_now[one.key.scope]] >= ranks[one.severity]


@given(histories(), st.booleans())
def test_any_ticks_tell_each_incident_at_most_once_a_thing_and_lose_none(history, has_window):
    window = MaintenanceWindow(at(200), at(900), "disk")
    world, now = World(Rules(RULES.cooldown, (window,) if has_window else ())), 0
    for gap, states, takes in history:
        now += gap
        found = [
            Condition(Key(scope, scope, "now"), state, at(now - 5), 1, 0, "runs", "Bad.", "Look.")
            for scope, state in zip(SCOPES, states, strict=True)
            if state in {WARNING, CRITICAL}
        ]
        unjudged = [s for s, state in zip(SCOPES, states, strict=True) if state == "unjudged"]
        told = world.tick(now, *found, unjudged=unjudged)
        if has_window and 200 <= now < 900:
            assert told == []
        else:  # what is bad now has been told, at this severity or a worse one
            assert_told(world, found)
        if takes:
            for one in list(world.incidents.values()):
                world.take(acknowledge(one, by="ann", now=at(now)))
    kinds: dict[str, list[str]] = {}
    for message in world.messages:
        kinds.setdefault(message.incident.incident_id, []).append(message.kind)
    for told in kinds.values():
        assert told in (["opened"], ["opened", "escalated"], ["opened", "resolved"],
                        ["opened", "escalated", "resolved"])  # fmt: skip
    ids = [message.message_id for message in world.messages]
    assert len(set(ids)) == len(ids)
    for one in world.incidents.values():
        is_told = one.incident_id in kinds
        assert (one.announced_severity is not None) is is_told
        if one.state == "resolved" and is_told:
            assert kinds[one.incident_id][-1] == "resolved"
    open_keys = [one.key for one in world.incidents.values() if one.state != "resolved"]
    assert len(set(open_keys)) == len(open_keys)


@pytest.mark.parametrize("severity", [WARNING, CRITICAL])
def test_two_processes_that_look_at_once_decide_the_same(severity: str):
    look = Look((late(severity),))
    assert decide(look, [], rules=RULES, now=NOON) == decide(look, [], rules=RULES, now=NOON)
