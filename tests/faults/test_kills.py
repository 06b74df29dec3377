"""Runs that are killed, or run against each other: a batch counts once or not at all.

`make test` kills a few runs, `make faults` 200. After each kill every batch is whole or absent; at
the end the tables are row by row those of one clean run, and nothing is left lying about.
"""

import gzip
import os
import random
import shutil
import time
from glob import glob
from pathlib import Path
from subprocess import Popen

import pytest

from opsmeter_pipeline.storage.lake import DATA
from tests.pipeline.support import (
    NOON,
    OF_A_HOME,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    hours,
    jsonl,
    opsmeter,
    payload,
    snapshot,
)

KILLS = int(os.environ.get("FAULT_KILLS", "2"))
KILLS_A_HOME = min(KILLS, 8)


@pytest.fixture
def home(settled_home: PipelineHome) -> PipelineHome:
    """A home that a first run has set up, so that the tests interrupt batches alone."""
    return settled_home


def _land(home: PipelineHome, *, days: int) -> None:
    """Land two files a day: redeliveries and retries among them, and lines that are refused."""
    for day in range(days):
        lines = [payload(f"{day}-{n}", userId=f"u{n % 7}") for n in range(1500)]
        again = [payload(f"{day}-{n}", userId=f"u{n % 7}", outputTokens=7) for n in range(5)]
        at = NOON + hours(24 * day)
        home.land(f"{day}-a.jsonl", jsonl(*lines, '{"broken"'), landed_at=at)
        packed = gzip.compress(jsonl(*lines[:10], *again, payload("t")))
        home.land(f"{day}-b.jsonl.gz", packed, landed_at=at + hours(1))


def _tables(home: PipelineHome) -> dict[str, list[tuple[str, ...]]]:
    return snapshot(home, without=OF_A_HOME)


def _kill_somewhere(process: Popen[str], home: PipelineHome, rng: random.Random) -> None:
    """Kill at a random moment of the command, or of the publish, which is the shortest part."""
    if rng.random() < 0.4:
        time.sleep(rng.uniform(0.5, 3.0))
    else:
        before = _staged_ledgers(home)
        while process.poll() is None and _staged_ledgers(home) <= before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.6))
    process.kill()
    process.communicate()


def _staged_ledgers(home: PipelineHome) -> set[str]:
    pattern = f"{home.settings.staging}/*/ledger/*.parquet"
    return {*glob(pattern)}  # noqa: PTH207 - Path.glob fails where a run deletes its folder


def _files_nobody_owns(home: PipelineHome) -> set[str]:
    data = home.settings.warehouse / DATA
    metadata = "__ducklake_metadata_lake"
    owned = home.resource.lake.read(
        f"SELECT path FROM {metadata}.ducklake_data_file "
        f"UNION SELECT path FROM {metadata}.ducklake_delete_file"
    )
    found = {path.name for path in data.rglob("*.parquet")}
    return found - {Path(path).name for path in owned["path"]}


@pytest.mark.parametrize("seed", range(KILLS // KILLS_A_HOME))
def test_a_run_killed_anywhere_leaves_whole_batches_and_the_next_completes_them(
    home: PipelineHome, tmp_path: Path, seed: int
) -> None:
    _land(home, days=3)
    shutil.copytree(home.landing, tmp_path / "undisturbed" / "landing")
    rng = random.Random(seed)
    for _ in range(KILLS_A_HOME):
        _kill_somewhere(opsmeter("run", home=home.folder), home, rng)
        assert_balanced(home)
    # So that something is left to do, in a batch of its own.
    home.land("9.jsonl", jsonl(payload("last")), landed_at=NOON + hours(24 * 5))
    shutil.copy2(home.landing / "9.jsonl", tmp_path / "undisturbed" / "landing")
    code, _, err = call_opsmeter("run", "--json", home=home.folder)
    assert code == 0, err
    assert_balanced(home)
    assert [*home.settings.staging.iterdir()] == []
    strays = {name for name in _files_nobody_owns(home) if not name.startswith("ducklake-")}
    assert strays == set()

    undisturbed = PipelineHome(tmp_path / "undisturbed", home.instance)
    undisturbed.take_all()
    assert undisturbed.value("SELECT sum(lines) FROM ingest_batches") == 3 * 1517 + 1
    assert _tables(home) == _tables(undisturbed)


def test_two_runs_at_once_count_nothing_twice(home: PipelineHome) -> None:
    _land(home, days=2)
    both = [opsmeter("run", "--json", home=home.folder) for _ in range(2)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in both]
    for (_, err), code in ends:
        assert code == 0 or "AlreadyTakenError" in err or "WarehouseBusyError" in err, err
        assert code in {0, 1}
    code, _, err = call_opsmeter("run", "--json", home=home.folder)
    assert code == 0, err
    assert home.rows("SELECT sum(lines)::BIGINT, sum(accepted)::BIGINT FROM ingest_batches") == [
        (2 * 1517, 2 * 1505 + 1)  # one request comes on both days
    ]
    assert home.next_day() is None
    assert_balanced(home)


def test_two_first_runs_at_once_leave_a_home_that_works(tmp_path: Path) -> None:
    for trial in range(1 if KILLS < 8 else 4):
        home = tmp_path / str(trial)
        (home / "landing").mkdir(parents=True)
        (home / "landing" / "a.jsonl").write_bytes(jsonl(payload("a")))
        both = [opsmeter("run", home=home) for _ in range(2)]
        errors = [process.communicate()[1] for process in both]
        assert not [e for e in errors if "Traceback" in e], errors
        code, _, err = call_opsmeter("run", home=home)
        assert code == 0, err
