"""Writes down, after an answer was sent, which batches it was the first to deliver.

One thread for each server, so that answers never wait for it; what fails is told and tried again
with the next answer.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from opsmeter_pipeline.dashboard.reader import Reader
from opsmeter_pipeline.model.hours import HourRange
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.served import find_unserved, note_served

_WAITING = 8
"""How many answers may wait to be noted; more would say the same."""


class Delivery:
    """What a server has delivered.

    Args:
        reader: the warehouse to ask.
        now: the clock.
        report: is told what failed.
    """

    def __init__(
        self, reader: Reader, *, now: Callable[[], datetime], report: Callable[[str], None]
    ) -> None:
        """Start with nothing delivered."""
        self._reader, self._now, self._report = reader, now, report
        self._worker = ThreadPoolExecutor(1, "delivery")
        self._lock = threading.Lock()
        self._waiting = 0
        self._noted: tuple[int, HourRange] | None = None

    def note(self, snapshot_id: int, hours: HourRange) -> None:
        """Note that an overview of a snapshot and range was sent just now; return at once."""
        served_at = self._now()
        with self._lock:
            if self._is_noted(snapshot_id, hours) or self._waiting >= _WAITING:
                return
            self._waiting += 1
        self._worker.submit(self._write, snapshot_id, hours, served_at)

    def close(self) -> None:
        """Finish what is under way."""
        self._worker.shutdown()

    def _is_noted(self, snapshot_id: int, hours: HourRange) -> bool:
        if self._noted is None:
            return False
        noted_snapshot, noted_hours = self._noted
        return snapshot_id <= noted_snapshot and noted_hours.covers(hours)

    def _write(self, snapshot_id: int, hours: HourRange, served_at: datetime) -> None:
        try:
            with self._reader.open_snapshot() as con:
                batch_ids = find_unserved(con, snapshot_id=snapshot_id, hours=hours)
            if batch_ids:
                lake = Lake(self._reader.settings.warehouse)  # the reader's own cannot write
                note_served(lake, batch_ids, served_at=served_at)
            self._noted = snapshot_id, hours
        except Exception as exc:  # noqa: BLE001 - an answer was given; noting it must not harm
            self._report(f"first_served was not written: {type(exc).__name__}: {exc}")
        finally:
            with self._lock:
                self._waiting -= 1
