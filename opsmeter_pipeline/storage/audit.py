"""The views people read, over what a run would publish, before it does.

A figure that a view drops or counts twice is found while nobody can see it yet. Reads the run's
staged cubes only, so its cost follows the batch and not history. Sums are judged by the `cube`
stage.
"""

from collections.abc import Sequence
from decimal import Decimal

from opsmeter_pipeline.cube import CONSERVED
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, CUBES, USERS_DAILY
from opsmeter_pipeline.storage.lake import Lake, fetch, quote
from opsmeter_pipeline.storage.staging import Staging
from opsmeter_pipeline.views import View


def sum_views(
    lake: Lake, staging: Staging, views: Sequence[View]
) -> dict[str, dict[str, int | Decimal | None]]:
    """Return the sums of `CONSERVED` over the rows each view would have of a run's cubes.

    Args:
        lake: the warehouse; its cubes are hidden by the staged ones, its other tables are not.
        staging: where the run's cubes are.
        views: those that have all these measures are summed, the others left out.
    """
    sums = ", ".join(f"{_sum(name)} AS {name}" for name in CONSERVED)
    queries = [
        f"SELECT {quote(view.name)} AS view, {sums} FROM ({view.sql})"
        for view in views
        if set(CONSERVED) <= view.schema.keys()
    ]
    with lake.connect(read_only=True) as con:
        for table in CUBES:
            path = quote(str(staging.path(f"cubes/{table.name}")))
            # Latencies sum up to nothing that is compared, and reading them back takes longer
            # than all the rest, so their cubes are shown empty.
            rows = "" if table in (ATTRIBUTION_HOURLY, USERS_DAILY) else " LIMIT 0"
            # A temporary view comes before the lake's table of that name.
            con.execute(f"CREATE TEMP VIEW {table.name} AS FROM read_parquet({path}){rows}")
        rows = fetch(con, " UNION ALL ".join(queries)).to_dicts()
    return {row.pop("view"): row for row in rows}


def _sum(name: str) -> str:
    """Return the sum of a column; null where a row does not know the most it may cost."""
    summed = f"coalesce(sum({name}), 0)"
    if name != "unpriced_high_usd":
        return summed
    return f"CASE WHEN count(*) = count({name}) THEN {summed} END"
