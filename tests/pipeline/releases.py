"""A warehouse whose price sources change: later releases of the package, and an own file."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.own_book import read_own_book
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import ACCEPTED, append_decisions, read_log
from opsmeter_pipeline.storage.price_show import Request, explain_price, find_known
from opsmeter_pipeline.storage.price_versions import Sources, find_moves_of, settle_prices
from opsmeter_pipeline.storage.prices import find_cards
from opsmeter_pipeline.storage.staging import Staging

D = Decimal
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOG = "SELECT source, source_version, decision FROM price_versions ORDER BY decision_number"


class NewerBook(PriceBook):
    """A later release of the package, in which gpt-4o costs so many times as much."""

    def __init__(self, version: str, times: str) -> None:
        self._version, self._times = version, D(times)

    @property
    def version(self) -> str:
        return self._version

    def catalogue(self, *, now: datetime) -> pl.DataFrame:
        changed = pl.col("price_usd_per_unit") * self._times
        is_one = (pl.col("model_id") == "gpt-4o") & (pl.col("provider_id") == "openai")
        return super().catalogue(now=now).with_columns(
            pl.when(is_one).then(changed).otherwise("price_usd_per_unit")
            .cast(pl.Decimal(38, 18)).alias("price_usd_per_unit")
        )  # fmt: skip


class Prices:
    """A warehouse and the sources of its prices."""

    def __init__(self, folder: Path) -> None:
        self.file, self.book = folder / "prices.toml", PriceBook()
        self.lake, self.folder = Lake(folder / "warehouse"), folder
        self.lake.create({})
        self.loads = 0

    def settle(self, text: str | None = None, *, book: PriceBook | None = None) -> list[str]:
        """Load what is there now; return the last decision's source and what it was."""
        self.book = book or self.book
        if text is not None:
            self.file.write_text(text)
        self.loads += 1
        own = read_own_book(self.file, is_required=False)
        staging = Staging(self.folder / "staging", f"run-{self.loads}")
        now = NOW + timedelta(hours=self.loads)
        settle_prices(self.lake, Sources(self.book, own), staging, by="run", now=now)
        source, _, decision = self.lake.read(LOG).row(-1)
        return [source, decision]

    @property
    def in_force(self) -> tuple[str | None, str | None]:
        log = read_log(self.lake)
        return log.in_force("genai-prices"), log.in_force("prices.toml")

    def cost_per_input_token(self, *names: tuple[str, str]) -> dict[tuple[str, str], object]:
        """Return what a token of input costs by each name, as a run would price it now."""
        self.loads += 1
        staging = Staging(self.folder / "staging", f"run-{self.loads}")
        frame = pl.DataFrame(list(names), schema=["provider", "model"], orient="row")
        log, now = read_log(self.lake), NOW + timedelta(hours=self.loads)
        found = find_cards(self.lake, self.book, log, staging, names=frame, now=now)
        told = found.cards.filter(pl.col("service_tier").is_null())
        return {row[:2]: row[2] for row in told.select(*frame.columns, "uncached_input").rows()}

    def explain(self, name: tuple[str, str]) -> dict[str, object]:
        """Return what `opsmeter prices show` says of a request in 2026."""
        sources = Sources(self.book, read_own_book(self.file, is_required=False))
        known = find_known(self.lake, read_log(self.lake), sources, now=NOW)
        return explain_price(Request(*name, NOW, "default", "prod", "t1", 1), sources, known)

    def accept(self) -> None:
        """Accept what waits, as a person does."""
        log = read_log(self.lake)
        taken = [one._replace(decision=ACCEPTED, decided_by="ann") for one in log.waiting()]
        append_decisions(self.lake, log, taken)

    def moves(self) -> pl.DataFrame:
        """Return how what waits would move prices."""
        log = read_log(self.lake)
        (waiting,) = log.waiting()
        return find_moves_of(self.lake, self.book, log, waiting)


class RenamingBook(PriceBook):
    """A later release, in which what was one model of openai is called otherwise.

    Args:
        version: its version.
        means: former id and new one. The new one may be another model's; nothing moves then but
            what the name means.
        is_listed: the former id is gone from the list and the new one stands in its place.
    """

    def __init__(self, version: str, means: tuple[str, str], *, is_listed: bool) -> None:
        self._version, self._means, self._is_listed = version, means, is_listed

    @property
    def version(self) -> str:
        return self._version

    def catalogue(self, *, now: datetime) -> pl.DataFrame:
        listed = super().catalogue(now=now)
        return listed.with_columns(self._rename()) if self._is_listed else listed

    def resolve(self, names: Iterable[tuple[str, str]], *, now: datetime) -> pl.DataFrame:
        return super().resolve(names, now=now).with_columns(self._rename())

    def _rename(self) -> pl.Expr:
        former, new = self._means
        is_one = (pl.col("model_id") == former) & (pl.col("provider_id") == "openai")
        return pl.when(is_one).then(pl.lit(new)).otherwise("model_id").alias("model_id")
