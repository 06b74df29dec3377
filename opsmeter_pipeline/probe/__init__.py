"""The probe stage: what a probe is, where one got stuck, and whether that is worth an alert.

A probe is a made-up event that is landed as a client would land one and read back from the page.
Judges plain values; who sends stands in `producers.probe`, who looks in `orchestration.probing`.
The plot of its days stands in `probe.plot`. Comes after the page, which nothing else here does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from types import MappingProxyType

from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key

PROBE_LOST = "probe_lost"
SENT, VISIBLE, LOST = "sent", "visible", "lost"
SENDING, LANDING, REFUSED = "sending", "landing", "refused"
QUARANTINE, IDENTITY, PAGE = "quarantine", "identity", "page"
STATES = (SENT, VISIBLE, LOST)
STUCK = (SENDING, LANDING, REFUSED, QUARANTINE, IDENTITY, PAGE)
"""Where a probe can be stuck, in the order of its way."""
INTERVAL = timedelta(minutes=5)
"""How often one is sent."""
NEXT_STEPS: Mapping[str, str] = MappingProxyType(
    {
        SENDING: "see that this user can write into the landing; df -h",
        LANDING: "opsmeter status, then the newest run of `ingest` in the Dagster UI",
        REFUSED: "opsmeter status",
        QUARANTINE: "opsmeter quarantine",
        IDENTITY: "opsmeter query \"FROM ingest_files WHERE file GLOB 'opsmeter-probe/*'\"",
        PAGE: "opsmeter up, or opsmeter dashboard; then its /diagnostics",
    }
)
"""What to do, by where a probe is stuck."""


@dataclass(frozen=True)
class ProbeLimits:
    """When probes are worth an alert.

    Attributes:
        critical_lost: so many lost in a row are critical.
        silence: how long none may be sent while the schedule should run; three intervals.
    """

    critical_lost: int = 3
    silence: timedelta = 3 * INTERVAL


LIMITS = ProbeLimits()


@dataclass(frozen=True)
class Probe:
    """One probe, as a row of `probes` without the times between sent and visible.

    Attributes:
        probe_id: its external request id and prompt version.
        scheduled_at: the tick it was sent for (UTC); None if somebody asked for it.
        file: its file, relative to the landing.
        state: one of `STATES`.
        sent_at: when it was about to land (UTC).
        due_at: when it counts as lost (UTC).
        visible_at: when the page first showed it (UTC); None if it has not.
        stuck_at: one of `STUCK`; None if it was not given up.
        detail: why; None likewise.
    """

    probe_id: str
    scheduled_at: datetime | None
    file: str
    state: str
    sent_at: datetime
    due_at: datetime
    visible_at: datetime | None = None
    stuck_at: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Trace:
    """How far a probe has come, by the landing and the warehouse.

    Attributes:
        stuck_at: the part of its way that it has not left, one of `STUCK`.
        detail: for a person.
        ingested_at: ingest time of its event (UTC); None until it is one.
        taken_at: when a run took its file (UTC); None until it is published.
        published_at: when its batch was visible (UTC); None until that is measured.
    """

    stuck_at: str
    detail: str
    ingested_at: datetime | None = None
    taken_at: datetime | None = None
    published_at: datetime | None = None


def judge_lost(probes: Sequence[Probe], *, limits: ProbeLimits = LIMITS) -> list[Condition]:
    """Return a condition if the newest probe that is not still looked for was lost.

    Args:
        probes: of the schedule, the newest first.
        limits: when it is critical.
    """
    judged = [one for one in probes if one.state != SENT]
    lost = [*takewhile(lambda one: one.state == LOST, judged)]
    if not lost:
        return []
    newest, oldest = lost[0], lost[-1]
    return [
        Condition(
            Key("probe", PROBE_LOST, "now"),
            CRITICAL if len(lost) >= limits.critical_lost else WARNING,
            since_at=oldest.due_at,
            value=len(lost),
            limit=0,
            unit="probes",
            what=f"A probe sent at {newest.sent_at:%Y-%m-%d %H:%M:%S}Z was not on the page by "
            f"{newest.due_at:%H:%M:%S}Z; it is stuck at `{newest.stuck_at}`: {newest.detail}",
            next_step=NEXT_STEPS.get(newest.stuck_at or "", NEXT_STEPS[LANDING]),
        )
    ]


def judge_silence(
    last_sent_at: datetime | None,
    *,
    watching_since: datetime | None,
    now: datetime,
    limits: ProbeLimits = LIMITS,
) -> list[Condition]:
    """Return a condition if no probe was sent for too long while the schedule should run.

    Args:
        last_sent_at: when the schedule sent the newest (UTC); None if it never did.
        watching_since: silence before this instant (UTC) does not count; None if all of it does.
        now: the present (UTC).
        limits: how long is too long.
    """
    known = [one for one in (last_sent_at, watching_since) if one is not None]
    if not known or now - max(known) <= limits.silence:
        return []
    since = max(known)
    return [
        Condition(
            Key("probe_schedule", PROBE_LOST, "now"),
            WARNING,
            since_at=since + limits.silence,
            value=round((now - since).total_seconds(), 1),
            limit=limits.silence.total_seconds(),
            unit="seconds",
            what="No probe was sent since "
            f"{f'{last_sent_at:%Y-%m-%d %H:%M:%S}Z' if last_sent_at else 'ever'}, "
            "so nobody knows whether the page shows what lands.",
            next_step="Look at `probe_schedule` in the Dagster UI, under Automation.",
        )
    ]
