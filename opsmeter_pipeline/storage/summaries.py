"""What the page reads: rows of the views in a range, and of which state of the warehouse they are.

All that one answer tells is read in one transaction, so it is of one snapshot, and it ends after a
given time. Nothing is written here.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from opsmeter_pipeline.model.dashboard_errors import WarehouseSlowError, WarehouseUnreadableError
from opsmeter_pipeline.model.hours import HourRange
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.probes import LAST_PROBE
from opsmeter_pipeline.views.ranges import BY_DAY, RANGES

_INTERRUPT_SECONDS = 0.1


@dataclass(frozen=True)
class Published:
    """What the warehouse holds in one snapshot.

    Attributes:
        snapshot_id: its number.
        complete_through: no file that landed before it waited at the last look; null before one.
        last_visible_at: when the newest batch was measured to be visible; null before one.
        last_probe_at: when the page last showed a probe; null if it never did.
        batches: how many there are.
        events: events in them.
        quarantined: lines in them that broke a rule.
    """

    snapshot_id: int
    complete_through: datetime | None
    last_visible_at: datetime | None
    last_probe_at: datetime | None
    batches: int
    events: int
    quarantined: int


@dataclass(frozen=True)
class EndpointQuestion:
    """Which summaries of an endpoint are asked for.

    Attributes:
        endpoint_tag: the endpoint.
        environment: where its calls ran.
        data_mode: what kind of calls.
        prompt_version: only this one; None for all.
        hours: when they occurred.
    """

    endpoint_tag: str
    environment: str
    data_mode: str
    prompt_version: str | None
    hours: HourRange


@contextmanager
def open_snapshot(lake: Lake, *, limit_seconds: float) -> Generator[duckdb.DuckDBPyConnection]:
    """Yield a connection in a transaction of its own, which is stopped when its time is over.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
        WarehouseSlowError: the time was over.
        WarehouseUnreadableError: the database refused.
    """
    done = threading.Event()
    try:
        with lake.connect(read_only=True, all_cores=True) as con:
            watch = threading.Thread(target=_interrupt, args=(con, done, limit_seconds))
            watch.start()
            try:
                yield con
            finally:
                done.set()
                watch.join()  # before the connection is closed
    except duckdb.InterruptException as exc:
        raise WarehouseSlowError(limit_seconds) from exc
    except duckdb.Error as exc:
        raise WarehouseUnreadableError(str(exc)) from exc


def read_published(con: duckdb.DuckDBPyConnection) -> Published:
    """Return what the transaction's snapshot holds."""
    return Published(**fetch(con, _PUBLISHED).row(0, named=True))


def read_range(
    con: duckdb.DuckDBPyConnection, view: str, hours: HourRange, *, limit: int
) -> list[dict[str, Any]]:
    """Return the first rows of a view in a range, at most one more than the limit.

    Args:
        con: the transaction.
        view: one of `views.ranges.RANGES`.
        hours: the range; of views of users, all days that it touches.
        limit: how many rows are wanted; one more says that there are more.
    """
    is_by_day = view in BY_DAY
    first = hours.first_day if is_by_day else hours.start_at
    end = hours.end_day if is_by_day else hours.end_at
    found = fetch(con, f"{RANGES[view]} LIMIT $3", [first, end, limit + 1])
    return found.to_dicts()


def count_quarantined(con: duckdb.DuckDBPyConnection, hours: HourRange) -> int:
    """Return how many lines are in quarantine that landed on the days a range touches."""
    return fetch(con, _QUARANTINED, [hours.first_day, hours.end_day]).item()


def sum_prompt_versions(
    con: duckdb.DuckDBPyConnection, asked: EndpointQuestion, *, limit: int
) -> list[dict[str, Any]]:
    """Return a row per prompt version of an endpoint, the newest first, of the hourly cube.

    At most one more than the limit; that one says that there are more.
    """
    parameters = [asked.endpoint_tag, asked.environment, asked.data_mode, asked.hours.start_at,
                  asked.hours.end_at, asked.prompt_version, limit + 1]  # fmt: skip
    return fetch(con, _PROMPT_VERSIONS, parameters).to_dicts()


def _interrupt(con: duckdb.DuckDBPyConnection, done: threading.Event, limit_seconds: float) -> None:
    """Stop what runs after the limit, again and again: the first may come between two queries."""
    pause = limit_seconds
    while not done.wait(pause):
        con.interrupt()
        pause = _INTERRUPT_SECONDS


_PUBLISHED = f"""
    SELECT snapshot.id AS snapshot_id,
        (SELECT arg_max(complete_through, number) FROM watermarks) AS complete_through,
        ({LAST_PROBE}) AS last_probe_at, ledger.*
    FROM ducklake_current_snapshot('lake') AS snapshot(id), (
        SELECT max(visible_at) AS last_visible_at, count(*) AS batches,
            coalesce(sum(accepted), 0)::BIGINT AS events,
            coalesce(sum(quarantined), 0)::BIGINT AS quarantined
        FROM ingest_batches
    ) ledger
"""
_QUARANTINED = """
    SELECT coalesce(sum(quarantined), 0)::BIGINT FROM ingest_batches
    WHERE ingest_day >= $1 AND ingest_day < $2
"""
_COUNTS = ("requests", "attempts", "redeliveries", "failures", "unpriced_attempts",
           "input_tokens", "cache_read_tokens", "output_tokens")  # fmt: skip
_PROMPT_VERSIONS = f"""
    SELECT prompt_version, min(hour_at) AS first_hour_at, max(hour_at) AS last_hour_at,
        {", ".join(f"sum({name})::BIGINT AS {name}" for name in _COUNTS)},
        CASE WHEN sum(unpriced_attempts) < sum(attempts)
            THEN sum(cost_usd)::DECIMAL(38,18) END AS cost_usd
    FROM attribution_hourly
    WHERE endpoint_tag = $1 AND environment = $2 AND data_mode = $3
        AND hour_at >= $4 AND hour_at < $5 AND ($6::VARCHAR IS NULL OR prompt_version = $6)
    GROUP BY prompt_version ORDER BY last_hour_at DESC, prompt_version LIMIT $7
"""
