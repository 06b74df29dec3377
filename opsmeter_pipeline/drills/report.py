"""What a drill found, and whether it passed: plain values, no clock, no process.

A drill collects what a person would get (`drills.watch`) and what its own producer wrote
(`drills.traffic`); here the two are held against each other. Add a reason to fail in `judge`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Sighting:
    """One thing by which a person could know.

    Attributes:
        kind: an incident of an alert rule, a bad verdict of an asset check, or a heartbeat that
            stayed away.
        name: the rule or check.
        says: its own words.
        at: when it was there (UTC).
    """

    kind: Literal["alert", "check", "heartbeat"]
    name: str
    says: str
    at: datetime


@dataclass(frozen=True)
class Told:
    """What the webhook got of one incident.

    Attributes:
        incident_id: the incident.
        rule: its rule.
        opened: messages that it is open; one is right.
        resolved: messages that it is over; one is right.
        first_at: when the first arrived (UTC); None if none has.
        last_at: when the newest did.
    """

    incident_id: str
    rule: str
    opened: int
    resolved: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True)
class Counts:
    """The drill's own count against the ledger and the events.

    Attributes:
        files: files the drill landed.
        written: lines it wrote into them.
        accepted: lines of these files that the ledger has as events.
        duplicates: as redeliveries.
        quarantined: as refused.
        blank: as blank.
        missing: lines of a file that the ledger does not have, summed over files.
        surplus: lines the ledger has more of a file than were written.
        requests: request ids that were sent right at least once.
        absent: of these, those that are no event.
        repeated: of these, those that are more than one event.
    """

    files: int
    written: int
    accepted: int
    duplicates: int
    quarantined: int
    blank: int
    missing: int
    surplus: int
    requests: int
    absent: int
    repeated: int

    @property
    def lost(self) -> int:
        """Lines that are nowhere, and requests that came right and are no event."""
        return self.missing + self.absent

    @property
    def doubled(self) -> int:
        """Lines and requests that count more than once."""
        return self.surplus + self.repeated


@dataclass(frozen=True)
class Timeline:
    """An incident as `opsmeter incident show` has it; instants are ISO 8601."""

    incident_id: str
    rule: str
    state: str
    entries: Sequence[Mapping[str, object]]


@dataclass
class Report:
    """What one drill did and found, filled in as it goes.

    Attributes:
        drill: its name.
        title: the failure mode.
        expected: the rules and checks that must see it, as `alert:run_failed`.
        settings: what is shorter or smaller in the scratch home than by default.
        timeout_seconds: how long it waited for each step.
        injected: what was done; None before it was.
        injected_at: when (UTC).
        sightings: what saw it, soonest first.
        told: what the webhook got.
        mended: what was done about it, or that nothing was.
        recovered_at: when the last of its incidents was over (UTC); None if one is not.
        counts: what became of each line; None if it did not come to that.
        figures: what else was measured, by name with unit.
        incidents: the timelines.
        failures: what else went wrong, in sentences.
        home: the scratch home that was kept; None if it was removed.
        seconds: how long all of it took.
    """

    drill: str
    title: str
    expected: tuple[str, ...]
    settings: Mapping[str, object]
    timeout_seconds: float
    injected: str | None = None
    injected_at: datetime | None = None
    sightings: Sequence[Sighting] = ()
    told: Sequence[Told] = ()
    mended: str | None = None
    recovered_at: datetime | None = None
    counts: Counts | None = None
    figures: dict[str, object] = field(default_factory=dict[str, object])
    incidents: Sequence[Timeline] = ()
    failures: list[str] = field(default_factory=list[str])
    home: str | None = None
    seconds: float = 0

    def after(self, at: datetime | None) -> float | None:
        """Return how many seconds after the injection a moment was; None if there is none."""
        if at is None or self.injected_at is None:
            return None
        return round((at - self.injected_at).total_seconds(), 1)

    @property
    def unseen(self) -> list[str]:
        """What must see the failure and did not."""
        seen = {f"{one.kind}:{one.name}" for one in self.sightings}
        return [name for name in self.expected if name not in seen]

    @property
    def detected(self) -> bool:
        """Whether everything that must see the failure did."""
        return self.injected_at is not None and not self.unseen


def judge(report: Report) -> list[str]:
    """Return why a drill failed, a sentence for each reason; empty if it passed."""
    if report.injected_at is None:
        return report.failures or ["It did not come to the injection."]
    problems = [
        f"Not detected within {report.timeout_seconds:g} s by {name}." for name in report.unseen
    ]
    problems += report.failures
    if report.unseen:
        return problems
    for rule, number in Counter(one.rule for one in report.told).items():
        if number != 1:
            problems.append(f"{rule} had {number} incidents instead of one.")
    for one in report.told:
        if one.opened != 1:
            problems.append(f"{one.incident_id} was told {one.opened} times instead of once.")
        if one.resolved != 1:
            problems.append(f"The end of {one.incident_id} was told {one.resolved} times.")
    if report.recovered_at is None:
        problems.append(f"Not recovered within {report.timeout_seconds:g} s.")
    return problems + _judge_counts(report.counts)


def _judge_counts(counts: Counts | None) -> list[str]:
    if counts is None:
        return ["Lines were not counted, so nobody knows that none was lost."]
    problems: list[str] = []
    if counts.lost:
        problems.append(f"{counts.missing} lines are nowhere, {counts.absent} requests no event.")
    if counts.doubled:
        problems.append(f"{counts.surplus} lines and {counts.repeated} requests count twice.")
    return problems
