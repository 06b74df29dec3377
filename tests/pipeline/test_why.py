"""`opsmeter why` and the job `drivers` on a demo day: the deploy, the burst, and sums by hand."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from opsmeter_pipeline.cli.why import Question, why_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.model.tables import COST_DRIVERS
from opsmeter_pipeline.orchestration.jobs import DRIVERS_JOB_NAME
from opsmeter_pipeline.orchestration.schedules import drivers_schedule
from opsmeter_pipeline.producers.demo import write_demo_day
from opsmeter_pipeline.producers.demo_endpoints import (
    SPIKE_TAG,
    SUMMARY_TAG,
    SUMMARY_VERSION_AFTER,
    SUMMARY_VERSION_BEFORE,
)
from opsmeter_pipeline.producers.demo_summary import DemoSummary
from opsmeter_pipeline.quality import build_suite
from opsmeter_pipeline.settings import claim_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import PipelineHome, call_opsmeter, failure_of, hours

NOW = datetime(2025, 3, 11, 20, 30, tzinfo=UTC)
EVENTS = 20_000
Demo = tuple[PipelineHome, DemoSummary]
PRODUCTION = "environment = 'prod' AND data_mode = 'real'"


@pytest.fixture(scope="module")
def demo(make_home: MakeHome) -> Demo:
    home = make_home()
    summary = write_demo_day(home.landing / "demo", now=NOW, events=EVENTS)
    home.take_all()
    claim_landing(home.settings)
    return home, summary


def _ask(
    home: PipelineHome, capsys: pytest.CaptureFixture[str], start: datetime, length: timedelta
) -> dict[str, Any]:
    """Return what the command prints, called in this process."""
    end = (start + length).isoformat()
    question = Question(start.isoformat(), end, None, None, 5, "prod", "real")
    why_command(question, home=home.folder, as_json=True)
    return json.loads(capsys.readouterr().out)


def _findings(told: dict[str, Any], spike_class: str) -> Iterator[dict[str, Any]]:
    return (one for one in told["findings"] if one["class"] == spike_class)


def test_the_prompt_deploy_is_named_with_its_longer_answers(demo: Demo, capsys) -> None:
    home, summary = demo
    after = summary.deploy_at.replace(minute=0, second=0, microsecond=0) + hours(1)
    told = _ask(home, capsys, after, hours(3))
    (finding,) = (
        one for one in _findings(told, "efficiency_regression")
        if one["driver"]["endpoint_tag"] == SUMMARY_TAG
    )  # fmt: skip
    assert finding["driver"] == {
        "endpoint_tag": SUMMARY_TAG,
        "prompt_version": SUMMARY_VERSION_AFTER,
        "previous_prompt_version": SUMMARY_VERSION_BEFORE,
        "token_class": "output",
    }
    (output,) = (
        one for one in finding["evidence"] if one["name"] == "output_tokens_per_attempt"
    )  # fmt: skip
    assert Decimal(output["after"]) > Decimal(output["before"]) * Decimal("1.15")
    assert f"back from {SUMMARY_VERSION_AFTER} to {SUMMARY_VERSION_BEFORE}" in finding["control"]


def test_the_burst_of_one_tenant_is_named(demo: Demo, capsys) -> None:
    home, summary = demo
    told = _ask(home, capsys, summary.spike_started_at, hours(1))
    (finding,) = _findings(told, "concentration")
    assert finding["driver"] == {
        "endpoint_tag": SPIKE_TAG, "tenant_id": summary.spike_tenant_id,
    }  # fmt: skip
    (requests,) = (one for one in finding["evidence"] if one["name"] == "tenant_requests")
    assert requests["after"] > 5 * requests["before"]


@pytest.mark.parametrize(("first_hour", "length"), [(10, 4), (-1, 3), (-3, 24), (-11, 31)])
def test_every_dimension_sums_up_to_what_the_events_say(
    demo: Demo, capsys, first_hour: int, length: int
) -> None:
    """Windows within a day, across midnight and of part days and a day between them."""
    home, _ = demo
    midnight = datetime(2025, 3, 11, tzinfo=UTC)
    start = midnight + hours(first_hour)
    told = _ask(home, capsys, start, hours(length))
    change = _change_by(home, start, length, by="''")[""]
    assert Decimal(told["total"]["change_usd"]) == change
    assert sum(map(Decimal, told["total"]["factors"].values())) == change
    for name, rows in told["by"].items():
        assert sum(Decimal(row["change_usd"]) for row in rows) == change, name
        by_value = _change_by(home, start, length, by=name)
        named = [row for row in rows if row["value"] != "(others)"]
        assert len(named) >= 5
        for row in named if name not in ("prompt_version", "model") else ():
            assert Decimal(row["change_usd"]) == by_value[row["value"]], name


def _change_by(home: PipelineHome, start: datetime, length: int, *, by: str) -> dict[str, Decimal]:
    sql = f"""
        SELECT {by}, sum(CASE WHEN occurred_at >= $1 THEN cost_usd ELSE -cost_usd END)
            ::DECIMAL(38,18)
        FROM events WHERE {PRODUCTION} AND occurred_at >= $2 AND occurred_at < $3 GROUP BY 1
    """
    rows = home.rows(sql, start, start - hours(length), start + hours(length))
    return {name: change or Decimal() for name, change in rows}


def test_the_query_that_verifies_runs_for_each_class_found(demo: Demo, capsys) -> None:
    home, summary = demo
    told = _ask(home, capsys, summary.spike_started_at, hours(1))["findings"]
    by_class = {finding["class"]: finding["verify_sql"] for finding in told}
    assert len(by_class) > 2
    for name, sql in by_class.items():
        assert home.resource.lake.query(sql).rows, name


def _explain(home: PipelineHome, day: str) -> dg.ExecuteInProcessResult:
    result = defs.resolve_job_def(DRIVERS_JOB_NAME).execute_in_process(
        instance=home.instance,
        partition_key=day,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        resources={"home": home.resource},
        raise_on_error=False,
    )
    assert result.success, failure_of(result)
    return result


ROWS = "SELECT * EXCLUDE (computed_at) FROM cost_drivers ORDER BY ALL"
FALSIFY = """
    UPDATE cost_drivers SET change_usd = change_usd + 1, volume_usd = volume_usd + 1,
        cost_usd = cost_usd + 1
    WHERE dimension = 'total' AND window_start_at = TIMESTAMPTZ '2025-03-11T00:00:00Z'
"""


def test_the_job_keeps_the_day_and_the_week_as_promised_and_replaces_them(demo: Demo) -> None:
    home, _ = demo
    shown = _explain(home, "2025-03-12").asset_materializations_for_node("explained_drivers")
    rows = home.rows(ROWS)
    day, week = (
        _change_by(home, datetime(2025, 3, 12, tzinfo=UTC) - hours(n), n, by="''")[""]
        for n in (24, 7 * 24)
    )
    sql = "SELECT change_usd FROM cost_drivers WHERE dimension = 'total' ORDER BY window_start_at"
    assert home.rows(sql) == [(week,), (day,)]
    assert shown[0].metadata["day_change_usd"].value == f"{day:f}"
    assert shown[0].metadata["week_class"].value == "volume"
    assert home.resource.lake.query(shown[0].metadata["week_verify_sql"].value).rows
    queries = [one.culprits for one in build_suite(COST_DRIVERS)]
    assert [home.rows(sql) for sql in queries] == [[]] * len(queries)
    home.resource.lake.transact(lambda con: con.execute(FALSIFY))
    dimensions = {"endpoint_tag", "prompt_version", "model", "tenant_id", "user_id"}
    for sql in (None, "DELETE FROM cost_drivers WHERE dimension = 'total'"):
        if sql:
            home.resource.lake.transact(lambda con, sql=sql: con.execute(sql))
        broken = [found for sql in queries if (found := home.rows(sql))]
        assert [{row[1] for row in found} for found in broken] == [dimensions]
    _explain(home, "2025-03-12")
    assert home.rows(ROWS) == rows


def test_the_schedule_asks_for_the_day_of_its_tick(home: PipelineHome) -> None:
    tick = datetime(2025, 3, 11, 1, 37, tzinfo=UTC)
    context = dg.build_schedule_context(home.instance, scheduled_execution_time=tick)
    assert drivers_schedule(context).partition_key == "2025-03-11"


def test_the_command_prints_tables_for_a_person_and_refuses_what_cannot_be(demo: Demo) -> None:
    home, summary = demo
    start = f"{summary.spike_started_at:%Y-%m-%dT%H:%M:%SZ}"
    end = f"{summary.spike_started_at + hours(1):%Y-%m-%dT%H:%M:%SZ}"
    code, out, _ = call_opsmeter(
        "why", "--from", start, "--to", end, "--by", "tenant_id", home=home.folder
    )
    assert code == 0
    assert "by factor" in out
    assert "by tenant_id" in out
    assert "by model" not in out
    assert "concentration: endpoint_tag search.rerank" in out
    code, out, err = call_opsmeter("why", "--from", start[:-1], home=home.folder)
    assert (code, out) == (2, "")
    assert "has no time zone" in err


def test_a_home_without_a_warehouse_is_told(tmp_path) -> None:
    question = Question(None, None, "7d", None, 5, "prod", "real")
    with pytest.raises(WarehouseMissingError):
        why_command(question, home=tmp_path, as_json=True)
