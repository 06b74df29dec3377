"""Dagster's SQLite files: engines and connections are kept, and nobody else notices."""

import os
import shutil

import dagster as dg
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from sqlalchemy import event, text

from opsmeter_pipeline.orchestration import engines
from tests.pipeline.support import jsonl, payload


def test_a_run_opens_few_files_and_what_it_writes_stands_in_them_at_once(created, tmp_path) -> None:
    before, opened = engines._keep_engine.cache_info(), []  # noqa: SLF001 - what the module promises
    event.listen(engines._KeptPool, "connect", lambda *_: opened.append(1))  # noqa: SLF001
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        home = created.copy(tmp_path / "home", instance=instance)
        home.land("a.jsonl", jsonl(payload()))
        run_id = home.run().run_id
        after = engines._keep_engine.cache_info()  # noqa: SLF001
        assert after.misses - before.misses <= 5
        assert after.hits - before.hits > 200
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


def test_a_forked_process_has_connections_of_its_own(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.db"
    _ask(path, "CREATE TABLE t (x)")
    own = _find(path)
    assert _find(path) is own
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert _find(path) is not own
