"""`opsmeter prices show`: what is charged for a model, by which row, since when, and why."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json, print_table
from opsmeter_pipeline.model.clock import parse_rfc3339, utc_now
from opsmeter_pipeline.model.price_errors import (
    PriceQuestionError,
)
from opsmeter_pipeline.model.wire import ENVIRONMENTS, SERVICE_TIERS
from opsmeter_pipeline.settings import Settings, load_settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.own_book import open_own_book
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import PriceLog, empty_log, read_log
from opsmeter_pipeline.storage.price_show import (
    PricesKnown,
    Request,
    explain_price,
    find_known,
    find_providers,
)
from opsmeter_pipeline.storage.price_versions import Sources

_DAY_LENGTH = 10
_CHARGES = ("token_class", "unit", "usd_per_unit", "usd_per_mtok", "has_own_row")
_WHEN = ("valid_from", "valid_to", "window_start", "window_end", "tier_operator",
         "tier_threshold_tokens", "tier_scope", "service_tier", "environment",
         "tenant_id")  # fmt: skip
_SOME_ROWS = 12


class Asked(NamedTuple):
    """What a person asked for, as typed; see the options of the command."""

    model: str
    provider: str | None
    at: str | None
    tier: str
    tenant: str
    environment: str
    input_tokens: int
    as_of: str | None


def show_command(asked: Asked, *, home: Path | None, as_json: bool) -> None:
    """Print an explanation for each provider that has the model, or for the one asked for.

    Raises:
        PriceQuestionError: a time, tier or environment is none, or nobody has such a model.
    """
    _require("--tier", asked.tier, SERVICE_TIERS)
    _require("--environment", asked.environment, ENVIRONMENTS)
    now = utc_now()
    at = _instant("--at", asked.at) or now
    settings = load_settings(home=home)
    sources = Sources(PriceBook(), open_own_book(settings))
    known = find_known(Lake(settings.warehouse), _read_log(settings, asked.as_of), sources, now=now)
    explained = [
        explain_price(
            Request(provider, asked.model, at, asked.tier, asked.environment, asked.tenant,
                    asked.input_tokens),
            sources,
            known,
        )
        for provider in _providers(asked, settings, sources, known)
    ]  # fmt: skip
    if as_json:
        print_json({"as_of": asked.as_of, "prices": explained})
        return
    for one in explained:
        _print(one)


def _read_log(settings: Settings, as_of: str | None) -> PriceLog:
    """Return what was known then; before the first run nothing was."""
    until, lake = _instant("--as-of", as_of), Lake(settings.warehouse)
    log = read_log(lake, until=until) if lake.exists else empty_log()
    if until and log.rows.is_empty():
        what = f"No prices were known at {as_of}."
        raise PriceQuestionError(what, "Ask for a time after the first run.")
    return log


def _providers(asked: Asked, settings: Settings, sources: Sources, known: PricesKnown) -> list[str]:
    if asked.provider is not None:
        return [asked.provider]
    found = find_providers(
        Lake(settings.warehouse), sources.book, known, model=asked.model, now=utc_now()
    )
    if not found:
        what = f"No provider has a model {asked.model!r}."
        raise PriceQuestionError(what, "Name the one you call it at with --provider.")
    return found


def _require(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        what = f"{option} {value!r} is none."
        raise PriceQuestionError(what, f"It is one of {', '.join(known)}.")


def _instant(option: str, text: str | None) -> datetime | None:
    """Return a time as typed, or the first instant of a UTC day."""
    if text is None:
        return None
    found = None
    with suppress(ValueError):  # a month 13 has the shape of a time
        found = parse_rfc3339(f"{text}T00:00:00Z" if len(text) == _DAY_LENGTH else text)
    if found is None:
        what, remedy = f"{option} {text!r} is no time.", "Write 2026-01-31T12:00:00Z or a date."
        raise PriceQuestionError(what, remedy)
    return found


def _print(one: Mapping[str, Any]) -> None:
    called = f"{one['provider']} {one['model']}"
    means = f", which means {one['means']}" if one["means"] else ""
    out.print(escape(f"{called}{means}"), style="bold", soft_wrap=True)
    if one["model_id"]:
        matched = f"  is {one['provider_id']}/{one['model_id']}, matched by {one['matched_by']}"
        out.print(escape(matched), soft_wrap=True)
    if one["unpriced_reason"]:
        out.print(escape(f"  has no price: {one['unpriced_reason']}"), soft_wrap=True)
    else:
        whose = (
            f"  {one['price_id']}\n  from {one['source']} {one['source_version']}, in force since "
            f"{one['in_force_since'] or 'now'} ({one['in_force_by']})"
        )
        out.print(escape(whose), soft_wrap=True)
        print_table([{name: row[name] for name in _CHARGES} for row in one["charges"]],
                    title="what is charged")  # fmt: skip
    for name, title in (("rows", "rows that count"), ("other_rows", "rows that do not count here")):
        rows = [_shorten(row) for row in one[name]]
        if rows:
            print_table(rows[:_SOME_ROWS], title=f"{title} ({len(rows)})")


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the catalogue for a person: its conditions as one text."""
    when = [f"{name} {row[name]}" for name in _WHEN if row[name] is not None]
    names = ("price_id", "token_class", "price_usd_per_unit")
    return {name: row[name] for name in names} | {"only": ", ".join(when)}
