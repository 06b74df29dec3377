"""`opsmeter reprice`: published events by today's prices, and the list of what that changed."""

import getpass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import polars as pl
from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table, spell_command
from opsmeter_pipeline.cli.days import read_day
from opsmeter_pipeline.cli.ingest import run_job, warn_waiting
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.model.price_errors import (
    RepriceRangeError,
    RepriceReasonError,
    UnknownNameError,
)
from opsmeter_pipeline.model.tables import RESTATEMENTS
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import REPRICE_JOB_NAME, RepriceConfig, reprice_as
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.reprice import LISTED, sum_listed
from opsmeter_pipeline.settings import Settings, load_settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_log import read_log
from opsmeter_pipeline.storage.reprice import Choice, plan_reprice, settle_cards

_NEAR = 3
_PLACES = ("day", "provider", "model")
_LEFT = """
    SELECT coalesce(sum(unpriced_attempts), 0)::BIGINT FROM attribution_hourly
"""


class Asked(NamedTuple):
    """What a person asks for.

    Attributes:
        first: first UTC day of event time, as text; None is since ever.
        last: last day; None is until now.
        provider: as callers name it; None is all.
        model: as callers name it; None is all.
        priced_too: also events that have a price.
        reason: why, in the person's words; None is that prices were missing.
        is_dry: only tell what would change.
    """

    first: str | None
    last: str | None
    provider: str | None
    model: str | None
    priced_too: bool
    reason: str | None
    is_dry: bool


def reprice_command(asked: Asked, *, home: Path | None, as_json: bool) -> None:
    """Price the chosen events again by the prices in force now, and print what changed.

    Raises:
        UsageError: there is no such day, provider, model or warehouse, or no reason was given
            for changing what has a price.
        OwnPricesError: the user's own prices cannot be used.
        RunFailedError: the run failed; batches published before stay as they are.
    """
    settings = load_settings(home=home)
    lake = Lake(settings.warehouse)
    if not lake.exists:
        raise WarehouseMissingError(settings.home)
    choice = _choose(lake, asked)
    opened = HomeResource(home=str(settings.home))
    listed = _plan(opened, choice) if asked.is_dry else _reprice(settings, opened, asked)
    sums = sum_listed(listed)
    left = lake.read(_LEFT, all_cores=True).item()
    if asked.is_dry:
        left += sums["newly_unpriced_attempts"] - sums["newly_priced_attempts"]
    warn_waiting(read_log(lake), home)
    if as_json:
        document = {"is_dry_run": asked.is_dry, **sums, "left_unpriced": left}
        print_json(document | {"restatements": listed.to_dicts()})
        return
    _print_listed(listed, is_dry=asked.is_dry)
    if left:
        told = "would have no price still" if asked.is_dry else "have no price still"
        text = f"{left} events {told}. See: {spell_command(home)} query"
        err.print(escape(f'{text} "FROM unpriced_models"'), soft_wrap=True)


def _choose(lake: Lake, asked: Asked) -> Choice:
    """Return the choice; each name in it is one that some event has."""
    if asked.priced_too and not asked.reason and not asked.is_dry:
        raise RepriceReasonError
    known = lake.read("SELECT DISTINCT provider, model FROM attribution_hourly", all_cores=True)
    for column, name in (("provider", asked.provider), ("model", asked.model)):
        names = known[column].unique().sort().to_list()
        if name is not None and name not in names:
            raise UnknownNameError(column, name, get_close_matches(name, names, n=_NEAR))
    first, last = (None if one is None else read_day(one) for one in (asked.first, asked.last))
    if first and last and last < first:
        raise RepriceRangeError(first, last)
    return Choice(
        first=first,
        last=last,
        provider=asked.provider,
        model=asked.model,
        priced_too=asked.priced_too,
    )


def _plan(home: HomeResource, choice: Choice) -> pl.DataFrame:
    """Return what would change, and write nothing but what is new of the price sources."""
    staging, now, who = home.staging(f"reprice-{uuid4()}"), utc_now(), getpass.getuser()
    try:
        with err.status("pricing ..."):
            found = settle_cards(
                home.lake, home.price_sources(), staging, choice=choice, by=who, now=now
            )
            units = plan_reprice(home.lake, staging, found, choice)
            return pl.concat(
                [RESTATEMENTS.empty().select(LISTED), *(unit.listed for unit in units)]
            )
    finally:
        staging.delete()


def _reprice(settings: Settings, home: HomeResource, asked: Asked) -> pl.DataFrame:
    """Run the job, and return what it restated."""
    config = RepriceConfig(
        first_day=asked.first,
        last_day=asked.last,
        provider=asked.provider,
        model=asked.model,
        priced_too=asked.priced_too,
        asked_by=getpass.getuser(),
        **({"reason": asked.reason} if asked.reason else {}),
    )
    with open_instance(settings) as instance, err.status("pricing and publishing ..."):
        run_id = run_job(instance, home, REPRICE_JOB_NAME, reprice_as(config, log_level="CRITICAL"))
    sql = f"SELECT {', '.join(LISTED)} FROM restatements WHERE run_id = ?"
    return home.lake.read(sql, [run_id])


def _print_listed(listed: pl.DataFrame, *, is_dry: bool) -> None:
    if listed.is_empty():
        out.print("Nothing to reprice: today's prices change no event that was asked for.")
        return
    measures = [*sum_listed(listed)]
    rows = listed.group_by(_PLACES).agg(pl.col(measures).sum()).sort(_PLACES)
    title = "what a reprice would change" if is_dry else "restated"
    total = dict.fromkeys(_PLACES, "") | {"day": "total"} | sum_listed(listed)
    days = rows.with_columns(pl.col("day").cast(pl.String)).to_dicts()
    print_table([_shorten(row) for row in [*days, total]], title=title)
    if not is_dry:
        out.print(
            "Listed in the table `restatements`, with the snapshot that has the former values."
        )


def _shorten(row: dict[str, Any]) -> dict[str, Any]:
    return {n: f"{v:.4f}" if n.endswith("_usd") else v for n, v in row.items()}
