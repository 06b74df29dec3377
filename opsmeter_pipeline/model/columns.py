"""What a column is, and the columns that several tables share.

The tables themselves stand in `model.tables`, the views over them in the `views` stage. The
contract, the DDL, the generated docs, the catalogue metadata in Dagster and the generated checks
all read these objects, so a column's type, unit, nullability and meaning are written once.
"""

from dataclasses import dataclass

import polars as pl

MONEY = pl.Decimal(38, 18)
"""Dollars: 18 decimals make any price per token exact (catalogues have 6 per million)."""
INSTANT = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: snake_case with the unit as suffix.
        dtype: the Polars type; the warehouse's type follows from it.
        meaning: what a reader must know, what null means included.
        nullable: null can occur.
        is_signed: it can be below 0.
    """

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    nullable: bool = False
    is_signed: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: its name in schema `main`.
        grain: what one row is.
        columns: in order.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The Polars schema, in column order."""
        return {column.name: column.dtype for column in self.columns}

    def pick(self, *names: str) -> tuple[Column, ...]:
        """Return the columns of these names, in the order asked for."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in names)

    def arrange(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with exactly this table's columns, in order and in type.

        Text may stay in categories: files and warehouse hold either as text.
        """
        return frame.select(
            name if frame.schema[name] == pl.Categorical else pl.col(name).cast(dtype)
            for name, dtype in self.schema.items()
        )

    def empty(self) -> pl.DataFrame:
        """Return a frame with this table's columns and no row."""
        return pl.DataFrame(schema=self.schema)


def text(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Return a text column."""
    return Column(name, pl.String, meaning, nullable)


def count(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Return a column of whole numbers."""
    return Column(name, pl.Int64, meaning, nullable)


def flag(name: str, meaning: str) -> Column:
    """Return a column of true or false."""
    return Column(name, pl.Boolean, meaning)


def instant(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Return a column of UTC instants with microseconds."""
    return Column(name, INSTANT, meaning, nullable)


def money(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Return a column of exact US dollars."""
    return Column(name, MONEY, meaning, nullable)


def change(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Return a column of exact US dollars gained or, below 0, lost."""
    return Column(name, MONEY, meaning, nullable, is_signed=True)


def ratio(name: str, meaning: str) -> Column:
    """Return a column of quotients, as floats for reading; a ratio of nothing is null."""
    return Column(name, pl.Float64, meaning, nullable=True)


def statistic(name: str, meaning: str) -> Column:
    """Return a column of sums for tests, as floats: never of money that is billed or shown."""
    return Column(name, pl.Float64, meaning, is_signed=True)


BATCH_ID = text("batch_id", "The batch that brought the row; a replayed batch replaces its rows.")
FILE = text("file", "Path of the landed file, relative to the landing.")
LINE_NUMBER = count("line_number", "Line in that file, from 1; a CSV header is not counted.")
