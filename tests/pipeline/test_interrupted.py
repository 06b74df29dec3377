"""Runs that are killed, or run against each other: a batch counts once or not at all."""

import random
import shutil
import time
from pathlib import Path
from subprocess import Popen

import dagster as dg
import pytest

from tests.pipeline.support import (
    NOON,
    PipelineHome,
    assert_balanced,
    hours,
    jsonl,
    opsmeter,
    payload,
    run_opsmeter,
    snapshot,
)

KILLS = 8
_PLACES = ("batch_id", "taken_at", "run_id", "visible_at", "replayed_at")


@pytest.fixture
def home(tmp_path: Path, instance: dg.DagsterInstance) -> PipelineHome:
    """A home that a first run has set up, so that the tests interrupt batches alone."""
    home = PipelineHome(tmp_path / "home", instance)
    assert run_opsmeter("run", home=home.folder)[0] == 0
    return home


def _land(home: PipelineHome, *, days: int) -> None:
    """Land two files a day: redeliveries among them, and a line that is refused."""
    for day in range(days):
        lines = [payload(f"{day}-{n}", userId=f"u{n % 7}") for n in range(300)]
        at = NOON + hours(24 * day)
        home.land(f"{day}-a.jsonl", jsonl(*lines, '{"broken"'), landed_at=at)
        home.land(f"{day}-b.jsonl", jsonl(*lines[:10], payload("t")), landed_at=at + hours(1))


def _tables(home: PipelineHome) -> dict[str, list[tuple[str, ...]]]:
    names = (
        "events",
        "quarantine",
        "ingest_files",
        "attribution_hourly",
        "users_daily",
        "overview",
    )
    return snapshot(home, tables=names, without=_PLACES)


def _kill_somewhere(process: Popen[str], home: PipelineHome, rng: random.Random) -> None:
    """Kill at a random moment of the command, or of the publish, which is the shortest part."""
    if rng.random() < 0.4:
        time.sleep(rng.uniform(0.5, 3.0))
    else:
        staged = 0
        while process.poll() is None and not staged:
            staged = len([*home.settings.staging.glob("*/ledger/*.parquet")])
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.6))
    process.kill()
    process.communicate()


def test_a_run_killed_anywhere_leaves_whole_batches_and_the_next_completes_them(
    home: PipelineHome, tmp_path: Path
) -> None:
    _land(home, days=3)
    shutil.copytree(home.landing, tmp_path / "undisturbed" / "landing")
    rng = random.Random(11)
    for _ in range(KILLS):
        _kill_somewhere(opsmeter("run", home=home.folder), home, rng)
        shutil.rmtree(home.settings.staging, ignore_errors=True)  # so that the next is waited for
        assert_balanced(home)
    code, _, err = run_opsmeter("run", "--json", home=home.folder)
    assert code == 0, err
    assert_balanced(home)

    undisturbed = PipelineHome(tmp_path / "undisturbed", home.instance)
    assert undisturbed.take_all() == 3
    assert undisturbed.value("SELECT sum(lines) FROM ingest_batches") == 936
    assert _tables(home) == _tables(undisturbed)


def test_two_runs_at_once_count_nothing_twice(home: PipelineHome) -> None:
    _land(home, days=2)
    both = [opsmeter("run", "--json", home=home.folder) for _ in range(2)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in both]
    for (_, err), code in ends:
        assert code == 0 or "AlreadyTakenError" in err or "WarehouseBusyError" in err, err
        assert code in {0, 1}
    code, _, err = run_opsmeter("run", "--json", home=home.folder)
    assert code == 0, err
    assert home.rows("SELECT sum(lines)::BIGINT, sum(accepted)::BIGINT FROM ingest_batches") == [
        (624, 601)
    ]
    assert home.next_day() is None
    assert_balanced(home)
