"""The gate stage: whether a release may go on, as a list of reasons with what was found.

Each reason is open, closed or unknown, and only open lets a release pass: what cannot be known is
no proof. Add a reason here as a function of what was read and in `orchestration.gate` as what reads
it. Judges what `freshness`, `alerts` and the ledger counted; counts nothing itself (ADR 0027).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

P95 = Decimal("0.95")
"""The share of events that must be within what `--p95` says."""
_NAMED = 3
_STOPPING_BURNS = frozenset({"critical", "high"})


class ReasonState(Enum):
    """What one reason says of a release."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reason:
    """One thing that a release asks for.

    Attributes:
        name: names it for good, such as `ledger` or `freshness prod/*`.
        state: only `open` lets a release pass.
        found: what was found, in a sentence.
        limit: what must be, in a sentence.
        next_step: what to do if it is not open.
        is_waived: a person has said that it does not count this time.
    """

    name: str
    state: ReasonState
    found: str
    limit: str
    next_step: str
    is_waived: bool = False

    @property
    def names(self) -> set[str]:
        """What it may be waived by: its name, or the first word of it."""
        return {self.name, self.name.split()[0]}

    @property
    def passes(self) -> bool:
        """Whether it keeps no release back."""
        return self.state is ReasonState.OPEN or self.is_waived


@dataclass(frozen=True)
class GateLimits:
    """What is recent enough.

    Attributes:
        probe: how old the newest probe may be; three of the probe's intervals of 5 minutes.
        look: how old the newest look of the alerts may be; they look every 30 seconds, and from
            cron perhaps every 5 minutes.
        clock: how far ahead of our clock a time of the ledger may be.
    """

    probe: timedelta = timedelta(minutes=15)
    look: timedelta = timedelta(minutes=10)
    clock: timedelta = timedelta(seconds=5)


LIMITS = GateLimits()


@dataclass(frozen=True)
class Counted:
    """Live events of one objective in a window.

    Attributes:
        scope: the objective's name, such as `prod/*`.
        window: how long the window is that ends now.
        limit_seconds: lag up to which an event is good.
        target_share: part of the events that must be good.
        minimum_events: fewer events are judged by nobody.
        good: events within the limit.
        late: events beyond it, and lines that wait and are beyond it already.
        clock: events whose lag is unknown because a clock is wrong.
        allowed_late: how many of all of them may be late.
        burning: severities of the burn rules that hold now.
    """

    scope: str
    window: timedelta
    limit_seconds: int
    target_share: Decimal
    minimum_events: int
    good: int
    late: int
    clock: int
    allowed_late: int
    burning: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        """All of them."""
        return self.good + self.late + self.clock


@dataclass(frozen=True)
class Backlog:
    """What waits of the objectives that were asked about.

    Attributes:
        lines: how many lines wait, estimated.
        late_lines: of these, beyond their objective already.
        oldest_at: since when the oldest of all that waits waits (UTC); None if nothing does.
        limit_seconds: the longest limit of these objectives.
    """

    lines: int
    late_lines: int
    oldest_at: datetime | None
    limit_seconds: int


@dataclass(frozen=True)
class Ledger:
    """What the ledger's law says of the batches of a window.

    Attributes:
        batches: how many there are.
        unbalanced: ids of those of which lines are not accepted + duplicates + quarantined + blank,
            or files, events or quarantined lines are not what the ledger says.
    """

    batches: int
    unbalanced: tuple[str, ...]


def judge_share(counted: Counted) -> Reason:
    """Return whether enough events of an objective were visible in time."""
    name = f"freshness {counted.scope}"
    share = (100 * counted.target_share).normalize()
    limit = (
        f"{share:f} % within {counted.limit_seconds} s in the last "
        f"{show_length(counted.window)}, at least {counted.minimum_events} events"
    )
    found = f"{counted.late:,} of {counted.events:,} events late, {counted.allowed_late:,} allowed"
    state, why = _judge_counts(counted)
    return Reason(name, state, f"{found}{why}", limit, "opsmeter status, then docs/freshness.md")


def judge_budget(counted: Counted) -> Reason:
    """Return whether error budget of an objective is left, and not being spent too fast."""
    left = counted.allowed_late - counted.late
    found = f"{left:,} of {counted.allowed_late:,} late events left"
    state, why = _judge_counts(counted)
    stopping = [one for one in counted.burning if one in _STOPPING_BURNS]
    if stopping and state is not ReasonState.CLOSED:
        state, why = ReasonState.CLOSED, f"; it burns: {', '.join(stopping)}"
    limit = f"0 or more left of {show_length(counted.window)}, no critical or high burn"
    next_step = "opsmeter status: wait until the lag is mended and the budget is back"
    return Reason(f"error_budget {counted.scope}", state, f"{found}{why}", limit, next_step)


def judge_unpromised(name: str, environment: str) -> Reason:
    """Return the reason that stands where nothing is promised of an environment."""
    found = f"nothing is promised of {environment}"
    limit = "an objective of this environment"
    next_step = "give --p95, or add it as [[slo.override]] to opsmeter.toml"
    return Reason(name, ReasonState.UNKNOWN, found, limit, next_step)


def judge_backlog(backlog: Backlog) -> Reason:
    """Return whether nothing waits for longer than its objective."""
    state = ReasonState.CLOSED if backlog.late_lines else ReasonState.OPEN
    found = f"{backlog.late_lines:,} of about {backlog.lines:,} waiting lines are late"
    if backlog.oldest_at:
        found += f", the oldest waits since {show_instant(backlog.oldest_at)}"
    limit = f"none waits beyond its objective ({backlog.limit_seconds} s at most)"
    return Reason("waiting", state, found, limit, "opsmeter run, or opsmeter doctor")


def judge_ledger(ledger: Ledger) -> Reason:
    """Return whether each line of each batch of the window is accounted for."""
    limit = "lines = accepted + duplicates + quarantined + blank, in each batch and file"
    next_step = "run the job `quality`, then replay the ingest days of these batches"
    if not ledger.batches:
        found, state = "no batch was published in the window", ReasonState.UNKNOWN
    elif ledger.unbalanced:
        named = ", ".join(ledger.unbalanced[:_NAMED])
        found = f"{len(ledger.unbalanced)} of {ledger.batches} batches do not balance: {named}"
        state = ReasonState.CLOSED
    else:
        found, state = f"{ledger.batches} of {ledger.batches} batches balance", ReasonState.OPEN
    return Reason("ledger", state, found, limit, next_step)


def judge_incidents(
    critical: Sequence[str], *, looked_at: datetime | None, unjudged: Sequence[str],
    now: datetime, limits: GateLimits = LIMITS,
) -> Reason:  # fmt: skip
    """Return whether no critical incident is open, as far as somebody has looked lately.

    Args:
        critical: ids of the critical incidents that are open or acknowledged.
        looked_at: when the alerts looked last, and wrote down what they found (UTC); None if never.
        unjudged: the rules that they could not judge then.
        now: the present (UTC).
        limits: what is recent enough.
    """
    limit = f"none is open, by a look of at most {show_length(limits.look)} ago"
    if critical:
        found = f"open critical incidents: {len(critical)} ({', '.join(critical[:_NAMED])})"
        next_step = f"opsmeter incident show {critical[0]}"
        return Reason("incidents", ReasonState.CLOSED, found, limit, next_step)
    if looked_at is None or now - looked_at > limits.look:
        since = f"since {show_instant(looked_at)}" if looked_at else "ever"
        found, state = f"none is open, but nobody has looked {since}", ReasonState.UNKNOWN
    elif unjudged:
        named = ", ".join(unjudged[:_NAMED])
        found, state = f"none is open, but not judged: {named}", ReasonState.UNKNOWN
    else:
        found, state = f"none is open at {show_instant(looked_at)}", ReasonState.OPEN
    return Reason("incidents", state, found, limit, "opsmeter alerts check, or opsmeter up")


def judge_runs(failed: Sequence[str]) -> Reason:
    """Return whether no run that takes lines failed, a blocking check included, for good.

    Args:
        failed: ids of failed runs of `ingest` that no later success made good.
    """
    limit = "each failed run was made good by a later one; a failed blocking check fails its run"
    state = ReasonState.CLOSED if failed else ReasonState.OPEN
    found = f"failed runs of ingest: {len(failed)}"
    found += f" ({', '.join(failed[:_NAMED])})" if failed else ""
    return Reason("runs", state, found, limit, "opsmeter doctor, then run what failed again")


def judge_watermark(complete_through: datetime, *, limit: timedelta, now: datetime) -> Reason:
    """Return whether all that landed until shortly before now is visible."""
    age = now - complete_through
    state = ReasonState.OPEN if age <= limit else ReasonState.CLOSED
    found = f"complete through {show_instant(complete_through)}, {show_seconds(age)} ago"
    return Reason(
        "watermark", state, found, f"at most {show_seconds(limit)} ago", "opsmeter status"
    )


def judge_seen(
    last_event_at: datetime | None, *, last_probe_at: datetime | None, silence: timedelta,
    now: datetime,
) -> Reason:  # fmt: skip
    """Return whether an event or a probe was seen lately: silence is not freshness."""
    seen = max((one for one in (last_event_at, last_probe_at) if one), default=None)
    is_open = seen is not None and now - seen <= silence
    found = (
        f"the last event or probe was seen at {show_instant(seen)}"
        if seen
        else "no event and no probe was ever seen"
    )
    limit = f"one in the last {show_seconds(silence)}"
    state = ReasonState.OPEN if is_open else ReasonState.UNKNOWN
    return Reason("seen", state, found, limit, "opsmeter doctor, and ask the producers")


def judge_probe(
    last_probe_at: datetime | None, *, now: datetime, limits: GateLimits = LIMITS
) -> Reason:
    """Return whether a synthetic event was read back from the page lately."""
    limit = f"one in the last {show_length(limits.probe)}"
    if last_probe_at is None:
        found = "no probe was ever read back"
    else:
        found = f"the last probe was read back at {show_instant(last_probe_at)}"
    is_open = last_probe_at is not None and now - last_probe_at <= limits.probe
    state = ReasonState.OPEN if is_open else ReasonState.UNKNOWN
    return Reason("probe", state, found, limit, "opsmeter up: daemon and page, then wait 5 minutes")


def judge_prompts(regressed: Sequence[str], unknown: Sequence[str], *, compared: int) -> Reason:
    """Return whether no prompt version regressed, and each new one could be judged.

    Args:
        regressed: versions that regressed beyond chance, each in a clause.
        unknown: new versions with a baseline that cannot be judged yet: too few requests, or
            too many of them without a price.
        compared: how many versions have a baseline.
    """
    limit = "no version regressed beyond chance, and each new one can be judged"
    next_step = 'opsmeter query "FROM prompt_version_drift", then opsmeter compare'
    if regressed:
        found, state = f"regressed: {'; '.join(regressed[:_NAMED])}", ReasonState.CLOSED
    elif not compared:
        found, state = "no version has a baseline to compare it with", ReasonState.UNKNOWN
    elif unknown:
        named = ", ".join(unknown[:_NAMED])
        found = f"{len(unknown)} of {compared} versions cannot be judged yet: {named}"
        state = ReasonState.UNKNOWN
    else:
        found, state = f"none of {compared} versions regressed", ReasonState.OPEN
    return Reason("prompt", state, found, limit, next_step)


def judge_clock(
    newest_at: datetime | None, *, now: datetime, limits: GateLimits = LIMITS
) -> Reason:
    """Return whether our clock is not behind what it has written before.

    Args:
        newest_at: newest time that our clock wrote into the ledger (UTC); None without a batch.
        now: the present (UTC).
        limits: how far ahead a time may be.
    """
    limit = f"no time of the ledger more than {show_seconds(limits.clock)} ahead of now"
    if newest_at is None:
        found, state = "the ledger has no batch", ReasonState.UNKNOWN
    elif newest_at - now > limits.clock:
        found = f"the ledger knows {show_instant(newest_at)}, the clock says {show_instant(now)}"
        state = ReasonState.UNKNOWN
    else:
        found, state = f"the newest time is {show_instant(newest_at)}", ReasonState.OPEN
    return Reason("clock", state, found, limit, "set this machine's clock (NTP), then ask again")


def judge_unread(name: str, why: str) -> Reason:
    """Return the reason that stands where nothing could be read."""
    return Reason(name, ReasonState.UNKNOWN, why, "it can be read", "opsmeter doctor")


def waive(reasons: Iterable[Reason], names: Iterable[str]) -> list[Reason]:
    """Return the reasons, of which those of these names (or first words) do not count."""
    given = {*names}
    return [replace(one, is_waived=bool(one.names & given)) for one in reasons]


def is_open(reasons: Sequence[Reason]) -> bool:
    """Return whether a release may go on: there are reasons, and none keeps it back."""
    return bool(reasons) and all(one.passes for one in reasons)


def show_instant(at: datetime) -> str:
    """Return an instant for a person."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def show_seconds(length: timedelta) -> str:
    """Return a length in whole seconds.

    >>> show_seconds(timedelta(minutes=5, microseconds=9))
    '300 s'
    """
    return f"{length.total_seconds():,.0f} s"


def show_length(length: timedelta) -> str:
    """Return a length in the largest unit that has no rest.

    >>> [show_length(timedelta(minutes=n)) for n in (15, 90, 1440, 40320)]
    ['15 min', '90 min', '24 h', '28 d']
    """
    seconds = int(length.total_seconds())
    for unit, width in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds % width == 0 and (seconds > width or unit == "min"):
            return f"{seconds // width} {unit}"
    return f"{seconds} s"


def _judge_counts(counted: Counted) -> tuple[ReasonState, str]:
    """Return the state of an objective's counts, and what there is to say of them."""
    if counted.events < counted.minimum_events:
        return ReasonState.UNKNOWN, "; too few events to judge"
    if counted.late > counted.allowed_late:
        return ReasonState.CLOSED, ""
    if counted.late + counted.clock > counted.allowed_late:
        return ReasonState.UNKNOWN, f"; the lag of {counted.clock} is unknown, a clock is wrong"
    return ReasonState.OPEN, ""
