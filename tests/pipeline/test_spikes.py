"""`opsmeter spikes`, the job `spikes`, its check and its incident, on a home of thirty days."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from opsmeter_pipeline.cli.spikes import spikes_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.orchestration.alerting import Moment, look_at_spikes
from opsmeter_pipeline.orchestration.jobs import SPIKES_JOB_NAME
from opsmeter_pipeline.orchestration.schedules import spikes_schedule
from opsmeter_pipeline.quality import build_suite
from opsmeter_pipeline.settings import claim_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import PipelineHome, hours, jsonl, payload, run_opsmeter

HOME_DAYS, AN_HOUR, IN_THE_BURST = 30, 24, 500
"""A request costs 0.0035 dollars: 476 more than usual are 1.67 dollars."""
NOW = utc_now().replace(minute=0, second=0, microsecond=0)
BURST_AT = NOW - hours(2)
OLD_AT = NOW - timedelta(days=6)


def lines_of(at: datetime, count: int, name: str, **fields: object) -> Iterator[dict[str, object]]:
    for number in range(count):
        when = at + timedelta(seconds=1 + 3500 * number // count)
        yield payload(f"{name}-{at:%d%H}-{number}", timestamp=when.isoformat(), **fields)


@pytest.fixture(scope="module")
def home(make_home: MakeHome) -> PipelineHome:
    """24 requests an hour for 30 days, and 500 of one new tenant in the hour before the last."""
    home = make_home()
    usual = [
        line
        for hour in range(1, HOME_DAYS * 24 + 1)
        for line in lines_of(NOW - hours(hour), AN_HOUR, f"u{hour}")
    ]
    burst = lines_of(BURST_AT, IN_THE_BURST - AN_HOUR, "burst", tenantId="t_leaked")
    home.land("usual.jsonl", jsonl(*usual), landed_at=None)
    home.land("burst.jsonl", jsonl(*burst), landed_at=None)
    home.take_all()
    claim_landing(home.settings)
    return home


def _run(home: PipelineHome) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(SPIKES_JOB_NAME).execute_in_process(
        instance=home.instance, resources={"home": home.resource}
    )


def _ask(home: PipelineHome, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    spikes_command(window=None, home=home.folder, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_the_burst_is_one_incident_with_its_driver_a_control_and_a_query_that_runs(
    home: PipelineHome,
) -> None:
    result = _run(home)
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("no_spike", False)
    (row,) = home.resource.lake.read(
        "SELECT * FROM spikes WHERE rule_window = '1h' AND covered_by IS NULL"
    ).to_dicts()
    assert (row["kind"], row["dimension"], row["value"]) == ("spike", "endpoint_tag", "chat.reply")
    assert (row["window_start_at"], row["requests"], row["basis"]) == (
        BURST_AT,
        IN_THE_BURST,
        "weekday",
    )
    assert row["usual_requests"] == pytest.approx(AN_HOUR)
    assert row["driver"].startswith("concentration: ")
    assert "t_leaked" in row["driver"]
    assert row["control"].startswith("Limit the tenant t_leaked at chat.reply")
    told = home.resource.lake.query(row["verify_sql"]).to_dicts()
    assert ("t_leaked", IN_THE_BURST - AN_HOUR) in [(r["tenant_id"], r["requests"]) for r in told]

    conditions = look_at_spikes(Moment(home.resource, home.instance, utc_now(), by="check"))
    (condition,) = (one for one in conditions if one.key.rule_window == "1h")
    assert condition.key.scope == "endpoint_tag:chat.reply"
    assert row["control"] in condition.next_step


def test_a_second_look_finds_the_same_and_doubles_nothing(
    home: PipelineHome, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(home)
    before = home.rows("SELECT * EXCLUDE judged_at FROM spikes ORDER BY ALL")
    _run(home)
    assert home.rows("SELECT * EXCLUDE judged_at FROM spikes ORDER BY ALL") == before
    told = _ask(home, capsys)
    assert len(told["spikes"]) == len(before)
    assert told["late_additions"] == []


def test_a_file_of_last_week_that_lands_now_is_no_spike_and_told_apart(
    home: PipelineHome, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _ask(home, capsys)["spikes"]
    home.land("late.jsonl", jsonl(*lines_of(OLD_AT, 2_000, "late")), landed_at=None)
    home.land("again.jsonl", (home.landing / "burst.jsonl").read_bytes(), landed_at=None)
    home.take_all()
    told = _ask(home, capsys)
    # A whole day may be usual now that its weekday's past holds more; no hour is, and none is new.
    now, then = ({one["what"] for one in spikes} for spikes in (told["spikes"], before))
    assert now <= then
    assert {what for what in then if "Z:" in what} <= now
    (late,) = told["late_additions"]
    assert (late["day"], late["requests"]) == (f"{OLD_AT:%Y-%m-%d}", 2_000)


def test_the_table_keeps_what_it_promises(home: PipelineHome) -> None:
    from opsmeter_pipeline.model.tables import SPIKES  # noqa: PLC0415

    for promise in build_suite(SPIKES):
        query = promise.arguments.get("unexpected_rows_query")
        if query:
            assert home.rows(str(query).replace("{batch}", "spikes")) == [], promise.meaning


def test_the_command_prints_for_a_person_and_refuses_what_it_cannot_judge(
    home: PipelineHome, tmp_path
) -> None:
    code, out, err = run_opsmeter("spikes", home=home.folder)
    assert code == 0, err
    assert "endpoint chat.reply" in out
    assert "  do: Limit the tenant t_leaked" in out
    assert "landed late" in out
    code, out, err = run_opsmeter("spikes", "--window", "30d", "--json", home=home.folder)
    assert (code, out) == (2, "")
    assert "--window" in err
    with pytest.raises(WarehouseMissingError):
        spikes_command(window=None, home=tmp_path, as_json=False)


def test_the_schedule_asks_for_a_run() -> None:
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=NOW)
        assert isinstance(spikes_schedule(context), dg.RunRequest)
