"""What assets report to Dagster's catalogue, derived from the column catalogue.

Add here how a frame or table is described; what is described stands in `model.tables` and `views`.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.storage.lake import sql_type

OWNER = "team:opsmeter"
Figure = dg.MetadataValue | int | str
"""What a run reports about a frame by name: a number, a text, or a page to unfold."""


def table_schema(table: Table) -> dg.TableSchema:
    """Return a table's columns for the UI's catalogue."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                sql_type(column.dtype),
                description=column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in table.columns
        ]
    )


def table_spec(
    table: Table, *, group: str, kind: str = "table", deps: Sequence[str] = ()
) -> dg.AssetSpec:
    """Return the spec of a table or view of the warehouse, described by its columns."""
    return dg.AssetSpec(
        table.name,
        deps=deps,
        description=f"{table.grain}\n\nColumns: {', '.join(table.schema)}.",
        group_name=group,
        kinds={"ducklake", kind},
        metadata={
            "dagster/table_name": f"lake.main.{table.name}",
            "dagster/column_schema": table_schema(table),
        },
    )


def rows_metadata(rows: int, figures: Mapping[str, Figure] | None = None) -> dict[str, Figure]:
    """Return the metadata of a written frame: its row count, and figures behind it."""
    return {"dagster/row_count": rows, **(figures or {})}


def preview(frame: pl.DataFrame, rows: int = 10) -> dg.MetadataValue:
    """Return the first rows of a frame as a Markdown table."""
    head = frame.head(rows)
    if head.is_empty():
        return dg.MetadataValue.md("no rows")
    with pl.Config(tbl_formatting="MARKDOWN", tbl_hide_dataframe_shape=True,
                   tbl_hide_column_data_types=True, tbl_rows=rows, tbl_cols=-1,
                   fmt_str_lengths=80, tbl_width_chars=1000):  # fmt: skip
        return dg.MetadataValue.md(str(head))
