"""The warehouse: a DuckLake with a SQLite catalogue beside a folder of Parquet files.

Opens it, creates its tables from the column catalogue and the views it is given, and reads. What
one publish writes stands in `storage.publisher`. Readers and one publisher work at the same time;
each reader sees whole batches only, because a batch is one transaction.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.errors import (
    QueryError,
    WarehouseBusyError,
    WarehouseMissingError,
    WarehouseOutdatedError,
)
from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.storage.read_only import refuse_side_effects

CATALOGUE = "catalogue.sqlite"
DATA = "data"
SPILL = "spill"
"""Folder for what a query cannot hold in memory."""
INLINED_ROWS = 1000
"""Writes of fewer rows stay in the catalogue and make no file of their own."""
MEMORY_LIMIT = "1GB"
TRIES = 12
TURN = "publisher.lock"
"""The file that the process holds whose turn it is to write."""
TURN_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_EXTENSIONS = ("ducklake", "sqlite_scanner", "icu")
_SQL_TYPE: dict[type[pl.DataType], str] = {
    pl.String: "VARCHAR", pl.Int64: "BIGINT", pl.Int32: "INTEGER", pl.Boolean: "BOOLEAN",
    pl.Float64: "DOUBLE", pl.Date: "DATE", pl.Time: "TIME", pl.Datetime: "TIMESTAMPTZ",
}  # fmt: skip


class QueryResult(NamedTuple):
    """What a person's query returned: Python values, instants in UTC.

    Attributes:
        columns: the names, which a query may repeat.
        rows: the values, in the order of the columns.
    """

    columns: list[str]
    rows: list[tuple[object, ...]]

    def to_dicts(self) -> list[dict[str, object]]:
        """Return the rows by column name; of a repeated name, the second is `name_2`."""
        seen: dict[str, int] = {}
        names: list[str] = []
        for column in self.columns:
            seen[column] = seen.get(column, 0) + 1
            names.append(column if seen[column] == 1 else f"{column}_{seen[column]}")
        return [dict(zip(names, row, strict=True)) for row in self.rows]


class Lake:
    """The warehouse of one home.

    Args:
        folder: the home's warehouse folder.
    """

    def __init__(self, folder: Path) -> None:
        """Point to the warehouse; nothing is opened or created."""
        self.folder = folder
        self._databases: dict[bool, duckdb.DuckDBPyConnection] = {}
        self._connected = 0
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether the warehouse has been created."""
        return (self.folder / CATALOGUE).exists()

    def create(self, views: dict[str, str]) -> None:
        """Create what is missing of the warehouse: folder, catalogue, tables, and these views.

        Args:
            views: SQL of each view by name, in order of dependence; a view whose text has
                changed is replaced.

        Raises:
            WarehouseOutdatedError: a table was created by an older version and lacks columns.
        """
        if not self.exists:
            (self.folder / DATA).mkdir(parents=True, exist_ok=True, mode=0o700)
            self._let_readers_and_writer_coexist()
        self.transact(lambda con: self._define(con, views))

    def transact(
        self, write: Callable[[duckdb.DuckDBPyConnection], object], *, all_cores: bool = False
    ) -> None:
        """Run a write in one transaction, again from its start if another one came between.

        Writers take turns. DuckLake is told not to retry a commit on its own: if anybody committed
        since our transaction began, ours fails, is rolled back, and `write` is asked again.

        Args:
            write: what is done; given the connection.
            all_cores: it reads many rows.

        Raises:
            WarehouseBusyError: it did not get through in `TRIES` tries; nothing was written.
        """
        for attempt in range(TRIES):
            try:
                with self._turn(), self.connect(all_cores=all_cores) as con:
                    con.execute("SET ducklake_max_retry_count = 0")
                    write(con)
                    con.execute("COMMIT")
            except duckdb.Error as exc:
                if not _is_collision(exc):
                    raise
            else:
                return
            pause = min(_FIRST_PAUSE_SECONDS * 2**attempt, _LONGEST_PAUSE_SECONDS)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        raise WarehouseBusyError(TRIES)

    @contextmanager
    def _turn(self) -> Generator[None]:
        """Wait for our turn to write, at most `TURN_SECONDS`, and hold it.

        Only a courtesy, so that writers do not collide again and again: what makes a batch count
        once is the commit. The system ends a killed writer's turn, and one that hangs is not waited
        for longer.
        """
        lock = FileLock(self.folder / TURN, timeout=TURN_SECONDS, mode=0o600)
        with suppress(Timeout):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def connect(
        self, *, read_only: bool = False, all_cores: bool = False
    ) -> Generator[duckdb.DuckDBPyConnection]:
        """Yield a connection whose current schema is the warehouse's `main`, in UTC.

        It is in a transaction that ends with it: all its queries see one snapshot, whatever is
        published meanwhile, and what is written without a commit is not (see `transact`).

        Args:
            read_only: nothing will be written.
            all_cores: its queries read many rows. On few, other threads would only be woken, again
                and again: what DuckLake asks its catalogue takes half as long with one.

        Raises:
            WarehouseMissingError: read only, and there is no warehouse yet.
        """
        con = self._database(read_only=read_only).cursor()
        try:
            with self._working_with(con, all_cores=all_cores):
                con.execute("BEGIN; USE lake; SET TimeZone = 'UTC'")
                yield con
        finally:
            con.close()

    @contextmanager
    def _working_with(self, con: duckdb.DuckDBPyConnection, *, all_cores: bool) -> Generator[None]:
        """Let queries use all cores or one, which DuckDB knows for a database only.

        To take threads away waits for queries under way, so it is only done while there are none.
        """
        with self._lock:
            if all_cores:
                con.execute("RESET threads")
            elif not self._connected:
                con.execute("SET threads = 1")
            self._connected += 1
        try:
            yield
        finally:
            with self._lock:
                self._connected -= 1

    def read(
        self, sql: str, parameters: Sequence[object] = (), *, all_cores: bool = False
    ) -> pl.DataFrame:
        """Return the rows of one of our own queries; with all cores if it reads many rows."""
        with self.connect(read_only=True, all_cores=all_cores) as con:
            return fetch(con, sql, parameters)

    def newest_snapshot(self) -> int:
        """Return the number of the snapshot that a reader sees now."""
        return self.read("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").item()

    @contextmanager
    def at_snapshot(self, snapshot_id: int) -> Generator[duckdb.DuckDBPyConnection]:
        """Yield a connection of its own that reads one snapshot, whatever is published."""
        with duckdb.connect() as con:
            self.attach(con, snapshot_id=snapshot_id)
            yield con

    def attach(self, con: duckdb.DuckDBPyConnection, *, snapshot_id: int) -> None:
        """Attach one snapshot of the lake read-only to somebody's own connection, and use it."""
        con.execute(f"SET memory_limit = {quote(MEMORY_LIMIT)}")
        con.execute(f"SET temp_directory = {quote(str(self.folder / SPILL))}")
        self._attach(con, f"READ_ONLY, SNAPSHOT_VERSION {snapshot_id}")
        con.execute("USE lake; SET TimeZone = 'UTC'")

    def describe(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the columns with their types of tables and views, by name; all are bound."""
        each = (
            f"SELECT {quote(name)}, column_name, column_type FROM (DESCRIBE {name})"
            for name in names
        )
        described: dict[str, dict[str, str]] = {name: {} for name in names}
        for name, column, kind in self.read(" UNION ALL ".join(each)).iter_rows():
            described[name][column] = kind
        return described

    def query(self, sql: str) -> QueryResult:
        """Return the rows of a person's query, which can read the warehouse and nothing else.

        Raises:
            QueryError: the query is wrong or would write or reach outside.
            WarehouseMissingError: there is no warehouse yet.
        """
        con = self._open(read_only=True).cursor()
        try:
            con.execute("USE lake; SET TimeZone = 'UTC'")
            con.execute(f"SET allowed_directories = [{quote(str(self.folder))}]")
            con.execute("SET enable_external_access = false; SET lock_configuration = true")
            refuse_side_effects(con, sql)
            found = con.execute(sql)
            return QueryResult([column[0] for column in found.description], found.fetchall())
        except duckdb.Error as exc:
            raise QueryError(str(exc)) from exc
        finally:
            con.close()

    def _database(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        if read_only and False in self._databases:
            read_only = False  # one database is enough for a process that writes
        if read_only not in self._databases:
            self._databases[read_only] = self._open(read_only=read_only)
        return self._databases[read_only]

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Return a database with the lake attached; loading the extensions takes 0.2 s."""
        if read_only and not self.exists:
            raise WarehouseMissingError(self.folder.parent)
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(self.folder / SPILL),
        }
        con = duckdb.connect(config=limits)
        write = f"DATA_INLINING_ROW_LIMIT {INLINED_ROWS}"
        self._attach(con, "READ_ONLY" if read_only else write)
        return con

    def _attach(self, con: duckdb.DuckDBPyConnection, options: str) -> None:
        for name in _EXTENSIONS:
            con.execute(f"LOAD {quote(_extension_path(name))}")
        source = quote(f"ducklake:sqlite:{self.folder / CATALOGUE}")
        # The catalogue knows the folder by its first path; a home that was moved, or restored
        # elsewhere, has its files beside its catalogue all the same.
        data = f"DATA_PATH {quote(str(self.folder / DATA))}, OVERRIDE_DATA_PATH true"
        con.execute(f"ATTACH {source} AS lake ({data}, {options})")

    def _let_readers_and_writer_coexist(self) -> None:
        # Without WAL a reader waits two seconds and fails whenever a batch is published.
        with sqlite3.connect(self.folder / CATALOGUE) as catalogue:
            catalogue.execute("PRAGMA journal_mode = WAL")
        (self.folder / CATALOGUE).chmod(0o600)

    def _define(self, con: duckdb.DuckDBPyConnection, views: dict[str, str]) -> None:
        columns = con.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() "
            "WHERE database_name = 'lake' GROUP BY table_name"
        )
        known = dict(columns.fetchall())
        for table in TABLES:
            if table.name not in known:
                con.execute(create_table_sql(table))
            elif lacking := [name for name in table.schema if name not in known[table.name]]:
                raise WarehouseOutdatedError(self.folder.parent, table.name, lacking)
        written = self._view_texts(con)
        for name, sql in views.items():
            if written.get(name) != sql:
                con.execute(f"CREATE OR REPLACE VIEW {name} AS {sql}")
                con.execute(f"COMMENT ON VIEW {name} IS {quote(sql)}")

    def _view_texts(self, con: duckdb.DuckDBPyConnection) -> dict[str, str]:
        found = con.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'lake'"
        )
        return dict(found.fetchall())


def try_to_read(folder: Path) -> Lake | Exception:
    """Return the warehouse of a folder, or why it cannot be read.

    For who asks many things of a warehouse that may be broken: one that is locked lets each
    reader wait for seconds, so it is asked once.
    """
    lake = Lake(folder)
    try:
        lake.newest_snapshot()
    except (WarehouseMissingError, duckdb.Error, OSError) as exc:
        return exc
    return lake


def fetch(
    con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()
) -> pl.DataFrame:
    """Return the rows of a query: instants in UTC, sums of whole numbers as whole numbers."""
    return _to_frame(con.sql(sql, params=list(parameters) or None))


def _to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    frame = pl.DataFrame(relation)
    instants = [name for name, dtype in frame.schema.items() if _has_zone(dtype)]
    kinds = zip(relation.columns, map(str, relation.types), strict=True)
    integers = [name for name, kind in kinds if kind in ("HUGEINT", "UHUGEINT")]
    return frame.with_columns(
        pl.col(instants).dt.convert_time_zone("UTC"), pl.col(integers).cast(pl.Int128)
    )


def _is_collision(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.TransactionException) or "database is locked" in str(error)


def _has_zone(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None


def create_table_sql(table: Table) -> str:
    """Return the DDL of a table."""
    columns = ", ".join(
        f"{column.name} {sql_type(column.dtype)}{'' if column.nullable else ' NOT NULL'}"
        for column in table.columns
    )
    return f"CREATE TABLE {table.name} ({columns})"


def sql_type(dtype: pl.DataType | type[pl.DataType]) -> str:
    """Return the warehouse's type for a Polars type.

    >>> sql_type(pl.Decimal(38, 18))
    'DECIMAL(38,18)'
    """
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    return _SQL_TYPE[dtype.base_type()]


def _extension_path(name: str) -> str:
    # The extensions are signed files in installed packages: nothing is downloaded or copied.
    package = files(f"duckdb_extension_{name}")
    return str(package / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension")


def quote(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
