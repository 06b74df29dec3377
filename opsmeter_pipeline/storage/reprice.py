"""Published events priced again: what changes, and everything that is summed of them made anew.

A batch is the unit: its events are read whole, and its sums are made from them by the functions
that made them first, not moved by a difference (ADR 0024). Writing is `storage.restate`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.cube import READS as SUMMED_BY
from opsmeter_pipeline.cube import sum_events
from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.price_errors import (
    RepriceOvertakenError,
)
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    CLOCKS_HOURLY,
    EVENTS,
    INGEST_FILES,
    PRICED,
    QUARANTINE,
    RESTATEMENTS,
    TOKEN_MOMENTS_HOURLY,
    UNPRICED_HOURLY,
    USERS_DAILY,
)
from opsmeter_pipeline.price import NAMES, Comparables, price_events
from opsmeter_pipeline.price import READS as PRICED_BY
from opsmeter_pipeline.publish import find_slices
from opsmeter_pipeline.reprice import LISTED, PLACE, find_changed, list_restatements, put_prices
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.ledger import read_batch_slices
from opsmeter_pipeline.storage.price_log import PriceLog
from opsmeter_pipeline.storage.price_versions import Sources, settle_prices
from opsmeter_pipeline.storage.prices import find_cards
from opsmeter_pipeline.storage.restate import Order, Unit, note_restated, publish_unit
from opsmeter_pipeline.storage.staging import Staging
from opsmeter_pipeline.tracking.lags import build_clocks, count_lags, count_leads

UNIT_EVENTS = 500_000
"""How many events are in memory at once, but for a batch that has more."""
_TRIES = 3
_READS = tuple(
    name
    for name in EVENTS.schema
    if name in {*PLACE, *PRICED, *PRICED_BY, *SUMMED_BY, "ingested_at"}
)


@dataclass(frozen=True)
class Choice:
    """Which events are priced again; None is all.

    Attributes:
        first: first UTC day of their event time.
        last: last UTC day.
        provider: as callers name it.
        model: as callers name it.
        priced_too: also those that have a price; else only those that have none.
    """

    first: date | None = None
    last: date | None = None
    provider: str | None = None
    model: str | None = None
    priced_too: bool = False

    def to_sql(self) -> tuple[str, list[object]]:
        """Return the condition on rows of `events`, and its parameters."""
        end = None if self.last is None else start_of_day(self.last) + timedelta(days=1)
        asked: dict[str, object] = {
            "occurred_at >= ?": self.first and start_of_day(self.first),
            "occurred_at < ?": end,
            "provider = ?": self.provider,
            "model = ?": self.model,
        }
        told = {condition: value for condition, value in asked.items() if value is not None}
        every = [*told, "true" if self.priced_too else "cost_usd IS NULL"]
        return " AND ".join(every), [*told.values()]


class Settled(NamedTuple):
    """What prices the chosen events now: the log of versions, and what `find_cards` found."""

    log: PriceLog
    cards: pl.DataFrame
    comparables: Comparables


def settle_cards(
    lake: Lake, sources: Sources, staging: Staging, *, choice: Choice, by: str, now: datetime
) -> Settled:
    """Load what is new of the price sources, and return the cards of the chosen events' names.

    Args:
        lake: the warehouse.
        sources: what is installed and what the user's file says now.
        staging: where rows are put on their way.
        choice: which events.
        by: the run or person that decides on new versions.
        now: when (UTC).

    Raises:
        PricesOvertakenError: another run decided otherwise at the same time; run again.
    """
    log = settle_prices(lake, sources, staging, by=by, now=now)
    condition, parameters = choice.to_sql()
    sql = f"SELECT DISTINCT provider, model FROM events WHERE {condition}"
    names = lake.read(sql, parameters, all_cores=True)
    found = find_cards(lake, sources.book, log, staging, names=names, now=now)
    return Settled(log, found.cards, found.comparables)


def plan_reprice(lake: Lake, staging: Staging, found: Settled, choice: Choice) -> Iterator[Unit]:
    """Yield what changes, some batches at a time; batches in which nothing does are left out.

    Args:
        lake: the warehouse.
        staging: where a unit is put; the next one takes its place.
        found: what prices the chosen events.
        choice: which events.
    """
    for batch_ids in _find_batches(lake, choice):
        unit = _plan_unit(lake, staging, found, choice=choice, batch_ids=batch_ids)
        if unit is not None:
            yield unit


def reprice_events(
    lake: Lake,
    staging: Staging,
    found: Settled,
    choice: Choice,
    order: Order,
    *,
    now: Callable[[], datetime],
) -> pl.DataFrame:
    """Price the chosen events again and publish what changes; return it, as planned.

    Each unit is a transaction. One that another run overtook is planned anew. `now` is read for
    each: when it is published, and when it was visible.

    Raises:
        RepriceOvertakenError: that happened too often; what was published before stays.
        RepriceSumsError: sums would not agree with the events.
        WarehouseBusyError: the catalogue stayed locked.
    """
    listed = [RESTATEMENTS.empty().select(LISTED)]
    for batch_ids in _find_batches(lake, choice):
        for tries_left in reversed(range(_TRIES)):
            unit = _plan_unit(lake, staging, found, choice=choice, batch_ids=batch_ids)
            if unit is None:
                break
            try:
                publish_unit(lake, unit, order, now=now())
            except RepriceOvertakenError:
                if not tries_left:
                    raise
                continue
            note_restated(lake, now=now)
            listed.append(unit.listed)
            break
    return pl.concat(listed)


def _find_batches(lake: Lake, choice: Choice) -> list[list[str]]:
    """Return the batches of the chosen events in the order they were taken, a unit each."""
    condition, parameters = choice.to_sql()
    sql = f"""
        SELECT batch_id, accepted FROM ingest_batches
        WHERE batch_id IN (SELECT DISTINCT batch_id FROM events WHERE {condition})
        ORDER BY taken_at, batch_id
    """
    units: list[list[str]] = []
    room = 0
    for batch_id, events in lake.read(sql, parameters, all_cores=True).iter_rows():
        if events > room or not units:
            units.append([])
            room = UNIT_EVENTS
        units[-1].append(batch_id)
        room -= events
    return units


def _plan_unit(
    lake: Lake, staging: Staging, found: Settled, *, choice: Choice, batch_ids: Sequence[str]
) -> Unit | None:
    runs = lake.read(
        "SELECT batch_id, run_id FROM ingest_batches WHERE batch_id IN (SELECT unnest(?))",
        [batch_ids],
    )
    slices = read_batch_slices(lake, batch_ids)
    events = find_slices(_read_events(lake, choice, batch_ids), slices).with_row_index("row")
    # A name that came with a replay meanwhile was not asked for, and has no card.
    chosen = events.filter("is_chosen").join(
        found.cards, on=NAMES, how="semi", maintain_order="left"
    )
    asked = chosen.select("row", *PRICED_BY)
    changed = find_changed(events, price_events(asked, found.cards, comparables=found.comparables))
    if changed.is_empty():
        return None
    listed = list_restatements(events, changed)
    places = events[changed["row"]].select(PLACE).hstack(changed.drop("row"))
    priced = put_prices(events, changed)
    sums = sum_events(priced.select(SUMMED_BY), priced.select(SUMMED_BY).clear())
    frames = {
        ATTRIBUTION_HOURLY.name: sums[ATTRIBUTION_HOURLY.name],
        USERS_DAILY.name: sums[USERS_DAILY.name],
        UNPRICED_HOURLY.name: sums[UNPRICED_HOURLY.name],
        TOKEN_MOMENTS_HOURLY.name: sums[TOKEN_MOMENTS_HOURLY.name],
        CLOCKS_HOURLY.name: _build_clocks(priced, slices),
        INGEST_FILES.name: _count_files(priced),
    }
    return Unit(
        dict(runs.iter_rows()),
        listed,
        staging.write("repriced/listing", listed),
        staging.write("repriced/events", places),
        {name: staging.write(f"repriced/{name}", frame) for name, frame in frames.items()},
    )


def _read_events(lake: Lake, choice: Choice, batch_ids: Sequence[str]) -> pl.DataFrame:
    """Return the events of batches, and which of them are chosen."""
    condition, parameters = choice.to_sql()
    sql = f"""
        SELECT {", ".join(_READS)}, {condition} AS is_chosen FROM events
        WHERE batch_id IN (SELECT unnest(?))
    """
    return lake.read(sql, [*parameters, batch_ids], all_cores=True)


def _build_clocks(events: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return the rows of `clocks_hourly` that have events; refused lines cost nothing."""
    return build_clocks(count_lags(events, slices), count_leads(QUARANTINE.empty(), slices), slices)


def _count_files(events: pl.DataFrame) -> pl.DataFrame:
    """Return what the ledger tells of the money of each batch's file."""
    return events.group_by("batch_id", "file").agg(
        pl.col("cost_usd").is_null().sum().cast(pl.Int64).alias("unpriced_events"),
        pl.col("cost_usd").sum(),
    )
