"""What storage and clocks do to a run: full disk, locked catalogue, time that jumps, twin files."""

import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import assets.landing
import assets.price
import assets.publish
from opsmeter_pipeline.storage.lake import CATALOGUE
from tests.pipeline.support import (
    NOON,
    OF_A_HOME,
    PipelineHome,
    assert_balanced,
    hours,
    jsonl,
    payload,
    run_opsmeter,
    snapshot,
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)):
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


_MANY = 150_000
"""Lines that no disk of 12 MB has room for, staged."""


def _mount(*arguments: str) -> bool:
    mount = shutil.which("mount")
    return mount is not None and subprocess.run([mount, *arguments], check=False).returncode == 0


def _same_tables(home: PipelineHome, other: PipelineHome) -> None:
    assert snapshot(home, without=OF_A_HOME) == snapshot(other, without=OF_A_HOME)


@contextmanager
def _locked(home: PipelineHome, *, seconds: float) -> Iterator[None]:
    """Hold the catalogue's write lock for that long, as a stuck writer would."""
    catalogue = home.settings.warehouse / CATALOGUE
    with closing(sqlite3.connect(catalogue, check_same_thread=False)) as con:
        con.execute("BEGIN IMMEDIATE")
        release = threading.Timer(seconds, con.rollback)
        release.start()
        try:
            yield
        finally:
            release.cancel()
            con.rollback()


def test_full_disk_publishes_nothing_and_the_next_run_with_room_takes_all(
    small_disk: Path, home: PipelineHome
) -> None:
    lines = [payload(f"r{n}", userId=f"u{n * 7919}") for n in range(_MANY)]
    home.land("big.jsonl", jsonl(*lines))
    tight = PipelineHome(small_disk / "home", home.instance)
    landing = str(home.landing)

    code, _, err = run_opsmeter("run", "--landing", landing, home=tight.folder)
    assert code == 1
    # What Dagster could not write may stand before it.
    assert err.splitlines()[-1].startswith(f"failed: The disk of {tight.folder} is full"), err

    assert _mount("-o", "remount,size=400m", str(small_disk))
    code, _, err = run_opsmeter("run", "--landing", landing, home=tight.folder)
    assert code == 0, err
    assert_balanced(tight)
    assert tight.value("SELECT sum(accepted)::BIGINT FROM ingest_batches") == _MANY
    home.take_all()
    _same_tables(tight, home)


def test_run_waits_for_a_catalogue_that_is_locked_for_a_moment(
    settled_home: PipelineHome,
) -> None:
    home = settled_home
    home.land("a.jsonl", jsonl(payload("r1"), "{"))
    with _locked(home, seconds=3):
        code, _, err = run_opsmeter("run", home=home.folder)
    assert code == 0, err
    assert home.ledger("a.jsonl") == (2, 1, 0, 1, 0)


def test_run_gives_up_on_a_catalogue_that_stays_locked_and_loses_nothing(
    settled_home: PipelineHome,
) -> None:
    home = settled_home
    home.land("a.jsonl", jsonl(payload("r1"), "{"))
    with _locked(home, seconds=60):
        code, _, err = run_opsmeter("run", home=home.folder)
        assert code == 1
        assert "WarehouseBusyError" in err
    code, _, err = run_opsmeter("run", home=home.folder)
    assert code == 0, err
    assert home.ledger("a.jsonl") == (2, 1, 0, 1, 0)
    assert_balanced(home)


def test_clock_that_jumps_back_neither_loses_nor_repeats_a_line(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [datetime(2025, 3, 10, 20, tzinfo=UTC)]
    for module in (assets.landing, assets.price, assets.publish):
        monkeypatch.setattr(module, "utc_now", lambda: clock[0])
    text = b""
    for step, jump in enumerate((timedelta(0), -hours(5), hours(1), -hours(7), hours(30))):
        clock[0] += jump
        text += jsonl(payload(f"grown-{step}", timestamp=None), payload("same", timestamp=None))
        home.land("grows.jsonl", text, landed_at=NOON + hours(step))
        home.land(
            f"new-{step}.jsonl", jsonl(payload(f"new-{step}", timestamp=None)), landed_at=NOON
        )
        assert home.run().success
        assert_balanced(home)
        assert home.ledger("grows.jsonl")[:3] == (2 * step + 2, step + 2, step)
        assert home.ledger(f"new-{step}.jsonl")[:2] == (1, 1)
    assert set(home.findings().values()) <= {"touched"}
    assert home.value("SELECT count(*) FROM events") == 11


def test_file_that_lands_twice_under_two_names_counts_once(home: PipelineHome) -> None:
    content = jsonl(*(payload(f"r{n}") for n in range(50)), "{")
    home.land("first.jsonl", content)
    home.take_all()
    home.land("second.jsonl", content, landed_at=NOON + hours(1))
    home.take_all()
    assert home.ledger("first.jsonl") == (51, 50, 0, 1, 0)
    assert home.ledger("second.jsonl") == (51, 0, 50, 1, 0)
    assert home.value("SELECT sum(redeliveries)::BIGINT FROM attribution_hourly") == 50
    assert_balanced(home)


def test_late_event_adds_rows_to_its_old_hour_and_changes_none(home: PipelineHome) -> None:
    home.land("march.jsonl", jsonl(payload("r1")))
    home.take_all()
    before = home.rows("FROM attribution_hourly")
    home.land(
        "late.jsonl",
        jsonl(payload("r2", timestamp="2025-02-10T11:59:00Z")),
        landed_at=NOON + hours(24 * 3),
    )
    home.take_all()
    after = home.rows("FROM attribution_hourly")
    assert set(before) < set(after)
    hour = datetime(2025, 2, 10, 11, tzinfo=UTC)
    assert home.rows(
        "SELECT hour_at, ingest_day::VARCHAR, attempts FROM attribution_hourly "
        "JOIN ingest_batches USING (batch_id) WHERE hour_at < '2025-03-01'"
    )[0] == (hour, "2025-03-13", 1)
    assert_balanced(home)
