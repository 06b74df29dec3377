"""What Dagster loads: the catalogue as people see it, and that loading has no side effects."""

import json
import os
import re
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

import assets
import checks
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.orchestration.instance import LOCATION, write_instance_files
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.lake import Lake, sql_type
from opsmeter_pipeline.views import VIEWS
from tests.pipeline.support import BIN, REPO, clean_environment

STAGES = {
    "landing",
    "contract",
    "identity",
    "price",
    "cube",
    "tracking",
    "publish",
    "views",
    "drivers",
    "doubles",
    "drift",
    "spikes",
    "digest",
    "reprice",
    "dashboard",
    "alerts",
    "probe",
    "budget",
}
LOOKED = [
    *("budget_changes", "budget_status", "double_instrumentation", "restatements", "probes_daily"),
    *("prompt_version_drift", "prompt_version_findings", "spikes", "weekly_digest"),
    "verdict_changes",
]
SERVED = ["first_served"]
"""Assets that no run makes: the page's server writes them."""
TICKED = ["alerts", "incident_events", "incidents", "probes"]
"""Assets that no run makes: ticks of a sensor or schedule write them."""
UNPARTITIONED = [*LOOKED, *SERVED, *TICKED]
"""Assets that no ingest run makes and that have no ingest day."""
ASSET_KEYS = [
    "alerts",
    "attribution_hourly",
    "batch_ledger",
    "batch_stages",
    "batch_times",
    "budget_changes",
    "budget_status",
    "clock_lags",
    "clocks_hourly",
    "cost_drivers",
    "cube_sums",
    "day_changes",
    "double_instrumentation",
    "events",
    "field_presence_hourly",
    "first_served",
    "freshness_daily",
    "freshness_hourly",
    "freshness_lags",
    "held_back",
    "identity_verdicts",
    "incident_events",
    "incidents",
    "ingest_batches",
    "ingest_files",
    "judged_events",
    "judged_quarantine",
    "landed_slices",
    "landing_findings",
    "late_changes",
    "late_events",
    "latency_hourly",
    "manifests",
    "missing_usage",
    "model_resolutions",
    "moved_lines",
    "overview",
    "overview_hourly",
    "price_aliases",
    "price_catalogue",
    "price_versions",
    "priced_events",
    "priced_quarantine",
    "probes",
    "probes_daily",
    "prompt_version_drift",
    "prompt_version_findings",
    "prompt_versions",
    "quarantine",
    "restatements",
    "spikes",
    "token_moments_hourly",
    "top_endpoints",
    "top_users",
    "tracking_counts",
    "tracking_hourly",
    "tracking_quality",
    "unpriced_hourly",
    "unpriced_models",
    "users_daily",
    "users_latency_daily",
    "verdict_changes",
    "watermarks",
    "weekly_digest",
]
CHECK_KEYS = [
    ("batch_ledger", "ledger_balances"),
    ("budget_status", "budgets"),
    ("cube_sums", "cube_equals_events"),
    ("cube_sums", "dimensions_equal_events"),
    ("cube_sums", "views_equal_events"),
    ("double_instrumentation", "double_instrumentation"),
    ("freshness_lags", "begin_before_visible"),
    ("freshness_lags", "freshness_slo"),
    ("ingest_files", "data_mode_defaulted_share"),
    ("ingest_files", "environment_defaulted_share"),
    ("ingest_files", "missing_prompt_version_share"),
    ("ingest_files", "quarantine_share"),
    ("ingest_files", "unpriced_share"),
    ("prompt_version_drift", "prompt_version_drift"),
    ("spikes", "no_spike"),
    ("tracking_hourly", "clock_skew"),
    ("tracking_hourly", "endpoint_tags"),
    ("tracking_hourly", "field_change"),
    ("tracking_hourly", "manifest_counts"),
    ("tracking_hourly", "production_mix"),
    ("tracking_hourly", "prompt_versions"),
    ("tracking_hourly", "quarantine_shift"),
    ("tracking_hourly", "quiet_producer"),
    ("tracking_hourly", "raw_identifiers"),
]
QUALITY_KINDS = {
    "alerts": "amounts columns grain present references values",
    "incident_events": "amounts columns grain present references",
    "incidents": "amounts columns grain present values",
    "spikes": "amounts balance columns grain present values",
    "attribution_hourly": "amounts balance columns grain present references values",
    "budget_changes": "amounts columns present references values",
    "budget_status": "amounts balance columns grain present values",
    "cost_drivers": "amounts balance columns grain present values",
    "day_changes": "amounts balance columns grain present references values",
    "clocks_hourly": "amounts balance columns grain present references values",
    "double_instrumentation": "amounts columns grain present values",
    "events": "amounts columns grain present references values",
    "field_presence_hourly": "amounts columns grain present references values",
    "first_served": "columns grain present references",
    "freshness_lags": "amounts balance columns grain present references values",
    "batch_times": "balance columns grain present references",
    "ingest_batches": "amounts balance columns grain present",
    "ingest_files": "amounts balance columns grain present references values",
    "landing_findings": "amounts columns present values",
    "latency_hourly": "amounts balance columns grain present references values",
    "manifests": "amounts columns present",
    "model_resolutions": "columns grain present",
    "moved_lines": "amounts columns present references",
    "prompt_version_drift": "amounts columns grain present values",
    "prompt_version_findings": "amounts columns grain present values",
    "verdict_changes": "amounts columns grain present values",
    "token_moments_hourly": "amounts balance columns grain present references values",
    "price_aliases": "columns grain present",
    "price_versions": "amounts columns grain present values",
    "price_catalogue": "amounts columns grain present values",
    "probes": "columns grain present values",
    "quarantine": "amounts columns grain present references values",
    "restatements": "amounts balance columns grain present references values",
    "tracking_hourly": "amounts balance columns grain present references values",
    "unpriced_hourly": "amounts balance columns grain present references values",
    "users_daily": "amounts balance columns grain present references values",
    "users_latency_daily": "amounts balance columns grain present references values",
    "watermarks": "amounts columns grain present",
}
QUALITY_KEYS = [
    (table, f"quality_{kind}") for table, kinds in QUALITY_KINDS.items() for kind in kinds.split()
]
GRAPH = defs.resolve_asset_graph()


def _node(name: str):
    return GRAPH.get(dg.AssetKey(name))


def test_the_asset_keys_are_these() -> None:
    keys = sorted(key.to_user_string() for key in GRAPH.get_all_asset_keys())
    assert keys == ASSET_KEYS


def test_the_check_keys_are_these() -> None:
    keys = sorted((key.asset_key.to_user_string(), key.name) for key in GRAPH.asset_check_keys)
    assert keys == sorted(CHECK_KEYS + QUALITY_KEYS)


def test_each_table_and_view_of_the_warehouse_is_an_asset() -> None:
    published = {table.name for table in TABLES} | {view.name for view in VIEWS}
    assert published <= set(ASSET_KEYS)


@pytest.mark.parametrize("name", ASSET_KEYS)
def test_each_asset_says_what_it_is_and_whose(name: str) -> None:
    node = _node(name)
    assert node.owners == ["team:opsmeter"]
    assert node.group_name in STAGES
    assert 1 <= len(node.kinds) <= 3
    assert len(node.description) > 30
    assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition) is (
        name not in UNPARTITIONED
    )


def test_what_a_run_should_have_made_turns_stale_and_what_a_person_or_tick_makes_does_not() -> None:
    windows = {
        spec.key.to_user_string(): spec.freshness_policy and (
            spec.freshness_policy.warn_window.to_timedelta(),
            spec.freshness_policy.fail_window.to_timedelta(),
        )
        for spec in defs.resolve_all_asset_specs()
    }  # fmt: skip
    assert {name for name, of in windows.items() if of is None} == {
        *SERVED, *TICKED, "restatements"
    }  # fmt: skip
    minutes, hour, day = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
    assert windows["events"] == windows["overview"] == (minutes, 2 * minutes)
    assert windows["prompt_version_drift"] == (2 * hour, 3 * hour)
    assert windows["cost_drivers"] == (2 * day, 3 * day)
    assert windows["weekly_digest"] == (14 * day, 21 * day)


def test_every_stage_has_an_asset_in_its_module_of_the_same_name() -> None:
    assert {_node(name).group_name for name in ASSET_KEYS} == STAGES
    modules = {path.stem for path in (REPO / "assets").glob("*.py")} - {"__init__"}
    assert modules == STAGES


@pytest.mark.parametrize(("asset", "name"), CHECK_KEYS + QUALITY_KEYS)
def test_each_check_has_a_description_and_blocks_only_before_publishing(
    asset: str, name: str
) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(asset), name)
    spec = GRAPH.get_check_spec(key)
    assert len(spec.description) > 20
    assert spec.blocking is (asset in {"batch_ledger", "cube_sums"})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("home") / "warehouse")
    lake.create({view.name: view.sql for view in VIEWS})
    return lake


@pytest.mark.parametrize("table", [*TABLES, *VIEWS], ids=lambda table: table.name)
def test_what_is_told_of_columns_is_the_catalogue_and_what_the_lake_has(table, lake: Lake) -> None:
    shown = _node(table.name).metadata["dagster/column_schema"].columns
    catalogue = [(c.name, sql_type(c.dtype), c.nullable, c.meaning) for c in table.columns]
    assert [(c.name, c.type, c.constraints.nullable, c.description) for c in shown] == catalogue
    described = lake.read(f'SELECT column_name, column_type, "null" FROM (DESCRIBE {table.name})')
    types = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    is_view = table in VIEWS  # the lake holds nearly any column of a view for nullable
    assert [
        (n, types.get(t, t), null == "YES" or is_view) for n, t, null in described.iter_rows()
    ] == [(name, kind, nullable or is_view) for name, kind, nullable, _ in catalogue]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_view_reads_the_assets_it_depends_on(view, lake: Lake) -> None:
    parents = {key.to_user_string() for key in _node(view.name).parent_keys}
    assert parents == set(view.reads)
    # Only where rows are read from: `events` is also what some views call their counts.
    named = set(re.findall(r"(?:FROM|JOIN)\s+(\w+)", view.sql)) & {one.name for one in TABLES}
    assert named == parents
    assert lake.read(f"FROM {view.name}").is_empty()


def test_the_jobs_hold_every_asset() -> None:
    ingested = set(ASSET_KEYS) - {"cost_drivers", *UNPARTITIONED}
    for job, keys in (
        ("ingest", ingested),
        ("drivers", {"cost_drivers"}),
        ("budget", {"budget_changes", "budget_status"}),
        ("doubles", {"double_instrumentation"}),
        ("drift", {"prompt_version_drift", "prompt_version_findings", "verdict_changes"}),
        ("reprice", {"restatements"}),
        ("probe", {"probes_daily"}),
    ):
        layer = defs.resolve_job_def(job).asset_layer
        assert {key.to_user_string() for key in layer.executable_asset_keys} == keys
        assert _checks_of(job) == {check for check in CHECK_KEYS if check[0] in keys}


def test_the_drivers_job_holds_its_asset_and_nothing_else() -> None:
    layer = defs.resolve_job_def("drivers").asset_layer
    assert {key.to_user_string() for key in layer.executable_asset_keys} == {"cost_drivers"}
    assert _checks_of("drivers") == set()


def test_the_quality_job_holds_its_checks_and_nothing_else() -> None:
    layer = defs.resolve_job_def("quality").asset_layer
    assert list(layer.executable_asset_keys) == []
    assert _checks_of("quality") == set(QUALITY_KEYS)


def test_the_silence_job_holds_one_check_that_every_ingest_run_has_too() -> None:
    assert list(defs.resolve_job_def("silence").asset_layer.executable_asset_keys) == []
    assert _checks_of("silence") == {("tracking_hourly", "quiet_producer")}


def _checks_of(job: str) -> set[tuple[str, str]]:
    graph = defs.resolve_job_def(job).asset_layer.asset_graph
    return {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}


def test_the_code_location_has_one_name_everywhere(tmp_path: Path) -> None:
    """Schedules and sensors are kept under it; another name would start them all anew."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    settings = load_settings(home=tmp_path)
    write_instance_files(settings)
    workspaces = [REPO / "workspace.yaml", settings.dagster / "workspace.yaml"]
    texts = [path.read_text() for path in workspaces]
    assert LOCATION == project["code_location_name"] == "opsmeter_pipeline"
    assert project["code_location_target_module"] == "opsmeter_pipeline.definitions"
    for text in texts:
        assert "      location_name: opsmeter_pipeline\n" in text
        assert "      module_name: opsmeter_pipeline.definitions\n" in text


def _dg(*arguments: str, dagster_home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "dg", *arguments],
        cwd=REPO,
        env=clean_environment() | {"DAGSTER_HOME": str(dagster_home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_dg_check_defs_passes(tmp_path: Path) -> None:
    done = _dg("check", "defs", dagster_home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "All definitions loaded successfully." in done.stdout + done.stderr


def test_dg_list_defs_shows_what_there_is(tmp_path: Path) -> None:
    done = _dg("list", "defs", "--json", dagster_home=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert sorted(asset["asset_key"] for asset in listed["assets"]) == ASSET_KEYS
    assert len(listed["asset_checks"]) == len(CHECK_KEYS + QUALITY_KEYS)
    assert [job["name"] for job in listed["jobs"]] == [
        "budget",
        "digest",
        "doubles",
        "drift",
        "drivers",
        "ingest",
        "maintain",
        "probe",
        "quality",
        "reprice",
        "silence",
        "spikes",
    ]
    assert [schedule["name"] for schedule in listed["schedules"]] == [
        "budget_schedule",
        "digest_schedule",
        "doubles_schedule",
        "drift_schedule",
        "drivers_schedule",
        "maintain_schedule",
        "probe_schedule",
        "probes_daily_schedule",
        "quality_schedule",
        "silence_schedule",
        "spikes_schedule",
    ]
    assert [sensor["name"] for sensor in listed["sensors"]] == [
        *("alerting", "landing_sensor", "probing")
    ]


_WATCH = """
import os, pkgutil, importlib, sys
broken = []

def watch(event, args):
    if event == "open" and args[0] != os.devnull and isinstance(args[2], int):
        if args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC):
            broken.append(f"open {args[0]}")
    if event in ("socket.connect", "socket.bind", "os.mkdir", "os.remove", "os.rename",
                 "sqlite3.connect"):
        broken.append(f"{event} {args}")

sys.addaudithook(watch)
for name in ("opsmeter_pipeline", "assets", "checks"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("opsmeter_pipeline")]))
sys.exit("\\n".join(broken) or 0)
"""


def test_importing_every_module_touches_no_disk_and_no_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCH],
        cwd=tmp_path,
        env=clean_environment() | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40
    assert list(tmp_path.iterdir()) == []


def test_the_general_names_assets_and_checks_are_this_projects() -> None:
    """An installed package of that name would take the place of ours without a word."""
    for package in (assets, checks):
        assert Path(package.__file__).parent.parent == REPO
    done = subprocess.run(
        [sys.executable, "-c", "import assets, checks; print(assets.__file__, checks.__file__)"],
        cwd="/",
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        str(REPO / "assets" / "__init__.py"),
        str(REPO / "checks" / "__init__.py"),
    ]
