"""Ticks of the sensor `alerting` and of `opsmeter alerts check`, on a real home and instance."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.condition import Condition
from opsmeter_pipeline.model.errors import SettingsError, WarehouseBusyError
from opsmeter_pipeline.orchestration import alerting
from opsmeter_pipeline.orchestration.alerting import EVALUATORS, Moment, look_at_all
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME, MAINTAIN_JOB_NAME
from opsmeter_pipeline.orchestration.records import read_failed_runs
from opsmeter_pipeline.orchestration.sensors import alerting_sensor
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.looks import Judged, read_judged
from tests.pipeline.receiver import Receiver, receive
from tests.pipeline.support import PipelineHome, hours, jsonl, payload, run_opsmeter


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineHome]:
    """A home whose instance is on disk, as the daemon's and the command's is."""
    home = PipelineHome(tmp_path_factory.mktemp("home"), dg.DagsterInstance.ephemeral())
    with open_instance(home.settings) as instance:
        home.instance = instance
        yield home


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receive() as receiver:
        monkeypatch.setenv("OPSMETER_ALERT_URLS", receiver.url)
        monkeypatch.setenv("OPSMETER_HEARTBEAT_URL", f"http://127.0.0.1:{receiver.port}/alive")
        monkeypatch.setenv("OPSMETER_ALERT_COOLDOWN_SECONDS", "0")
        yield receiver


def tick(home: PipelineHome) -> str:
    context = dg.build_sensor_context(instance=home.instance, resources={"home": home.resource})
    found = alerting_sensor(context)
    assert isinstance(found, dg.SkipReason)  # it never starts a run
    return found.skip_message


def test_a_stopped_pipeline_is_told_at_once_and_called_back_when_it_has_taken_all(
    kept: PipelineHome, receiver: Receiver
) -> None:
    assert "Nothing is wrong. 0 messages sent" in tick(kept)
    assert receiver.beats == ["/alive"]
    kept.land("late.jsonl", jsonl(payload("a")), landed_at=utc_now() - hours(1))
    assert "Wrong: pipeline pipeline_stale. 1 messages sent" in tick(kept)
    assert "0 messages sent" in tick(kept)
    code, out, err = run_opsmeter("alerts", "check", "--json", home=kept.folder)
    assert code == 1, err
    told = json.loads(out)
    assert told["conditions"][0]["severity"] == "critical"
    assert (told["changed"], told["deliveries"]) == ([], [])  # the sensor has told it already
    kept.take_all()
    assert "Nothing is wrong. 1 messages sent" in tick(kept)
    assert [kind for kind, _ in receiver.told()] == ["opened", "resolved"]

    code, out, _ = run_opsmeter("incident", "list", "--json", home=kept.folder)
    (incident,) = json.loads(out)["incidents"]
    assert (code, incident["state"], incident["rule"]) == (0, "resolved", "pipeline_stale")
    assert (incident["events_affected"], incident["budget_spent"]) == (1, None)  # of one event
    code, out, _ = run_opsmeter("incident", "show", incident["incident_id"], home=kept.folder)
    assert code == 0
    assert out.startswith(f"# Incident {incident['incident_id']}: What landed at ")
    assert out.count("**alert_sent**") == 2
    code, _, err = run_opsmeter("incident", "ack", "inc_none", home=kept.folder)
    assert (code, "There is no incident 'inc_none'" in err) == (2, True)


def test_an_incident_that_is_over_says_how_many_events_it_made_late(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 40 of 40 are late, and the budget allows 2: twenty budgets."""
    monkeypatch.setenv("OPSMETER_ALERT_COOLDOWN_SECONDS", "0")
    lines = [payload(f"l{n}", timestamp=None) for n in range(40)]
    home.land("a.jsonl", jsonl(*lines), landed_at=utc_now() - hours(1))
    for _ in range(2):
        alerting.tick(Moment(home.resource, home.instance, utc_now(), by="check"))
        home.take_all()
    counted = "SELECT state, events_affected, budget_spent FROM incidents WHERE rule = ?"
    assert home.rows(counted, "pipeline_stale") == [("resolved", 40, 20.0)]
    assert {spent for _, _, spent in home.rows(counted, "quarantine_jump")} <= {None}


def test_how_often_the_sensor_looks_is_a_setting_that_is_read_when_dagster_loads_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = defs.get_repository_def().get_sensor_def("alerting")
    assert loaded.minimum_interval_seconds == 30
    monkeypatch.setenv("OPSMETER_ALERTING_SECONDS", "5")
    assert loaded.minimum_interval_seconds == 5


def test_a_failed_run_and_a_bad_check_are_wrong_until_a_later_run_is_good(
    kept: PipelineHome,
) -> None:
    job = defs.resolve_job_def(INGEST_JOB_NAME)
    run = kept.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    kept.instance.report_run_failed(run)
    bad = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("tracking_hourly"), check_name="quarantine_shift", passed=False,
        description="Refused far more often than before: x.",
        metadata={"culprits": dg.MetadataValue.json([{"broken": 40}, {"broken": 2}])},
    )  # fmt: skip
    kept.instance.report_runless_asset_event(bad)
    moment = Moment(kept.resource, kept.instance, utc_now(), by="sensor")
    (failed,) = EVALUATORS["run_failed"](moment)
    assert (failed.key.scope, failed.value, failed.run_id) == ("job:ingest", 1, run.run_id)
    (jumped,) = EVALUATORS["quarantine_jump"](moment)
    assert (jumped.value, jumped.what) == (42, "Refused far more often than before: x.")
    kept.land("next.jsonl", jsonl(payload("b")))
    kept.take_all()
    assert look_at_all(moment, {name: EVALUATORS[name] for name in ("run_failed",
                       "quarantine_jump")}).conditions == ()  # fmt: skip


def test_a_check_that_is_only_planned_takes_nothing_back(kept: PipelineHome) -> None:
    bad = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("tracking_hourly"), check_name="quarantine_shift", passed=False,
    )  # fmt: skip
    kept.instance.report_runless_asset_event(bad)
    job = defs.resolve_job_def(INGEST_JOB_NAME)
    run = kept.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    key = dg.AssetCheckKey(dg.AssetKey("tracking_hourly"), "quarantine_shift")
    newest = kept.instance.get_latest_asset_check_evaluation_record(key)
    assert newest is None or newest.run_id == run.run_id  # Dagster's own answer forgets the other
    moment = Moment(kept.resource, kept.instance, utc_now(), by="sensor")
    assert len(EVALUATORS["quarantine_jump"](moment)) == 1
    kept.instance.report_run_failed(run)
    assert len(EVALUATORS["quarantine_jump"](moment)) == 1
    kept.land("good.jsonl", jsonl(payload("good")))
    kept.take_all()
    assert EVALUATORS["quarantine_jump"](moment) == []


def test_a_job_that_always_fails_hides_no_others_failure() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for name, times in ((MAINTAIN_JOB_NAME, 1), (INGEST_JOB_NAME, 101)):
            for _ in range(times):
                run = dg.DagsterRun(job_name=name, run_id=str(uuid4()),
                                    status=dg.DagsterRunStatus.STARTED)  # fmt: skip
                instance.add_run(run)
                instance.report_run_failed(run)
        failed = read_failed_runs(instance, now=utc_now())
    assert {one.job for one in failed} == {INGEST_JOB_NAME, MAINTAIN_JOB_NAME}
    assert len(failed) == len({one.run_id for one in failed})


def test_a_look_that_could_not_be_written_down_is_none(
    kept: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = Moment(kept.resource, kept.instance, utc_now(), by="check")
    alerting.tick(moment)
    assert read_judged(kept.settings.judged) == Judged(moment.now, frozenset())

    def busy(*_: object, **__: object) -> None:
        raise WarehouseBusyError(1)

    later = Moment(kept.resource, kept.instance, utc_now(), by="check")
    monkeypatch.setattr(alerting, "record_look", busy)
    with pytest.raises(WarehouseBusyError):
        alerting.tick(later)
    assert read_judged(kept.settings.judged) == Judged(moment.now, frozenset())


def test_a_budget_burns_while_what_is_late_still_waits(kept: PipelineHome) -> None:
    kept.land("known.jsonl", jsonl(*(payload(f"k{n}", timestamp=None) for n in range(30))),
              landed_at=None)  # fmt: skip
    kept.take_all()
    landed_at = utc_now()
    kept.land("known-2.jsonl", jsonl(*(payload(f"l{n}", timestamp=None) for n in range(60))),
              landed_at=landed_at)  # fmt: skip
    late, early = (
        Moment(kept.resource, kept.instance, landed_at + timedelta(seconds=seconds), by="check")
        for seconds in (600, 240)
    )
    found = {one.key.rule_window: one for one in EVALUATORS["slo_burn"](late)}
    # About 60 late of 90 in the hour: some 13 times the 5 % that are allowed.
    assert found["1h/5m"].severity == "critical"
    assert 10 < found["1h/5m"].value < 16
    assert list(EVALUATORS["slo_burn"](early)) == []
    kept.take_all()


def test_a_dead_daemon_is_seen_by_the_command(kept: PipelineHome) -> None:
    from dagster._daemon.types import DaemonHeartbeat  # noqa: PLC0415

    now = utc_now()
    beat = DaemonHeartbeat((now - timedelta(seconds=200)).timestamp(), "SENSOR", "id", [])
    kept.instance.add_daemon_heartbeat(beat)
    by_command = Moment(kept.resource, kept.instance, now, by="check")
    (found,) = EVALUATORS["not_ticking"](by_command)
    assert (found.key.scope, found.severity) == ("daemon:SENSOR", "critical")
    just_started = Moment(kept.resource, kept.instance, now, by="sensor")
    assert list(EVALUATORS["not_ticking"](just_started)) == []
    fresh = DaemonHeartbeat(now.timestamp(), "SENSOR", "id", [])
    kept.instance.add_daemon_heartbeat(fresh)
    assert list(EVALUATORS["not_ticking"](by_command)) == []


def test_a_rule_that_fails_is_said_and_silences_no_other(kept: PipelineHome) -> None:
    def fail(_: Moment) -> list[Condition]:
        msg = "no such place"
        raise OSError(msg)

    moment = Moment(kept.resource, kept.instance, utc_now(), by="sensor")
    look = look_at_all(moment, {"broken": fail, "run_failed": EVALUATORS["run_failed"]})
    assert look.unjudged == {"broken"}
    assert [one.key.scope for one in look.conditions] == ["rule:broken"]
    assert "OSError: no such place" in look.conditions[0].what


def test_a_test_message_reaches_every_sink_and_an_address_is_never_shown(
    receiver: Receiver,
) -> None:
    code, out, _ = run_opsmeter("alerts", "test", "--json", OPSMETER_ALERT_URLS=receiver.url)
    (row,) = json.loads(out)["sinks"]
    assert (code, row["sent"], row["error"]) == (0, True, None)
    assert receiver.letters[0]["title"] == "[opsmeter] test"
    receiver.status = 500
    code, out, err = run_opsmeter("alerts", "test", OPSMETER_ALERT_URLS=receiver.url)
    assert code == 1
    assert "t0ps3cret" not in out + err


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("from = 2026-12-01T22:00:00\nto = 2026-12-02T01:00:00Z\nreason = 'x'", "timezone"),
        ("from = 2026-12-02T22:00:00Z\nto = 2026-12-02T01:00:00Z\nreason = 'x'", "before"),
        ("from = 2026-12-01T22:00:00Z\nto = 2026-12-02T01:00:00Z", "required"),
    ],
)
def test_a_maintenance_window_needs_offsets_an_order_and_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("opsmeter.toml").write_text(f"[[maintenance]]\n{toml}\n")
    with pytest.raises(SettingsError, match=said):
        load_settings(home=tmp_path)


def test_an_address_that_is_none_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSMETER_ALERT_URLS", "jsons://ok.example t0ps3cret")
    with pytest.raises(SettingsError, match="address 2 has no kind") as caught:
        load_settings(home=tmp_path)
    assert "t0ps3cret" not in str(caught.value)
