"""One look at everything that can be wrong, and what follows from it: a tick of the alerts.

The sensor `alerting` and `opsmeter alerts check` do the same here. To watch something more, add a
function from a moment to conditions and its rule to `EVALUATORS`; everything after that is the same
for all of them.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType

import dagster as dg
import polars as pl

from opsmeter_pipeline.alerts import Decision, Look, MaintenanceWindow, Rules, find_window
from opsmeter_pipeline.alerts.landing import (
    BACKLOG,
    STALE,
    LandingLook,
    StaleLimits,
    judge_backlog,
    judge_stale,
)
from opsmeter_pipeline.alerts.messages import Addresses
from opsmeter_pipeline.alerts.orchestrator import (
    NOT_TICKING,
    RUN_FAILED,
    TICK_FAILED,
    judge_beats,
    judge_failed_runs,
    judge_failing_ticks,
)
from opsmeter_pipeline.alerts.quarantine import QUARANTINE_JUMP, judge_quarantine_jump
from opsmeter_pipeline.budget.conditions import (
    BUDGET_SPEND,
    BUDGET_UNKNOWN,
    judge_spend_conditions,
    judge_unknown_conditions,
)
from opsmeter_pipeline.budget.words import Row
from opsmeter_pipeline.drift.alarm import PROMPT_DRIFT, find_conditions
from opsmeter_pipeline.freshness.burn import SLO_BURN, judge_burn
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.condition import WARNING, Condition, Key
from opsmeter_pipeline.orchestration import records
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.probe import PROBE_LOST, judge_lost, judge_silence
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.spikes.rows import SPIKE_RULE, judge_spikes
from opsmeter_pipeline.storage.alerts import Delivery, deliver, read_undelivered
from opsmeter_pipeline.storage.budget import read_current
from opsmeter_pipeline.storage.clocks import read_newest_lags
from opsmeter_pipeline.storage.drift import read_alarm_limits, read_drift
from opsmeter_pipeline.storage.heartbeat import beat
from opsmeter_pipeline.storage.incidents import record_look
from opsmeter_pipeline.storage.looks import (
    Judged,
    find_newest,
    keep_judged,
    keep_look,
    read_looks,
)
from opsmeter_pipeline.storage.probes import read_newest
from opsmeter_pipeline.storage.sinks import build_sinks
from opsmeter_pipeline.storage.slo import judge_freshness
from opsmeter_pipeline.storage.spikes import read_rules as read_spike_rules
from opsmeter_pipeline.storage.spikes import read_spikes
from opsmeter_pipeline.storage.survey import Survey, survey_landing
from opsmeter_pipeline.tracking.clocks import CLOCK_LIMITS, CLOCK_SKEW, find_skew

NOT_JUDGED = "not_judged"
PROBE_SCHEDULE = "probe_schedule"
_SENDING = timedelta(seconds=20)
"""How long a tick begins to send; with the last one it stays below Dagster's limit of 60 s."""
_GAP = timedelta(seconds=90)
"""A longer gap between two looks of the sensor means that nothing was running."""
_LONGEST_ERROR = 200
_LOOKS_A_BATCH = 3
"""For how many intervals of the sensor a batch is new, so that a tick that is late sees it too."""
_FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Moment:
    """What evaluators read: one home at one moment.

    Attributes:
        home: the home.
        instance: its Dagster instance.
        now: the present (UTC).
        by: who looks: `sensor` or `check`.
    """

    home: HomeResource
    instance: dg.DagsterInstance
    now: datetime
    by: str

    @cached_property
    def looks(self) -> list[LandingLook]:
        """The looks at the landing before this one."""
        return read_looks(self.home.settings.looks)

    @cached_property
    def survey(self) -> Survey:
        """What waits in the landing."""
        landing, settings = self.home.landing_files(), self.home.settings
        return survey_landing(landing, self.home.lake, settings=settings, now=self.now)

    @cached_property
    def landing(self) -> LandingLook:
        """This look at the landing: listed once, however many evaluators ask."""
        settings, lake, survey = self.home.settings, self.home.lake, self.survey
        watermark = survey.watermark(lake, settings, newer=find_newest(self.looks))
        look = LandingLook(self.by, watermark, survey.waiting_bytes(settings))
        keep_look(settings.looks, look, before=self.looks)
        return look

    @cached_property
    def budgets(self) -> Sequence[Row]:
        """How budgets stand, as the job `budget` wrote down; if it does not run, computed here."""
        return read_current(self.home.lake, self.home.settings.budget, now=self.now)

    @property
    def watching_since(self) -> datetime:
        """Since when silence counts: for the sensor, since its daemon runs without a gap."""
        if self.by != "sensor":
            return _FIRST_INSTANT
        since = self.now
        for look in sorted(self.looks, key=lambda one: one.watermark.looked_at, reverse=True):
            if look.by == self.by and since - look.watermark.looked_at <= _GAP:
                since = look.watermark.looked_at
        return since


Evaluator = Callable[[Moment], Sequence[Condition]]


@dataclass(frozen=True)
class Tick:
    """What a tick found and did.

    Attributes:
        look: what is wrong, and what could not be judged.
        decision: what that changed.
        deliveries: what was tried to be sent.
        undelivered: messages that no sink has yet.
        failing: of these, how many were tried and failed by a sink that is set.
        maintenance: the window that holds now, in which nothing is sent; None if there is none.
        heartbeat: what became of the heartbeat: `sent`, `held back`, `not set` or why not.
    """

    look: Look
    decision: Decision
    deliveries: tuple[Delivery, ...]
    undelivered: int
    failing: int
    maintenance: MaintenanceWindow | None
    heartbeat: str

    @property
    def is_good(self) -> bool:
        """Whether everything was judged and no message is stuck."""
        return not self.look.unjudged and not self.failing


def look_at_staleness(moment: Moment) -> list[Condition]:
    """Whether something that landed waits too long."""
    limits = StaleLimits(timedelta(seconds=moment.home.settings.stale_seconds))
    return judge_stale(moment.landing.watermark, now=moment.now, limits=limits)


def look_at_backlog(moment: Moment) -> list[Condition]:
    """Whether more and more waits."""
    return judge_backlog([*moment.looks, moment.landing], now=moment.now)


def look_at_burn(moment: Moment) -> list[Condition]:
    """Whether a budget of freshness is spent too fast, what waits in the landing included."""
    home = moment.home
    freshness = judge_freshness(home.lake, moment.survey, settings=home.settings)
    return judge_burn(freshness.slos, now=moment.now)


def look_at_runs(moment: Moment) -> list[Condition]:
    """Whether runs failed that nothing has made good."""
    failed = records.read_failed_runs(moment.instance, now=moment.now)
    return judge_failed_runs(failed, critical_job=INGEST_JOB_NAME)


def look_at_beats(moment: Moment) -> list[Condition]:
    """Whether a daemon or sensor is silent; none is missed after `opsmeter up` was told to stop."""
    daemons = records.read_daemon_beats(moment.instance)
    beats = [*daemons, *records.read_sensor_beats(moment.instance)] if daemons else []
    return judge_beats(beats, watching_since=moment.watching_since, now=moment.now)


def look_at_ticks(moment: Moment) -> list[Condition]:
    """Whether a sensor's ticks fail."""
    return judge_failing_ticks(records.read_failing_ticks(moment.instance))


def look_at_quarantine(moment: Moment) -> list[Condition]:
    """Whether a producer's lines break a rule as never before."""
    return judge_quarantine_jump(records.read_quarantine_shift(moment.instance))


def look_at_probes(moment: Moment) -> list[Condition]:
    """Whether a probe was lost, or none is sent while the schedule should run."""
    settings = moment.home.settings
    if not settings.probe:
        return []
    probes = read_newest(moment.home.lake)
    conditions = judge_lost(probes)
    if records.is_schedule_running(moment.instance, PROBE_SCHEDULE):
        conditions += judge_silence(
            probes[0].sent_at if probes else None,
            watching_since=moment.watching_since if moment.by == "sensor" else None,
            now=moment.now,
        )
    return conditions


def look_at_clocks(moment: Moment) -> list[Condition]:
    """Whether a producer's clock is off."""
    fresh = _LOOKS_A_BATCH * timedelta(seconds=moment.home.settings.alerting_seconds)
    lags = read_newest_lags(
        moment.home.lake, now=moment.now, window=CLOCK_LIMITS.window, fresh=fresh
    )
    return find_skew(lags, now=moment.now)


def look_at_budgets(moment: Moment) -> list[Condition]:
    """Whether a budget is near its limit or above it."""
    return judge_spend_conditions(moment.budgets, now=moment.now)


def look_at_unknown_budgets(moment: Moment) -> list[Condition]:
    """Whether of a budget nobody can tell, because events have no price."""
    return judge_unknown_conditions(moment.budgets, now=moment.now)


def look_at_drift(moment: Moment) -> list[Condition]:
    """Whether a prompt version regressed, by the last look of the job `drift`."""
    home = moment.home
    return find_conditions(read_drift(home.lake), read_alarm_limits(home.settings))


def look_at_spikes(moment: Moment) -> list[Condition]:
    """Whether a spike goes on, by what the job `spikes` found last."""
    home = moment.home
    return judge_spikes(read_spikes(home.lake), read_spike_rules(home.settings))


EVALUATORS: Mapping[str, Evaluator] = MappingProxyType(
    {
        STALE: look_at_staleness,
        BACKLOG: look_at_backlog,
        SLO_BURN: look_at_burn,
        RUN_FAILED: look_at_runs,
        NOT_TICKING: look_at_beats,
        TICK_FAILED: look_at_ticks,
        QUARANTINE_JUMP: look_at_quarantine,
        PROBE_LOST: look_at_probes,
        CLOCK_SKEW: look_at_clocks,
        BUDGET_SPEND: look_at_budgets,
        BUDGET_UNKNOWN: look_at_unknown_budgets,
        PROMPT_DRIFT: look_at_drift,
        SPIKE_RULE: look_at_spikes,
    }
)
"""What is watched, by rule. The rule is the one in the keys of the conditions it returns."""


def look_at_all(moment: Moment, evaluators: Mapping[str, Evaluator] = EVALUATORS) -> Look:
    """Return what is wrong; a rule that cannot be judged is a condition of its own."""
    found: list[Condition] = []
    unjudged: set[str] = set()
    for rule, evaluate in evaluators.items():
        try:
            found += evaluate(moment)
        except Exception as exc:  # noqa: BLE001 - one that fails must not silence the others
            unjudged.add(rule)
            found.append(_condition_of_failure(rule, exc, moment.now))
    return Look(tuple(found), frozenset(unjudged))


def tick(moment: Moment, *, clock: Callable[[], datetime] = utc_now) -> Tick:
    """Look, write down what changed, send what is due, and call the heartbeat if all is well.

    Args:
        moment: what is looked at.
        clock: tells the time while messages are sent, which takes some.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing is lost, the next tick goes on.
    """
    settings, lake = moment.home.settings, moment.home.lake
    sinks, rules = build_sinks(settings.alert_urls), read_rules(settings)
    look = look_at_all(moment)
    decision = record_look(
        lake, look, rules=rules, sinks=[one.name for one in sinks],
        addresses=read_addresses(settings), now=moment.now, slo=settings.slo,
    )  # fmt: skip
    window = find_window(rules.maintenance, moment.now)
    sent = [] if window else deliver(
        lake, sinks, holder=name_process(), clock=clock, until=clock() + _SENDING
    )  # fmt: skip
    keep_judged(settings.judged, Judged(moment.now, look.unjudged))
    waiting = read_undelivered(lake)
    failing = waiting.filter(
        pl.col("attempts") > 0, pl.col("sink").is_in([one.name for one in sinks])
    ).height
    is_good = not look.unjudged and not failing
    heartbeat = _call_heartbeat(settings, is_good=is_good)
    return Tick(look, decision, tuple(sent), waiting.height, failing, window, heartbeat)


def describe_tick(done: Tick) -> str:
    """Return a tick in one sentence: what is wrong, what was sent, and what is stuck."""
    found = ", ".join(f"{one.key.scope} {one.key.rule}" for one in done.look.conditions)
    sent = sum(one.error is None for one in done.deliveries)
    held = f" Maintenance until {done.maintenance.to_at:%H:%M}Z." if done.maintenance else ""
    return (
        f"{f'Wrong: {found}' if found else 'Nothing is wrong'}. {sent} messages sent, "
        f"{done.undelivered} wait, {done.failing} of them after a failed try. "
        f"Heartbeat: {done.heartbeat}.{held}"
    )


def read_rules(settings: Settings) -> Rules:
    """Return how incidents are told, by the settings."""
    windows = (
        MaintenanceWindow(one.from_at.astimezone(UTC), one.to_at.astimezone(UTC), one.reason)
        for one in settings.maintenance
    )
    cooldown = timedelta(seconds=settings.alert_cooldown_seconds)
    return Rules(cooldown, tuple(windows), has_sinks=bool(settings.alert_urls))


def read_addresses(settings: Settings) -> Addresses:
    """Return where a reader of a message can look, by the settings."""
    return Addresses(settings.ui_url, settings.page_url)


def name_process() -> str:
    """Return the name by which this process claims messages."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _call_heartbeat(settings: Settings, *, is_good: bool) -> str:
    if settings.heartbeat_url is None:
        return "not set"
    return (beat(settings.heartbeat_url) or "sent") if is_good else "held back"


def _condition_of_failure(rule: str, error: Exception, now: datetime) -> Condition:
    said = " ".join(str(error).split())[:_LONGEST_ERROR]
    return Condition(
        Key(f"rule:{rule}", NOT_JUDGED, "now"),
        WARNING,
        since_at=now,
        value=1,
        limit=0,
        unit="rules",
        what=f"The rule {rule} could not be judged ({type(error).__name__}: {said}).",
        next_step="opsmeter alerts check",
    )
