"""Sends probes and reads them back: what the schedule, the sensor and `opsmeter probe` share.

Sending is short: a claim, and a file that lands. Reading back waits for nobody but the page, in the
tick of a sensor of its own, so no run's slot is taken and the landing is looked at meanwhile.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.hours import HourRange
from opsmeter_pipeline.probe import LOST, PAGE, SENDING, SENT, Probe, Trace
from opsmeter_pipeline.producers.probe import build_probe, land_probe
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.page import Shown, read_shown
from opsmeter_pipeline.storage.probes import (
    claim_probe,
    complete_times,
    note_lost,
    note_seen,
    read_outstanding,
    trace_probe,
)

PAUSE_SECONDS = 1.0
"""Between two questions to the page while a probe is young: how exactly `visible_at` is known."""
CLOSELY = timedelta(minutes=2)
"""How old a probe may be to be asked for every second; later, once a tick."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class LookedBack:
    """What a look at the page found.

    Attributes:
        seen: probes that it showed for the first time.
        lost: probes that were given up.
        outstanding: probes that are still looked for, those given up before included.
        error: why the page could not be asked; None if it answered.
    """

    seen: tuple[Probe, ...] = ()
    lost: tuple[Probe, ...] = ()
    outstanding: tuple[Probe, ...] = ()
    error: str | None = None


def send_probe(
    lake: Lake,
    settings: Settings,
    *,
    scheduled_at: datetime | None = None,
    limit: timedelta | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Probe:
    """Send one probe, and return it.

    One that cannot be landed is lost at once, as a client's event would be.

    Args:
        lake: the warehouse.
        settings: of the home, with its landing.
        scheduled_at: the tick it is for (UTC); None if somebody asks for it.
        limit: how long until it counts as lost; None is as the settings say.
        clock: tells the present.

    Raises:
        TickTakenError: the tick has one already; nothing was sent.
        WarehouseBusyError: the catalogue stayed locked; nothing was sent.
    """
    limit = limit or timedelta(seconds=settings.probe_lost_seconds)
    probe = claim_probe(lake, scheduled_at=scheduled_at, limit=limit, clock=clock)
    try:
        payload = build_probe(probe.probe_id, sent_at=probe.sent_at)
        land_probe(settings.landing_root, probe.file, payload)
    except OSError as exc:
        trace = Trace(SENDING, f"its file could not be landed: {exc}")
        note_lost(lake, probe, trace, lost_at=clock())
        return replace(probe, state=LOST, stuck_at=trace.stuck_at, detail=trace.detail)
    return probe


def look_back(
    lake: Lake, settings: Settings, *, clock: Callable[[], datetime] = utc_now
) -> LookedBack:
    """Ask the page once for all probes that it has not shown; note what it shows, and who is lost.

    Args:
        lake: the warehouse.
        settings: of the home, with its landing.
        clock: tells the present.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; the next look finds the same.
    """
    landing = Landing(settings.landing_root)
    complete_times(lake, landing, now=clock())
    probes = read_outstanding(lake, now=clock())
    if not probes:
        return LookedBack()
    shown = read_shown(settings, hours=_span(probes))
    answered_at = clock()
    seen, lost, outstanding = _sort(probes, shown, now=answered_at)
    for one in seen:
        note_seen(lake, one, trace_probe(lake, landing, one), visible_at=answered_at)
    given_up: list[Probe] = []
    for one in lost:
        trace = _explain(trace_probe(lake, landing, one), shown)
        note_lost(lake, one, trace, lost_at=answered_at)
        given_up.append(replace(one, state=LOST, stuck_at=trace.stuck_at, detail=trace.detail))
    return LookedBack(tuple(seen), tuple(given_up), (*outstanding, *given_up), shown.error)


def keep_looking(
    lake: Lake,
    settings: Settings,
    *,
    seconds: float,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], object] = time.sleep,
) -> LookedBack:
    """Ask the page every second while a probe is young, for so long at most; return it in sum.

    Args:
        lake: the warehouse.
        settings: of the home, with its landing.
        seconds: how long at most.
        clock: tells the present.
        sleep: waits.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; the next look finds the same.
    """
    until = clock() + timedelta(seconds=seconds)
    look = look_back(lake, settings, clock=clock)
    seen, lost = look.seen, look.lost
    while _are_young(look.outstanding, clock()) and clock() < until:
        sleep(PAUSE_SECONDS)
        look = look_back(lake, settings, clock=clock)
        seen, lost = (*seen, *look.seen), (*lost, *look.lost)
    return LookedBack(seen, lost, look.outstanding, look.error)


def describe_look(look: LookedBack) -> str:
    """Return what a look found in a sentence."""
    told = [f"{one.probe_id} is on the page." for one in look.seen]
    told += [f"{one.probe_id} is lost at {one.stuck_at}: {one.detail}." for one in look.lost]
    waiting = sum(one.state == SENT for one in look.outstanding)
    told.append(f"{waiting} looked for." if look.outstanding or told else "No probe is looked for.")
    if look.error:
        told.append(f"The page cannot be asked: {look.error}.")
    return " ".join(told)


def _sort(
    probes: Sequence[Probe], shown: Shown, *, now: datetime
) -> tuple[list[Probe], list[Probe], list[Probe]]:
    """Return who is seen, who is lost now, and who is still looked for."""
    seen = [one for one in probes if one.probe_id in shown.probe_ids]
    unseen = [one for one in probes if one.probe_id not in shown.probe_ids]
    lost = [one for one in unseen if one.state == SENT and now >= one.due_at]
    return seen, lost, [one for one in unseen if one not in lost]


def _explain(trace: Trace, shown: Shown) -> Trace:
    """Return a trace whose detail also says what the page said."""
    if trace.stuck_at != PAGE:
        return trace
    return replace(trace, detail=f"{trace.detail}; {shown.error or 'the page does not show it'}")


def _span(probes: Sequence[Probe]) -> HourRange:
    """Return the hours in which probes were sent."""
    hours = [one.sent_at.replace(minute=0, second=0, microsecond=0) for one in probes]
    return HourRange(min(hours), max(hours) + _HOUR)


def _are_young(probes: Sequence[Probe], now: datetime) -> bool:
    return any(one.state == SENT and now - one.sent_at < CLOSELY for one in probes)
