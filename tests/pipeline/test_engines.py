"""Dagster's SQLite files: engines and connections are kept, and nobody else notices."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from sqlalchemy import event, text

from opsmeter_pipeline.orchestration import engines
from tests.pipeline.support import jsonl, payload


@pytest.fixture
def opened():
    """Each connection that is opened meanwhile."""
    found = []

    def note(*_):
        found.append(1)

    event.listen(engines._KeptPool, "connect", note)  # noqa: SLF001 - what the module promises
    yield found
    event.remove(engines._KeptPool, "connect", note)  # noqa: SLF001


def test_a_run_opens_few_files_and_what_it_writes_stands_in_them_at_once(
    created, tmp_path, opened, monkeypatch
) -> None:
    made, found = [], []
    make, find = engines._make_engine, engines._find_engine  # noqa: SLF001
    monkeypatch.setattr(engines, "_make_engine", lambda *a: made.append(1) or make(*a))
    monkeypatch.setattr(
        sqlite_event_log, "create_engine", lambda *a, **k: found.append(1) or find(*a, **k)
    )
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        home = created.copy(tmp_path / "home", instance=instance)
        home.land("a.jsonl", jsonl(payload()))
        run_id = home.run().run_id
        assert len(found) > 200
        assert 0 < len(made) <= 5
        assert 0 < len(opened) <= 10
        # The UI watches the file of a run and not the log beside it.
        (alone := tmp_path / "alone" / "history" / "runs").mkdir(parents=True)
        for name in (f"{run_id}.db", "index.db"):
            shutil.copy(tmp_path / "dagster" / "history" / "runs" / name, alone)
        with dg.DagsterInstance.local_temp(str(tmp_path / "alone")) as other:
            assert len(other.all_logs(run_id)) == len(instance.all_logs(run_id)) > 100


def _find(path):
    return sqlite_event_log.create_engine(f"sqlite:///{path}", poolclass=sqlite_event_log.NullPool)


def _ask(path, sql="SELECT count(*) FROM t"):
    with _find(path).connect() as connection, connection.begin():
        found = connection.execute(text(sql))
        return found.scalar() if found.returns_rows else None


def test_a_file_that_was_replaced_is_read_anew(tmp_path) -> None:
    path = tmp_path / "a.db"
    for rows in (1, 2):
        _ask(path, "CREATE TABLE t (x)")
        for _ in range(rows):
            _ask(path, "INSERT INTO t VALUES (1)")
        assert _ask(path) == rows
        for file in tmp_path.glob("a.db*"):
            file.unlink()


def test_files_that_were_used_long_ago_are_closed(tmp_path) -> None:
    for number in range(40):
        path = tmp_path / f"{number}.db"
        for sql in ("CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"):
            _ask(path, sql)
    links = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    held = {link.stem for link in links if link.parent == tmp_path}
    assert held == {str(number) for number in range(40 - engines._KEPT, 40)}  # noqa: SLF001


def test_another_process_opens_the_file_for_itself(tmp_path, opened) -> None:
    path = tmp_path / "a.db"
    for sql in ("CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)"):
        _ask(path, sql)
    before = len(opened)
    assert _ask(path) == 2
    assert len(opened) == before
    child = os.fork()
    if not child:
        os._exit(0 if _ask(path) == 2 and len(opened) == before + 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
