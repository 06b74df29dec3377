"""The one resource assets and checks ask for: a home with everything in it.

Add here what opens a system for an asset. The systems themselves are in `storage`; settings are
read when a run asks for them, never at import.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from opsmeter_pipeline.model.identifiers import IdentifierPolicy
from opsmeter_pipeline.orchestration.instance import own_run
from opsmeter_pipeline.settings import Settings, keep_files_private, load_settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.leftovers import sweep_dead_runs
from opsmeter_pipeline.storage.own_book import open_own_book
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_versions import Sources
from opsmeter_pipeline.storage.staging import Staging
from opsmeter_pipeline.views import VIEWS


class HomeResource(
    dg.ConfigurableResource  # pyright: ignore[reportMissingTypeArgument] - it provides itself
):
    """A home folder: landing, staging and warehouse.

    Attributes:
        home: the folder; unset, `OPSMETER_HOME` or `opsmeter.toml` says it.
        landing: another landing; unset, as the settings say.
    """

    home: str | None = None
    landing: str | None = None

    _is_set_up: bool = PrivateAttr(default=False)
    _settings: Settings | None = PrivateAttr(default=None)

    @property
    def settings(self) -> Settings:
        """The settings of this home, read once in a run or tick."""
        if self._settings is not None:
            return self._settings
        settings = load_settings(home=self.home, landing=self.landing)
        if self._is_set_up:
            self._settings = settings
        return settings

    @property
    def lake(self) -> Lake:
        """The warehouse, created if it is not there."""
        return _open_lake(self.settings.warehouse)

    @property
    def identifiers(self) -> IdentifierPolicy:
        """What the contract does with raw identifiers."""
        return self.settings.identifier_policy

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Keep what a run or tick creates its owner's, and tag a run with its process."""
        keep_files_private()
        self._is_set_up = True  # of the copy that Dagster makes for each run and tick
        if context.run and context.instance:
            own_run(context.instance, context.run)

    def landing_files(self) -> Landing:
        """Return the landing."""
        return Landing(self.settings.landing_root)

    def price_sources(self) -> Sources:
        """Return the installed price list, and the user's own as it is now.

        Raises:
            OwnPricesError: the user's file cannot be used.
        """
        return Sources(_price_book(), open_own_book(self.settings))

    def staging(self, run_id: str) -> Staging:
        """Return the staging folder of a run."""
        return Staging(self.settings.staging, run_id)

    def sweep_dead_runs(self, *, is_over: Callable[[str], bool | None], now: datetime) -> list[str]:
        """Delete what runs that are over left in this home; return their ids."""
        return sweep_dead_runs(self.lake, self.settings.staging, is_over=is_over, now=now)


@cache
def _open_lake(folder: Path) -> Lake:
    # One per process: opening the database takes 0.2 s.
    keep_files_private()
    lake = Lake(folder)
    lake.create({view.name: view.sql for view in VIEWS})
    return lake


@cache
def _price_book() -> PriceBook:
    return PriceBook()
