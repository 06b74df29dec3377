"""Probes over a real home: sent by ticks, taken by real runs, read back from a real page."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
)
from pydantic import SecretStr

from opsmeter_pipeline.cli.probe import probe_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import parse_rfc3339, start_of_day, utc_now
from opsmeter_pipeline.model.condition import Key
from opsmeter_pipeline.model.errors import LengthError, WarehouseMissingError
from opsmeter_pipeline.model.probe_errors import TickTakenError
from opsmeter_pipeline.model.statement import Span
from opsmeter_pipeline.model.tables import PROBES
from opsmeter_pipeline.orchestration.alerting import EVALUATORS, Moment
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.probing import (
    LookedBack,
    describe_look,
    keep_looking,
    look_back,
    send_probe,
)
from opsmeter_pipeline.orchestration.schedules import probe_schedule
from opsmeter_pipeline.orchestration.sensors import probing_sensor
from opsmeter_pipeline.reconcile import Period, Warehouse
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.probes import read_last_probe_at, read_newest
from opsmeter_pipeline.storage.reconcile import Traffic, read_warehouse
from opsmeter_pipeline.storage.slo import read_freshness
from opsmeter_pipeline.storage.tracking import read_landings
from tests.pipeline.conftest import MakeHome
from tests.pipeline.probes import claim, lose_probe
from tests.pipeline.serving import Client, serving
from tests.pipeline.support import (
    NOON,
    PipelineHome,
    jsonl,
    opsmeter,
    payload,
    run_opsmeter,
)

NOBODY = 1
"""A port on which nothing listens."""
_ORIGIN = RemoteRepositoryOrigin(
    RegisteredCodeLocationOrigin("opsmeter_pipeline"), "__repository__"
)
TOKEN = "a-token-of-thirty-two-characters"


@pytest.fixture(scope="module")
def kept(make_home: MakeHome) -> PipelineHome:
    """A home with one production event."""
    home = make_home()
    home.land("a.jsonl", jsonl(payload("a", timestamp=None)), landed_at=None)
    home.take_all()
    return home


@contextmanager
def page(home: PipelineHome, **settings: object) -> Iterator[Settings]:
    """Serve the home's page; yield settings by which it is found."""
    asked = home.settings.model_copy(update=settings)
    with serving(asked) as client:
        yield asked.model_copy(update={"dashboard_port": client.port})


def row(home: PipelineHome, probe_id: str) -> dict[str, object]:
    return home.resource.lake.read("FROM probes WHERE probe_id = ?", [probe_id]).row(0, named=True)


def test_a_probe_goes_the_whole_way_and_counts_in_nothing_of_production(
    kept: PipelineHome,
) -> None:
    shown = ("overview", "top_endpoints", "top_users", "prompt_versions", "unpriced_models")
    before = {name: kept.resource.lake.read(f"FROM {name}").to_dicts() for name in shown}
    lake, local = kept.resource.lake, timezone(timedelta(hours=5, minutes=30))
    with page(kept, dashboard_token=SecretStr(TOKEN)) as settings:
        probe = send_probe(lake, settings, clock=lambda: utc_now().astimezone(local))
        assert probe.sent_at.tzinfo is UTC
        waiting = look_back(lake, settings)
        assert (waiting.seen, waiting.lost, waiting.error) == ((), (), None)
        assert [one.probe_id for one in waiting.outstanding] == [probe.probe_id]
        assert describe_look(waiting) == "1 looked for."
        kept.take_all()
        assert look_back(Lake(settings.warehouse), settings).seen == (probe,)  # as after a restart
        assert describe_look(look_back(lake, settings)) == "No probe is looked for."
    found = row(kept, probe.probe_id)
    assert found["state"] == "visible"
    times = [found[name] for name in ("sent_at", "ingested_at", "taken_at", "visible_at")]
    assert times == sorted(times)
    assert found["published_at"] is not None
    assert [found[name] for name in ("scheduled_at", "lost_at", "stuck_at")] == [None] * 3
    assert read_last_probe_at(lake) == found["visible_at"]
    event = lake.read("FROM events WHERE external_request_id = ?", [probe.probe_id]).row(
        0, named=True
    )
    assert (event["data_mode"], event["environment"], event["endpoint_tag"]) == (
        *("test", "prod"),
        "opsmeter.synthetic_probe",
    )
    assert event["cost_usd"] is not None
    assert event["ingested_at"] == found["ingested_at"]
    assert abs(event["occurred_at"] - probe.sent_at) < timedelta(milliseconds=1)
    # All of production is as it was; `overview` says how much it leaves out.
    after = {name: kept.resource.lake.read(f"FROM {name}").to_dicts() for name in shown}
    assert (before["overview"][0]["left_out_attempts"], after["overview"][0]["left_out_attempts"]) \
        == (0, 1)  # fmt: skip
    for state in (before, after):
        for name in ("left_out_attempts", "left_out_cost_usd"):
            state["overview"][0].pop(name)
    assert after == before
    scores = dict(kept.rows("SELECT source, score FROM tracking_quality"))
    assert scores["opsmeter-probe/*"] == 100
    landings = read_landings(lake, window=timedelta(days=14))
    assert landings["source"].to_list() == ["a.*"]  # nobody misses a probe as a producer
    (billed,) = read_bill(kept, probe.sent_at).known
    assert billed.amounts["requests"] == 1  # of the other event; a probe called nobody


def read_bill(home: PipelineHome, at: datetime) -> Warehouse:
    """Return what is held against a provider's bill of all traffic on a day and the next."""
    start = at.date() - timedelta(days=1)
    return read_warehouse(
        home.resource.lake, PriceBook(), providers=["openai"], aliases={},
        period=Period(start, start + timedelta(days=3)),
        spans=[Span(start_of_day(start), start_of_day(start + timedelta(days=3)))],
        traffic=Traffic(), exported_at=None, now=utc_now(),
    )  # fmt: skip


def test_a_lost_probe_says_where_it_is_stuck_and_may_still_be_seen_later(
    kept: PipelineHome,
) -> None:
    lake = kept.resource.lake
    deaf = kept.settings.model_copy(update={"dashboard_port": NOBODY})
    waits, broken = (send_probe(lake, deaf) for _ in range(2))
    # Nothing of it is production that waits, although nothing of its source may be known yet.
    limit = deaf.slo.limit_seconds
    stale = read_freshness(deaf, now=utc_now() + timedelta(seconds=limit + 60))
    assert len(stale.waiting) == 2
    assert (stale.slos[-1].waiting_lines, stale.slos[-1].waiting_late_lines) == (0, 0)
    before = look_back(lake, deaf)
    assert (before.seen, before.lost, len(before.outstanding)) == ((), (), 2)
    assert "127.0.0.1:1: no answer" in describe_look(before)
    kept.land(broken.file, b'{"externalRequestId": "x"}\n', landed_at=None)

    def later(minutes: float) -> Callable[[], datetime]:
        return lambda: utc_now() + timedelta(minutes=minutes)

    assert look_back(lake, deaf, clock=later(14)).lost == ()
    stuck = look_back(lake, deaf, clock=later(15.1)).lost
    assert {one.probe_id: one.stuck_at for one in stuck} == dict.fromkeys(
        (waits.probe_id, broken.probe_id), "landing"
    )
    refused = send_probe(lake, deaf)
    kept.land(refused.file, b'{"externalRequestId": "y"}\n', landed_at=None)
    published = send_probe(lake, deaf)
    kept.take_all()
    found = look_back(lake, deaf, clock=later(15.1))
    assert {one.probe_id: one.stuck_at for one in found.lost} == {
        refused.probe_id: "quarantine", published.probe_id: "page"
    }  # fmt: skip
    details = {one.probe_id: one.detail for one in found.lost}
    assert "its line broke missing_field" in details[refused.probe_id]
    assert "no answer" in details[published.probe_id]
    assert len(found.outstanding) == 4
    with page(kept) as settings:
        assert look_back(lake, settings).seen == tuple(
            one for one in found.outstanding if one.probe_id in {waits.probe_id, published.probe_id}
        )
    late = row(kept, waits.probe_id)
    assert (late["state"], late["stuck_at"]) == ("visible", "landing")
    assert late["lost_at"] is not None
    lake.transact(lambda con: con.execute("DELETE FROM probes WHERE visible_at IS NULL"))


def test_a_landing_that_cannot_be_written_loses_a_probe_at_once(
    kept: PipelineHome, tmp_path: Path
) -> None:
    settings = kept.settings.model_copy(update={"landing": str(tmp_path / "gone")})
    probe = send_probe(kept.resource.lake, settings)
    assert (probe.state, probe.stuck_at) == ("lost", "sending")
    assert "No such file or directory" in str(row(kept, probe.probe_id)["detail"])
    kept.resource.lake.transact(lambda con: con.execute("DELETE FROM probes WHERE state = 'lost'"))


def test_a_tick_sends_one_probe_however_many_daemons_there_are(
    kept: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled_at = utc_now().replace(microsecond=0)
    lakes = [Lake(kept.settings.warehouse) for _ in range(2)]

    def send(lake: Lake) -> str:
        try:
            return send_probe(lake, kept.settings, scheduled_at=scheduled_at).file
        except TickTakenError:
            return "taken"

    with ThreadPoolExecutor(2) as pool:
        sent = sorted(pool.map(send, lakes))
    assert sent[1] == "taken"
    assert (kept.landing / sent[0]).is_file()
    assert "has its probe already" in tick(kept, scheduled_at)
    assert "This tick is past" in tick(kept, scheduled_at - timedelta(minutes=5))
    assert tick(kept, scheduled_at - timedelta(seconds=30)).startswith("Sent probe-")
    assert [one.scheduled_at for one in read_newest(kept.resource.lake)] == [
        scheduled_at - timedelta(seconds=30), scheduled_at
    ]  # fmt: skip
    monkeypatch.setenv("OPSMETER_PROBE", "false")
    assert tick(kept, scheduled_at + timedelta(seconds=1)).startswith("Probes are off")


def tick(home: PipelineHome, scheduled_at: datetime) -> str:
    context = dg.build_schedule_context(
        home.instance, scheduled_execution_time=scheduled_at, resources={"home": home.resource}
    )
    found = probe_schedule(context)
    assert isinstance(found, dg.SkipReason)  # it never starts a run
    return found.skip_message


def test_the_sensor_looks_every_second_while_a_probe_is_young_and_then_once_a_tick(
    kept: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two probes of the test before are on their way."""
    kept.take_all()
    now, waited = utc_now(), list[float]()
    deaf = kept.settings.model_copy(update={"dashboard_port": NOBODY})

    def look(minutes: float) -> LookedBack:
        waited.clear()
        start = now + timedelta(minutes=minutes)
        return keep_looking(
            kept.resource.lake, deaf, seconds=5,
            clock=lambda: start + timedelta(seconds=sum(waited)), sleep=waited.append,
        )  # fmt: skip

    assert len(look(0).outstanding) == 2
    assert waited == [1.0] * 5
    look(2.5)
    assert waited == []
    with page(kept) as settings:
        monkeypatch.setenv("OPSMETER_DASHBOARD_PORT", str(settings.dashboard_port))
        done = probing_sensor(dg.build_sensor_context(resources={"home": kept.resource}))
        assert isinstance(done, dg.SkipReason)
        assert done.skip_message.count("is on the page.") == 2
        told = json.loads(Client(settings.dashboard_port).get("/diagnostics").text)
        metrics = Client(settings.dashboard_port).get("/metrics").text
    last = read_last_probe_at(kept.resource.lake)
    assert last is not None
    assert parse_rfc3339(told["freshness"]["last_probe_at"]) == last
    assert f"opsmeter_last_probe_timestamp_seconds {last.timestamp()!r}" in metrics
    assert judge_freshness_of(kept) == last


def judge_freshness_of(home: PipelineHome) -> datetime | None:
    return read_freshness(home.settings, now=utc_now()).last_probe_at


def test_alerts_tell_of_lost_probes_and_of_a_schedule_that_sends_none(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(home.settings) as instance:
        moment = Moment(home.resource, instance, utc_now(), by="check")
        look = EVALUATORS["probe_lost"]
        assert list(look(moment)) == []
        lose_probe(home.resource.lake, moment.now)  # a person's: the command has said so
        assert list(look(moment)) == []
        lose_probe(home.resource.lake, moment.now, scheduled=True)
        (lost,) = look(moment)
        assert (lost.key, lost.severity) == (Key("probe", "probe_lost", "now"), "warning")
        assert lost.next_step == "opsmeter up, or opsmeter dashboard; then its /diagnostics"
        silent = replace(moment, now=moment.now + timedelta(seconds=1))
        assert [one.key.scope for one in look(silent)] == ["probe"]  # no scheduler knows it
        schedule = defs.get_repository_def().get_schedule_def("probe_schedule")
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
        instance.add_instigator_state(
            InstigatorState(
                RemoteInstigatorOrigin(_ORIGIN, "probe_schedule"), InstigatorType.SCHEDULE,
                InstigatorStatus.DECLARED_IN_CODE,
                ScheduleInstigatorData("*/5 * * * *", start_timestamp=None),
            )
        )  # fmt: skip
        assert {one.key.scope for one in look(silent)} == {"probe", "probe_schedule"}
        assert [one.key.scope for one in look(replace(silent, by="sensor"))] == ["probe"]
        monkeypatch.setenv("OPSMETER_PROBE", "false")
        assert list(look(silent)) == []


def test_days_are_summed_as_by_hand_and_a_day_without_probes_is_unknown(
    home: PipelineHome, tmp_path: Path
) -> None:
    lake = home.resource.lake
    seen = [(float(lag), NOON, NOON + timedelta(seconds=lag), "visible") for lag in range(1, 41)]
    rows = [
        {"probe_id": f"p{lag}", "file": "f", "state": state, "sent_at": sent_at,
         "due_at": sent_at + timedelta(minutes=15), "visible_at": visible_at}
        for lag, sent_at, visible_at, state in seen
    ]  # fmt: skip
    path = str(tmp_path / "rows.parquet")
    pl.DataFrame(rows, schema=PROBES.schema).write_parquet(path)
    lake.transact(lambda con: con.execute("INSERT INTO probes FROM read_parquet(?)", [path]))
    for nth in range(2):
        lose_probe(lake, NOON + timedelta(hours=1, minutes=nth))
    only_lost = NOON + timedelta(days=2)
    lose_probe(lake, only_lost)
    claim(lake, only_lost + timedelta(days=1))
    days = lake.read("SELECT * EXCLUDE (max_seconds) FROM probes_daily").rows()
    day = NOON.date()
    assert days == [
        (day + timedelta(days=3), "unknown", 1, 0, 0, 1, None, None),
        (day + timedelta(days=2), "lost", 1, 0, 1, 0, None, None),
        (day + timedelta(days=1), "unknown", 0, 0, 0, 0, None, None),
        # Of 42 the 21st and the 40th; with one more lost the 95 % would be a lost one.
        (day, "lost", 42, 40, 2, 0, 21.0, 40.0),
    ]
    lose_probe(lake, NOON + timedelta(hours=2))
    assert home.rows("SELECT p50_seconds, p95_seconds, max_seconds FROM probes_daily")[-1] == (
        *(22.0, None),
        40.0,
    )
    done = defs.resolve_job_def("probe").execute_in_process(
        instance=home.instance, resources={"home": home.resource}
    )
    (made,) = done.asset_materializations_for_node("summed_probes")
    assert made.metadata["dagster/row_count"].value == 4
    assert made.metadata["state"].text == "unknown"
    assert made.metadata["plot"].md_str.startswith("![Probes from 2025-03-10 to 2025-03-13](data:")


def test_the_command_waits_until_the_page_shows_it_and_fails_if_it_does_not(
    kept: PipelineHome,
) -> None:
    with page(kept) as settings:
        port = {"OPSMETER_DASHBOARD_PORT": str(settings.dashboard_port)}
        process = opsmeter("probe", "--json", "--timeout", "10m", home=kept.folder,
                           TZ="Asia/Kolkata", **port)  # fmt: skip
        folder = kept.landing / "opsmeter-probe"
        count = len([*folder.rglob("*.jsonl")])
        while len([*folder.rglob("*.jsonl")]) == count and process.poll() is None:
            time.sleep(0.1)
        kept.take_all()
        out, err = process.communicate(timeout=300)
    told = json.loads(out)
    assert (process.returncode, told["state"]) == (0, "visible"), err
    seconds = [told["seconds"][stage] for stage in ("landed", "taken", "visible")]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] < seconds[-1] < 600
    said = [line.split()[0] for line in err.splitlines() if "after" in line]
    # The page may show a batch before its own writer has measured when it was visible.
    assert (said[:2], sorted(said[2:])) == (["landed", "taken"], ["published", "visible"])
    assert [one.split(" Start")[0] for one in told["missing"]] == ["No daemon takes what lands."]
    code, out, err = run_opsmeter("probe", "--timeout", "1s", home=kept.folder,
                                  OPSMETER_DASHBOARD_PORT=str(NOBODY))  # fmt: skip
    assert code == 1
    assert "lost: stuck at landing: its file waits and no batch has taken it" in out
    assert "missing: The page at http://127.0.0.1:1: no answer" in err
    for timeout in ("0s", "2d", "soon"):
        with pytest.raises(LengthError, match="--timeout"):
            probe_command(timeout, home=kept.folder, landing=None, as_json=False)
    with pytest.raises(WarehouseMissingError):
        probe_command("1s", home=kept.folder / "none", landing=None, as_json=False)
