"""Messages over a real DuckLake and a real webhook: who dies, and how many send at once."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from opsmeter_pipeline.alerts import Decision
from opsmeter_pipeline.model.condition import CRITICAL
from opsmeter_pipeline.storage.alerts import CLAIM, claim_next, read_alerts, read_undelivered
from opsmeter_pipeline.storage.incidents import (
    read_current,
    read_incident,
    read_newest,
    read_timeline,
    record_acknowledgement,
)
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.sinks import Letter, Sink, address_letter, build_sinks, redact, send
from opsmeter_pipeline.views import VIEWS
from tests.pipeline.alerting import at, late, record, send_due, tick
from tests.pipeline.receiver import Receiver, receive
from tests.pipeline.support import REPO


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "warehouse")
    lake.create({view.name: view.sql for view in VIEWS})
    return lake


def test_a_breach_is_told_when_it_starts_rises_and_ends(lake: Lake, receiver: Receiver) -> None:
    assert tick(lake, receiver, 0, late()) == [None]
    before = lake.newest_snapshot()
    assert tick(lake, receiver, 30, late()) == []
    assert lake.newest_snapshot() == before  # a look that changes nothing writes nothing
    assert tick(lake, receiver, 60, late(CRITICAL)) == [None]
    (incident,) = read_current(lake)
    record_acknowledgement(lake, incident.incident_id, by="ann", now=at(70))
    assert record_acknowledgement(lake, incident.incident_id, by="bob", now=at(71)) == Decision()
    assert tick(lake, receiver, 90) == []
    assert tick(lake, receiver, 390) == [None]
    assert [kind for kind, _ in receiver.told()] == ["opened", "escalated", "resolved"]
    assert [one["type"] for one in receiver.letters] == ["warning", "failure", "success"]
    assert receiver.letters[0]["title"] == "[opsmeter] warning: pipeline pipeline_stale"
    assert "next step: status" in receiver.letters[0]["message"]
    keys = [one["Idempotency-Key"] for one in receiver.headers]
    assert keys == [message_id for _, message_id in receiver.told()]
    assert [one.kind for one in read_timeline(lake, incident.incident_id)] == [
        *("first_bad", "detected", "alert_decided", "alert_sent"),
        *("escalated", "alert_decided", "alert_sent", "acknowledged", "recovered"),
        *("resolved", "alert_decided", "alert_sent"),
    ]
    over = read_incident(lake, incident.incident_id)
    assert (over.state, over.recovered_at, over.acknowledged_by) == ("resolved", at(90), "ann")
    assert read_alerts(lake, incident.incident_id)["state"].to_list() == ["sent"] * 3


def test_a_sink_that_refuses_is_tried_again_later_each_time_and_in_order(
    lake: Lake, receiver: Receiver
) -> None:
    receiver.status = 503
    (error,) = tick(lake, receiver, 0, late())
    assert error
    assert "t0ps3cret" not in error
    assert str(receiver.port) not in error
    assert tick(lake, receiver, 29, late()) == []
    assert len(tick(lake, receiver, 30, late())) == 1
    assert tick(lake, receiver, 89, late()) == []
    tick(lake, receiver, 91)
    tick(lake, receiver, 392)  # over, before anybody was told that it was open
    receiver.status = 200
    assert tick(lake, receiver, 3000) == [None, None]
    assert [kind for kind, _ in receiver.told()][-2:] == ["opened", "resolved"]
    (incident,) = read_newest(lake, limit=9)
    told = read_alerts(lake, incident.incident_id)
    assert told.select("kind", "state", "attempts", "unknown_attempts").rows() == [
        ("opened", "sent", 5, 0),
        ("resolved", "sent", 1, 0),
    ]
    kinds = [one.kind for one in read_timeline(lake, incident.incident_id)]
    assert kinds.count("alert_failed") == 1


def test_a_message_that_failed_for_a_day_is_given_up_in_sight(
    lake: Lake, receiver: Receiver
) -> None:
    receiver.status = 500
    tick(lake, receiver, 0, late())
    assert len(tick(lake, receiver, 86400, late())) == 1
    assert tick(lake, receiver, 200_000, late()) == []
    assert len(receiver.letters) == 2
    (incident,) = read_current(lake)
    assert read_alerts(lake, incident.incident_id)["state"].to_list() == ["given_up"]
    assert read_timeline(lake, incident.incident_id)[-1].kind == "alert_given_up"


def test_a_new_address_gets_what_the_old_one_never_got(lake: Lake, receiver: Receiver) -> None:
    old = build_sinks([SecretStr("json://127.0.0.1:9/rotated")])
    new = build_sinks([SecretStr(receiver.url)])
    record(lake, old, 0, late())
    assert claim_next(lake, [one.name for one in old], holder="dead:1", now=at(0))
    assert send_due(lake, new, 60) == []  # a process that has the old one may be about to send it
    assert send_due(lake, new, 121) == [None]
    assert send_due(lake, new, 200) == []
    record(lake, new, 300)
    record(lake, new, 700)
    assert send_due(lake, new, 701) == [None]
    assert [kind for kind, _ in receiver.told()] == ["opened", "resolved"]
    assert send_due(lake, new, 90_000) == []
    (incident,) = read_newest(lake, limit=9)
    told = read_alerts(lake, incident.incident_id).select("kind", "sink", "state").rows()
    assert sorted(told) == sorted([
        ("opened", old[0].name, "given_up"), ("opened", new[0].name, "sent"),
        ("resolved", old[0].name, "given_up"), ("resolved", new[0].name, "sent"),
    ])  # fmt: skip
    assert read_undelivered(lake).is_empty()


def test_who_was_told_is_told_the_end_also_if_it_is_found_without_sinks(
    lake: Lake, receiver: Receiver
) -> None:
    sinks = build_sinks([SecretStr(receiver.url)])
    assert tick(lake, receiver, 0, late()) == [None]
    record(lake, (), 100)
    record(lake, (), 400)
    assert send_due(lake, (), 400) == []
    assert send_due(lake, sinks, 430) == [None]
    assert [kind for kind, _ in receiver.told()] == ["opened", "resolved"]


_DIES = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {repo!r})
from tests.pipeline.alerting import *
from opsmeter_pipeline.model.condition import CRITICAL
from opsmeter_pipeline.storage.alerts import claim_next
from opsmeter_pipeline.storage.sinks import send
lake, point, url = Lake(Path({folder!r})), {point!r}, {url!r}
sinks = build_sinks([SecretStr(url)])

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if point == "before commit":
    def write(con):
        con.execute("INSERT INTO incident_events VALUES ('x', 1, 'detected', now(), '')")
        die()
    lake.transact(write)
record(lake, sinks, 0, late())
if point == "decided":
    die()
if point == "claimed":
    assert claim_next(lake, [one.name for one in sinks], holder="dead:1", now=at(0))
    die()
if point == "sent":
    claim = claim_next(lake, [one.name for one in sinks], holder="dead:1", now=at(0))
    assert send(sinks[0], claim.letter) is None
    die()
send_due(lake, sinks, 0)
"""


@pytest.mark.parametrize(
    ("point", "copies", "unknown"),
    [("before commit", 1, 0), ("decided", 1, 0), ("claimed", 1, 1), ("sent", 2, 1)],
)
def test_killed_anywhere_no_message_is_lost_and_a_second_copy_has_the_same_id(
    lake: Lake, receiver: Receiver, point: str, copies: int, unknown: int
) -> None:
    script = _DIES.format(repo=str(REPO), folder=str(lake.folder), point=point, url=receiver.url)
    died = subprocess.run([sys.executable, "-c", script], cwd=REPO, check=False, timeout=60,
                          capture_output=True, text=True)  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    before_expiry = CLAIM.total_seconds() - 1
    tick(lake, receiver, before_expiry, late())
    if unknown:  # it is the dead process' message for as long as its claim lasts
        assert len(receiver.letters) == copies - 1
    tick(lake, receiver, CLAIM.total_seconds(), late())
    tick(lake, receiver, 4 * CLAIM.total_seconds(), late())
    assert len(receiver.letters) == copies
    assert len(set(receiver.told())) == 1
    assert [kind for kind, _ in receiver.told()] == ["opened"] * copies
    (incident,) = read_newest(lake, limit=9)
    told = read_alerts(lake, incident.incident_id)
    assert told.select("state", "unknown_attempts").rows() == [("sent", unknown)]
    kinds = [one.kind for one in read_timeline(lake, incident.incident_id)]
    assert kinds.count("alert_unknown") == unknown
    assert ("second copy" in receiver.letters[-1]["message"]) is bool(unknown)


_EVALUATOR = """
import sys, time
from pathlib import Path
sys.path.insert(0, {repo!r})
from tests.pipeline.alerting import *
from opsmeter_pipeline.model.condition import CRITICAL
from opsmeter_pipeline.storage.alerts import claim_next
from opsmeter_pipeline.storage.sinks import send
lake, sinks = Lake(Path({folder!r})), build_sinks([SecretStr({url!r})])
for seconds, found in ((0, [late()]), (20, []), (400, [])):
    print("ready", flush=True)
    sys.stdin.readline()
    record(lake, sinks, seconds, *found)
    send_due(lake, sinks, seconds)
"""


def test_two_evaluators_at_once_tell_everything_once(lake: Lake, receiver: Receiver) -> None:
    script = _EVALUATOR.format(repo=str(REPO), folder=str(lake.folder), url=receiver.url)
    both = [
        subprocess.Popen([sys.executable, "-c", script], cwd=REPO, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    for _ in range(3):  # in step: to a clock that is ahead by a claim, the other one has died
        for one in both:
            assert one.stdout.readline() == "ready\n"
        for one in both:
            one.stdin.write("go\n")
            one.stdin.flush()
    for one in both:
        _, err = one.communicate(timeout=60)
        assert one.returncode == 0, err
    told = receiver.told()
    assert len(set(told)) == len(told)
    incidents = read_newest(lake, limit=9)
    for incident in incidents:
        assert [one.kind for one in read_timeline(lake, incident.incident_id)].count(
            "detected"
        ) == 1
    kinds = [kind for kind, _ in told]
    assert kinds.count("opened") == kinds.count("resolved") == len(incidents)


def test_many_claims_at_once_and_one_of_them_gets_it(lake: Lake, receiver: Receiver) -> None:
    sinks = build_sinks([SecretStr(receiver.url)])
    record(lake, sinks, 0, late())
    names = [one.name for one in sinks]
    with ThreadPoolExecutor(4) as pool:
        claims = [*pool.map(lambda n: claim_next(lake, names, holder=str(n), now=at(1)), range(4))]
    assert sum(claim is not None for claim in claims) == 1


def test_an_address_is_named_without_its_secrets_and_filled_in_for_each_letter() -> None:
    pager = "pagerduty://k3ykeykey@ap1ap1ap1"
    one, same = build_sinks([SecretStr(pager), SecretStr(pager)]), build_sinks([SecretStr(pager)])
    assert one == same
    assert one[0].name.startswith("pagerduty-")
    assert "k3y" not in repr(one)
    mail = [f"mailto://ann:{word}@example.org?to=x@example.org&pass={word}" for word in "ab"]
    assert build_sinks([SecretStr(mail[0])])[0].name == build_sinks([SecretStr(mail[1])])[0].name
    letter = Letter("m1", "inc_1", "opened", "warning", "s", "b")
    assert address_letter(pager, letter) == f"{pager}?dedup=inc_1&action=map"
    assert address_letter("slack://a/b/c?x={incident_id}", letter) == "slack://a/b/c?x=inc_1"
    said = redact("POST https://h.example/t0ken%2Fxyz9: t0ken", "json://h.example/t0ken%2Fxyz9")
    assert said == "POST https://***: ***"
    assert send(Sink("nonsense", SecretStr("nonsense://t0ps3cret")), letter) == (
        "apprise does not understand this address"
    )
