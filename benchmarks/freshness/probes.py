"""The probes of the benchmark, sent often by the product's own sender; the home reads them back."""

import threading
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


def read_probes(lake: Lake) -> dict[str, Any]:
    """Return the seconds of those that were seen, and how many are looked for and lost."""
    counts = {state: lake.read(_COUNT, [state]).item() for state in ("sent", "lost")}
    return counts | {"visible": lake.read(_SEEN)}
