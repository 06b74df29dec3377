"""`opsmeter doctor` on a real home, and on homes that are broken in each way we know."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.doctor import Colour, Sign
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration import doctor
from opsmeter_pipeline.orchestration.doctor import PARTS, Visit, examine
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME
from tests.pipeline.probes import show_probe
from tests.pipeline.support import PipelineHome, hours, jsonl, payload, run_opsmeter


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineHome]:
    """A home of one batch of 30 events, whose sensor daemon was alive a moment ago."""
    home = PipelineHome(tmp_path_factory.mktemp("home"), dg.DagsterInstance.ephemeral())
    with open_instance(home.settings) as instance:
        home.instance = instance
        home.land("chat.jsonl", jsonl(*(payload(str(n)) for n in range(30))), landed_at=None)
        home.take_all()
        alive = DaemonHeartbeat(utc_now().timestamp(), "SENSOR", "id", [])
        instance.add_daemon_heartbeat(alive)
        show_probe(home.resource.lake, utc_now())
        yield home


def visit(home: PipelineHome, **change: object) -> dict[str, Sign]:
    return {one.name: one for one in examine(replace(Visit(home.settings, utc_now()), **change))}


def bad(signs: dict[str, Sign], colour: Colour = Colour.RED) -> set[str]:
    return {name for name, one in signs.items() if one.colour is colour}


def test_a_healthy_home_is_green_but_for_the_page_that_nobody_serves(
    kept: PipelineHome,
) -> None:
    settings = kept.settings.model_copy(update={"dashboard_port": 1})
    signs = visit(kept, settings=settings)
    assert bad(signs) == set()
    assert bad(signs, Colour.AMBER) == {"page"} | ({"disk of the home", "disk of the landing"} & {
        *bad(signs, Colour.AMBER)
    })  # fmt: skip
    assert [*signs] == [
        *("home", "warehouse", "landing", "page", "probe", "views", "freshness", "incidents"),
        *("daemons", "sensors", "ticks", "schedules", "runs", "backlog", "catalogue"),
        *("disk of the home", "disk of the landing", "clock", "prices", "quarantine"),
    ]
    assert signs["quarantine"].found == "0 of 30 lines of the last 1 batches"
    assert "journal mode wal" in signs["catalogue"].found


def test_dead_daemons_failed_runs_and_a_clock_that_jumped_are_named(kept: PipelineHome) -> None:
    later = visit(kept, now=utc_now() + hours(2))
    assert "daemon:SENSOR has given no sign of life" in later["daemons"].found
    assert later["daemons"].next_step == "opsmeter up"
    assert bad(later) == {"daemons", "freshness"}  # nothing was seen for an hour
    assert "clock" in bad(visit(kept, now=utc_now() - hours(1)))
    job = defs.resolve_job_def(INGEST_JOB_NAME)
    run = kept.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    kept.instance.report_run_failed(run, "the worker is gone")
    runs = visit(kept)["runs"]
    assert (runs.colour, "the worker is gone" in runs.found) == (Colour.AMBER, True)
    kept.instance.delete_run(run.run_id)


def test_a_full_disk_is_red(kept: PipelineHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "read_free_bytes", lambda _: 0)
    assert bad(visit(kept)) == {"disk of the home", "disk of the landing"}


def test_a_part_that_fails_hides_no_other(kept: PipelineHome) -> None:
    def fail(_: Visit) -> list[Sign]:
        raise OSError(28, "No space left on device")

    parts = {"broken": (fail, "make room"), "home": PARTS["home"]}
    broken, home = examine(Visit(kept.settings, utc_now()), parts)
    assert (broken.colour, broken.next_step) == (Colour.RED, "make room")
    assert broken.found == "cannot be read: [Errno 28] No space left on device"
    assert home.colour is Colour.GREEN


_HOLD = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1])
con.execute("PRAGMA locking_mode = EXCLUSIVE")
con.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
"""Holds a catalogue so that nobody else can read it; in a process of its own, as locks are."""


def _copy(kept: PipelineHome, to: Path) -> PipelineHome:
    shutil.copytree(kept.folder, to)
    return PipelineHome(to, kept.instance)


def test_a_locked_or_corrupt_catalogue_is_red_and_no_traceback(
    kept: PipelineHome, tmp_path: Path
) -> None:
    home = _copy(kept, tmp_path / "copy")
    path = home.settings.warehouse / "catalogue.sqlite"
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        signs = visit(home)
        assert {"warehouse", "catalogue"} <= bad(signs)
        assert "locked" in signs["catalogue"].found
        assert signs["daemons"].colour is Colour.GREEN
    finally:
        holder.communicate("")
    path.write_bytes(os.urandom(8192))
    for log in path.parent.glob("catalogue.sqlite-*"):
        log.unlink()
    code, out, err = run_opsmeter("doctor", "--json", home=home.folder)
    told = {one["name"]: one["colour"] for one in json.loads(out)["signs"]}
    assert (code, told["warehouse"], told["catalogue"]) == (1, "red", "red")
    assert "Traceback" not in err


def test_a_corrupt_orchestrator_is_red_and_the_rest_is_judged(
    kept: PipelineHome, tmp_path: Path
) -> None:
    home = _copy(kept, tmp_path / "copy")
    for path in home.settings.dagster.rglob("*.db"):
        path.write_bytes(b"no database at all, " * 500)
    signs = visit(home)
    assert "workers" in bad(signs)
    assert "move dagster/ of the home aside" in signs["workers"].next_step
    assert signs["warehouse"].colour is signs["backlog"].colour is Colour.GREEN


def test_no_home_and_an_empty_one_are_said_and_not_made(tmp_path: Path) -> None:
    code, out, err = run_opsmeter("doctor", home=tmp_path / "none")
    assert (code, err) == (1, "")
    assert "there is no home" in out
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    signs = visit(PipelineHome(tmp_path / "empty", dg.DagsterInstance.ephemeral()))
    assert {"warehouse", "catalogue", "clock"} <= bad(signs)
    assert signs["home"].colour is signs["landing"].colour is Colour.GREEN
    assert [one.name for one in (tmp_path / "empty").iterdir()] == ["landing"]
