"""Dagster's SQLite files, with the engines that open them kept.

Dagster makes a SQLAlchemy engine for every statement, and an engine compiles each statement anew:
750 engines and 880 compilations in a run of one line, a tenth of its time. Kept engines hold no
connection (their pool is none), so that files are opened, locked and closed as before. Dagster has
no setting for this; its modules are asked to use another factory. To be deleted when it keeps
engines itself.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from types import ModuleType
from typing import Final

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine, Pool, create_engine

_MODULES: Final[tuple[ModuleType, ...]] = (
    sqlite_event_log,
    sqlite_run_storage,
    sqlite_schedule_storage,
)
_KEPT: Final = 16  # the files of all runs, and those of the last few runs


@cache
def keep_engines() -> None:
    """Let Dagster's SQLite storages keep their engines, from now on in this process."""
    for module in _MODULES:
        module.create_engine = _find_engine  # pyright: ignore[reportPrivateImportUsage] - a patch


def _find_engine(
    address: str, *, poolclass: type[Pool], connect_args: Mapping[str, float] | None = None
) -> Engine:
    return _create_engine(address, poolclass, tuple((connect_args or {}).items()))


@lru_cache(maxsize=_KEPT)
def _create_engine(
    address: str, poolclass: type[Pool], connect_args: tuple[tuple[str, float], ...]
) -> Engine:
    return create_engine(address, poolclass=poolclass, connect_args=dict(connect_args))
