"""Great Expectations on the warehouse: judges suites of promises and writes Data Docs (ADR 0008).

The only place that imports Great Expectations, and only when asked: it takes seconds. Expectations
run as SQL in DuckDB, on one snapshot of the lake attached read-only. What is promised stands in
`quality`.
"""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from opsmeter_pipeline.model.errors import QualityMissingError
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS
from opsmeter_pipeline.quality import Outcome, Promise
from opsmeter_pipeline.storage.data_docs import DataDocs
from opsmeter_pipeline.storage.lake import Lake

_PACKAGES = ("great_expectations", "duckdb_engine")
_COUNTS_ONLY = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
"""No value of a row gets into a result, so none gets into Data Docs."""
_THREADS = 1
"""The other core is the ingest run's, which may go on at the same time."""


class Held(NamedTuple):
    """What became of the promises of all tables.

    Attributes:
        snapshot_id: the snapshot of the lake that was judged, the same for all.
        outcomes: by table.
        pages: the page of each table in Data Docs, the index under an empty name.
    """

    snapshot_id: int
    outcomes: Mapping[str, Sequence[Outcome]]
    pages: Mapping[str, Path]


def is_installed() -> bool:
    """Return whether the extra `quality` is there, without importing it."""
    return all(find_spec(name) for name in _PACKAGES)


def judge_suites(lake: Lake, suites: Mapping[str, Sequence[Promise]], *, site: Path) -> Held:
    """Judge every promise on the newest snapshot, and write Data Docs anew.

    Args:
        lake: the warehouse.
        suites: the promises of each table, by its name.
        site: the folder of Data Docs; what was there is replaced.

    Raises:
        QualityMissingError: the extra is not installed.
    """
    gx = _import_great_expectations()
    snapshot_id = lake.newest_snapshot()
    with DataDocs(site) as docs:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        context.delete_data_docs_site("local_site")
        context.add_data_docs_site("quality", docs.site_config)
        source = context.data_sources.add_sql(name="lake", connection_string="duckdb:///:memory:")
        engines = (source.get_engine(), source.get_execution_engine().engine)
        for engine in engines:
            _attach_to(engine, lake, snapshot_id)
        outcomes = {
            table: _judge(gx, context, source, table, promises)
            for table, promises in suites.items()
        }
        context.build_data_docs(site_names=["quality"])
        for engine in engines:
            engine.dispose()
    found = _find_culprits(lake, snapshot_id, outcomes)
    return Held(snapshot_id, found, docs.pages(suites))


def _import_great_expectations() -> Any:  # noqa: ANN401 - partly typed, and it may be missing
    if not is_installed():
        raise QualityMissingError
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # nothing calls home
    return import_module("great_expectations")


def _attach_to(engine: Any, lake: Lake, snapshot_id: int) -> None:  # noqa: ANN401 - see above
    """Have all connections of an engine read one snapshot, and keep what they return.

    Great Expectations closes a connection before it fetches, and DuckDB then returns no rows: all
    are fetched right after the query.
    """
    event: Any = import_module("sqlalchemy.event")
    strategy: Any = import_module("sqlalchemy.engine.cursor").FullyBufferedCursorFetchStrategy

    def attach(con: Any, _record: object) -> None:  # noqa: ANN401
        lake.attach(con, snapshot_id=snapshot_id)
        con.execute(f"SET threads = {_THREADS}")

    def fetch(_con: object, cursor: Any, *rest: Any) -> None:  # noqa: ANN401
        context = rest[2]
        if cursor.description is not None:
            context.cursor_fetch_strategy = strategy(
                cursor, cursor.description, initial_buffer=cursor.fetchall()
            )

    engine.dispose()  # it has tried the connection string already, without a lake
    event.listen(engine, "connect", attach)
    event.listen(engine, "after_cursor_execute", fetch)


def _judge(
    gx: Any,  # noqa: ANN401
    context: Any,  # noqa: ANN401
    source: Any,  # noqa: ANN401
    table: str,
    promises: Sequence[Promise],
) -> list[Outcome]:
    configuration: Any = import_module(
        "great_expectations.expectations.expectation_configuration"
    ).ExpectationConfiguration
    batch = source.add_table_asset(name=table, table_name=table).add_batch_definition_whole_table(
        "published"
    )
    suite = gx.ExpectationSuite(
        name=table,
        expectations=[
            configuration(
                type=promise.expectation,
                kwargs=dict(promise.arguments),
                description=promise.meaning,
                meta={"number": number},
            ).to_domain_obj()
            for number, promise in enumerate(promises)
        ],
    )
    definition = gx.ValidationDefinition(name=table, data=batch, suite=context.suites.add(suite))
    result = context.validation_definitions.add(definition).run(result_format=_COUNTS_ONLY)
    found = {one.expectation_config.meta["number"]: one for one in result.results}
    return [_to_outcome(promise, found[number]) for number, promise in enumerate(promises)]


def _to_outcome(promise: Promise, result: Any) -> Outcome:  # noqa: ANN401
    # What was raised is told per metric, or at once if there was none yet.
    raised: dict[str, Any] = result.exception_info or {}
    each: list[Any] = [raised] if "raised_exception" in raised else [*raised.values()]
    told = [str(one["exception_message"]) for one in each if one["raised_exception"]]
    why = told[0].split("\n", maxsplit=1)[0] if told else ""
    return Outcome(promise, kept=bool(result.success), error=why)


def _find_culprits(
    lake: Lake, snapshot_id: int, outcomes: Mapping[str, Sequence[Outcome]]
) -> dict[str, list[Outcome]]:
    with lake.at_snapshot(snapshot_id) as con:
        return {
            table: [one if one.kept or one.error else _locate(con, one) for one in judged]
            for table, judged in outcomes.items()
        }


def _locate(con: duckdb.DuckDBPyConnection, outcome: Outcome) -> Outcome:
    query = outcome.promise.culprits
    counted = con.execute(f"SELECT count(*) FROM ({query})").fetchone()
    found = con.execute(f"FROM ({query}) LIMIT {SAMPLE_ROWS}")
    names = [column[0] for column in found.description]
    culprits = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return Outcome(outcome.promise, kept=False, broken_places=counted[0] if counted else 0,
                   culprits=culprits)  # fmt: skip
