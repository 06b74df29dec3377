"""The probes of the benchmark, sent often by the product's own sender; the home reads them back.

And a person who has the page open, so that it is known when a batch was first shown.
"""

import threading
import urllib.request
from contextlib import suppress
from typing import Any

from opsmeter_pipeline.orchestration.probing import send_probe
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake

_SEEN = """
    SELECT epoch(visible_at) - epoch(sent_at) AS seconds, 1 AS weight FROM probes
    WHERE state = 'visible'
"""
_COUNT = "SELECT count(*) FROM probes WHERE state = ?"


def send_probes(lake: Lake, settings: Settings, stop: threading.Event, every: float) -> None:
    """Send a probe each so many seconds until told to stop."""
    while not stop.wait(every):
        send_probe(lake, settings)


def watch_page(port: int, stop: threading.Event) -> None:
    """Ask for the Overview each second until told to stop, as an open page does."""
    address = f"http://127.0.0.1:{port}/api/v1/overview"
    while not stop.wait(1.0):
        with suppress(OSError), urllib.request.urlopen(address, timeout=10) as page:
            page.read()


def read_probes(lake: Lake) -> dict[str, Any]:
    """Return the seconds of those that were seen, and how many are looked for and lost."""
    counts = {state: lake.read(_COUNT, [state]).item() for state in ("sent", "lost")}
    return counts | {"visible": lake.read(_SEEN)}
