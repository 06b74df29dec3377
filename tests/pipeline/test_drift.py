"""A prompt deploy through the real jobs, as table, check, alert, gate and command tell it."""

import json
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from opsmeter_pipeline.cli.compare import Question, compare_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.gate import ReasonState
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.drift_errors import (
    MomentsMissingError,
    SameVersionError,
    UnknownEndpointError,
    UnknownVersionError,
)
from opsmeter_pipeline.orchestration import gate
from opsmeter_pipeline.orchestration.alerting import Moment, look_at_drift
from opsmeter_pipeline.orchestration.jobs import DRIFT_JOB_NAME, run_as_is
from opsmeter_pipeline.storage.drift import look_for_drift
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import PipelineHome, jsonl, payload

REQUESTS = 600
ASKED = Question("chat.reply", "v1", "v2", "prod", "2025-03-01T00:00:00Z", None, None)


def _lines(version: str, *, hour: int, factor: float) -> bytes:
    return jsonl(
        *(
            payload(
                f"{version}-{number}",
                promptVersion=version,
                tenantId=f"t{number % 3}",
                outputTokens=round((80 + number * 7 % 60) * factor),
                timestamp=f"2025-03-{8 + number % 2:02}T{hour:02}:{number % 60:02}:00Z",
            )
            for number in range(REQUESTS)
        )
    )


@pytest.fixture(scope="module")
def deployed(make_home: MakeHome) -> tuple[PipelineHome, dg.ExecuteInProcessResult]:
    """A home that took two versions, the new one in two batches, and one run of the job `drift`."""
    home = make_home()
    home.land("v1.jsonl", _lines("v1", hour=1, factor=1))
    new = _lines("v2", hour=9, factor=1.6).splitlines(keepends=True)
    home.land("v2-a.jsonl", b"".join(new[: REQUESTS // 2]))
    assert home.take_all() == 1
    home.land("v2-b.jsonl", b"".join(new[REQUESTS // 2 :]))
    assert home.take_all() == 1
    return home, _run(home)


def _run(home: PipelineHome) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def(DRIFT_JOB_NAME).execute_in_process(
        instance=home.instance,
        run_config=run_as_is(log_level="CRITICAL"),
        resources={"home": home.resource},
    )


def test_the_table_the_check_and_the_chart_tell_the_deploy(
    deployed: tuple[PipelineHome, dg.ExecuteInProcessResult],
) -> None:
    home, result = deployed
    rows = home.rows(
        "SELECT prompt_version, baseline_version, verdict, regression_type, requests, "
        "baseline_requests, monthly_usd > 0 FROM prompt_version_drift"
    )
    assert rows == [
        ("v2", "v1", "regressed", "verbosity", REQUESTS, REQUESTS, True),
        ("v1", None, "not_enough_data", None, REQUESTS, 0, None),
    ]
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "chat.reply v2 against v1: verbosity" in (check.description or "")
    (event,) = result.asset_materializations_for_node("compared_versions")[:1]
    chart = event.metadata["changes"].value
    assert "chat.reply v2 output_" in str(chart)
    assert event.metadata["regressed"].value == 1


def test_two_batches_and_a_replay_give_the_same_sums(
    deployed: tuple[PipelineHome, dg.ExecuteInProcessResult],
) -> None:
    home, _ = deployed
    sums = """
        SELECT prompt_version, sum(finished_attempts)::BIGINT, sum(finished_output_tokens)::BIGINT,
            round(sum(output_log), 6), sum(output_above_128_tokens)::BIGINT, round(sum(cost), 9)
        FROM token_moments_hourly GROUP BY ALL ORDER BY ALL
    """
    of_events = """
        SELECT prompt_version, count(*), sum(output_tokens)::BIGINT,
            round(sum(ln(output_tokens)), 6), count(*) FILTER (output_tokens > 128),
            round(sum(cost_usd::DOUBLE), 9)
        FROM events GROUP BY ALL ORDER BY ALL
    """
    before = home.rows(sums)
    assert before == home.rows(of_events)
    assert home.run(replay=True).success
    assert home.rows(sums) == before


def test_the_alert_and_the_gate_read_it(
    deployed: tuple[PipelineHome, dg.ExecuteInProcessResult],
) -> None:
    home, _ = deployed
    now = utc_now()
    (condition,) = look_at_drift(Moment(home.resource, home.instance, now, "check"))
    assert condition.key == ("prod/chat.reply/v2", "prompt_drift", "replaced")
    asked = gate.Question(home.settings, "prod", timedelta(days=1), now, about_prompts=True)
    (reason,) = gate.ask_prompts(asked)
    assert (reason.name, reason.state) == ("prompt", ReasonState.CLOSED)
    (reason,) = gate.ask_prompts(replace(asked, environment="staging"))
    assert reason.state is ReasonState.UNKNOWN
    names = [one.name for one in gate.ask_gate(asked, {})]
    assert names == ["prompt"]
    assert gate.ask_gate(replace(asked, about_prompts=False), {}) == []


def test_compare_prints_one_document_or_a_chart(
    deployed: tuple[PipelineHome, dg.ExecuteInProcessResult], capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = deployed
    compare_command(ASKED, home=home.folder, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["regression_type"]) == ("regressed", "verbosity")
    assert {one["measure"] for one in told["measures"]} >= {"output_tokens", "cost_per_request"}
    compare_command(ASKED, home=home.folder, as_json=False)
    shown = capsys.readouterr().out
    assert "mean output tokens" in shown
    assert "---o---" in shown
    back = replace(ASKED, baseline="v2", version="v1")
    compare_command(back, home=home.folder, as_json=True)
    assert json.loads(capsys.readouterr().out)["verdict"] == "improved"


@pytest.mark.parametrize(
    ("asked", "error", "named"),
    [
        (replace(ASKED, endpoint="chat.repli"), UnknownEndpointError, "Did you mean chat.reply?"),
        (replace(ASKED, version="v22"), UnknownVersionError, "It has v2"),
        (replace(ASKED, end="2025-03-02T00:00:00Z"), UnknownEndpointError, "no real traffic"),
        (replace(ASKED, environment="dev"), UnknownEndpointError, "in dev"),
        (replace(ASKED, version="v1"), SameVersionError, "Name two"),
    ],
)
def test_a_name_that_is_none_is_told_with_those_near_it(
    deployed: tuple[PipelineHome, dg.ExecuteInProcessResult],
    asked: Question,
    error: type[Exception],
    named: str,
) -> None:
    home, _ = deployed
    with pytest.raises(error, match=named.replace("?", r"\?")):
        compare_command(asked, home=home.folder, as_json=True)


def test_a_home_from_before_tokens_had_moments_says_what_to_do(make_home: MakeHome) -> None:
    home = make_home()
    home.resource.lake.transact(lambda con: con.execute("DROP TABLE token_moments_hourly"))
    with pytest.raises(MomentsMissingError, match="`opsmeter run` adds"):
        look_for_drift(home.resource.lake, now=utc_now())


def test_a_home_without_traffic_has_nothing_to_tell(make_home: MakeHome) -> None:
    home = make_home()
    found = look_for_drift(home.resource.lake, now=utc_now())
    assert (found.as_of, found.rows.height, found.findings.height) == (None, 0, 0)
    assert _run(home).success


def test_a_verdict_that_late_data_changed_is_logged_with_its_batch(make_home: MakeHome) -> None:
    home = make_home()
    new = _lines("v2", hour=9, factor=1.6).splitlines(keepends=True)
    home.land("v1.jsonl", _lines("v1", hour=1, factor=1))
    home.land("v2-a.jsonl", b"".join(new[:100]))
    home.take_all()
    _run(home)
    assert home.value("SELECT count(*) FROM verdict_changes") == 0
    home.land("v2-b.jsonl", b"".join(new[100:]))
    home.take_all()
    for _ in range(2):  # the second look changes nothing
        _run(home)
    (late,) = home.rows("SELECT batch_id FROM ingest_files WHERE file = 'v2-b.jsonl'")[0]
    assert home.rows("""
        SELECT prompt_version, baseline_version, former_verdict, verdict, former_at < changed_at,
            former_cost_change, cost_change > 0.1, monthly_usd > 0, late_batches, late_batch_ids
        FROM verdict_changes
    """) == [
        ("v2", "v1", "not_enough_data", "regressed", True, None, True, True, 1, late)
    ]  # fmt: skip
