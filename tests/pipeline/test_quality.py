"""The job `quality` on a real lake: kept promises, each kind of broken one, and Data Docs."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import PUBLISH_POOL, QUALITY_JOB_NAME, QUALITY_POOL
from opsmeter_pipeline.orchestration.schedules import quality_schedule
from opsmeter_pipeline.producers.demo import write_demo_day
from opsmeter_pipeline.quality import KINDS, describe_checks, name_check
from opsmeter_pipeline.storage import quality as adapter
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import REPO, PipelineHome, clean_environment, jsonl, payload

# Of Great Expectations' own code, when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
SECRET = "jane.doe@example.com"
ALL = {(table, name_check(kind)) for table, kind in describe_checks()}
Checks = dict[tuple[str, str], dg.AssetCheckEvaluation]


def _judge(home: PipelineHome) -> Checks:
    """Run the job and return what each check told."""
    result = defs.resolve_job_def(QUALITY_JOB_NAME).execute_in_process(
        instance=home.instance,
        resources={"home": home.resource},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return {
        (one.asset_key.to_user_string(), one.check_name): one
        for one in result.get_asset_check_evaluations()
    }


def _pages(home: PipelineHome) -> str:
    pages = home.settings.data_docs.rglob("*.html")
    return "\n".join(page.read_text() for page in pages)


@pytest.fixture(scope="module")
def demo(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    write_demo_day(home.landing / "demo", now=utc_now(), events=5_000)
    home.take_all()
    return home


@pytest.fixture(scope="module")
def demo_checks(demo: PipelineHome) -> Checks:
    return _judge(demo)


def test_a_demo_day_keeps_all_promises_and_each_check_reports(demo_checks: Checks) -> None:
    assert demo_checks.keys() == ALL
    assert [one.description for one in demo_checks.values() if not one.passed] == []
    held = demo_checks["events", "quality_present"]
    assert held.description == f"All {held.metadata['promises'].value} promises of events are kept."
    assert held.metadata["broken_promises"].value == 0


def test_all_tables_are_judged_on_one_snapshot(demo: PipelineHome, demo_checks: Checks) -> None:
    newest = demo.resource.lake.newest_snapshot()
    assert {one.metadata["snapshot_id"].value for one in demo_checks.values()} == {newest}


def test_each_check_points_to_its_page_which_only_the_owner_can_read(
    demo: PipelineHome, demo_checks: Checks
) -> None:
    site = demo.settings.data_docs
    for (table, _), one in demo_checks.items():
        page = Path(one.metadata["data_docs"].value)
        assert page.is_relative_to(site / "validations" / table)
        assert "Expectation" in page.read_text()
    assert [folder.stat().st_mode & 0o077 for folder in (site, site.parent)] == [0, 0]
    assert (site / "index.html").exists()


def test_data_docs_ask_no_other_server_and_run_no_script(
    demo: PipelineHome, demo_checks: Checks
) -> None:
    del demo_checks
    text = _pages(demo)
    assert "https://" not in text
    assert "http://" not in text
    assert "<script" not in text
    assert "Content-Security-Policy" in text


def test_an_empty_warehouse_keeps_all_promises(home: PipelineHome) -> None:
    checks = _judge(home)
    assert checks.keys() == ALL
    assert [one.description for one in checks.values() if not one.passed] == []


BREAKS = f"""
    ALTER TABLE model_resolutions ADD COLUMN surprise VARCHAR;
    ALTER TABLE landing_findings ALTER COLUMN detail DROP NOT NULL;
    INSERT INTO landing_findings VALUES ('f.jsonl', 'touched', NULL, 1, now(), now());
    UPDATE events SET environment = '{SECRET}' WHERE external_request_id = 'a';
    UPDATE events SET cost_usd = NULL WHERE external_request_id = 'b';
    UPDATE events SET price_id = 'nowhere' WHERE external_request_id = 'c';
    UPDATE latency_hourly SET hour_at = hour_at + INTERVAL 5 MINUTE;
    UPDATE users_daily SET cost_usd = -1;
    INSERT INTO events SELECT * REPLACE (line_number + 9 AS line_number, 1 AS cost_usd)
        FROM events WHERE external_request_id = 'd';
    INSERT INTO ingest_batches SELECT * REPLACE ('twice' AS batch_id) FROM ingest_batches;
    INSERT INTO ingest_batches FROM ingest_batches WHERE batch_id = 'twice';
    INSERT INTO quarantine SELECT * REPLACE ('ghost' AS batch_id, 7 AS line_number)
        FROM quarantine;
    INSERT INTO quarantine SELECT * REPLACE (1 AS line_number)
        FROM quarantine WHERE batch_id <> 'ghost';
    UPDATE ingest_files SET lines = lines + 1;
    DELETE FROM attribution_hourly
"""


@pytest.fixture(scope="module")
def broken(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    lines = [payload(name, attempt=1) for name in "abcd"]
    home.land("a.jsonl", jsonl(*lines, "{}"))
    home.take_all()
    for sql in BREAKS.split(";"):
        home.resource.lake.transact(lambda con, sql=sql: con.execute(sql))
    return home


@pytest.fixture(scope="module")
def broken_checks(broken: PipelineHome) -> Checks:
    return _judge(broken)


@pytest.mark.parametrize(
    ("table", "kind", "promise", "culprit"),
    [
        ("model_resolutions", "columns", "types and nullability", {"column_name": "surprise"}),
        ("model_resolutions", "columns", "columns in order", {"column_name": "surprise"}),
        ("landing_findings", "columns", "types and nullability", {"column_name": "detail"}),
        ("landing_findings", "present", "detail is not null", {"file": "f.jsonl"}),
        ("events", "values", "environment is one of", {"file": "a.jsonl", "line_number": 1}),
        ("events", "values", "unpriced_reason", {"file": "a.jsonl", "line_number": 2}),
        ("events", "references", "price_id stands", {"file": "a.jsonl", "line_number": 3}),
        ("latency_hourly", "values", "start of an hour", {"n_rows": 1}),
        ("latency_hourly", "balance", "attempts are those", {"attempts": "None"}),
        ("users_daily", "amounts", "cost_usd is at least 0", {"day": "2025-03-10"}),
        ("users_daily", "balance", "those of its events", {"day": "2025-03-10"}),
        ("events", "grain", "told attempt", {"file": "a.jsonl", "n_rows": 2}),
        ("ingest_batches", "grain", "batch_id together occur once", {"batch_id": "twice"}),
        ("ingest_batches", "balance", "the sums of its files", {"batch_id": "twice"}),
        ("quarantine", "references", "batch_id stands", {"batch_id": "ghost", "n_rows": 1}),
        ("quarantine", "references", "batch_id and file stand", {"batch_id": "ghost"}),
        ("quarantine", "grain", "event or quarantined", {"file": "a.jsonl", "line_number": 1}),
        ("ingest_files", "balance", "lines = accepted", {"file": "a.jsonl"}),
        ("ingest_files", "balance", "accepted is the number", {"told": 4, "found": 5}),
        ("ingest_files", "balance", "cost_usd is the sum", {"file": "a.jsonl"}),
        ("attribution_hourly", "balance", "those of its events", {"attempts_there": 5}),
    ],
)
def test_a_broken_promise_is_found_and_named_with_its_culprits(
    broken_checks: Checks, table: str, kind: str, promise: str, culprit: dict[str, object]
) -> None:
    check = broken_checks[table, name_check(kind)]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert promise in check.description
    named = [one for one in check.metadata["culprits"].value if promise in one["promise"]]
    assert any(culprit.items() <= one.items() for one in named), named


def test_each_kind_of_promise_has_been_broken_and_nothing_else_was(broken_checks: Checks) -> None:
    failed = {key for key, one in broken_checks.items() if not one.passed}
    assert {name for _, name in failed} == {name_check(kind) for kind in KINDS}
    untouched = {key for key in ALL if key[0] in {"price_catalogue", "users_latency_daily"}}
    assert failed & untouched == {("users_latency_daily", "quality_balance")}


def test_no_value_of_a_line_gets_into_data_docs_or_metadata(
    broken: PipelineHome, broken_checks: Checks
) -> None:
    told = [(one.description, one.metadata) for one in broken_checks.values()]
    assert SECRET not in str(told)
    files = [path for path in broken.settings.data_docs.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_without_the_extra_each_check_says_what_to_install(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_PACKAGES", ("a_package_that_is_not_there",))
    checks = _judge(home)
    assert checks.keys() == ALL
    for one in checks.values():
        assert not one.passed
        assert one.severity == dg.AssetCheckSeverity.WARN
        assert "pip install 'opsmeter-pipeline[quality]'" in one.description
    assert not home.settings.data_docs.exists()
    skipped = quality_schedule(dg.build_schedule_context(home.instance))
    assert isinstance(skipped, dg.SkipReason)
    assert "opsmeter-pipeline[quality]" in skipped.skip_message


def test_the_schedule_asks_for_one_run_at_a_time(home: PipelineHome) -> None:
    with open_instance(home.settings) as instance:
        context = dg.build_schedule_context(instance)
        assert isinstance(quality_schedule(context), dg.RunRequest)
        job = defs.resolve_job_def(QUALITY_JOB_NAME)
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        skipped = quality_schedule(context)
        assert isinstance(skipped, dg.SkipReason)
        assert run.run_id in skipped.skip_message


def test_ingest_and_quality_do_not_wait_for_each_other_but_for_their_own_kind(
    home: PipelineHome,
) -> None:
    with open_instance(home.settings) as instance:
        config = instance.get_concurrency_config()
    assert config.run_queue_config.max_concurrent_runs == 2
    assert config.pool_config.pool_granularity.value == "run"
    assert config.pool_config.default_pool_limit == 1
    pools = {
        job: {node.definition.pool for node in defs.resolve_job_def(job).nodes} - {None}
        for job in ("ingest", "drivers", "quality")
    }
    publishing = {"ingest": {PUBLISH_POOL}, "drivers": {PUBLISH_POOL}}
    assert pools == publishing | {"quality": {QUALITY_POOL}}


_INGEST = """
import sys
from opsmeter_pipeline.cli.ingest import take_all_waiting
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.lake import Lake

settings = load_settings(home=sys.argv[1])
assert take_all_waiting(settings)["accepted"] == 1
assert Lake(settings.warehouse).query("FROM overview").rows
assert defs.resolve_job_def("quality")
heavy = ("great_expectations", "duckdb_engine", "scipy.stats", "altair")
print([name for name in heavy if name in sys.modules])
"""


def test_the_ingest_run_and_queries_import_nothing_of_great_expectations(
    home: PipelineHome,
) -> None:
    home.land("a.jsonl", jsonl(payload()))
    done = subprocess.run(
        [sys.executable, "-c", _INGEST, str(home.folder)],
        cwd=REPO,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
