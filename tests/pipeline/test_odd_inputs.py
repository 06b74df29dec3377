"""Odd files, odd queries and killed processes: each once cost a line, a run or a file."""

import gzip
import io
import json
import os
import random
import shutil
import time
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from opsmeter_pipeline.model.errors import QueryError
from opsmeter_pipeline.orchestration.sensors import landing_sensor
from opsmeter_pipeline.settings import claim_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    DAY,
    NOON,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    failure_of,
    hours,
    jsonl,
    opsmeter,
    payload,
    snapshot,
    without_clocks,
)


def lines(*names):
    return jsonl(*(payload(n) for n in names))


def test_only_an_unsupported_file(home):
    home.land("notes.txt", b"x")
    home.take_all()
    assert home.findings() == {"notes.txt": "unsupported"}
    assert home.next_day() is None


def test_only_a_touched_file(home):
    home.land("a.jsonl", lines("a"))
    home.take_all()
    home.land("a.jsonl", lines("a"), landed_at=NOON + hours(1))
    home.take_all()
    assert home.findings() == {"a.jsonl": "touched"}
    assert home.next_day() is None


def test_a_run_of_a_day_with_nothing_new(home):
    home.land("a.jsonl", lines("a"))
    home.take_all()
    before = snapshot(home)
    r = home.run(DAY)
    assert r.success, failure_of(r)
    assert snapshot(home) == before


def test_a_changed_jsonl_that_also_grew(home):
    home.land("a.jsonl", lines("a", "b"))
    home.land("x.jsonl", lines("x"))
    home.take_all()
    home.land("a.jsonl", lines("z", "b", "c"), landed_at=NOON + hours(1))
    home.take_all()
    assert home.findings() == {"a.jsonl": "changed"}
    assert home.next_day() is None


def test_a_file_whose_time_moves_backwards(home):
    home.land("a.jsonl", lines("a"))
    home.take_all()
    home.land("a.jsonl", lines("a"), landed_at=NOON - hours(1))
    home.take_all()
    assert home.next_day() is None


ODD = ("none.csv", "long.csv", "binary.parquet", os.fsdecode(b"caf\xe9.jsonl"), "x.jsonl")
"""Files that nothing can be taken of, or of which it does not matter what is."""


@pytest.fixture(scope="module")
def odd(make_home: MakeHome) -> PipelineHome:
    """A landing full of odd files, and a good one, taken in one run."""
    home, rng = make_home(), random.Random(1)
    whole = gzip.compress(
        jsonl(*(payload(f"r{i}", userId=f"u_{rng.random()}") for i in range(2000)))
    )
    home.land("cut.jsonl.gz", whole[: len(whole) // 2])
    home.land("trailing.jsonl.gz", gzip.compress(lines("gz-a", "gz-b")) + b"garbage")
    home.land("none.csv", b"externalRequestId,model\rr1,gpt-4o\r")
    home.land("long.csv", b"a" * 140_000 + b"\n1\n")
    home.land("binary.parquet", parquet(payload("binary") | {"x": [b"\xff"]}))
    home.land(os.fsdecode(b"caf\xe9.jsonl"), lines("cafe"))
    (home.landing / "x.jsonl").symlink_to("/nonexistent")
    extra = payload("with") | {"region": "eu"}, payload("without") | {"region": None}
    home.land("extra.parquet", parquet(*extra))
    home.land(
        "twice.csv",
        b"externalRequestId,provider,model,inputTokens,inputTokens,outputTokens\n"
        b"r1,openai,gpt-4o,5,6,7\n",
    )
    home.land("good.jsonl", lines("good"))
    assert home.take_all() == 1
    return home


def parquet(*rows):
    content = io.BytesIO()
    pl.DataFrame(rows).write_parquet(content)
    return content.getvalue()


def test_odd_files_cost_no_good_one_a_line(odd):
    assert {path.name for path in odd.landing.iterdir()} > {*ODD}
    assert odd.ledger("good.jsonl") == (1, 1, 0, 0, 0)
    assert odd.next_day() is None


def test_a_cut_gz_of_ordinary_size_gives_what_came_before(odd):
    assert odd.ledger("cut.jsonl.gz")[1] > 500


def test_a_gz_with_a_trailing_newline_gives_its_lines(odd):
    assert odd.ledger("trailing.jsonl.gz")[1] == 2


def test_a_null_in_an_unknown_parquet_column_is_no_extra_field(odd):
    sql = "SELECT extra FROM events WHERE file = 'extra.parquet' ORDER BY external_request_id"
    assert odd.rows(sql) == [('{"region":"eu"}',), (None,)]


def test_a_csv_with_a_repeated_column_is_not_taken_in_silence(odd):
    sql = "SELECT rule FROM quarantine WHERE file = 'twice.csv'"
    assert odd.rows(sql) == [("duplicate_field",)]


def test_intervals_and_repeated_names_are_answered(odd):
    sql = "SELECT max(ingested_at) - min(ingested_at) AS lag FROM events WHERE file = 'good.jsonl'"
    assert odd.resource.lake.query(sql).rows == [(timedelta(0),)]
    twice = odd.resource.lake.query("SELECT 1 AS a, 2 AS a")
    assert twice.to_dicts() == [{"a": 1, "a_2": 2}]


def test_a_select_writes_no_file(odd):
    before = sorted(odd.settings.warehouse.rglob("*.parquet"))
    with pytest.raises(QueryError):
        odd.resource.lake.query("FROM ducklake_flush_inlined_data('lake')")
    assert sorted(odd.settings.warehouse.rglob("*.parquet")) == before


def test_json_is_json_for_a_float_that_is_no_number(odd):
    _code, out, _err = call_opsmeter(
        "query", "SELECT 1/0 AS q, 'nan'::DOUBLE AS n", "--json", home=odd.folder
    )
    assert json.loads(out, parse_constant=pytest.fail) == [{"q": None, "n": None}]


def test_a_blank_line_at_the_start_of_a_later_slice_is_counted(home):
    home.land("a.jsonl", lines("a"))
    home.take_all()
    home.land("a.jsonl", lines("a") + b"\n" + lines("b"), landed_at=NOON + hours(1))
    home.take_all()
    assert home.ledger("a.jsonl") == (3, 2, 0, 0, 1)
    assert home.rows("SELECT line_number FROM events ORDER BY 1") == [(1,), (3,)]


def test_the_first_stays_first_in_a_backfill(home):
    home.land("a.jsonl", jsonl(payload("x", attempt=1)))
    home.take_all()
    home.land("b.jsonl", jsonl(payload("x", attempt=1, inputTokens=7)), landed_at=NOON - hours(1))
    home.take_all()
    before = without_clocks(home)
    assert home.run(replay=True).success
    assert without_clocks(home) == before


def test_attempts_keep_their_numbers_in_a_backfill(home):
    home.land("a.jsonl", jsonl(payload("x", timestamp="2025-03-10T10:00:00Z")))
    home.take_all()
    home.land(
        "b.jsonl",
        jsonl(payload("x", inputTokens=7, timestamp="2025-03-10T09:00:00Z")),
        landed_at=NOON + hours(1),
    )
    home.take_all()
    before = without_clocks(home)
    assert home.run(replay=True).success
    assert without_clocks(home) == before


def test_version():
    assert call_opsmeter("--version")[0] == 0


def test_a_killed_opsmeter_run_does_not_hold_up_the_sensor_for_ever(tmp_path):
    home = PipelineHome(tmp_path / "home", dg.DagsterInstance.ephemeral())
    home.land("a.jsonl", lines(*(f"r{i}" for i in range(2000))))
    process = opsmeter("run", home=home.folder)
    while not [*home.settings.staging.glob("*/slices.parquet")]:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    with dg.DagsterInstance.from_config(str(home.settings.dagster)) as instance:
        found = landing_sensor(
            dg.build_sensor_context(instance=instance, resources={"home": home.resource})
        )
        assert isinstance(found, dg.SensorResult), found.skip_message


def test_a_select_deletes_no_file(home):
    for i in range(3):
        home.land(f"a{i}.jsonl", jsonl(*(payload(f"{i}-{n}") for n in range(1500))))
    home.take_all()
    for call in ("merge_adjacent_files('lake')", "expire_snapshots('lake', older_than => now())"):
        home.resource.lake.transact(lambda con, call=call: con.execute(f"CALL ducklake_{call}"))
    before = sorted(home.settings.warehouse.rglob("*.parquet"))
    with pytest.raises(QueryError):
        home.resource.lake.query("FROM ducklake_cleanup_old_files('lake', cleanup_all => true)")
    assert sorted(home.settings.warehouse.rglob("*.parquet")) == before


def test_a_home_keeps_its_landing(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_bytes(lines(name))
    first = call_opsmeter("run", "--landing", str(tmp_path / "one"), home=tmp_path / "home")
    assert first[0] == 0, first[2]
    code, _, err = call_opsmeter("run", "--landing", str(tmp_path / "two"), home=tmp_path / "home")
    assert code == 2
    assert "belongs to the landing" in err
    again, out, _ = call_opsmeter(
        "run", "--landing", str(tmp_path / "one"), "--json", home=tmp_path / "home"
    )
    assert (again, json.loads(out)["lines"]) == (0, 0)
    # Who names none means the one it has.
    again, out, err = call_opsmeter("run", "--json", home=tmp_path / "home")
    assert (again, json.loads(out)["lines"]) == (0, 0), err
    # Moved, and told so.
    (tmp_path / "one").rename(tmp_path / "moved")
    assert (
        "landing.txt"
        in call_opsmeter("run", "--landing", str(tmp_path / "moved"), home=tmp_path / "home")[2]
    )
    (tmp_path / "home" / "landing.txt").write_text(str(tmp_path / "moved"))
    again, out, err = call_opsmeter("run", "--json", home=tmp_path / "home")
    assert (again, json.loads(out)["lines"]) == (0, 0), err


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_home_is_not_bound_to_a_landing_that_is_not_there(tmp_path, command):
    code, _, err = call_opsmeter(command, "--landing", str(tmp_path / "typo"), home=tmp_path / "h")
    assert (code, "is no folder" in err) == (2, True)
    assert not (tmp_path / "h").exists()


def test_a_home_that_is_restored_elsewhere_works_on_its_own_files(home, instance, tmp_path):
    claim_landing(home.settings)
    home.land("a.jsonl", lines("a"))
    home.take_all()
    before = snapshot(home)
    other = PipelineHome(shutil.copytree(home.folder, tmp_path / "elsewhere"), instance)
    claim_landing(other.settings)
    other.land("b.jsonl", lines("b"))
    other.take_all()
    home.resource.lake.folder.rename(tmp_path / "gone")  # nothing is read from the first place
    assert_balanced(other)
    assert other.rows("SELECT file FROM events ORDER BY 1") == [("a.jsonl",), ("b.jsonl",)]
    (tmp_path / "gone").rename(home.resource.lake.folder)
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["run", "--landing", "nonsense://bucket/x"], "cannot be opened"),
        (["query", "--json", "--csv", "SELECT 1"], "not for both"),
        (["prices", "show", "gpt-4o", "--at", "2026-13-01"], "--at '2026-13-01' is no time"),
        (["alerts", "check"], "There is no warehouse"),
    ],
)
def test_wrong_usage_says_what_is_wrong(tmp_path, arguments, saying):
    code, out, err = call_opsmeter(*arguments, home=tmp_path / "home")
    assert (code, out) == (2, "")
    assert saying in " ".join(err.split())


@pytest.mark.parametrize("command", [["query", "FROM overview"], ["status"], ["run"]])
def test_a_file_that_is_no_database_is_no_traceback(home, command):
    claim_landing(home.settings)
    (home.settings.warehouse / "catalogue.sqlite").write_bytes(b"not a database, " * 999)
    code, _, err = call_opsmeter(*command, home=home.folder)
    assert code == 1
    assert "opsmeter doctor" in err
    assert "Traceback" not in err


def test_a_home_that_is_a_file_or_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for home, saying in ((tmp_path / "file", "is a file"), (Path("/proc/x"), "cannot be made")):
        code, out, err = call_opsmeter("run", OPSMETER_HOME=str(home))
        assert (code, out) == (2, "")
        assert saying in err
        assert str(home) in err
