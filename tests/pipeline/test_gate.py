"""`opsmeter gate` on a real home: open when all is well, closed by each thing that is not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import dagster as dg
import pytest
import yaml

from opsmeter_pipeline.cli.gate import Asked, gate_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.gate import Ledger, Reason
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import UsageError
from opsmeter_pipeline.orchestration.alerting import Moment, tick
from opsmeter_pipeline.orchestration.gate import READERS, Question, ask_gate, choose_slo
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME
from opsmeter_pipeline.storage.gate import read_ledger
from tests.pipeline.probes import show_probe
from tests.pipeline.support import NOON, REPO, PipelineHome, call_opsmeter, hours, jsonl, payload


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineHome]:
    """A home with 40 fresh events, 2 files, looked at by the alerts a moment ago."""
    home = PipelineHome(tmp_path_factory.mktemp("home"), dg.DagsterInstance.ephemeral())
    with open_instance(home.settings) as instance:
        home.instance = instance
        for nth in range(2):
            lines = [payload(f"{nth}-{n}") for n in range(20)]
            home.land(f"chat-{nth}.jsonl", jsonl(*lines, payload(str(nth), model=None)),
                      landed_at=None)  # fmt: skip
        home.take_all()
        tick(Moment(home.resource, instance, utc_now(), by="check"))
        show_probe(home.resource.lake, utc_now())
        yield home


def ask(home: PipelineHome, **change: object) -> Question:
    now = utc_now()
    return replace(Question(home.settings, "prod", hours(24), now), **change)


def not_open(question: Question) -> dict[str, Reason]:
    return {one.name: one for one in ask_gate(question) if not one.passes}


def test_all_is_well_and_only_the_probe_is_missing_for_who_has_none(
    served: PipelineHome, tmp_path: Path
) -> None:
    assert not_open(ask(served)) == {}
    served.resource.lake.transact(lambda con: con.execute("DELETE FROM probes"))
    assert [*not_open(ask(served))] == ["probe"]
    report = tmp_path / "gate.xml"
    code, out, err = call_opsmeter("gate", "--waive", "probe", "--p95", "5m", "--window", "2h",
                                  "--junit", str(report), "--json", home=served.folder)  # fmt: skip
    told = json.loads(out)
    assert (code, told["open"], told["window_seconds"]) == (0, True, 7200), err
    suite = ET.parse(report).getroot()[0]
    assert [case.get("name").split()[0] for case in suite] == [*READERS]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    ledger = next(one for one in told["reasons"] if one["name"] == "ledger")
    assert ledger["found"] == "1 of 1 batches balance"
    show_probe(served.resource.lake, utc_now())


def test_each_thing_that_is_wrong_closes_the_gate_and_is_named(served: PipelineHome) -> None:
    late = served.land("late.jsonl", jsonl(*(payload(f"w{n}") for n in range(60))),
                       landed_at=utc_now() - hours(1))  # fmt: skip
    try:
        found = not_open(ask(served))
        assert {*found} == {"freshness prod/*", "error_budget prod/*", "waiting", "watermark"}
        assert "waiting lines are late, the oldest waits since" in found["waiting"].found
    finally:
        late.unlink()
    run = served.instance.create_run_for_job(
        defs.resolve_job_def(INGEST_JOB_NAME), status=dg.DagsterRunStatus.STARTED
    )
    served.instance.report_run_failed(run)
    assert not_open(ask(served))["runs"].found == f"failed runs of ingest: 1 ({run.run_id})"
    served.instance.delete_run(run.run_id)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE ingest_batches SET accepted = accepted - 1",
        "UPDATE ingest_files SET lines = lines + 1, blank = blank + 1",
        "UPDATE ingest_files SET lines = lines + 1",
        "DELETE FROM events WHERE line_number = 1",
        "DELETE FROM quarantine",
        "DELETE FROM ingest_files",
    ],
)
def test_a_line_that_is_lost_anywhere_unbalances_its_batch(served: PipelineHome, harm: str) -> None:
    with served.resource.lake.connect() as con:
        assert read_ledger(con, since=NOON) == Ledger(1, ())
        con.execute(harm)
        assert len(read_ledger(con, since=NOON).unbalanced) == 1


def test_silence_other_environments_and_tight_limits_are_told(served: PipelineHome) -> None:
    later = utc_now() + hours(2)
    found = not_open(ask(served, now=later))
    assert {*found} == {"seen", "probe", "incidents"}
    assert {one.state.value for one in found.values()} == {"unknown"}
    assert "ledger" in not_open(ask(served, now=later, window=timedelta(minutes=5)))
    behind = utc_now() - hours(1)
    assert "clock" in not_open(ask(served, now=behind))
    staging = not_open(ask(served, environment="staging"))
    assert {*staging} == {"freshness", "error_budget", "waiting"}  # a probe was seen
    assert staging["freshness"].found == "nothing is promised of staging"
    slo = choose_slo(served.settings.slo, environment="staging", limit_seconds=60)
    asked = served.settings.model_copy(update={"slo": slo})
    few = not_open(ask(served, environment="staging", settings=asked))["freshness staging/*"]
    assert few.found == "0 of 0 events late, 0 allowed; too few events to judge"


def test_what_cannot_be_read_or_used_is_said_and_never_a_traceback(
    served: PipelineHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job, _) = yaml.safe_load((REPO / "docs/examples/release-gate.yml").read_text())["jobs"].items()
    command = job[1]["steps"][0]["run"].split()
    report = tmp_path / command[-1]
    code, out, err = call_opsmeter(*command[1:-1], str(report), home=tmp_path / "none")
    assert (code, err) == (1, "")
    assert "closed: 10 of 10 reasons" in out
    suite = ET.parse(report).getroot()[0]
    assert suite.get("tests") == suite.get("failures") == str(len(READERS))
    assert not (tmp_path / "none").exists()
    with pytest.raises(SystemExit, match="1"):
        gate_command(
            Asked("prod", None, "24h", [], "-"), home=served.folder, landing=str(tmp_path / "no"),
            as_json=False,
        )  # fmt: skip
    named = ET.fromstring(capsys.readouterr().out.encode())[0].findall("testcase[failure]")
    assert [one.get("name") for one in named] == [
        *("freshness", "error_budget", "waiting", "watermark")
    ]
    for change, said in (
        ({"p95": "301s"}, "use 300 or 305"),
        ({"window": "yesterday"}, "Write it as 30s, 5m, 24h, 7d or 2w"),
        ({"window": "99w"}, "longer than a year"),
        ({"waived": ["ledgers"]}, "The gate has no reason 'ledgers'"),
        ({"waived": ["freshness prod/nothing"]}, "has no reason 'freshness prod/nothing'"),
        ({"junit": str(tmp_path / "no" / "x.xml")}, "cannot be written"),
    ):
        asked = replace(Asked("prod", None, "24h", [], None), **change)
        with pytest.raises(UsageError, match=said):
            gate_command(asked, home=served.folder, landing=None, as_json=False)
