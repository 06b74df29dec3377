"""Readers and a publisher at once: whole batches only; and a reader can only read."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsmeter_pipeline.model.errors import (
    QueryError,
    WarehouseMissingError,
    WarehouseOutdatedError,
)
from opsmeter_pipeline.storage.lake import Lake
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import NOON, REPO, PipelineHome, hours, jsonl, payload, snapshot

PUBLISHES = 4
# One statement is one snapshot: whatever it sees of a batch, it must see all of it.
_READER = """
import json, sys, time
from pathlib import Path
from opsmeter_pipeline.storage.lake import Lake

SQL = '''
    SELECT batch_id, accepted, quarantined, events, refused, cube, users
    FROM ingest_batches
    FULL JOIN (SELECT batch_id, count(*) AS events FROM events GROUP BY 1) USING (batch_id)
    FULL JOIN (SELECT batch_id, count(*) AS refused FROM quarantine GROUP BY 1) USING (batch_id)
    FULL JOIN (SELECT batch_id, sum(attempts)::BIGINT AS cube FROM attribution_hourly GROUP BY 1)
        USING (batch_id)
    FULL JOIN (SELECT batch_id, sum(attempts)::BIGINT AS users FROM users_daily GROUP BY 1)
        USING (batch_id)
'''
folder, stop = Path(sys.argv[1]), Path(sys.argv[2])
lake, looks, torn, seen, slowest = Lake(folder), 0, [], set(), 0.0
print("ready", flush=True)
while not stop.exists() or looks == 0:
    started = time.monotonic()
    rows = lake.read(SQL).rows()
    slowest = max(slowest, time.monotonic() - started)
    looks += 1
    time.sleep(0.03)  # it shares two cores with the publisher
    seen.add(len(rows))
    torn += [r for r in rows if None in r or r[1:3] != r[3:5] or not r[1] == r[5] == r[6]]
print(json.dumps({"looks": looks, "torn": torn, "seen": sorted(seen), "slowest": slowest}))
"""


def test_a_reader_in_another_process_sees_whole_batches_only(home: PipelineHome) -> None:
    lines = [payload(f"0-{n}", userId=f"u{n}") for n in range(50)]
    home.land("0.jsonl", jsonl(*lines, '{"broken"'))
    home.take_all()
    stop = home.folder / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", _READER, str(home.settings.warehouse), str(stop)],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert reader.stdout.readline() == "ready\n"
        for batch in range(1, PUBLISHES + 1):
            more = jsonl(*(payload(f"{batch}-{n}", userId=f"u{n}") for n in range(50)), "{}")
            home.land(f"{batch}.jsonl", more, landed_at=NOON + hours(batch / 10))
            assert home.take_all() == 1
        assert home.run(replay=True).success
    finally:
        stop.touch()
        out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    told = json.loads(out)
    assert told["torn"] == []
    assert told["looks"] >= 20
    assert set(told["seen"]) <= set(range(1, PUBLISHES + 2))
    assert len(told["seen"]) >= 3
    assert told["slowest"] < 5


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    home.land("a.jsonl", jsonl(payload("a"), payload("b")))
    home.take_all()
    return home


@pytest.fixture(scope="module")
def untouched(filled: PipelineHome) -> Iterator[None]:
    """All rows of all tables are the same after the tests that ask for what is refused."""
    before = snapshot(filled)
    yield
    assert snapshot(filled) == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO events FROM events",
        "UPDATE events SET cost_usd = 0",
        "DELETE FROM events",
        "DROP TABLE events",
        "CREATE TABLE mine (a INTEGER)",
        "CREATE VIEW mine AS SELECT 1",
        "COPY events TO '{outside}/stolen.csv'",
        "EXPORT DATABASE '{outside}/stolen'",
        "ATTACH '{outside}/mine.duckdb'",
        "DETACH lake",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "CALL ducklake_flush_inlined_data('lake')",
        "CHECKPOINT",
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM '{outside}/secret.csv'",
        "SELECT * FROM read_text('{outside}/secret.csv')",
        "SELECT * FROM glob('{outside}/*')",
        "SELECT * FROM query('DELETE FROM events')",
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM events",
        "",
        ";",
        "-- nothing",
        "SELEC 1",
        "SELECT nothing_of_that_name FROM events",
    ],
)
def test_a_query_that_is_no_single_select_of_the_warehouse_is_refused(
    filled: PipelineHome, tmp_path: Path, sql: str
) -> None:
    (tmp_path / "secret.csv").write_text("a\nsecret\n")
    newest = filled.resource.lake.newest_snapshot()
    files = {*filled.settings.warehouse.rglob("*")}
    with pytest.raises(QueryError):
        filled.resource.lake.query(sql.format(outside=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    assert filled.resource.lake.newest_snapshot() == newest
    assert {*filled.settings.warehouse.rglob("*")} == files


@pytest.mark.parametrize(
    "sql",
    [
        "FROM overview",
        "SELECT count(*) FROM events;",
        "WITH e AS (FROM events) SELECT count(*) FROM e",
        "DESCRIBE events",
        "SHOW TABLES",
        "SELECT count(*) FROM events AT (VERSION => 1)",
        "VALUES (1)",
    ],
)
def test_reading_in_any_form_is_allowed(filled: PipelineHome, sql: str) -> None:
    assert len(filled.resource.lake.query(sql).rows) >= 1


def test_sums_of_counts_are_whole_numbers_and_sums_of_money_are_exact(
    filled: PipelineHome,
) -> None:
    rows = filled.resource.lake.query(
        "SELECT sum(input_tokens) AS tokens, sum(cost_usd) AS cost_usd FROM events"
    ).rows
    assert str(rows) == "[(2000, Decimal('0.007000000000000000'))]"


def test_a_reader_never_creates_a_warehouse(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "warehouse")
    with pytest.raises(WarehouseMissingError, match="opsmeter run"):
        lake.query("SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_a_warehouse_of_an_older_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "warehouse")
    lake.create({})
    lake.transact(lambda con: con.execute("ALTER TABLE events DROP COLUMN unpriced_reason"))
    before = lake.newest_snapshot()
    with pytest.raises(WarehouseOutdatedError, match=r"table events lacks unpriced_reason\. Take"):
        lake.create({})
    assert lake.newest_snapshot() == before
