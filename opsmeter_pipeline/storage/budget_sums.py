"""What budgets spent: sums of the cube by scope and hour, and of events where zones cut hours.

Reads the cube once, into cells by hour and the dimensions that budgets name; all scopes are summed
from these. What the sums mean is judged in `budget`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

import duckdb
import polars as pl

from opsmeter_pipeline.budget.changes import Part
from opsmeter_pipeline.budget.hours import HOUR, Usage, number_hour, start_of_hour
from opsmeter_pipeline.budget.judge import Spent, Top
from opsmeter_pipeline.budget.periods import Period
from opsmeter_pipeline.budget.plan import Asked
from opsmeter_pipeline.budget.states import Spend
from opsmeter_pipeline.model.budget import ANY, Budget
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.sql import OF_EVENT
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY
from opsmeter_pipeline.model.zones import Span
from opsmeter_pipeline.storage.lake import fetch, quote

REAL = "data_mode = 'real'"
"""The only traffic that budgets are of."""
_MEASURES = tuple(Spend.__annotations__)
_KINDS = {name: "DECIMAL(38,18)" if name.endswith("_usd") else "BIGINT" for name in _MEASURES}
_SUMS = ", ".join(f"sum({name})::{kind} AS {name}" for name, kind in _KINDS.items())
_EVENT_SUMS = ", ".join(
    f"coalesce(sum({OF_EVENT.get(name, name)}), 0)::{kind} AS {name}"
    for name, kind in _KINDS.items()
)
_BITS = 60
"""How many patterns of a column are told in one whole number."""
_HOUR = "epoch_us(hour_at) // 3600000000"
"""The number of an hour since 1970, as `budget.hours` counts them."""
_PRICED = ("cost_usd", "unpriced_low_usd", "unpriced_high_usd")
"""What of an event its measures are made of."""
TOP_COLUMNS = ("endpoint_tag", "tenant_id")
"""The dimensions whose largest part is told."""


@dataclass(frozen=True)
class _Scopes:
    """The distinct scopes of budgets, numbered; several budgets may be of one.

    A dimension is read as a number instead of its text: which of the names that budgets tell it is,
    0 for none, and as bits which of their patterns it fits. What no budget tells apart is one cell.

    Attributes:
        patterns: of each scope, a pattern for each column that is not of any value.
    """

    patterns: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, budgets: Iterable[Budget]) -> "_Scopes":
        seen = {tuple(one.patterns.items()): one.patterns for one in budgets}
        return cls([*seen.values()])

    def find(self, budget: Budget) -> int:
        return self.patterns.index(budget.patterns)

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """The names that are told of each column."""
        return self._list_told(is_pattern=False)

    @cached_property
    def wild(self) -> dict[str, list[str]]:
        """The patterns that are told of each column."""
        return self._list_told(is_pattern=True)

    @property
    def selected(self) -> list[str]:
        """What is selected of a row of the cube or of events to know its scopes."""
        named = [
            f"coalesce(list_position([{', '.join(map(quote, names))}], {column}), 0)::BIGINT "
            f"AS {column}_name"
            for column, names in self.names.items()
        ]
        fits = [
            f"({' + '.join(bits)})::BIGINT AS {column}_fits_{word}"
            for column, patterns in self.wild.items()
            for word, bits in enumerate(_to_bits(column, patterns))
        ]
        return [*named, *fits]

    def match(self, number: int) -> pl.Expr:
        """Return the condition on selected rows that they are of a scope."""
        fits = pl.lit(value=True)
        for column, pattern in self.patterns[number].items():
            if ANY in pattern:
                word, bit = divmod(self.wild[column].index(pattern), _BITS)
                fits &= (pl.col(f"{column}_fits_{word}") & (1 << bit)) != 0
            else:
                fits &= pl.col(f"{column}_name") == self.names[column].index(pattern) + 1
        return fits

    def _list_told(self, *, is_pattern: bool) -> dict[str, list[str]]:
        found: dict[str, dict[str, None]] = {}
        for column, pattern in (item for told in self.patterns for item in told.items()):
            if (ANY in pattern) is is_pattern:
                found.setdefault(column, {})[pattern] = None
        return {column: [*patterns] for column, patterns in found.items()}


def read_spent(
    con: duckdb.DuckDBPyConnection, asked: Sequence[Asked], *, since: datetime, until: datetime
) -> list[Spent]:
    """Return what the warehouse says of each budget and period, in the same order.

    Args:
        con: a connection within a transaction, so that all is of one snapshot.
        asked: budgets and periods.
        since: from when on hours are told at least; the periods' own always are.
        until: when nothing can have occurred yet.
    """
    if not asked:
        return []
    scopes = _Scopes.of(one.budget for one in asked)
    start_at = min(since, *(one.period.start_at for one in asked))
    pieces = _cut_parts((part for one in asked for part in one.period.parts), until=until)
    hours = _sum_scopes(scopes, _read_cells(con, scopes, start_at))
    cut = _sum_scopes(scopes, _read_pieces(con, scopes, pieces))
    parts = _sum_parts(asked, pieces, cut)
    spends = _sum_periods(asked, scopes, hours, parts)
    lows, part_lows = _read_lows(hours), _read_part_lows(parts)
    usages = [
        Usage(lows.get(number, {}), part_lows.get(number, {}))
        for number in range(len(scopes.patterns))
    ]
    return [
        Spent(spend, usages[scopes.find(one.budget)])
        for spend, one in zip(spends, asked, strict=True)
    ]


def read_tops(
    con: duckdb.DuckDBPyConnection, asked: Sequence[Asked]
) -> dict[tuple[str, str], dict[str, Top]]:
    """Return the largest part of each dimension that a budget is not of, by `Asked.key`.

    By whole UTC hours: the hour in which a period of a half-hour zone begins is not split. Of equal
    parts it is the first by name. The cube is read once for all.
    """
    if not asked:
        return {}
    scopes = _Scopes.of(one.budget for one in asked)
    edges = sorted({at for one in asked for at in (one.period.start_at, one.period.end_at)})
    after = " + ".join(f"(hour_at >= {_instant(at)})::BIGINT" for at in edges)
    selected = ", ".join([f"({after}) AS place", *TOP_COLUMNS, *scopes.selected])
    shares = fetch(
        con,
        f"""SELECT {selected}, sum(cost_usd)::DECIMAL(38,18) AS cost_usd FROM attribution_hourly
        WHERE {REAL} AND cost_usd > 0 AND hour_at >= {_instant(edges[0])} GROUP BY ALL""",
    )
    return {
        one.key: _find_tops(
            shares.filter(
                pl.col("place").is_between(
                    edges.index(one.period.start_at) + 1, edges.index(one.period.end_at)
                ),
                scopes.match(scopes.find(one.budget)),
            ),
            one.budget,
        )
        for one in asked
    }


def read_parts(
    con: duckdb.DuckDBPyConnection,
    budget: Budget,
    period: Period,
    batch_ids: Sequence[str],
    *,
    snapshot_id: int | None = None,
) -> dict[str, Part]:
    """Return what each of these batches has of a budget's period, now or in a past snapshot.

    Raises:
        duckdb.Error: the snapshot is gone.
    """
    at = "" if snapshot_id is None else f" AT (VERSION => {snapshot_id})"
    listed = f"batch_id IN ({', '.join(map(quote, batch_ids))})"
    where = f"{REAL} AND {listed} AND {_match(budget)}"
    runs = " OR ".join(
        f"hour_at >= {_instant(start_of_hour(first))} AND hour_at < {_instant(start_of_hour(end))}"
        for first, end in _list_runs(period)
    )
    pieces = [
        f"""SELECT batch_id, sum(attempts)::BIGINT AS attempts,
            sum(cost_usd)::DECIMAL(38,18) AS cost_usd FROM attribution_hourly{at}
        WHERE {where} AND ({runs}) GROUP BY ALL""",
        *(
            f"""SELECT batch_id, count(*)::BIGINT, coalesce(sum(cost_usd), 0)::DECIMAL(38,18)
            FROM events{at} WHERE {where} AND {_within(part)} GROUP BY ALL"""
            for part in period.parts
        ),
    ]
    sql = f"""SELECT batch_id, sum(attempts)::BIGINT, sum(cost_usd)::DECIMAL(38,18)
        FROM ({" UNION ALL ".join(pieces)}) GROUP BY ALL"""
    return {batch_id: Part(*sums) for batch_id, *sums in fetch(con, sql).iter_rows()}


def _find_tops(shares: pl.DataFrame, budget: Budget) -> dict[str, Top]:
    """Return the largest parts of the rows that are a budget's."""
    found: dict[str, Top] = {}
    for column in TOP_COLUMNS:
        if ANY not in budget.patterns.get(column, ANY):
            continue  # it is of one
        sums = shares.group_by(column).agg(pl.col("cost_usd").sum())
        largest = sums.sort("cost_usd", column, descending=[True, False]).head(1)
        found |= {column: Top(*row) for row in largest.rows()}  # noqa: B035 - there is one at most
    return found


def _to_bits(column: str, patterns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the bits of each whole number that says which patterns a column fits."""
    bits = [
        f"({column} LIKE {_like(one)} ESCAPE '\\')::BIGINT * {1 << nth % _BITS}"
        for nth, one in enumerate(patterns)
    ]
    yield from (bits[first : first + _BITS] for first in range(0, len(bits), _BITS))


def _read_cells(
    con: duckdb.DuckDBPyConnection, scopes: _Scopes, start_at: datetime
) -> pl.DataFrame:
    """Return the sums of the cube by hour and what budgets tell apart, `place` being the hour."""
    selected = ", ".join([f"({_HOUR})::BIGINT AS place", *scopes.selected, _SUMS])
    start_at = start_at.replace(minute=0, second=0, microsecond=0)
    return fetch(
        con,
        f"""SELECT {selected} FROM attribution_hourly
        WHERE {REAL} AND attempts > 0 AND hour_at >= {_instant(start_at)} GROUP BY ALL""",
    )


def _cut_parts(parts: Iterable[Span], *, until: datetime) -> dict[datetime, list[datetime]]:
    """Return where hours are cut, by the start of the hour: each hour is read once for all zones.

    Two zones may cut one hour at different minutes, so a part may be several pieces.
    """
    cuts: dict[datetime, set[datetime]] = {}
    for part in parts:
        if part.start < until:
            cuts.setdefault(part.hour_at, {part.hour_at}).update((part.start, part.end))
    ends = {hour_at: hour_at + HOUR for hour_at in cuts}
    return {hour_at: sorted(cuts[hour_at] - {end}) for hour_at, end in sorted(ends.items())}


def _read_pieces(
    con: duckdb.DuckDBPyConnection, scopes: _Scopes, pieces: Mapping[datetime, Sequence[datetime]]
) -> pl.DataFrame:
    """Return the same sums of the events of pieces of hours, `place` being the piece's start.

    As microseconds since 1970. Each hour is a query of its own, so that files are chosen by times.
    """
    kinds = {name: ATTRIBUTION_HOURLY.schema[name] for name in _MEASURES}
    if not pieces:
        told = [one.rsplit(" AS ", maxsplit=1)[-1] for one in scopes.selected]
        return pl.DataFrame(schema=dict.fromkeys(["place", *told], pl.Int64) | kinds)
    columns = ", ".join(["occurred_at", *_PRICED, *sorted({*scopes.names, *scopes.wild})])
    rows = " UNION ALL ".join(
        f"SELECT {columns} FROM events WHERE {REAL} AND occurred_at >= {_instant(hour_at)} "
        f"AND occurred_at < {_instant(hour_at + HOUR)}"
        for hour_at in pieces
    )
    starts = sorted(start for of_hour in pieces.values() for start in of_hour)
    cases = " ".join(
        f"WHEN occurred_at >= {_instant(start)} THEN {_number(start)}" for start in reversed(starts)
    )
    selected = ", ".join([f"(CASE {cases} END)::BIGINT AS place", *scopes.selected, _EVENT_SUMS])
    return fetch(con, f"SELECT {selected} FROM ({rows}) GROUP BY ALL")


def _sum_scopes(scopes: _Scopes, cells: pl.DataFrame) -> pl.DataFrame:
    """Return the sums of each scope and place."""
    return pl.concat(
        cells.filter(scopes.match(number))
        .group_by("place")
        .agg(pl.col(_MEASURES).sum())
        .select(pl.lit(number, pl.Int64).alias("scope"), "place", *_MEASURES)
        for number in range(len(scopes.patterns))
    )


def _sum_periods(
    asked: Sequence[Asked], scopes: _Scopes, hours: pl.DataFrame, parts: pl.DataFrame
) -> list[Spend]:
    """Return the sums of each budget and period: of its whole hours, and of parts at its ends."""
    keys = {"number": pl.Int64, "scope": pl.Int64}
    whole = pl.DataFrame(
        [
            (number, scopes.find(one.budget), first, last)
            for number, one in enumerate(asked)
            for first, last in _list_runs(one.period)
        ],
        schema=keys | {"first": pl.Int64, "last": pl.Int64},
        orient="row",
    ).with_columns(place=pl.int_ranges("first", "last")).explode("place")  # fmt: skip
    ends = pl.DataFrame(
        [
            (number, scopes.find(one.budget), part.start, part.end)
            for number, one in enumerate(asked)
            for part in one.period.parts
        ],
        schema=keys | {"start": INSTANT, "end": INSTANT},
        orient="row",
    )
    every = pl.concat([
        whole.join(hours, on=["scope", "place"]).select("number", *_MEASURES),
        ends.join(parts, on=["scope", "start", "end"]).select("number", *_MEASURES),
    ])  # fmt: skip
    sums = every.group_by("number").agg(pl.col(_MEASURES).sum()).iter_rows()
    by_number = {number: Spend(*measures) for number, *measures in sums}
    return [by_number.get(number, Spend()) for number in range(len(asked))]


def _sum_parts(
    asked: Sequence[Asked], pieces: Mapping[datetime, Sequence[datetime]], cut: pl.DataFrame
) -> pl.DataFrame:
    """Return the sums of each scope and part of an hour, from those of its pieces."""
    parts = dict.fromkeys(part for one in asked for part in one.period.parts)
    places = pl.DataFrame(
        [
            (_number(start), part.start, part.end)
            for part in parts
            for start in pieces.get(part.hour_at, ())
            if part.start <= start < part.end
        ],
        schema={"place": pl.Int64, "start": INSTANT, "end": INSTANT},
        orient="row",
    )
    keys = ["scope", "start", "end"]
    return cut.join(places, on="place").group_by(keys).agg(pl.col(_MEASURES).sum())


def _list_runs(period: Period) -> Iterator[tuple[int, int]]:
    """Yield the period's whole hours as runs of numbers, each with the first and the next one."""
    numbers = [number_hour(span.start) for span in period.spans if span.is_whole_hour]
    start = 0
    for nth in range(1, len(numbers) + 1):
        if nth == len(numbers) or numbers[nth] != numbers[nth - 1] + 1:
            yield numbers[start], numbers[nth - 1] + 1
            start = nth


def _read_lows(sums: pl.DataFrame) -> dict[int, dict[int, Decimal]]:
    """Return the least that was spent, by scope and place."""
    low = pl.col("cost_usd") + pl.col("unpriced_low_usd")
    found: dict[int, dict[int, Decimal]] = {}
    for scope, place, usd in sums.select("scope", "place", low).iter_rows():
        found.setdefault(scope, {})[place] = usd
    return found


def _read_part_lows(parts: pl.DataFrame) -> dict[int, dict[tuple[datetime, datetime], Decimal]]:
    """Return the same by scope and part of an hour."""
    low = pl.col("cost_usd") + pl.col("unpriced_low_usd")
    found: dict[int, dict[tuple[datetime, datetime], Decimal]] = {}
    for scope, start, end, usd in parts.select("scope", "start", "end", low).iter_rows():
        found.setdefault(scope, {})[start, end] = usd
    return found


def _match(budget: Budget) -> str:
    """Return the condition on rows of the cube or of events that a budget is of."""
    fits = [
        f"{column} LIKE {_like(pattern)} ESCAPE '\\'" for column, pattern in budget.patterns.items()
    ]
    return " AND ".join(fits) or "true"


def _like(pattern: str) -> str:
    r"""Return a pattern, in which only `*` stands for other text, as one of LIKE.

    >>> print(_like("support.*"), _like("50%_off"))
    'support.%' '50\%\_off'
    """
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return quote(escaped.replace(ANY, "%"))


def _within(part: Span) -> str:
    start, end = _instant(part.start), _instant(part.end)
    return f"occurred_at >= {start} AND occurred_at < {end}"


def _number(at: datetime) -> int:
    return (at - start_of_hour(0)) // timedelta(microseconds=1)


def _instant(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at}'"
