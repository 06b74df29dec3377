"""How freshness stands now: what was visible and how late, and what waits in the landing.

Reading only. Asked by `opsmeter status`, and by whoever must know whether the promise is kept; a
stopped pipeline is seen at once, because the landing itself is asked what waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import polars as pl

from opsmeter_pipeline.freshness.slo import (
    WINDOWS,
    JudgedSlo,
    SloState,
    Tally,
    find_percentile,
    find_worst,
    judge_slo,
)
from opsmeter_pipeline.freshness.waiting import Waiting, count_waiting
from opsmeter_pipeline.model.objective import Scope, Slo
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.probes import LAST_PROBE
from opsmeter_pipeline.storage.survey import Survey, survey_landing
from opsmeter_pipeline.storage.waiting import list_waiting

LAST_HOUR = timedelta(hours=1)
_LIVE = "kind = 'live' AND data_mode = 'real'"
_PAIRS = f"""
    SELECT environment, endpoint_tag, max(visible_at) AS last_at FROM freshness_lags
    WHERE {_LIVE} AND visible_at > ? GROUP BY ALL
"""
_TALLIES = f"""
    WITH pairs AS (
        SELECT unnest(?::VARCHAR[]) AS environment, unnest(?::VARCHAR[]) AS endpoint_tag,
            unnest(?::INTEGER[]) AS nth, unnest(?::BIGINT[]) AS allowed
    ), judged AS (
        SELECT nth, events, lag_up_to_seconds > allowed AS is_late,
            CASE WHEN is_late THEN oldest_ingested_at + to_seconds(allowed) ELSE visible_at END
                AS judged_at, CASE {{windows}} END AS window_seconds
        FROM freshness_lags JOIN pairs USING (environment, endpoint_tag)
        WHERE {_LIVE} AND visible_at > ?
    )
    SELECT nth, window_seconds,
        coalesce(sum(events) FILTER (NOT is_late), 0)::BIGINT AS good,
        coalesce(sum(events) FILTER (is_late), 0)::BIGINT AS late,
        coalesce(sum(events) FILTER (is_late IS NULL), 0)::BIGINT AS clock
    FROM judged WHERE window_seconds IS NOT NULL GROUP BY nth, window_seconds
"""
"""An event is judged when it was visible, or when it had been late, whichever came first."""
_HOUR = f"""
    SELECT lag_up_to_seconds AS lag, sum(events)::BIGINT AS events FROM freshness_lags
    WHERE {_LIVE} AND environment = 'prod' AND visible_at > ? AND lag IS NOT NULL GROUP BY lag
"""


@dataclass(frozen=True)
class Freshness:
    """How freshness stands at a moment.

    Attributes:
        now: that moment (UTC).
        state: of all objectives together; met only if each is.
        slos: by objective, as the settings order them; production's own is the last.
        last_hour: production's events that were visible in the last hour, and those that wait, by
            production's own limit.
        p95_seconds: lag that 95 % of them do not exceed; of what waits the lag so far. None
            without any.
        waiting: what is not visible yet.
        oldest_waiting_at: since when the oldest of it waits (UTC); None if nothing does.
        complete_through: no file that landed before waits (UTC).
        last_event_at: when a live event was visible last within the window (UTC); None if never.
        last_probe_at: when the page last showed a probe (UTC); None if it never did.
    """

    now: datetime
    state: SloState
    slos: tuple[JudgedSlo, ...]
    last_hour: Tally
    p95_seconds: int | None
    waiting: tuple[Waiting, ...]
    oldest_waiting_at: datetime | None
    complete_through: datetime
    last_event_at: datetime | None
    last_probe_at: datetime | None


def read_freshness(settings: Settings, *, now: datetime) -> Freshness:
    """Return how freshness stands in a home now, by one look at its landing and warehouse.

    Args:
        settings: of the home, with its landing (`settings.read_claim`).
        now: the present (UTC).

    Raises:
        LandingMissingError: nobody can tell what waits, so freshness is unknown.
        WarehouseMissingError: nothing was ever published.
    """
    lake, landing = Lake(settings.warehouse), Landing(settings.landing_root)
    survey = survey_landing(landing, lake, settings=settings, now=now)
    return judge_freshness(lake, survey, settings=settings)


def judge_freshness(lake: Lake, survey: Survey, *, settings: Settings) -> Freshness:
    """Return how freshness stood at a look at the landing; for a caller that has looked."""
    slo, now = settings.slo, survey.now
    scopes = slo.scopes
    window = timedelta(days=max(scope.objective.window_days for scope in scopes))
    waiting = list_waiting(lake, survey, settings=settings)
    with lake.connect(read_only=True, all_cores=True) as con:
        pairs = fetch(con, _PAIRS, [now - window])
        windows = sorted({*WINDOWS, *(timedelta(days=one.objective.window_days) for one in scopes)})
        tallies = _read_tallies(con, pairs, slo, windows=windows, now=now)
        lags: dict[int, float] = dict(fetch(con, _HOUR, [now - LAST_HOUR]).iter_rows())
        last_probe_at: datetime | None = fetch(con, LAST_PROBE).item()
    last_event_at = max(pairs["last_at"].to_list(), default=None)
    slos = tuple(
        judge_slo(
            scope,
            tallies[scope.name],
            now=now,
            silence=timedelta(seconds=slo.silence_seconds),
            last_event_at=last_event_at,
            last_probe_at=last_probe_at,
            waiting=count_waiting(
                waiting, scope.name, now=now, limit_seconds=scope.objective.limit_seconds
            ),
        )
        for scope in scopes
    )
    return Freshness(
        now,
        find_worst(slos),
        slos,
        _tally_hour(lags, waiting, slo, now=now),
        find_percentile(_with_waiting(lags, waiting, scopes, now=now), Decimal("0.95")),
        tuple(waiting),
        min((one.since for one in waiting), default=None),
        survey.watermark(lake, settings).complete_through,
        last_event_at,
        last_probe_at,
    )


def tally_window(lake: Lake, slo: Slo, *, window: timedelta, now: datetime) -> dict[str, Tally]:
    """Return the visible events of each scope, by name, that were judged within a window."""
    with lake.connect(read_only=True, all_cores=True) as con:
        pairs = fetch(con, _PAIRS, [now - window])
        tallies = _read_tallies(con, pairs, slo, windows=[window], now=now)
    return {name: of_windows[window] for name, of_windows in tallies.items()}


def _read_tallies(
    con: duckdb.DuckDBPyConnection,
    pairs: pl.DataFrame,
    slo: Slo,
    *,
    windows: Sequence[timedelta],
    now: datetime,
) -> dict[str, dict[timedelta, Tally]]:
    """Return the tally of each scope, by name, in each window; the longest window is the last."""
    scopes = slo.scopes
    found = [
        (environment, endpoint, scopes.index(scope), scope.objective.limit_seconds)
        for environment, endpoint in pairs.select("environment", "endpoint_tag").iter_rows()
        if (scope := slo.find_scope(environment, endpoint))
    ]
    columns = [list(column) for column in zip(*found, strict=True)] or [[]] * 4
    whens = (
        f"WHEN judged_at > TIMESTAMPTZ '{now - window}' THEN {window.total_seconds():.0f}"
        for window in windows
    )
    sql = _TALLIES.format(windows=" ".join(whens))
    tallies = {one.name: dict.fromkeys(windows, Tally()) for one in scopes}
    for nth, seconds, *counts in fetch(con, sql, [*columns, now - windows[-1]]).iter_rows():
        # Told is the shortest window an event falls into; it falls into all longer ones too.
        own = tallies[scopes[nth].name]
        for window in (one for one in windows if one.total_seconds() >= seconds):
            own[window] = Tally(*(a + b for a, b in zip(own[window], counts, strict=True)))
    return tallies


def _tally_hour(
    lags: Mapping[int, float], waiting: Sequence[Waiting], slo: Slo, *, now: datetime
) -> Tally:
    """Return production's events of the last hour by its own limit, what is late already too."""
    limit = slo.limit_seconds
    late = sum(
        count_waiting(waiting, scope.name, now=now, limit_seconds=limit)[1]
        for scope in slo.scopes
        if scope.environment == "prod"
    )
    good = sum(events for lag, events in lags.items() if lag <= limit)
    return Tally(int(good), int(sum(lags.values()) - good) + late)


def _with_waiting(
    lags: Mapping[int, float], waiting: Sequence[Waiting], scopes: Sequence[Scope], *, now: datetime
) -> dict[int, float]:
    """Return lags with those of production's lines that wait, as far as they have grown."""
    production = [scope.name for scope in scopes if scope.environment == "prod"]
    every = dict(lags)
    for one in waiting:
        share = sum(one.shares.get(name, 0.0) for name in production)
        lag = one.mean_lag_seconds(now=now)
        every[lag] = every.get(lag, 0.0) + one.lines * share
    return every
