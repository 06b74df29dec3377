"""Dagster's SQLite files, with the engines and connections by which it opens them kept.

Dagster makes an engine and a connection for every statement, 750 in a run of one line: each time
the statement is compiled, the file opened, its schema read and its log copied back and deleted, a
seventh of such a run. Dagster has no setting for this; its modules are asked to use another
factory. To be deleted when it keeps connections itself.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Final, TypeAlias

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine, Pool, QueuePool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

_MODULES: Final[tuple[ModuleType, ...]] = (
    sqlite_event_log,
    sqlite_run_storage,
    sqlite_schedule_storage,
)
_KEPT: Final = 16  # the files of all runs, and those of the last few runs
_FILE: Final = "sqlite:///"
_Key: TypeAlias = tuple[str, int, int]

_engines: Final[OrderedDict[_Key, Engine]] = OrderedDict()
_lock: Final = Lock()


@cache
def keep_engines() -> None:
    """Let Dagster's SQLite storages keep their engines, from now on in this process."""
    for module in _MODULES:
        module.create_engine = _find_engine  # pyright: ignore[reportPrivateImportUsage] - a patch


class _KeptPool(QueuePool):
    """Connections that stay open, though Dagster disposes of them after each statement.

    More than these, which threads need meanwhile, are opened and closed as before.
    """

    def dispose(self) -> None:
        """Keep the connections."""

    def recreate(self) -> "_KeptPool":
        """Return this pool, which is as good as new."""
        return self


def _find_engine(
    address: str, *, poolclass: type[Pool], connect_args: Mapping[str, float] | None = None
) -> Engine:
    """Return the engine of a file, or one as Dagster wants it if the file is yet to be made.

    A file that was replaced is another one, and a forked process has connections of its own.
    """
    try:
        file_number = Path(address.removeprefix(_FILE)).stat().st_ino
    except FileNotFoundError:
        return create_engine(address, poolclass=poolclass, connect_args=dict(connect_args or {}))
    key = address, file_number, os.getpid()
    with _lock:
        engine = _engines.pop(key, None) or _make_engine(address, connect_args or {})
        _engines[key] = engine
        if len(_engines) > _KEPT:
            _, oldest = _engines.popitem(last=False)
            QueuePool.dispose(oldest.pool)  # pyright: ignore[reportArgumentType] - it is one
    return engine


def _make_engine(address: str, connect_args: Mapping[str, float]) -> Engine:
    engine = create_engine(
        address,
        poolclass=_KeptPool,
        pool_size=2,  # within a transaction Dagster asks once more
        max_overflow=-1,
        connect_args=dict(connect_args),
    )
    event.listen(engine, "connect", _write_through)
    return engine


def _write_through(connection: DBAPIConnection, _: object) -> None:
    """Let a commit change the file itself, as it does when a connection is closed.

    The UI learns of a run's events because the run's file changes. If somebody reads just then, it
    changes with the next commit.
    """
    connection.cursor().execute("PRAGMA wal_autocheckpoint = 1")
