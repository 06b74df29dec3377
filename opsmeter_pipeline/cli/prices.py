"""`opsmeter prices pending`, `accept` and `check`: versions that move prices far, and own files."""

import getpass
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json, print_table, spell_command
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.model.price_errors import (
    NothingWaitsError,
    OwnPricesError,
)
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.settings import Settings, load_settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.own_book import read_own_book
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import (
    ACCEPTED,
    Decision,
    PriceLog,
    append_decisions,
)
from opsmeter_pipeline.storage.price_versions import (
    NO_PRICES,
    compare_own,
    find_moves_of,
    find_unknown_aliases,
    list_own,
    list_package,
    settle_prices,
)
from opsmeter_pipeline.storage.staging import Staging

_SHOWN_MOVES = 20
_MILLION = 1_000_000
_UNITS = ("request", "web_search")


def pending_command(*, home: Path | None, as_json: bool) -> None:
    """Print the versions that wait, with the prices they move.

    Raises:
        OwnPricesError: the user's file cannot be used.
        WarehouseMissingError: nothing has been priced yet.
    """
    opened = _open(load_settings(home=home))
    log = _settle(opened)
    waiting = [_describe(opened, log, one) for one in log.waiting()]
    if as_json:
        print_json({"waiting": waiting})
        return
    for one in waiting:
        _print_waiting(one)
    if waiting:
        out.print(f"Accept with: {escape(spell_command(home))} prices accept", soft_wrap=True)
    else:
        out.print("No prices wait.")


def accept_command(
    version: str | None, *, by: str | None, home: Path | None, as_json: bool
) -> None:
    """Let what waits price from now on, and print what was accepted.

    Raises:
        NothingWaitsError: this version does not wait.
        PricesOvertakenError: another process decided at the same time.
    """
    opened = _open(load_settings(home=home))
    log = _settle(opened)
    waiting = [one for one in log.waiting() if version in (None, one.source_version)]
    if version is not None and not waiting:
        raise NothingWaitsError(version, [one.source_version for one in log.waiting()])
    accepted = [_describe(opened, log, one) for one in waiting]
    who, now = by or getpass.getuser(), utc_now()
    reason = "a person accepted it"
    decisions = [
        Decision(one.source, one.source_version, ACCEPTED, reason, one.moved_prices, who, now)
        for one in waiting
    ]
    append_decisions(opened.lake, log, decisions)
    if as_json:
        print_json({"accepted": accepted, "by": who, "at": now})
        return
    for one in accepted:
        _print_waiting(one)
        out.print(f"Accepted by {escape(who)}: {one['source']} {one['source_version']} prices now.")
    if not accepted:
        out.print("No prices wait.")


def check_command(file: Path | None, *, home: Path | None, as_json: bool) -> None:
    """Print what a file of own prices holds, the home's if none is named, and which are far off.

    Raises:
        OwnPricesError: it cannot be used.
    """
    settings = load_settings(home=home)
    if file is None and settings.prices is None and not settings.prices_file.exists():
        text = f"There is no {settings.prices_file}: the package's prices alone count."
        print_json({"file": None}) if as_json else out.print(escape(text), soft_wrap=True)
        return
    file = file or settings.prices_file
    own, book, now = read_own_book(file, is_required=True), PriceBook(), utc_now()
    unknown = find_unknown_aliases(book, own, now=now)
    if unknown:
        raise OwnPricesError(str(file), unknown)
    moves = compare_own(book, list_package(book, now=now), NO_PRICES, list_own(own, now=now))
    prices, aliases = len(own.entries.prices), len(own.entries.aliases)
    if as_json:
        print_json({"file": str(file), "version": own.version, "prices": prices,
                    "aliases": aliases, "moves": moves.to_dicts()})  # fmt: skip
        return
    out.print(f"{escape(str(file))} is good: {prices} prices, {aliases} aliases, "
              f"version {own.version}.", soft_wrap=True)  # fmt: skip
    if moves.height:
        _print_moves(moves.to_dicts(), title="50 % or more away from the package's prices")


def _open(settings: Settings) -> HomeResource:
    if not Lake(settings.warehouse).exists:
        raise WarehouseMissingError(settings.home)
    return HomeResource(home=str(settings.home))


def _settle(home: HomeResource) -> PriceLog:
    with _own_staging(home.settings) as staging:
        by = getpass.getuser()
        return settle_prices(home.lake, home.price_sources(), staging, by=by, now=utc_now())


@contextmanager
def _own_staging(settings: Settings) -> Generator[Staging]:
    staging = Staging(settings.staging, f"prices-{uuid4()}")
    try:
        yield staging
    finally:
        staging.delete()


def _describe(home: HomeResource, log: PriceLog, one: Decision) -> dict[str, Any]:
    moves = find_moves_of(home.lake, home.price_sources().book, log, one)
    return {
        "source": one.source,
        "source_version": one.source_version,
        "in_force": log.in_force(one.source),
        "since": one.decided_at,
        "moved_prices": one.moved_prices,
        "moves": moves.to_dicts(),
    }


def _print_waiting(one: Mapping[str, Any]) -> None:
    told = (
        f"{one['source']} {one['source_version']}, in place of {one['in_force'] or 'no prices'}, "
        f"since {one['since']:%Y-%m-%d %H:%M} UTC"
    )
    _print_moves(one["moves"], title=told)


def _print_moves(moves: Sequence[Mapping[str, Any]], *, title: str) -> None:
    print_table([_shorten(move) for move in moves[:_SHOWN_MOVES]], title=title)
    if len(moves) > _SHOWN_MOVES:
        out.print(f"... and {len(moves) - _SHOWN_MOVES} more; --json has them all.")


def _shorten(move: Mapping[str, Any]) -> dict[str, object]:
    """Return a move for a person: per million tokens, and only for whom it is not for all."""
    limits = [move[name] for name in ("environment", "tenant_id", "service_tier") if move[name]]
    if move["input_tokens"] > 1:
        limits.append(f"from {move['input_tokens']} input tokens")
    former, new = (_spell(move, name) for name in ("former_usd_per_unit", "new_usd_per_unit"))
    return {
        "provider": move["provider"],
        "model": move["model"],
        "classes": move["token_class"],
        "from_usd": former,
        "to_usd": new,
        "at": f"{move['occurred_at']:%Y-%m-%d %H:%M}",
        "only": ", ".join(limits),
    }


def _spell(move: Mapping[str, Any], name: str) -> str:
    """Return a price as text: per million tokens, or per unit of a class that is no tokens."""
    usd = move[name]
    if usd is None:
        return "no price"
    each = usd if move["token_class"] in _UNITS else usd * _MILLION
    return f"{each.normalize():f}"
