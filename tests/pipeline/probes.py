"""Probes that a page has shown, for tests of what follows from them."""

from datetime import datetime, timedelta

from opsmeter_pipeline.probe import PAGE, Probe, Trace
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.probes import claim_probe, note_lost, note_seen


def show_probe(lake: Lake, at: datetime, *, sent_before: float = 8.0) -> Probe:
    """Note a probe that the page first showed at an instant."""
    probe = claim(lake, at - timedelta(seconds=sent_before))
    note_seen(lake, probe, Trace(PAGE, "", at, at, at), visible_at=at)
    return probe


def lose_probe(lake: Lake, at: datetime, *, scheduled: bool = False) -> Probe:
    """Note a probe that was sent 15 minutes before an instant and given up then."""
    probe = claim(lake, at - timedelta(minutes=15), scheduled=scheduled)
    note_lost(lake, probe, Trace(PAGE, "the page does not answer"), lost_at=at)
    return probe


def claim(lake: Lake, at: datetime, *, scheduled: bool = False) -> Probe:
    """Note a probe as sent at an instant; nothing lands."""
    limit = timedelta(minutes=15)
    tick = at if scheduled else None
    return claim_probe(lake, scheduled_at=tick, limit=limit, clock=lambda: at)
