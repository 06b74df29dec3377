"""The commands: what they print, how they exit, what they leave behind.

Some are run as processes, so that what only a process has is held to it too: its exit code, its
own two streams, and what is imported at its start.
"""

import csv
import io
import json
from pathlib import Path

import pytest

from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.views import VIEWS
from tests.pipeline.support import NOON, call_opsmeter, jsonl, payload, run_opsmeter, set_landed_at

RUN_KEYS = {
    "lines", "accepted", "duplicates", "quarantined", "blank", "batches", "files", "cost_usd",
    "unpriced_events", "findings",
}  # fmt: skip
LOOK_KEYS = {
    "looked_at", "complete_through", "final_before", "waiting_files", "refused_files",
    "lateness_allowance_seconds",
}  # fmt: skip
EMPTY_IN_DEMO = {
    "landing_findings", "moved_lines", "manifests", "price_aliases", "double_instrumentation",
    "cost_drivers", "late_events", "late_changes", "first_served", "restatements", "incidents",
    "incident_events", "alerts", "prompt_version_findings", "budget_status", "budget_changes",
    "spikes", "probes", "probes_daily", "verdict_changes",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The home `opsmeter demo` makes, and the JSON it prints."""
    home = tmp_path_factory.mktemp("demo")
    code, out, err = run_opsmeter("demo", "--json", home=home)
    assert code == 0, err
    return home, json.loads(out)


def _query(home: Path, sql: str) -> list[dict]:
    code, out, err = call_opsmeter("query", sql, "--json", home=home)
    assert code == 0, err
    return json.loads(out)


def test_the_demo_finds_what_it_seeded(demo: tuple[Path, dict]) -> None:
    home, told = demo
    seeded = told["seeded"]
    (ledger,) = _query(
        home,
        """SELECT sum(lines)::BIGINT AS lines, sum(accepted)::BIGINT AS good_lines,
            sum(duplicates)::BIGINT AS redelivered_lines, sum(blank)::BIGINT AS blank_lines,
            sum(unpriced_events)::BIGINT AS unpriced_lines, sum(files)::BIGINT AS files,
            sum(data_mode_defaulted)::BIGINT AS defaulted_lines FROM ingest_batches""",
    )
    assert ledger == {name: seeded[name] for name in ledger}
    refused = _query(home, "SELECT rule, count(*) AS lines FROM quarantine GROUP BY rule")
    assert {row["rule"]: row["lines"] for row in refused} == seeded["bad_lines"]


def test_the_demos_events_are_the_seeded_ones(demo: tuple[Path, dict]) -> None:
    home, told = demo
    seeded = told["seeded"]
    (counted,) = _query(
        home,
        """SELECT count(*) AS good_lines,
            count(*) FILTER (attempt > 1) AS retries,
            count(*) FILTER (attempt_inferred) AS inferred_retries,
            count(*) FILTER (data_mode = 'test') AS test_lines,
            count(*) FILTER (data_mode = 'demo') AS demo_lines,
            count(*) FILTER (prompt_version = '(missing)') AS missing_prompt_version_lines,
            count(*) FILTER (endpoint_tag = '(missing)') AS missing_endpoint_lines,
            count(*) FILTER (extra IS NOT NULL) AS unknown_field_lines,
            (SELECT count(*) FROM ingest_files) AS files
        FROM events""",
    )
    assert counted == {name: seeded[name] for name in counted}


def test_a_second_demo_writes_nothing(demo: tuple[Path, dict]) -> None:
    home, told = demo
    landed = sorted((home / "landing").rglob("*"))
    code, out, err = call_opsmeter("demo", "--json", home=home)
    assert code == 0, err
    assert json.loads(out) == told | {"seeded": None}
    assert sorted((home / "landing").rglob("*")) == landed


@pytest.mark.parametrize("group", [range(start, start + 9) for start in range(0, 54, 9)], ids=str)
def test_each_table_and_view_can_be_read(demo: tuple[Path, dict], group: range) -> None:
    names = [*(table.name for table in TABLES), *(view.name for view in VIEWS)]
    assert len(names) <= 54
    home, _ = demo
    for name in names[group.start : group.stop]:
        rows = _query(home, f"select * from {name} limit 1")
        assert len(rows) == (0 if name in EMPTY_IN_DEMO else 1), name


def test_query_prints_decimals_as_text_and_times_as_iso_8601(demo: tuple[Path, dict]) -> None:
    home, _ = demo
    code, out, err = run_opsmeter(
        "query",
        "SELECT 0.1::DECIMAL(38,18) AS usd, TIMESTAMPTZ '2025-03-10 12:00:00+01' AS at, "
        "DATE '2025-03-10' AS day, 3::HUGEINT AS n, NULL AS nothing, 'ü' AS word, true AS flag",
        "--json",
        home=home,
    )
    assert (code, err) == (0, "")
    assert json.loads(out) == [{
        "usd": "0.100000000000000000", "at": "2025-03-10T11:00:00+00:00", "day": "2025-03-10",
        "n": 3, "nothing": None, "word": "ü", "flag": True,
    }]  # fmt: skip


def test_query_prints_csv_and_a_table(demo: tuple[Path, dict]) -> None:
    home, _ = demo
    sql = "SELECT 'a,b' AS word, 0.5::DECIMAL(4,2) AS usd, NULL AS nothing"
    code, out, _ = call_opsmeter("query", sql, "--csv", home=home)
    assert code == 0
    assert list(csv.reader(io.StringIO(out))) == [["word", "usd", "nothing"], ["a,b", "0.50", ""]]
    code, out, _ = call_opsmeter("query", sql, home=home)
    assert code == 0
    assert "word" in out
    assert "0.50" in out


@pytest.mark.parametrize(("columns", "widest"), [("80", 80), ("", 120)])
def test_the_demos_answers_are_tables_that_fit(
    demo: tuple[Path, dict], columns: str, widest: int
) -> None:
    """Without a terminal nor COLUMNS, as in a file, a table is at most 120 wide."""
    home, told = demo
    code, out, err = call_opsmeter("demo", home=home, COLUMNS=columns)
    assert code == 0, err
    assert "The demo day is in" in err
    tables, _, _ = out.partition("Try next:")
    assert max(map(len, tables.splitlines())) <= widest
    (total,) = told["ledger"]
    assert f"  {total['cost_usd']}\n" in tables.replace(" \n", "\n")
    for name in ("top_endpoints", "top_users", "prompt_versions"):
        for row in told[name]:
            assert {len(row[money].partition(".")[2]) for money in row if "usd" in money} == {4}
            assert f"  {row['cost_usd_per_1k_requests']}  " in tables


def test_a_row_too_wide_for_a_table_is_shown_a_value_a_line(demo: tuple[Path, dict]) -> None:
    home, _ = demo
    code, out, err = call_opsmeter("query", "FROM overview LIMIT 1", home=home, COLUMNS="100")
    assert code == 0, err
    overview = next(view for view in VIEWS if view.name == "overview")
    assert out.count("\n") == 1 + len(overview.columns)
    assert "\ncost_per_request_usd  0.0" in out
    assert max(map(len, out.splitlines())) <= 100


def test_a_long_text_wraps_and_a_number_does_not(demo: tuple[Path, dict]) -> None:
    home, _ = demo
    sql = "SELECT repeat('[x]', 40) AS long_text, 10::DECIMAL(38,18) AS usd"
    code, out, _ = call_opsmeter("query", sql, home=home, COLUMNS="80")
    assert code == 0
    assert "".join(line.split()[0] for line in out.splitlines()[2:] if line) == "[x]" * 40
    assert "  10.000000000000000000" in out


def test_a_demo_writes_to_no_address(tmp_path: Path) -> None:
    code, out, err = call_opsmeter("demo", home=tmp_path, OPSMETER_LANDING="memory://landing")
    assert (code, out) == (2, "")
    assert "memory://landing" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sql", ["SELECT nothing", "DROP TABLE events", "SELECT 1; SELECT 2"])
def test_a_query_that_cannot_be_run_is_wrong_usage(demo: tuple[Path, dict], sql: str) -> None:
    home, _ = demo
    code, out, err = call_opsmeter("query", sql, home=home)
    assert (code, out) == (2, "")
    assert err.startswith("error:")
    assert "Traceback" not in err


def test_a_query_without_a_warehouse_is_wrong_usage(tmp_path: Path) -> None:
    code, out, err = call_opsmeter("query", "SELECT 1", home=tmp_path / "none")
    assert (code, out) == (2, "")
    assert "There is no warehouse" in err
    assert str(tmp_path / "none") in err
    assert not (tmp_path / "none").exists()


def test_run_prints_the_ledger_of_what_it_took(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    path = landing / "a.jsonl"
    path.write_bytes(
        jsonl(payload("a"), payload("a"), "", "{}", payload("b", model="nobody-knows-1"))
    )
    (landing / "notes.txt").write_text("buy milk")
    set_landed_at(path, NOON)
    code, out, err = run_opsmeter("run", "--json", home=tmp_path)
    assert code == 0, err
    told = json.loads(out)
    assert set(told) == RUN_KEYS | LOOK_KEYS
    look = {name: told.pop(name) for name in LOOK_KEYS}
    assert look["complete_through"] == look["looked_at"] > look["final_before"]
    assert (look["waiting_files"], look["refused_files"]) == (0, 1)
    (finding,) = told.pop("findings")
    assert (finding["file"], finding["finding"]) == ("notes.txt", "unsupported")
    assert told == {
        "lines": 5, "accepted": 2, "duplicates": 1, "quarantined": 1, "blank": 1, "batches": 1,
        "files": 1, "cost_usd": "0.003500000000000000", "unpriced_events": 1,
    }  # fmt: skip

    code, out, err = call_opsmeter("--home", str(tmp_path), "run", "--json")
    assert code == 0, err
    again = json.loads(out)
    assert set(again) == RUN_KEYS | LOOK_KEYS
    assert {name: again[name] for name in RUN_KEYS - {"findings", "cost_usd"}} == dict.fromkeys(
        RUN_KEYS - {"findings", "cost_usd"}, 0
    )
    assert again["findings"] == []

    code, out, err = call_opsmeter("run", home=tmp_path)
    assert code == 0, err
    assert f"Nothing new in {landing}." in err
    assert "  0.0000  " in out


def test_a_missing_landing_is_wrong_usage_and_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    code, out, err = call_opsmeter("run", "--json", "--landing", missing, home=tmp_path)
    assert (code, out) == (2, "")
    assert missing in err
    assert "--landing" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("value", ["many", "0", "-1", "1.5", ""])
def test_a_setting_that_cannot_be_used_is_wrong_usage(tmp_path: Path, value: str) -> None:
    code, out, err = call_opsmeter("run", "--json", home=tmp_path, OPSMETER_BATCH_BYTES=value)
    assert (code, out) == (2, "")
    assert "batch_bytes" in err
    assert "Traceback" not in err


def test_a_run_that_fails_exits_1_and_names_file_and_remedy(tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    (landing / "a.jsonl").write_bytes(jsonl(payload("a")))
    (tmp_path / "staging").write_text("no folder")
    code, out, err = call_opsmeter("run", "--json", home=tmp_path)
    assert (code, out) == (1, "")
    assert "failed in landed_slices" in err


@pytest.mark.parametrize("arguments", [["nonsense"], ["query"], ["run", "--nonsense"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    assert run_opsmeter(*arguments)[:2] == (2, "")
