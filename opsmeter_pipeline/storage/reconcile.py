"""What the warehouse has of the days and providers that an export speaks for. Reading only.

Sums come from the cube. What the cube does not hold, the tokens without a price and what failed
and inferred attempts cost, is read from `events`, only where the cube says that there is some.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.probe import PROBE_ENDPOINT
from opsmeter_pipeline.model.sql import FAILED
from opsmeter_pipeline.model.statement import COST, MEASURES, Span
from opsmeter_pipeline.model.statement_errors import StatementFileError
from opsmeter_pipeline.price import provider_id_of, spelling_of
from opsmeter_pipeline.price.own_names import Name, name_meant
from opsmeter_pipeline.price.own_rows import OWN_SOURCE
from opsmeter_pipeline.reconcile import Key, Known, Period, Refused, Uncovered, Warehouse
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import read_log
from opsmeter_pipeline.storage.price_versions import read_version

_SPANS = "SELECT unnest($5::TIMESTAMPTZ[]) AS start_at, unnest($6::TIMESTAMPTZ[]) AS end_at"
_CHOSEN = f"""
    {{at}} >= $1::TIMESTAMPTZ AND {{at}} < $2::TIMESTAMPTZ
    AND (environment = $3 OR $3 IS NULL) AND (data_mode = $4 OR $4 IS NULL)
    AND endpoint_tag <> '{PROBE_ENDPOINT}'
"""
"""Not of probes: they name a model and never called it."""
_UNBILLED = f"attempt_inferred OR {FAILED}"
_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
_SUM_TOKENS = ", ".join(f"sum({name}) AS {name}" for name in _TOKENS)
_CUBE = f"""
    WITH spans AS ({_SPANS})
    SELECT (hour_at AT TIME ZONE 'UTC')::DATE AS day, provider, model,
        start_at IS NOT NULL AS is_covered,
        coalesce(visible_at > $7::TIMESTAMPTZ, false) AS is_late,
        sum(attempts) AS requests, {_SUM_TOKENS}, sum(cost_usd) AS cost_usd,
        sum(unpriced_attempts + failures + inferred_attempts) AS odd
    FROM attribution_hourly
    JOIN (SELECT batch_id, visible_at FROM ingest_batches) USING (batch_id)
    LEFT JOIN spans ON hour_at >= start_at AND hour_at < end_at
    WHERE attempts > 0 AND {_CHOSEN.format(at="hour_at")}
    GROUP BY ALL ORDER BY ALL
"""
_ODD = f"""
    WITH spans AS ({_SPANS})
    SELECT (occurred_at AT TIME ZONE 'UTC')::DATE AS day, provider, model,
        count(*) FILTER (cost_usd IS NULL) AS unpriced_attempts,
        coalesce(sum(input_tokens + output_tokens) FILTER (cost_usd IS NULL), 0)
            AS unpriced_tokens,
        count(*) FILTER ({_UNBILLED}) AS requests,
        {", ".join(f"coalesce(sum({name}) FILTER ({_UNBILLED}), 0) AS {name}"
                   for name in (*_TOKENS, "cost_usd"))}
    FROM events JOIN spans ON occurred_at >= start_at AND occurred_at < end_at
    WHERE (cost_usd IS NULL OR {_UNBILLED}) AND {_CHOSEN.format(at="occurred_at")}
    GROUP BY ALL ORDER BY ALL
"""  # fmt: skip
_TOLD = ", ".join(f"{name} IS NOT NULL AS has_{name}" for name in (*_TOKENS, "estimated_cost_usd"))
_CALLED_AT = "least(coalesce(occurred_at, ingested_at), ingested_at)"
_REFUSED = f"""
    SELECT ({_CALLED_AT} AT TIME ZONE 'UTC')::DATE AS day, rule, provider, model,
        {_TOLD},
        count(*) AS lines, {_SUM_TOKENS}, sum(estimated_cost_usd) AS cost_usd
    FROM quarantine
    WHERE {_CALLED_AT} >= $1::TIMESTAMPTZ AND {_CALLED_AT} < $2::TIMESTAMPTZ
    GROUP BY ALL ORDER BY ALL
"""
"""A refused line has the day it tells, unless that is later than its landing, else that of its
landing. Lines that tell other things are other rows, so that no sum leaves a line out."""
_TAKEN_THROUGH = """
    SELECT least(
        (SELECT max(landed_at) FROM ingest_files),
        (SELECT arg_max(complete_through, number) - to_seconds(
            arg_max(if(waiting_files > 0, lateness_allowance_seconds, 0), number)
        ) FROM watermarks)
    )
"""
"""Events lie in files that land up to the allowance later, so of what waits some may be older."""


@dataclass(frozen=True)
class Traffic:
    """Which events are compared.

    Attributes:
        environment: prod, staging or dev; None is all, as a provider bills all.
        data_mode: real, test or demo; likewise.
    """

    environment: str | None = None
    data_mode: str | None = None


def read_export(path: Path) -> str:
    """Return the text of an export, without a byte order mark.

    Raises:
        StatementFileError: there is no such file, or it is no text.
    """
    try:
        content = path.read_bytes()
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as exc:
        raise StatementFileError(str(path), exc.strerror or type(exc).__name__) from exc
    except UnicodeDecodeError as exc:
        raise StatementFileError(str(path), "it is no UTF-8 text; unpack it first") from exc


def read_own_aliases(lake: Lake) -> dict[Name, Name]:
    """Return what each alias of the user's prices in force means.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    return read_version(lake, OWN_SOURCE, read_log(lake).in_force(OWN_SOURCE)).aliases


def resolve_keys(
    book: PriceBook,
    names: Collection[tuple[str, str | None]],
    *,
    aliases: Mapping[Name, Name],
    now: datetime,
) -> dict[tuple[str, str | None], Key]:
    """Return what providers and models are in the catalogue's spelling, as for events.

    The provider is the one that was called, not one whose prices it borrows or whose model an
    alias means: it sends the bill. A model that the catalogue does not know keeps its clean name.
    """
    asked = sorted({(provider, model) for provider, model in names if model is not None})
    meant = [name_meant(name, aliases) for name in asked]
    told = ("called_provider_id", "model_id")
    found = book.resolve(meant, now=now).select(told).iter_rows()
    keys: dict[tuple[str, str | None], Key] = {
        name: Key(
            (called if means == name else None) or provider_id_of(name[0]),
            model_id or spelling_of(means[1], provider=means[0]),
        )
        for name, means, (called, model_id) in zip(asked, meant, found, strict=True)
    }
    alone = {(provider, None): Key(provider_id_of(provider), None) for provider, _ in names}
    return keys | alone


def read_warehouse(  # noqa: PLR0913 - what is asked of it
    lake: Lake,
    book: PriceBook,
    *,
    providers: Sequence[str],
    aliases: Mapping[Name, Name],
    period: Period,
    spans: Sequence[Span],
    traffic: Traffic,
    exported_at: datetime | None,
    now: datetime,
) -> Warehouse:
    """Return the sums of the providers' events in the period.

    Args:
        lake: the warehouse.
        book: resolves the names of events as it does for their prices.
        providers: whose events, in any spelling.
        aliases: what `read_own_aliases` returned.
        period: UTC days on which they occurred.
        spans: the hours that the export speaks for.
        traffic: which environment and data mode.
        exported_at: batches that became visible after it are late; None is none.
        now: the present moment (UTC).

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    asked = [start_of_day(period.start), start_of_day(period.end), traffic.environment,
             traffic.data_mode, [span.start_at for span in spans],
             [span.end_at for span in spans]]  # fmt: skip
    with lake.connect(read_only=True, all_cores=True) as con:
        sums = fetch(con, _CUBE, [*asked, exported_at]).to_dicts()
        odd = fetch(con, _ODD, asked).to_dicts() if any(row["odd"] for row in sums) else []
        refused = fetch(con, _REFUSED, asked[:2]).to_dicts()
        taken_through = fetch(con, _TAKEN_THROUGH).item()
    wanted = {provider_id_of(provider) for provider in providers}
    named = [row for row in (*sums, *refused) if row["provider"] and row["model"]]
    names = {(row["provider"], row["model"]) for row in named}
    keys = resolve_keys(book, names, aliases=aliases, now=now)
    own = [row for row in sums if keys[row["provider"], row["model"]].provider in wanted]
    places = {(row["day"], row["provider"], row["model"]) for row in own if row["is_covered"]}
    rare = [row for row in odd if (row["day"], row["provider"], row["model"]) in places]
    return Warehouse(
        known=tuple(
            [_to_known(row, keys) for row in own if row["is_covered"]]
            + [_to_rare(row, keys) for row in rare]
        ),
        refused=tuple(_to_refused(row, keys) for row in refused),
        uncovered=tuple(_sum_uncovered(row for row in own if not row["is_covered"])),
        taken_through=taken_through,
        attempts=_count_attempts(sums),
    )


def _to_known(row: Mapping[str, Any], keys: Mapping[tuple[str, str | None], Key]) -> Known:
    amounts = {name: Decimal(row[name]) for name in MEASURES}
    return Known(
        row["day"],
        keys[row["provider"], row["model"]],
        amounts,
        late=amounts if row["is_late"] else {},
        names=frozenset({row["model"]}),
    )


def _to_rare(row: Mapping[str, Any], keys: Mapping[tuple[str, str | None], Key]) -> Known:
    """Return what only events tell, with no amount of its own."""
    return Known(
        row["day"],
        keys[row["provider"], row["model"]],
        {},
        unbilled={name: Decimal(row[name]) for name in MEASURES},
        unpriced_attempts=int(row["unpriced_attempts"]),
        unpriced_tokens=int(row["unpriced_tokens"]),
    )


def _to_refused(row: Mapping[str, Any], keys: Mapping[tuple[str, str | None], Key]) -> Refused:
    """Return refused lines that tell the same things; without a model they may be of any."""
    is_told = row["provider"] and row["model"]
    return Refused(
        row["day"],
        row["rule"],
        row["lines"],
        keys[row["provider"], row["model"]] if is_told else None,
        {name: Decimal(row[name]) for name in (*_TOKENS, COST) if row[name] is not None},
    )


def _count_attempts(rows: Iterable[Mapping[str, Any]]) -> dict[date, int]:
    days: dict[date, int] = {}
    for row in rows:
        days[row["day"]] = days.get(row["day"], 0) + int(row["requests"])
    return days


def _sum_uncovered(rows: Iterable[Mapping[str, Any]]) -> Iterable[Uncovered]:
    days: dict[date, Uncovered] = {}
    for row in rows:
        day = row["day"]
        before = days.get(day, Uncovered(day, 0, Decimal()))
        days[day] = Uncovered(
            day, before.attempts + int(row["requests"]), before.cost_usd + Decimal(row["cost_usd"])
        )
    return days.values()
