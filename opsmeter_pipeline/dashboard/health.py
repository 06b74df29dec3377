"""What the server says of itself and of the home: alive, ready, and what a person would look at."""

import threading
from datetime import datetime
from typing import Any

from opsmeter_pipeline.dashboard.answers import Answer


class Troubles:
    """The last thing that went wrong in this server. Safe for threads."""

    def __init__(self) -> None:
        """Begin without."""
        self._lock = threading.Lock()
        self._last: tuple[str, datetime] | None = None

    def report(self, what: str, at: datetime) -> None:
        """Keep what went wrong, in place of what did before."""
        with self._lock:
            self._last = what, at

    def tell(self) -> dict[str, object] | None:
        """Return the last one, or None."""
        return self._last and {"what": self._last[0], "at": self._last[1]}


def judge_readiness(answer: Answer | None, why: str | None) -> dict[str, Any]:
    """Return whether people can be sent here, and each thing that it needs.

    Args:
        answer: what was read; None if nothing could be.
        why: why not.
    """
    needs: dict[str, object] = {
        "warehouse_readable": answer is not None,
        "landing_listed": answer is not None and answer.look is not None,
    }
    return {"ready": all(needs.values()), **needs, "why": why}


def diagnose(
    answer: Answer | None, *, version: str, home: str, troubles: Troubles, look_error: str | None
) -> dict[str, object]:
    """Return what is known of version, snapshot, publishes, backlog and failures."""
    told: dict[str, object] = {
        "version": version,
        "home": home,
        "last_error": troubles.tell(),
        "look_error": look_error,
    }
    if answer is None:
        return told | {"as_of": None, "freshness": None}
    held = answer.published
    return told | {
        "as_of": answer.tell_as_of(),
        "freshness": answer.tell_freshness(),
        "batches": held.batches,
        "events": held.events,
        "quarantined_lines": held.quarantined,
    }
