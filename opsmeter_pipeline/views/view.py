"""What a view is: a table that is derived when it is read."""

from dataclasses import dataclass

from opsmeter_pipeline.model.columns import Table


@dataclass(frozen=True)
class View(Table):
    """One view: described as a table is, and derived when it is read.

    Attributes:
        sql: the query behind it.
        reads: the tables it reads.
    """

    sql: str
    reads: tuple[str, ...]
