"""The doctor stage: what each part of a home looks like, green, amber or red, and the next step.

Judges plain values; where they are read stands in `storage.doctor` and `orchestration.doctor`. Add
a sign here as a function with its limit in `DoctorLimits`. Red needs a person now, amber soon.
Nothing here decides on a release: that is the `gate` stage's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from opsmeter_pipeline.model.condition import CRITICAL, Condition

_MIB, _GIB = 1024**2, 1024**3
_NAMED = 3


class Colour(Enum):
    """How a sign looks."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Sign:
    """What one part looks like.

    Attributes:
        name: names it for good, such as `disk of the home`.
        colour: red needs a person now, amber soon.
        found: what was found, in a sentence.
        next_step: what to do, as a command where there is one; empty if it is green.
    """

    name: str
    colour: Colour
    found: str
    next_step: str = ""


@dataclass(frozen=True)
class DoctorLimits:
    """From when on something is amber or red.

    Attributes:
        free_bytes_amber: free bytes of a disk below which it is soon full; a batch of the default
            size needs about as much as its 2.25 GiB while it is staged and published.
        free_bytes_red: below this, a batch may not find room.
        stale_factor: from how many times the stale limit on a backlog is red.
        wal_bytes: above this, SQLite's write-ahead log is not being folded into the catalogue.
        probe: how old the newest probe that the page showed may be; three intervals.
        clock: how far ahead of our clock a time that it wrote may be.
        quarantined_amber: share of lines in quarantine.
        quarantined_red: likewise.
        unpriced: share of events without a price; that of the check `unpriced_share`.
    """

    free_bytes_amber: int = 4 * _GIB
    free_bytes_red: int = 512 * _MIB
    stale_factor: int = 3
    wal_bytes: int = 256 * _MIB
    probe: timedelta = timedelta(minutes=15)
    clock: timedelta = timedelta(seconds=5)
    quarantined_amber: Decimal = Decimal("0.01")
    quarantined_red: Decimal = Decimal("0.10")
    unpriced: Decimal = Decimal("0.02")


LIMITS = DoctorLimits()


@dataclass(frozen=True)
class Catalogue:
    """What SQLite says of the catalogue.

    Attributes:
        journal_mode: `wal` lets readers and a writer work at once.
        wal_bytes: size of the write-ahead log.
        snapshots: how many snapshots it holds.
        stored_bytes: size of the catalogue itself.
    """

    journal_mode: str
    wal_bytes: int
    snapshots: int
    stored_bytes: int


@dataclass(frozen=True)
class LastBatches:
    """Sums of the newest batches of the ledger.

    Attributes:
        batches: how many.
        lines: lines read.
        quarantined: of these, lines that broke a rule.
        accepted: of these, events.
        unpriced: events without a price.
    """

    batches: int
    lines: int
    quarantined: int
    accepted: int
    unpriced: int


def judge_home(*, exists: bool, is_writable: bool, path: str) -> Sign:
    """Return whether there is a home that can be written."""
    if not exists:
        return Sign("home", Colour.RED, f"there is no home {path}", "opsmeter run, or --home")
    if not is_writable:
        next_step = "run as its owner, or give it to this user"
        return Sign("home", Colour.RED, f"{path} cannot be written by this user", next_step)
    return Sign("home", Colour.GREEN, path)


def judge_page(why_not: str | None, *, address: str) -> Sign:
    """Return whether the page answers."""
    if why_not is None:
        return Sign("page", Colour.GREEN, f"{address} answers")
    return Sign("page", Colour.AMBER, f"{address}: {why_not}", "opsmeter up, or opsmeter dashboard")


def judge_probe(
    last_at: datetime | None,
    lost: Condition | None,
    *,
    is_on: bool,
    now: datetime,
    limits: DoctorLimits = LIMITS,
) -> Sign:
    """Return whether what lands reaches the page.

    Args:
        last_at: when the page last showed a probe (UTC); None if it never did.
        lost: what is wrong if the schedule's newest probe was lost.
        is_on: the schedule sends probes.
        now: the present (UTC).
        limits: how old the last one may be.
    """
    if lost is not None and is_on:
        colour = Colour.RED if lost.severity == CRITICAL else Colour.AMBER
        return Sign("probe", colour, lost.what, lost.next_step)
    if last_at is None:
        found = "the page never showed one"
    else:
        found = f"the page showed one at {last_at:%Y-%m-%d %H:%M:%S} UTC"
        if now - last_at <= limits.probe:
            return Sign("probe", Colour.GREEN, found)
    next_step = "opsmeter up: daemon and page, then wait 5 minutes"
    if not is_on:
        found, next_step = f"none is sent (OPSMETER_PROBE); {found}", "opsmeter probe"
    return Sign("probe", Colour.AMBER, found, next_step)


def judge_pause(told: str | None) -> Sign:
    """Return whether views are paused; `told` says since when and why, None if they are not."""
    if told is None:
        return Sign("views", Colour.GREEN, "none is paused")
    return Sign("views", Colour.AMBER, f"paused {told}", "opsmeter resume, once all is well")


def judge_freshness(state: str, why: Sequence[str]) -> Sign:
    """Return how freshness stands.

    Args:
        state: `met`, `breached` or `no_data`.
        why: of each objective that is not met, what there is to say.
    """
    colour = {"met": Colour.GREEN, "no_data": Colour.AMBER}.get(state, Colour.RED)
    found = "; ".join([state, *why])
    return Sign("freshness", colour, found, "" if colour is Colour.GREEN else "opsmeter status")


def judge_incidents(open_by_severity: Sequence[tuple[str, str]]) -> Sign:
    """Return what is known to be wrong.

    Args:
        open_by_severity: severity and id of each incident that is open or acknowledged.
    """
    if not open_by_severity:
        return Sign("incidents", Colour.GREEN, "none is open")
    worst = sorted(open_by_severity, key=lambda one: one[0] != CRITICAL)
    colour = Colour.RED if worst[0][0] == CRITICAL else Colour.AMBER
    named = ", ".join(f"{severity} {one}" for severity, one in worst[:_NAMED])
    found = f"{len(worst)} open: {named}"
    return Sign("incidents", colour, found, f"opsmeter incident show {worst[0][1]}")


def judge_conditions(name: str, conditions: Sequence[Condition], *, well: str) -> Sign:
    """Return the sign of a part whose conditions another stage has judged.

    Args:
        name: the sign's.
        conditions: what is wrong.
        well: what is found if nothing is.
    """
    if not conditions:
        return Sign(name, Colour.GREEN, well)
    worst = sorted(conditions, key=lambda one: one.severity != CRITICAL)
    colour = Colour.RED if worst[0].severity == CRITICAL else Colour.AMBER
    found = " ".join(one.what for one in worst[:_NAMED])
    more = f" And {len(worst) - _NAMED} more." if len(worst) > _NAMED else ""
    return Sign(name, colour, f"{found}{more}", worst[0].next_step)


def judge_living(daemons: Sequence[str], silent: Sequence[Condition]) -> Sign:
    """Return whether the daemons tick.

    Args:
        daemons: those that ever gave a sign of life.
        silent: what is wrong with them.
    """
    if not daemons:
        return Sign("daemons", Colour.AMBER, "no daemon ever ran in this home", "opsmeter up")
    return judge_conditions("daemons", silent, well=f"{len(daemons)} give signs of life")


def judge_schedules(failing: Mapping[str, str]) -> Sign:
    """Return whether schedules do what they should.

    Args:
        failing: what the newest tick said of each running schedule whose newest tick failed.
    """
    if not failing:
        return Sign("schedules", Colour.GREEN, "no newest tick failed")
    found = "; ".join(f"{name} failed: {error}" for name, error in sorted(failing.items())[:_NAMED])
    next_step = "read the tick's error in the Dagster UI, under Automation"
    return Sign("schedules", Colour.AMBER, found, next_step)


def judge_runs(failed: Sequence[Condition], *, last_error: str | None) -> Sign:
    """Return whether failed runs are made good.

    Args:
        failed: what is wrong.
        last_error: what the newest failed run said; None if it kept nothing.
    """
    sign = judge_conditions("runs", failed, well="no failed run that was not made good")
    if sign.colour is Colour.GREEN or last_error is None:
        return sign
    return Sign(sign.name, sign.colour, f"{sign.found} The last error: {last_error}",
                sign.next_step)  # fmt: skip


def judge_backlog(
    *, files: int, stored_bytes: int, complete_through: datetime, refused: int,
    stale: timedelta, now: datetime, limits: DoctorLimits = LIMITS,
) -> Sign:  # fmt: skip
    """Return whether what landed is taken, and whether files are refused."""
    age = now - complete_through if files else timedelta()
    found = f"{files} files ({_show_bytes(stored_bytes)}) wait"
    if files:
        found += f", the oldest for {age.total_seconds():,.0f} s"
    if age > stale:
        is_red = age > limits.stale_factor * stale
        return Sign("backlog", Colour.RED if is_red else Colour.AMBER, found, "opsmeter run")
    if refused:
        found = f"{refused} files are refused; {found}"
        return Sign("backlog", Colour.AMBER, found, "opsmeter status names them and what to do")
    return Sign("backlog", Colour.GREEN, found)


def judge_catalogue(catalogue: Catalogue, *, limits: DoctorLimits = LIMITS) -> Sign:
    """Return whether readers and a writer can work at once."""
    found = (
        f"{catalogue.snapshots:,} snapshots, {_show_bytes(catalogue.stored_bytes)}, journal mode "
        f"{catalogue.journal_mode}, write-ahead log {_show_bytes(catalogue.wal_bytes)}"
    )
    if catalogue.journal_mode != "wal":
        next_step = "stop all, then: sqlite3 warehouse/catalogue.sqlite 'PRAGMA journal_mode=WAL'"
        return Sign("catalogue", Colour.AMBER, found, next_step)
    if catalogue.wal_bytes > limits.wal_bytes:
        return Sign("catalogue", Colour.AMBER, found, "end queries that have been open for long")
    return Sign("catalogue", Colour.GREEN, found)


def judge_disk(name: str, free_bytes: int, *, limits: DoctorLimits = LIMITS) -> Sign:
    """Return whether a disk has room."""
    found = f"{_show_bytes(free_bytes)} free"
    next_step = "df -h, and make room"
    if free_bytes < limits.free_bytes_red:
        return Sign(name, Colour.RED, found, next_step)
    is_amber = free_bytes < limits.free_bytes_amber
    return Sign(name, Colour.AMBER, found, next_step) if is_amber else Sign(
        name, Colour.GREEN, found
    )  # fmt: skip


def judge_clock(
    newest_at: datetime | None, *, ahead_events: int, now: datetime, limits: DoctorLimits = LIMITS
) -> Sign:
    """Return whether clocks agree.

    Args:
        newest_at: newest time that our clock wrote into the ledger (UTC); None without a batch.
        ahead_events: events of the last day whose ingest time was in the future when visible.
        now: the present (UTC).
        limits: how far ahead a time may be.
    """
    if newest_at is not None and newest_at - now > limits.clock:
        ahead = (newest_at - now).total_seconds()
        found = f"this machine's clock is {ahead:,.0f} s behind the ledger's newest time"
        return Sign("clock", Colour.RED, found, "timedatectl: set the clock, by NTP")
    if ahead_events:
        found = f"{ahead_events:,} events of the last day were ingested in the future"
        next_step = 'opsmeter query "FROM clock_lags": set the named collector\'s clock'
        return Sign("clock", Colour.AMBER, found, next_step)
    return Sign("clock", Colour.GREEN, f"{now:%Y-%m-%d %H:%M:%S} UTC, behind no known time")


def judge_prices(
    waiting: Sequence[str], last: LastBatches, *, limits: DoctorLimits = LIMITS
) -> Sign:
    """Return whether prices wait for a person, and whether events lack them.

    Args:
        waiting: versions that wait.
        last: the newest batches.
        limits: how many events may lack a price.
    """
    if waiting:
        found = f"{len(waiting)} versions wait: {', '.join(waiting[:_NAMED])}"
        return Sign("prices", Colour.AMBER, found, "opsmeter prices pending")
    found = f"{last.unpriced:,} of {last.accepted:,} events of the last {last.batches} batches "
    found += "have no price"
    if last.accepted and Decimal(last.unpriced) / last.accepted > limits.unpriced:
        return Sign("prices", Colour.AMBER, found, 'opsmeter query "FROM unpriced_models"')
    return Sign("prices", Colour.GREEN, found)


def judge_quarantine(last: LastBatches, *, limits: DoctorLimits = LIMITS) -> Sign:
    """Return whether lines break rules more often than they should."""
    found = f"{last.quarantined:,} of {last.lines:,} lines of the last {last.batches} batches"
    share = Decimal(last.quarantined) / last.lines if last.lines else Decimal()
    if share <= limits.quarantined_amber:
        return Sign("quarantine", Colour.GREEN, found)
    colour = Colour.RED if share > limits.quarantined_red else Colour.AMBER
    return Sign("quarantine", colour, found, "opsmeter quarantine")


def judge_unread(name: str, why: str, next_step: str, *, colour: Colour = Colour.RED) -> Sign:
    """Return the sign of a part that cannot be read; that is never green."""
    return Sign(name, colour, f"cannot be read: {why}", next_step)


def find_worst(signs: Sequence[Sign]) -> Colour:
    """Return the worst colour; red without any sign."""
    order = (Colour.RED, Colour.AMBER, Colour.GREEN)
    found = {one.colour for one in signs}
    return next((one for one in order if one in found), Colour.RED)


def _show_bytes(size: int) -> str:
    return f"{size / _GIB:,.1f} GiB" if size >= _GIB else f"{size / _MIB:,.1f} MiB"
