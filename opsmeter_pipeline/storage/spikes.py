"""The hours that spikes are looked for in, read on one snapshot, and the table that keeps them.

Reads the judged windows once, by all dimensions, and of the weeks before only the series that can
have a spike. What is one is decided in `spikes`, what drove it is asked of `drivers`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import polars as pl

from opsmeter_pipeline.drivers import SPIKE_LIMITS, explain_change
from opsmeter_pipeline.drivers.rows import describe_finding
from opsmeter_pipeline.drivers.windows import Comparison
from opsmeter_pipeline.lateness import end_of
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.sql import PRODUCTION
from opsmeter_pipeline.model.tables import SPIKES
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.spikes import (
    SPIKE_RULES,
    Search,
    Shares,
    Spike,
    SpikeRules,
    Traffic,
    find_concentrations,
    find_spikes,
    fold_spikes,
)
from opsmeter_pipeline.spikes.find import HISTORY, Known
from opsmeter_pipeline.spikes.rows import Advice, advise_plainly, build_rows
from opsmeter_pipeline.spikes.score import DAY
from opsmeter_pipeline.spikes.search import (
    ALL,
    PLACE,
    SUMS,
    WORKSPACE,
    choose_series,
    find_young,
    stack_series,
)
from opsmeter_pipeline.spikes.spike import CONCENTRATION
from opsmeter_pipeline.storage.drivers import read_compared
from opsmeter_pipeline.storage.lake import Lake, fetch, quote
from opsmeter_pipeline.storage.price_book import PriceBook

_EXPLAINED = 10
"""How many series are explained at most, those that cost most more than usual: each is a read of
two windows. The others get the plain control."""
_DRIVERS = 5
_SUM = {name: "DECIMAL(38,18)" if name.endswith("_usd") else "BIGINT" for name in SUMS}
_OF = {"tokens": "input_tokens + output_tokens"}
_LATE = "coalesce(taken_at > hour_at + $late, false)"


@dataclass(frozen=True)
class LateAddition:
    """What landed late of an old day: told apart, and no spike of it.

    Attributes:
        day: the UTC day it is of.
        kind: `live`, `backfill`, `replay` or `reprice`.
        requests: logical requests it added.
        cost_usd: cost it added.
    """

    day: str
    kind: str
    requests: int
    cost_usd: object


@dataclass(frozen=True)
class Looked:
    """What one look found.

    Attributes:
        search: the windows that were judged.
        spikes: what was found, each with what to do if it is told itself.
        caveats: what a reader must know before trusting it.
        late: what landed late of old days meanwhile.
    """

    search: Search
    spikes: Sequence[tuple[Spike, Advice | None]]
    caveats: Sequence[str]
    late: Sequence[LateAddition]


def read_rules(settings: Settings) -> SpikeRules:
    """Return from where on something is a spike, by the settings."""
    return SpikeRules(min_events=settings.spike_min_events, min_usd=settings.spike_min_usd)


def look_for_spikes(
    lake: Lake, book: PriceBook, search: Search, *, rules: SpikeRules = SPIKE_RULES
) -> Looked:
    """Return the spikes of the judged windows, with their drivers and controls.

    Args:
        lake: the warehouse.
        book: the installed prices, by which `drivers` weighs tokens.
        search: the windows.
        rules: from where on something is a spike.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    with lake.connect(read_only=True, all_cores=True) as con:
        traffic = read_traffic(con, search, rules)
        shares = read_shares(con, search, rules)
        late = _read_late(con, search, rules)
    start, end = search.span(DAY)
    found = [
        *fold_spikes(find_spikes(traffic, search, rules), traffic.cells, rules),
        *find_concentrations(shares, start_at=start, end_at=end, rules=rules),
    ]
    advice = _advise(lake, book, [one for one in found if one.is_lead])
    spikes = [(one, advice.get(one.series) if one.is_lead else None) for one in found]
    return Looked(search, spikes, _find_caveats(traffic, rules), late)


def read_traffic(con: duckdb.DuckDBPyConnection, search: Search, rules: SpikeRules) -> Traffic:
    """Return what the judged windows hold, and the weeks before of the series worth judging."""
    each = ", ".join(f"sum({_OF.get(name, name)})::{kind} AS {name}" for name, kind in _SUM.items())
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE cells_judged AS
        SELECT hour_at AS at, endpoint_tag, provider, model, tenant_id, {_LATE} AS is_late, {each}
        FROM attribution_hourly
        LEFT JOIN (SELECT batch_id, taken_at FROM ingest_batches) USING (batch_id)
        WHERE hour_at >= $start AND hour_at < $end AND {PRODUCTION} AND attempts > 0
        GROUP BY ALL""",
        {
            "late": timedelta(hours=1) + rules.late_after,
            "start": search.first_day_at,
            "end": search.end_at,
        },
    )
    cells = fetch(con, "FROM cells_judged")
    series = choose_series(stack_series(cells), rules)
    week, day = timedelta(weeks=1), timedelta(days=1)
    near = _read_known(con, search.shift_hours(by=week, times=rules.weeks))
    young = find_young(near.rows, series, search, rules)
    hours = [Known(near.rows.join(young, on=PLACE, how="anti"), near.times)]
    if not young.is_empty():
        spans = search.shift_hours(by=day, times=7 * rules.min_weeks)
        of_days = _read_known(con, spans, only=None if WORKSPACE in young["dimension"] else young)
        hours.append(Known(of_days.rows.join(young, on=PLACE, how="semi"), of_days.times))
    start, end = search.span(DAY)
    days = [(start - rules.weeks * week, start)] if start < end else []
    return Traffic(cells, series, tuple(hours), _read_known(con, days, unit="day"))


def _read_known(
    con: duckdb.DuckDBPyConnection,
    spans: Sequence[tuple[datetime, datetime]],
    *,
    unit: str = "hour",
    only: pl.DataFrame | None = None,
) -> Known:
    """Return the sums of all series in some spans of time, or of some of them.

    By the day, dates are grouped and not instants, which takes a third of the time.
    """
    ors = " OR ".join(f"hour_at >= {_at(a)} AND hour_at < {_at(b)}" for a, b in spans)
    at = "hour_at" if unit == "hour" else "(hour_at AT TIME ZONE 'UTC')::DATE"
    each = ", ".join(f"sum({_OF.get(name, name)})::{_SUM[name]} AS {name}" for name in HISTORY)
    chosen = " AND (" + " OR ".join(_tell_chosen(only)) + ")" if only is not None else ""
    rows = fetch(
        con,
        f"""SELECT CASE WHEN endpoint_tag IS NOT NULL THEN 'endpoint_tag'
                WHEN model IS NOT NULL THEN 'model'
                WHEN tenant_id IS NOT NULL THEN 'tenant_id' ELSE '{WORKSPACE}' END AS dimension,
            coalesce(provider, '') AS within,
            coalesce(endpoint_tag, model, tenant_id, '{ALL}') AS value, "at", {each}
        FROM (SELECT *, {at} AS at FROM attribution_hourly)
        WHERE ({ors or "false"}) AND {PRODUCTION} AND attempts > 0 {chosen}
        GROUP BY GROUPING SETS (
            (endpoint_tag, "at"), (provider, model, "at"), (tenant_id, "at"), ("at")
        )""",
    ).with_columns(pl.col("at").cast(INSTANT))
    if unit == "day":
        rows = rows.with_columns(pl.col("at").cast(pl.Date).cast(INSTANT))
    return Known(rows, rows.filter(dimension=WORKSPACE).select("at"))


def _tell_chosen(series: pl.DataFrame) -> list[str]:
    """Return the conditions of rows of some series."""
    return [
        f"{name} IN ({', '.join(map(quote, rows['value'].to_list()))})"
        for (name,), rows in series.partition_by("dimension", as_dict=True).items()
    ]


def _at(instant: datetime) -> str:
    return f"TIMESTAMPTZ '{instant.isoformat()}'"


def read_shares(con: duckdb.DuckDBPyConnection, search: Search, rules: SpikeRules) -> Shares:
    """Return what the largest tenants and users made of each day, and each day's total."""
    each = ", ".join(f"sum({_OF.get(name, name)})::{kind} AS {name}" for name, kind in _SUM.items())
    start, end = search.span(DAY)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE users_judged AS
        SELECT ((day)::TIMESTAMP AT TIME ZONE 'UTC') AS day_at, tenant_id, user_id,
            day < $start::DATE OR NOT coalesce(taken_at::DATE > day + $late, false) AS is_on_time,
            {each}
        FROM users_daily LEFT JOIN (SELECT batch_id, taken_at FROM ingest_batches) USING (batch_id)
        WHERE day >= $first::DATE AND day < $end::DATE AND {PRODUCTION} AND attempts > 0
        GROUP BY ALL""",
        {
            "start": start,
            "end": end,
            "first": start - timedelta(weeks=rules.share_weeks),
            "late": rules.late_after.days,
        },
    )
    sums = ", ".join(f"sum({name})::{kind} AS {name}" for name, kind in _SUM.items())
    days = f"SELECT day_at, {sums} FROM users_judged WHERE is_on_time GROUP BY ALL"
    places = {"tenant_id": "'' AS within, tenant_id", "user_id": "tenant_id AS within, user_id"}
    values = pl.concat(
        fetch(
            con,
            f"""WITH days AS ({days}), each AS (
                SELECT '{name}' AS dimension, {place} AS value, day_at, {sums}
                FROM users_judged WHERE is_on_time GROUP BY ALL
            ), large AS (
                SELECT DISTINCT within, value FROM each e JOIN days d USING (day_at)
                WHERE day_at >= $1 AND (e.requests >= $2 * d.requests
                    OR e.cost_usd::DOUBLE > 0 AND e.cost_usd::DOUBLE >= $2 * d.cost_usd::DOUBLE)
            )
            SELECT each.* FROM each SEMI JOIN large USING (within, value)""",
            [start, min(rules.share, rules.unknown_share)],
        )
        for name, place in places.items()
    )
    return Shares(fetch(con, days), values)


def read_spikes(lake: Lake) -> pl.DataFrame:
    """Return the rows of `spikes` that were judged last; older ones are history."""
    return lake.read(
        "SELECT * FROM spikes WHERE window_end_at > (SELECT max(judged_through) FROM spikes) "
        "- INTERVAL 8 DAY ORDER BY window_start_at, rule_window, dimension, within, value"
    )


def replace_spikes(lake: Lake, looked: Looked, *, now: datetime) -> pl.DataFrame:
    """Write what a look found in the place of what is known of the same windows; return its rows.

    Rows of older windows stay as they are, but for how far was judged meanwhile.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    search = looked.search
    rows = build_rows(looked.spikes, search, now=now)
    columns = ", ".join(SPIKES.schema)
    marks = ", ".join("?" for _ in SPIKES.columns)

    def write(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(
            """DELETE FROM spikes WHERE rule_window = '1h'
                AND window_start_at >= ? AND window_start_at < ?""",
            [search.start_at, search.end_at],
        )
        con.execute(
            """DELETE FROM spikes WHERE rule_window <> '1h'
                AND window_start_at >= ? AND window_start_at < ?""",
            [*search.span(DAY)],
        )
        con.execute(
            """UPDATE spikes SET judged_through =
                CASE WHEN rule_window = '1h' THEN $1::TIMESTAMPTZ ELSE $2::TIMESTAMPTZ END
            WHERE judged_through <
                CASE WHEN rule_window = '1h' THEN $1::TIMESTAMPTZ ELSE $2::TIMESTAMPTZ END""",
            [search.end_at, search.last_midnight],
        )
        if not rows.is_empty():
            con.executemany(f"INSERT INTO spikes ({columns}) VALUES ({marks})", rows.rows())

    lake.transact(write)
    return rows


def _advise(
    lake: Lake, book: PriceBook, leads: Sequence[Spike]
) -> dict[tuple[str, str, str], Advice]:
    """Return what to do about each series, by its spike that cost most more than usual."""
    worst: dict[tuple[str, str, str], Spike] = {}
    for one in sorted(leads, key=lambda o: (-o.extra_usd, o.window_start_at)):
        worst.setdefault(one.series, one)
    return {
        series: (_explain(lake, book, one) if number < _EXPLAINED else None) or advise_plainly(one)
        for number, (series, one) in enumerate(worst.items())
    }


def _explain(lake: Lake, book: PriceBook, spike: Spike) -> Advice | None:
    """Return the first driver of a spike against the same window a week, or a day, before."""
    back = timedelta(days=7 if spike.basis == "weekday" else 1)
    scope = {"endpoint_tag": {"endpoint_tag": spike.value},
             "model": {"provider": spike.within, "model": spike.value},
             "tenant_id": {"tenant_id": spike.value}}  # fmt: skip
    of = {} if spike.kind == CONCENTRATION else scope.get(spike.dimension, {})
    comparison = Comparison(
        spike.window_start_at - back, spike.window_start_at, spike.window_end_at,
        scope=tuple(of.items()),
    )  # fmt: skip
    compared = read_compared(lake, book, comparison, late_after=SPIKE_LIMITS.late_after)
    findings = explain_change(compared, comparison, limit=_DRIVERS).findings
    for finding, control in findings[:1]:
        return Advice(describe_finding(finding), control.text, control.verify_sql)
    return None


def _read_late(
    con: duckdb.DuckDBPyConnection, search: Search, rules: SpikeRules
) -> list[LateAddition]:
    """Return what changed, since the judged windows began, of days long reported by then."""
    found = fetch(
        con,
        f"""SELECT day::VARCHAR AS day, kind, sum(change_requests)::BIGINT AS requests,
            sum(change_cost_usd)::DECIMAL(38,18) AS cost_usd
        FROM late_changes WHERE visible_at >= $1 AND {end_of("day")} + $2 < visible_at
        GROUP BY ALL ORDER BY ALL""",
        [search.start_at, rules.late_after],
    )
    return [LateAddition(**row) for row in found.to_dicts()]


def _find_caveats(traffic: Traffic, rules: SpikeRules) -> list[str]:
    cells = traffic.cells.filter(~pl.col("is_late"))
    attempts, unpriced = (int(cells[n].sum() or 0) for n in ("attempts", "unpriced_attempts"))
    caveats: list[str] = []
    if attempts and unpriced:
        caveats.append(
            f"{unpriced:,} of {attempts:,} attempts have no price: what they cost is in no cost "
            f"here, but in requests and tokens."
        )
    by_endpoint = cells.group_by("endpoint_tag").agg(pl.col("cost_usd").sum()).sort(
        "cost_usd", "endpoint_tag", descending=[True, False]
    )  # fmt: skip
    total = Decimal(cells["cost_usd"].sum() or 0)
    if by_endpoint.height > 1 and total:
        tag, cost = by_endpoint.row(0)
        if cost > rules.top_share * total:
            caveats.append(f"{tag} makes {float(cost / total):.0%} of the cost.")
    return caveats
