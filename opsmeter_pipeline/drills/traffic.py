"""The drill's own producers: they land lines, and count for themselves what they wrote.

The count is the witness against the ledger, so it never reads anything back.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.producers.demo_day import Payload, encode_json
from opsmeter_pipeline.producers.drill_lines import build_line
from opsmeter_pipeline.producers.landed_files import land_file

CHECKOUT, SUPPORT = "checkout", "support"
"""The producers; each writes into a folder of its own and so is a source of its own."""
PREFIX = "drill_"
"""How each request id of theirs begins."""
EVERY_SECONDS = 2.0
LINES_A_FILE = 10
"""Usual traffic of a producer: 5 lines a second."""
HISTORY_HOURS = 8
_HISTORY_LINES = 60


class Traffic:
    """What the drill lands, and its count.

    Args:
        landing: the landing of the scratch home.
    """

    def __init__(self, landing: Path) -> None:
        """Land nothing yet."""
        self._landing = landing
        self._lock = threading.Lock()
        self._numbers = count()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.written: Counter[str] = Counter()
        self.requests: set[str] = set()

    @property
    def pattern(self) -> str:
        """A regular expression that each file of theirs matches, and no other."""
        return f"^({CHECKOUT}|{SUPPORT})/"

    def make(self, number: int, *, at: datetime, producer: str = CHECKOUT) -> list[Payload]:
        """Return so many new lines that keep the contract."""
        with self._lock:
            ids = [f"{PREFIX}{next(self._numbers):07}" for _ in range(number)]
        return [build_line(one, at=at, endpoint=f"{producer}.summary") for one in ids]

    def land(
        self,
        lines: Iterable[Mapping[str, object]],
        *,
        producer: str = CHECKOUT,
        landed_at: datetime | None = None,
        is_right: bool = True,
    ) -> str:
        """Land lines as one new file, count them, and return its path in the landing.

        Args:
            lines: the lines.
            producer: whose they are.
            landed_at: the file's time (UTC); the present if None.
            is_right: each of them must become an event.
        """
        payloads = [dict(line) for line in lines]
        with self._lock:
            file = f"{producer}/{next(self._numbers):07}.jsonl"
            self.written[file] = len(payloads)
            if is_right:
                self.requests |= {str(one["externalRequestId"]) for one in payloads}
        content = b"".join(encode_json(one) + b"\n" for one in payloads)
        landed_at_ms = int((landed_at or utc_now()).timestamp() * 1000)
        land_file(self._landing / file, content, landed_at_ms=landed_at_ms)
        return file

    def land_history(self, *, now: datetime) -> None:
        """Land what this producer sent in the hours before: what a change is judged against."""
        for ago in range(HISTORY_HOURS, 0, -1):
            landed_at = now - timedelta(hours=ago)
            self.land(self.make(_HISTORY_LINES, at=landed_at), landed_at=landed_at)

    def start(self, producer: str, *, lines_a_file: int = LINES_A_FILE) -> None:
        """Begin to land a file of a producer every two seconds, beside what goes on already."""
        thread = threading.Thread(target=self._flow, args=(producer, lines_a_file), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop landing."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _flow(self, producer: str, lines_a_file: int) -> None:
        while not self._stop.is_set():
            lines = self.make(lines_a_file, at=utc_now(), producer=producer)
            self.land(lines, producer=producer)
            self._stop.wait(EVERY_SECONDS)
