"""What a person's query may not do although the warehouse is attached read-only.

Some table functions have effects of their own: DuckLake's maintenance deletes and writes files
before it meets the read-only catalogue, and others run a text as a query of its own. The
query is therefore parsed first and the functions it names are looked at.
"""

import json
from collections.abc import Iterator
from typing import cast

import duckdb

from opsmeter_pipeline.model.errors import QueryError

_READING = frozenset(
    {
        "ducklake_snapshots",
        "ducklake_current_snapshot",
        "ducklake_last_committed_snapshot",
        "ducklake_table_info",
        "ducklake_table_changes",
        "ducklake_table_insertions",
        "ducklake_table_deletions",
        "ducklake_list_files",
    }
)
_HIDING = frozenset({"query", "query_table", "json_execute_serialized_sql"})
_ONE_SELECT = "The warehouse is read with one SELECT at a time; it is never written by hand."


def refuse_side_effects(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise unless the text is one SELECT whose functions only read.

    Raises:
        QueryError: it is something else, or names a function that can do more.
        duckdb.Error: it is no SQL.
    """
    statements = con.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError(_ONE_SELECT)
    text = statements[0].query.replace("'", "''")
    # As a literal: to bind a value, DuckDB imports pandas if it is installed, for half a second.
    row = con.execute(f"SELECT json_serialize_sql('{text}')").fetchone()
    parsed = json.loads(row[0]) if row else {"error": True}
    if parsed.get("error"):
        raise QueryError(_ONE_SELECT)
    for name in _functions(parsed):
        if name in _HIDING or (name.startswith("ducklake_") and name not in _READING):
            msg = f"{name} can do more than read; it is not for queries."
            raise QueryError(msg)


def _functions(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        members = cast("dict[str, object]", node)
        name = members.get("function_name")
        if isinstance(name, str):
            yield name.lower()
        for child in members.values():
            yield from _functions(child)
    elif isinstance(node, list):
        for child in cast("list[object]", node):
            yield from _functions(child)
