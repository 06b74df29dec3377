"""What the server holds on to: the warehouse, how many may read it, the look at the landing.

One for each server, shared by its threads. It never writes, and never waits without an end.
"""

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import duckdb

from opsmeter_pipeline.model.dashboard_errors import TooManyReadersError, WarehouseUnreadableError
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import CATALOGUE, Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.summaries import open_snapshot
from opsmeter_pipeline.storage.survey import survey_landing

LIMIT_SECONDS = 10.0
"""How long one answer may read."""
READERS = 4
"""How many answers are read at once; each also uses several cores."""
LOOK_SECONDS = 5
"""How old a look at the landing may be; the landing sensor looks as often."""


class Reader:
    """The warehouse of a home as a server reads it.

    Args:
        settings: of the home.
        limit_seconds: how long one answer may read, and wait until it may.
        readers: how many may read at once.
    """

    def __init__(
        self, settings: Settings, *, limit_seconds: float = LIMIT_SECONDS, readers: int = READERS
    ) -> None:
        """Point to the home; nothing is opened."""
        self.settings = settings
        self._limit_seconds, self._readers = limit_seconds, readers
        self._slots = threading.BoundedSemaphore(readers)
        self._opening = threading.Lock()
        self._lake, self._file = Lake(settings.warehouse), None

    def open_lake(self) -> Lake:
        """Return the warehouse; opened anew if the home was made anew meanwhile.

        Raises:
            WarehouseMissingError: there is no warehouse yet.
            WarehouseUnreadableError: the database refused.
        """
        with self._opening:
            file = self._identify()
            if file is None or file != self._file:
                lake = Lake(self.settings.warehouse)
                try:
                    lake.newest_snapshot()  # opens it once, not once for each thread
                except duckdb.Error as exc:
                    raise WarehouseUnreadableError(str(exc)) from exc
                self._lake, self._file = lake, file
            return self._lake

    @contextmanager
    def open_snapshot(self) -> Generator[duckdb.DuckDBPyConnection]:
        """Yield a transaction on one snapshot.

        Raises:
            TooManyReadersError: no other reader came to its end in time.
            WarehouseMissingError: there is no warehouse yet.
            WarehouseSlowError: it took too long.
            WarehouseUnreadableError: the database refused.
        """
        if not self._slots.acquire(timeout=self._limit_seconds):
            raise TooManyReadersError(self._readers)
        try:
            with open_snapshot(self.open_lake(), limit_seconds=self._limit_seconds) as con:
                yield con
        finally:
            self._slots.release()

    def survey(self, now: datetime) -> Watermark:
        """Return how far all that is in the landing now is visible."""
        lake = self.open_lake()
        landing = Landing(self.settings.landing_root)
        survey = survey_landing(landing, lake, settings=self.settings, now=now)
        return survey.watermark(lake, self.settings)

    def _identify(self) -> tuple[int, int] | None:
        """Return which file the catalogue is; a home that was made anew has another one."""
        try:
            found = (self.settings.warehouse / CATALOGUE).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


class LandingWatch:
    """The newest look at the landing, taken again when it is old, one look at a time.

    Args:
        survey: looks at the landing, given the present.
        wait_seconds: how long somebody waits for a new look; then the last one must do.
    """

    def __init__(
        self, survey: Callable[[datetime], Watermark], *, wait_seconds: float = LOOK_SECONDS
    ) -> None:
        """Remember how to look; nothing is looked at."""
        self._survey, self._wait_seconds = survey, wait_seconds
        self._worker = ThreadPoolExecutor(1, "look")
        self._lock = threading.Lock()
        self._pending: Future[Watermark] | None = None
        self._look: tuple[float, Watermark] | None = None
        self.error: str | None = None

    def look(self, now: datetime) -> Watermark | None:
        """Return a look of at most `LOOK_SECONDS` ago, an older one if it takes long, or None."""
        with self._lock:
            if self._look and time.monotonic() - self._look[0] < LOOK_SECONDS:
                return self._look[1]
            pending = self._pending = self._pending or self._worker.submit(self._survey, now)
        try:
            found = pending.result(self._wait_seconds)
        except Exception as exc:  # noqa: BLE001 - any failure to look means that nothing is known
            if not pending.done():  # a look may itself fail with the error of this wait's end
                self.error = f"The landing was not listed within {self._wait_seconds:g} s."
                return self._look[1] if self._look else None
            found, self.error = None, f"{type(exc).__name__}: {exc}"
        else:
            self.error = None
        with self._lock:
            if self._pending is pending:
                self._pending, self._look = None, (time.monotonic(), found) if found else None
        return found

    def close(self) -> None:
        """Look no more."""
        self._worker.shutdown(wait=False, cancel_futures=True)
