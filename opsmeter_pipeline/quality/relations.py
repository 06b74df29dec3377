"""Promises that tie rows of several tables together, each the query that must find nothing.

Add one where a table is said to agree with another. Queries run in the warehouse, read whole
columns and return places and sums, never values of a line.
"""

from collections.abc import Mapping
from types import MappingProxyType

from opsmeter_pipeline.model.sql import FAILED, OF_EVENT, PRODUCTION
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    BATCH_TABLES,
    FACTORS,
    INGEST_BATCHES,
    LATENCY_HOURLY,
    TOKEN_MOMENTS_HOURLY,
    UNPRICED_HOURLY,
    USERS_DAILY,
    USERS_LATENCY_DAILY,
)
from opsmeter_pipeline.quality.promises import Promise, find_rows, promise_query

_MONEY = "DECIMAL(38,18)"
_WINDOWS = "window_start_at, window_end_at, environment, data_mode"
_SUMMED = ("lines", "accepted", "duplicates", "quarantined", "blank", "unpriced_events", "cost_usd")


def _refers(table: str, ledger: str, keys: str = "batch_id", *, where: str = "true") -> Promise:
    """Return the promise that a row's keys stand in a table of the ledger."""
    same = " AND ".join(f"l.{key} = {table}.{key}" for key in keys.split(", "))
    return promise_query(
        "references",
        f"{keys.replace(', ', ' and ')} stand{'' if ',' in keys else 's'} in {ledger}.",
        query=f"SELECT {keys}, count(*) AS n_rows FROM {table} "
        f"WHERE {where} AND NOT EXISTS (SELECT 1 FROM {ledger} l WHERE {same}) "
        f"GROUP BY ALL ORDER BY ALL",
    )


def _balance(table: str) -> Promise:
    unequal = "lines <> accepted + duplicates + quarantined + blank"
    return promise_query(
        "balance",
        "lines = accepted + duplicates + quarantined + blank.",
        query=find_rows(table, unequal),
    )


def _counted(keys: str, *, ledger: str, count: str, of: str) -> Promise:
    """Return the promise that the ledger counts a table's rows, by these keys."""
    return promise_query(
        "balance",
        f"{count} is the number of rows in {of}, per {keys}.",
        query=f"""SELECT {keys}, coalesce(told, 0) AS told, coalesce(found, 0) AS found
        FROM (SELECT {keys}, sum({count})::BIGINT AS told FROM {ledger} GROUP BY {keys})
        FULL JOIN (SELECT {keys}, count(*) AS found FROM {of} GROUP BY {keys}) USING ({keys})
        WHERE coalesce(told, 0) <> coalesce(found, 0) ORDER BY ALL""",
    )


def _agrees(meaning: str, *, keys: str, one: str, other: str, measures: tuple[str, ...]) -> Promise:
    """Return the promise that two queries, each with a row per key, have the same measures."""
    shown = ", ".join(f"l.{name} AS {name}, r.{name} AS {name}_there" for name in measures)
    sides = (", ".join(f"coalesce({side}.{name}, 0)" for name in measures) for side in "lr")
    return promise_query(
        "balance",
        meaning,
        query=f"SELECT {keys}, {shown} FROM ({one}) l FULL JOIN ({other}) r USING ({keys}) "
        f"WHERE ({next(sides)}) <> ({next(sides)}) ORDER BY ALL",
    )


def _sum(table: str, keys: str, measures: Mapping[str, str], where: str = "true") -> str:
    sums = ", ".join(
        f"coalesce({what}, 0)::{_MONEY if name.endswith('_usd') else 'BIGINT'} AS {name}"
        for name, what in measures.items()
    )
    grouped = ", ".join(part.split(" AS ")[0] for part in keys.split("; "))
    return (
        f"SELECT {keys.replace('; ', ', ')}, {sums} FROM {table} WHERE {where} GROUP BY {grouped}"
    )


_OF_UNPRICED = {
    "attempts": "count(*)",
    "input_tokens": "sum(input_tokens)",
    "output_tokens": "sum(output_tokens)",
    "unbounded_attempts": f"sum({OF_EVENT['unbounded_attempts']})",
    "unpriced_low_usd": "sum(unpriced_low_usd)",
    "unpriced_high_usd": "sum(unpriced_high_usd)",
}
_OF_EVENTS = _OF_UNPRICED | {"cost_usd": "sum(cost_usd)"}
_OF_CUBE = {name: f"sum({name})" for name in _OF_EVENTS}
_EVENT_HOUR = "batch_id; date_trunc('hour', occurred_at) AS hour_at"
_EVENT_DAY = "batch_id; (occurred_at AT TIME ZONE 'UTC')::DATE AS day"
_TIMED = "latency_ms IS NOT NULL"
_FINISHED = {
    "finished_attempts": "count(*)",
    "finished_input_tokens": "sum(input_tokens)",
    "finished_output_tokens": "sum(output_tokens)",
    "costed_attempts": "count(*) FILTER (cost_usd > 0)",
}


def _sums_events(cube: str, *, event_keys: str, keys: str, timed: bool = False) -> Promise:
    """Return the promise that a cube sums up its events, by these keys."""
    of_events = {"attempts": "count(*)"} if timed else _OF_EVENTS
    of_cube = {"attempts": "sum(attempts)"} if timed else _OF_CUBE
    return _agrees(
        f"{', '.join(of_events)} are those of its events, per {keys}.",
        keys=keys,
        one=_sum(cube, keys.replace(", ", "; "), of_cube),
        other=_sum("events", event_keys, of_events, _TIMED if timed else "true"),
        measures=tuple(of_events),
    )


def _bounded(table: str) -> Promise:
    """Return the promise that no bound from below is above the one from above."""
    return promise_query(
        "values",
        "unpriced_low_usd is at most unpriced_high_usd.",
        query=find_rows(table, "unpriced_low_usd > unpriced_high_usd"),
    )


_DAY_MEASURES = {
    **{
        f"change_{name}": f"sum({name}) FILTER ({PRODUCTION})"
        for name in (
            "requests",
            "attempts",
            "input_tokens",
            "output_tokens",
            "unpriced_attempts",
            "cost_usd",
        )
    },
    **{
        f"change_left_out_{name}": f"sum({name}) FILTER (NOT ({PRODUCTION}))"
        for name in ("attempts", "cost_usd")
    },
}
_CHANGES_ADD_UP = _agrees(
    "All changes of a batch's part of a day add up to what it holds now.",
    keys="batch_id, day",
    one=_sum("day_changes", "batch_id; day", {name: f"sum({name})" for name in _DAY_MEASURES}),
    other=_sum(
        "attribution_hourly", "batch_id; (hour_at AT TIME ZONE 'UTC')::DATE AS day", _DAY_MEASURES
    ),
    measures=tuple(_DAY_MEASURES),
)
_ALL_SEEN = (
    "batch_id IN (SELECT batch_id FROM batch_times) "
    "AND batch_id NOT IN (SELECT batch_id FROM moved_lines WHERE moved_at IS NULL)"
)
"""Batches of which all lags are counted: those from before lags were counted have no times."""
_ALL_SUMMED = {name: f"sum({name})" for name in _SUMMED}
_OWN: Mapping[str, tuple[Promise, ...]] = MappingProxyType(
    {
        "events": (
            promise_query(
                "grain",
                "environment, external_request_id and a told attempt together occur once.",
                query="SELECT any_value(batch_id) AS batch_id, any_value(file) AS file, "
                "any_value(line_number) AS line_number, count(*) AS n_rows FROM events "
                "WHERE attempt_told GROUP BY environment, external_request_id, attempt "
                "HAVING count(*) > 1 ORDER BY ALL",
            ),
            promise_query(
                "values",
                "cost_usd and price_id are null where, and only where, unpriced_reason is not.",
                query=find_rows(
                    "events",
                    "(cost_usd IS NULL) <> (unpriced_reason IS NOT NULL) "
                    "OR (price_id IS NULL) <> (unpriced_reason IS NOT NULL)",
                ),
            ),
            promise_query(
                "values",
                "unpriced_low_usd and unpriced_high_usd are null together, and where priced.",
                query=find_rows(
                    "events",
                    "(unpriced_low_usd IS NULL) <> (unpriced_high_usd IS NULL) "
                    "OR (cost_usd IS NOT NULL AND unpriced_high_usd IS NOT NULL)",
                ),
            ),
            _bounded("events"),
            promise_query(
                "references",
                "price_id stands in price_catalogue.",
                query=find_rows(
                    "events",
                    "price_id IS NOT NULL AND NOT EXISTS "
                    "(SELECT 1 FROM price_catalogue p WHERE p.price_id = events.price_id)",
                ),
            ),
            _refers("events", "ingest_files", "batch_id, file"),
        ),
        "quarantine": (
            _refers("quarantine", "ingest_files", "batch_id, file"),
            promise_query(
                "values",
                "estimated_cost_usd is null where, and only where, unestimated_reason is not.",
                query=find_rows(
                    "quarantine",
                    "(estimated_cost_usd IS NULL) <> (unestimated_reason IS NOT NULL)",
                ),
            ),
            promise_query(
                "grain",
                "A line is event or quarantined, not both.",
                query="SELECT q.batch_id, q.file, q.line_number FROM quarantine q "
                "JOIN events e USING (file, line_number) ORDER BY ALL",
            ),
        ),
        "ingest_batches": (
            _balance("ingest_batches"),
            _counted("batch_id", ledger="ingest_batches", count="files", of="ingest_files"),
            _agrees(
                f"{', '.join(_SUMMED)} are the sums of its files.",
                keys="batch_id",
                one=_sum("ingest_batches", "batch_id", _ALL_SUMMED),
                other=_sum("ingest_files", "batch_id", _ALL_SUMMED),
                measures=_SUMMED,
            ),
        ),
        "ingest_files": (
            _balance("ingest_files"),
            _counted("batch_id, file", ledger="ingest_files", count="accepted", of="events"),
            _counted("batch_id, file", ledger="ingest_files", count="quarantined", of="quarantine"),
            _agrees(
                "cost_usd is the sum of its events.",
                keys="batch_id, file",
                one=_sum("ingest_files", "batch_id; file", {"cost_usd": "sum(cost_usd)"}),
                other=_sum("events", "batch_id; file", {"cost_usd": "sum(cost_usd)"}),
                measures=("cost_usd",),
            ),
        ),
        "tracking_hourly": (
            _agrees(
                "lines are those of the ledger that are not blank.",
                keys="batch_id",
                one=_sum("tracking_hourly", "batch_id", {"lines": "sum(lines)"}),
                other=_sum("ingest_batches", "batch_id", {"lines": "sum(lines - blank)"}),
                measures=("lines",),
            ),
        ),
        "freshness_lags": (
            _agrees(
                "events are those of the batch, once it is known when all of them were visible.",
                keys="batch_id",
                one=_sum("freshness_lags", "batch_id", {"events": "sum(events)"}, _ALL_SEEN),
                other=_sum(
                    "ingest_batches",
                    "batch_id",
                    {"events": "sum(accepted)"},
                    f"visible_at IS NOT NULL AND {_ALL_SEEN}",
                ),
                measures=("events",),
            ),
        ),
        "batch_times": (
            _refers("batch_times", "ingest_batches"),
            promise_query(
                "balance",
                "begun_at is no later than visible_at.",
                query="SELECT batch_id, begun_at, visible_at FROM batch_times "
                "JOIN ingest_batches USING (batch_id) WHERE begun_at > visible_at ORDER BY ALL",
            ),
        ),
        "day_changes": (_refers("day_changes", "ingest_batches"), _CHANGES_ADD_UP),
        "first_served": (_refers("first_served", "ingest_batches"),),
        "probes": (
            promise_query(
                "grain",
                "a tick of the schedule has one probe.",
                query="SELECT any_value(probe_id) AS probe_id, count(*) AS n_rows FROM probes "
                "WHERE scheduled_at IS NOT NULL GROUP BY scheduled_at HAVING count(*) > 1 "
                "ORDER BY ALL",
            ),
            promise_query(
                "values",
                "state tells whether it was seen, and a lost one tells when and where.",
                query=find_rows(
                    "probes",
                    "(state = 'visible') <> (visible_at IS NOT NULL) OR (state = 'lost' AND "
                    "(lost_at IS NULL OR stuck_at IS NULL OR detail IS NULL)) OR "
                    "(state = 'sent' AND lost_at IS NOT NULL) OR visible_at < sent_at",
                ),
            ),
        ),
        "spikes": (
            promise_query(
                "balance",
                "extra_usd is cost_usd less usual_cost_usd.",
                query=find_rows("spikes", "extra_usd <> cost_usd - coalesce(usual_cost_usd, 0)"),
            ),
        ),
        "incident_events": (_refers("incident_events", "incidents", "incident_id"),),
        "alerts": (_refers("alerts", "incidents", "incident_id", where="kind <> 'digest'"),),
        "moved_lines": (
            _refers("moved_lines", "ingest_batches"),
            _refers("moved_lines", "ingest_files", "batch_id, file"),
        ),
        "restatements": (
            _refers("restatements", "ingest_batches"),
            promise_query(
                "balance",
                "change_cost_usd is cost_usd less former_cost_usd.",
                query=find_rows("restatements", "change_cost_usd <> cost_usd - former_cost_usd"),
            ),
            _agrees(
                "All changes of a batch's part of a day are those that `day_changes` logged.",
                keys="batch_id, day",
                one=_sum(
                    "restatements", "batch_id; day", {"change_cost_usd": "sum(change_cost_usd)"}
                ),
                other=_sum(
                    "day_changes",
                    "batch_id; day",
                    {"change_cost_usd": "sum(change_cost_usd + change_left_out_cost_usd)"},
                    "kind = 'reprice'",
                ),
                measures=("change_cost_usd",),
            ),
        ),
        "cost_drivers": (
            promise_query(
                "balance",
                "change_usd is cost_usd less previous_cost_usd, and the sum of the factors.",
                query=find_rows(
                    "cost_drivers",
                    "change_usd <> cost_usd - previous_cost_usd "
                    f"OR change_usd <> {' + '.join(f'{name}_usd' for name in FACTORS)}",
                ),
            ),
            promise_query(
                "balance",
                "The values of a dimension sum up to the total.",
                query=f"""SELECT window_end_at, d.dimension, d.change_usd AS told,
                t.change_usd AS total FROM (
                    SELECT {_WINDOWS}, dimension, sum(change_usd)::{_MONEY} AS change_usd
                    FROM cost_drivers WHERE dimension <> 'total' GROUP BY ALL
                ) d LEFT JOIN (FROM cost_drivers WHERE dimension = 'total') t USING ({_WINDOWS})
                WHERE d.change_usd IS DISTINCT FROM t.change_usd ORDER BY ALL""",
            ),
        ),
        "budget_status": (
            promise_query(
                "balance",
                "What is spent at least is no more than at most, and no less than what is priced.",
                query=find_rows(
                    "budget_status",
                    "spent_low_usd < spent_usd OR spent_low_usd > spent_high_usd",
                ),
            ),
            promise_query(
                "balance",
                "What a period had spent when it was reported, and all that changed it since, is "
                "what it has spent.",
                query=f"""SELECT budget, period_name, reported_usd, change_usd, spent_usd
                FROM budget_status LEFT JOIN (
                    SELECT budget, period_name, sum(change_usd)::{_MONEY} AS change_usd
                    FROM budget_changes GROUP BY ALL
                ) USING (budget, period_name)
                WHERE reported_usd + coalesce(change_usd, 0) <> spent_usd ORDER BY ALL""",
            ),
        ),
        "budget_changes": (_refers("budget_changes", "budget_status", "budget, period_name"),),
        "clocks_hourly": (
            _agrees(
                "attempts and cost_usd are those of the ledger.",
                keys="batch_id",
                one=_sum(
                    "clocks_hourly",
                    "batch_id",
                    {"attempts": "sum(attempts)", "cost_usd": "sum(cost_usd)"},
                ),
                other=_sum(
                    "ingest_batches",
                    "batch_id",
                    {"attempts": "sum(accepted)", "cost_usd": "sum(cost_usd)"},
                ),
                measures=("attempts", "cost_usd"),
            ),
        ),
        ATTRIBUTION_HOURLY.name: (
            _sums_events("attribution_hourly", event_keys=_EVENT_HOUR, keys="batch_id, hour_at"),
            _bounded("attribution_hourly"),
        ),
        USERS_DAILY.name: (
            _sums_events("users_daily", event_keys=_EVENT_DAY, keys="batch_id, day"),
            _bounded("users_daily"),
        ),
        UNPRICED_HOURLY.name: (
            _agrees(
                f"{', '.join(_OF_UNPRICED)} are those of its events, per batch, hour and reason.",
                keys="batch_id, hour_at, unpriced_reason",
                one=_sum(
                    "unpriced_hourly",
                    "batch_id; hour_at; unpriced_reason",
                    {name: f"sum({name})" for name in _OF_UNPRICED},
                ),
                other=_sum(
                    "events",
                    f"{_EVENT_HOUR}; unpriced_reason",
                    _OF_UNPRICED,
                    "unpriced_reason IS NOT NULL",
                ),
                measures=tuple(_OF_UNPRICED),
            ),
            _bounded("unpriced_hourly"),
        ),
        TOKEN_MOMENTS_HOURLY.name: (
            _agrees(
                f"{', '.join(_FINISHED)} are those of its events that did not fail, per batch and "
                "hour.",
                keys="batch_id, hour_at",
                one=_sum(
                    TOKEN_MOMENTS_HOURLY.name,
                    "batch_id; hour_at",
                    {name: f"sum({name})" for name in _FINISHED},
                ),
                other=_sum("events", _EVENT_HOUR, _FINISHED, f"NOT ({FAILED})"),
                measures=tuple(_FINISHED),
            ),
        ),
        LATENCY_HOURLY.name: (
            _sums_events(
                "latency_hourly", event_keys=_EVENT_HOUR, keys="batch_id, hour_at", timed=True
            ),
        ),
        USERS_LATENCY_DAILY.name: (
            _sums_events(
                "users_latency_daily", event_keys=_EVENT_DAY, keys="batch_id, day", timed=True
            ),
        ),
    }
)
RELATIONS: Mapping[str, tuple[Promise, ...]] = MappingProxyType(
    dict(_OWN)
    | {
        table.name: (_refers(table.name, "ingest_batches"), *_OWN.get(table.name, ()))
        for table in BATCH_TABLES
        if table is not INGEST_BATCHES
    }
)
"""The promises that tie a table to others, by table."""
