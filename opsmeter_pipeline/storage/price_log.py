"""The log of decisions on price versions: which one prices, and which one waits for a person.

A source's last row counts: a version that was taken or accepted prices from then on, one that waits
leaves the pricing to the version before. Nothing is ever changed in it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import duckdb
import polars as pl

from opsmeter_pipeline.model.price_errors import (
    PricesOvertakenError,
)
from opsmeter_pipeline.model.tables import PRICE_VERSIONS
from opsmeter_pipeline.storage.lake import Lake, fetch

TAKEN, WAITS, ACCEPTED = "taken", "waits", "accepted"


class Decision(NamedTuple):
    """One row of `price_versions` to be; its number follows from the log."""

    source: str
    source_version: str
    decision: str
    reason: str
    moved_prices: int
    decided_by: str
    decided_at: datetime


class PriceLog:
    """The log as it was read.

    Args:
        rows: rows of `price_versions` in their order.
    """

    def __init__(self, rows: pl.DataFrame) -> None:
        """Keep the rows."""
        self.rows = rows

    def in_force(self, source: str) -> str | None:
        """Return the version of a source that prices, or None before its first."""
        decided = self.rows.filter(pl.col("source") == source, pl.col("decision") != WAITS)
        return None if decided.is_empty() else decided["source_version"][-1]

    def last(self, source: str) -> str | None:
        """Return the version of a source that was decided on last, or None."""
        decided = self.rows.filter(source=source)
        return None if decided.is_empty() else decided["source_version"][-1]

    def having(self, decisions: Sequence[Decision]) -> "PriceLog":
        """Return the log as it would be with these decisions."""
        rows = [(self.rows.height + place, *one) for place, one in enumerate(decisions)]
        more = pl.DataFrame(rows, schema=PRICE_VERSIONS.schema, orient="row")
        return PriceLog(pl.concat([self.rows, more]))

    def waiting(self) -> list[Decision]:
        """Return the decision of each source whose last version waits."""
        last = self.rows.group_by("source", maintain_order=True).last()
        names = Decision._fields
        return [Decision(*row) for row in last.filter(decision=WAITS).select(names).iter_rows()]


def empty_log() -> PriceLog:
    """Return the log of a home that has loaded nothing yet."""
    return PriceLog(PRICE_VERSIONS.empty())


def read_log(lake: Lake, *, until: datetime | None = None) -> PriceLog:
    """Return the log, or what of it was known at an instant."""
    known = " WHERE decided_at <= ?" if until else ""
    sql = f"SELECT * FROM price_versions{known} ORDER BY decision_number"
    return PriceLog(PRICE_VERSIONS.arrange(lake.read(sql, [until] if until else [])))


def append_decisions(lake: Lake, log: PriceLog, decisions: Sequence[Decision]) -> PriceLog:
    """Add decisions that were taken on this log, all or none; return the log with them.

    A process that decided the same at the same time is no obstacle.

    Raises:
        PricesOvertakenError: somebody decided otherwise in the meantime; nothing was written.
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """

    def write(con: duckdb.DuckDBPyConnection) -> None:
        found = PRICE_VERSIONS.arrange(
            fetch(con, "SELECT * FROM price_versions ORDER BY decision_number")
        )
        since = PriceLog(found[log.rows.height :])
        number = found.height
        for one in decisions:
            known = since.rows.filter(source=one.source).select(Decision._fields[:3]).rows()
            if not known:
                row = [number, *one]
                con.execute(f"INSERT INTO price_versions VALUES ({', '.join('?' * len(row))})", row)
                number += 1
            elif known[-1] != one[:3]:
                raise PricesOvertakenError(one.source, known[-1][1])

    if decisions:
        lake.transact(write)
    return read_log(lake) if decisions else log


def describe_log(log: PriceLog) -> dict[str, str]:
    """Return each source's version in force, and what waits for `opsmeter prices accept`."""
    sources = log.rows["source"].unique(maintain_order=True)
    prices = {f"prices_of_{source}": log.in_force(source) or "none" for source in sources}
    waits = {f"{one.source} {one.source_version}": one for one in log.waiting()}
    return prices | {"waits_for_acceptance": ", ".join(waits) or "nothing"}
