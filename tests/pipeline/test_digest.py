"""The job `digest`: files of the owner's, one message per week and sink, and the command."""

import json
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from opsmeter_pipeline.cli.digest import digest_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.digest import Week
from opsmeter_pipeline.model.clock import start_of_day, utc_now
from opsmeter_pipeline.orchestration.alerting import Moment, tick
from opsmeter_pipeline.orchestration.jobs import (
    BUDGET_JOB_NAME,
    DIGEST_JOB_NAME,
    DRIFT_JOB_NAME,
    WEEKLY_DIGEST,
    run_as_is,
    tell_week,
)
from opsmeter_pipeline.orchestration.schedules import digest_schedule
from opsmeter_pipeline.settings import claim_landing
from opsmeter_pipeline.storage.digest import queue_message
from tests.pipeline.conftest import MakeHome
from tests.pipeline.receiver import receive
from tests.pipeline.support import PipelineHome, failure_of, jsonl, run_opsmeter
from tests.pipeline.weeks import NAUGHTY, lines_of_weeks

BUDGETS = """
[[budget]]
name = "small"
limit_usd = "0.01"
environment = "prod"
[[budget]]
name = "large"
limit_usd = 100000
"""
TODAY = start_of_day(utc_now().date())
WEEK = Week((TODAY - timedelta(days=7)).date())


@pytest.fixture(scope="module")
def home(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    home.land("weeks.jsonl", jsonl(*lines_of_weeks(TODAY)), landed_at=None)
    home.take_all()
    claim_landing(home.settings)
    return home


def _run(home: PipelineHome) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(DIGEST_JOB_NAME).execute_in_process(
        instance=home.instance, resources={"home": home.resource}, run_config=tell_week(
            WEEK.first_day)
    )  # fmt: skip


def test_a_week_is_written_for_its_owner_and_told_once_however_often_it_runs(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receive() as receiver:
        monkeypatch.setenv("OPSMETER_ALERT_URLS", f"{receiver.url} pagerduty://a@b")
        (event,) = _run(home).asset_materializations_for_node(WEEKLY_DIGEST)
        assert event.metadata["messages_queued"].value == 1  # nobody is woken up
        markdown, html = (home.settings.digests / f"{WEEK.first_day}.{kind}"
                          for kind in ("md", "html"))  # fmt: skip
        assert event.metadata["digest"].value == markdown.read_text()
        assert NAUGHTY not in html.read_text()
        assert "&lt;script&gt;" in html.read_text()
        for path in (markdown, html):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        again = _run(home).asset_materializations_for_node(WEEKLY_DIGEST)
        assert again[0].metadata["messages_queued"].value == 0

        moment = Moment(home.resource, home.instance, utc_now(), by="check")
        kinds = [one.claim.letter.kind for one in tick(moment).deliveries if one.error is None]
        assert kinds.count("digest") == 1
        after = Moment(home.resource, home.instance, utc_now(), by="check")
        assert "digest" not in [one.claim.letter.kind for one in tick(after).deliveries]
        assert [kind for kind, _ in receiver.told()].count("digest") == 1
    assert home.value("SELECT count(*) FROM incident_events WHERE incident_id LIKE 'digest%'") == 0


def test_two_who_queue_at_once_and_a_sink_that_comes_later(home: PipelineHome) -> None:
    lake, week = home.resource.lake, Week(WEEK.first_day - timedelta(days=7))
    asked = {"subject": "s", "body": "b", "now": utc_now()}
    assert queue_message(lake, week, sinks=["json-a"], **asked) == 1
    assert queue_message(lake, week, sinks=["json-a", "json-b"], **asked) == 1
    assert queue_message(lake, week, sinks=["json-a", "json-b"], **asked) == 0
    assert queue_message(lake, week, sinks=[], **asked) == 0


def test_the_command_prints_what_the_warehouse_sums_up(
    home: PipelineHome, capsys: pytest.CaptureFixture[str]
) -> None:
    digest_command(week=None, form="md", home=home.folder, as_json=True)
    told = json.loads(capsys.readouterr().out)
    cost, requests, unpriced = home.rows(
        "SELECT sum(cost_usd), count(*) FILTER (is_first_attempt), count(*) FILTER (cost_usd IS "
        "NULL) FROM events WHERE occurred_at >= ? AND occurred_at < ?", WEEK.start_at, WEEK.end_at,
    )[0]  # fmt: skip
    assert Decimal(told["now"]["cost_usd"]) == cost
    assert (told["now"]["requests"], told["now"]["unpriced_attempts"]) == (requests, unpriced)
    assert {one["prompt_version"] for one in told["deploys"]} == {"v2"}
    assert told["deploys"][0]["previous_version"] == "v1"
    assert told["trust"]["quarantined"] == home.value("SELECT count(*) FROM quarantine")
    changes = [Decimal(one["cost_usd"]) for one in told["endpoints"]]
    assert sum(changes) == cost


def test_verdicts_and_budgets_stand_in_it_as_their_jobs_left_them(
    home: PipelineHome,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = home.copy(tmp_path / "judged")
    (tmp_path / "opsmeter.toml").write_text(BUDGETS)
    monkeypatch.chdir(tmp_path)
    claim_landing(judged.settings)
    for name in (DRIFT_JOB_NAME, BUDGET_JOB_NAME):
        run = defs.resolve_job_def(name).execute_in_process(
            instance=judged.instance, resources={"home": judged.resource},
            run_config=run_as_is(log_level="CRITICAL"), raise_on_error=False,
        )  # fmt: skip
        assert run.success, failure_of(run)
    digest_command(week=None, form="md", home=judged.folder, as_json=True)
    told = json.loads(capsys.readouterr().out)
    verdicts = {one["endpoint_tag"]: one["verdict"] for one in told["deploys"]}
    assert verdicts == {"chat.reply": "regressed", NAUGHTY: "not_enough_data"}
    spent = judged.rows(
        "SELECT budget, period_name, state, spent_low_usd FROM budget_status "
        "WHERE NOT is_over OR state = 'exceeded' "
        "ORDER BY is_over, spent_low_usd / limit_usd DESC, budget, period_name"
    )
    listed = [
        (one["budget"], one["period_name"], one["state"], Decimal(one["spent_low_usd"]))
        for one in told["budgets"]
    ]
    assert listed == spent
    assert {(name, state) for name, _, state, _ in listed} >= {("small", "exceeded")}
    digest_command(week=None, form="md", home=judged.folder, as_json=False)
    text = capsys.readouterr().out
    assert "Roll chat.reply back from v2 to v1" in text
    assert "Budget small (" in text
    assert "## Budgets" in text


def test_the_command_from_outside(home: PipelineHome, tmp_path: Path) -> None:
    code, out, err = run_opsmeter("digest", home=home.folder)
    assert code == 0, err
    assert out.startswith("# LLM cost, ")
    code, out, err = run_opsmeter("digest", "--week", "2999-01-01", home=home.folder)
    assert (code, out) == (2, "")
    assert "are not over" in err
    code, _, err = run_opsmeter("digest", home=tmp_path / "none")
    assert code == 2, err


def test_monday_morning_asks_for_the_week_that_ended_at_midnight() -> None:
    monday = datetime(2026, 11, 23, 6, tzinfo=UTC)
    request = digest_schedule(dg.build_schedule_context(scheduled_execution_time=monday))
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2026-11-16"
    assert request.run_config["ops"][WEEKLY_DIGEST]["config"]["first_day"] == "2026-11-16"
