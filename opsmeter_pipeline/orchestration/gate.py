"""What the gate asks of a home, and who answers: reads each part, has it judged, never fails.

To ask for something more, add a function from a `Question` to reasons and its name to `READERS`.
What cannot be read is a reason that is unknown, which keeps the gate closed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline import gate
from opsmeter_pipeline.drift.alarm import describe_row
from opsmeter_pipeline.drift.plan import REPLACED
from opsmeter_pipeline.drift.verdicts import NOT_ENOUGH, REGRESSED
from opsmeter_pipeline.freshness.slo import JudgedSlo, Tally, allow_late
from opsmeter_pipeline.gate import Backlog, Counted, Reason
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.orchestration.instance import open_kept_instance
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME
from opsmeter_pipeline.orchestration.records import read_failed_runs
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.drift import look_for_drift
from opsmeter_pipeline.storage.gate import (
    read_critical_incidents,
    read_last_event_at,
    read_ledger,
    read_newest_time,
)
from opsmeter_pipeline.storage.lake import Lake, try_to_read
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.looks import read_judged
from opsmeter_pipeline.storage.probes import read_last_probe_at
from opsmeter_pipeline.storage.slo import Freshness, judge_freshness, tally_window
from opsmeter_pipeline.storage.survey import Survey, survey_landing

_LONGEST_ERROR = 300


@dataclass(frozen=True)
class Question:
    """What is asked: whether a release of one environment may go on now.

    Attributes:
        settings: of the home, with its landing (`settings.read_claim`) and the objectives that
            count (`choose_slo`).
        environment: whose release.
        window: how far back is looked.
        now: the present (UTC).
        about_prompts: whether a prompt version that regressed keeps the release back.
    """

    settings: Settings
    environment: str
    window: timedelta
    now: datetime
    about_prompts: bool = False

    @cached_property
    def _opened(self) -> Lake | Exception:
        return try_to_read(self.settings.warehouse)

    @property
    def lake(self) -> Lake:
        """The warehouse; raises the same each time if it cannot be read."""
        if isinstance(self._opened, Exception):
            raise self._opened
        return self._opened

    @cached_property
    def survey(self) -> Survey:
        """One look at the landing."""
        landing = Landing(self.settings.landing_root)
        return survey_landing(landing, self.lake, settings=self.settings, now=self.now)

    @cached_property
    def freshness(self) -> Freshness:
        """How freshness stands by that look."""
        return judge_freshness(self.lake, self.survey, settings=self.settings)

    @cached_property
    def last_probe_at(self) -> datetime | None:
        """When the page last showed a probe (UTC); None if it never did."""
        return read_last_probe_at(self.lake)

    @property
    def slos(self) -> list[JudgedSlo]:
        """The objectives of the environment, as they stand."""
        return [one for one in self.freshness.slos if one.scope.environment == self.environment]


Reader = Callable[[Question], Sequence[Reason]]


def choose_slo(slo: Slo, *, environment: str, limit_seconds: int | None) -> Slo:
    """Return the objectives that count: as configured, or that P95 for a whole environment.

    Args:
        slo: as configured.
        environment: whose release.
        limit_seconds: within how long 95 % of its events must be visible; None is as configured.

    Raises:
        pydantic.ValidationError: lags are not counted as finely.
    """
    if limit_seconds is None:
        return slo
    asked = slo.model_dump(exclude={"override"}) | {
        "limit_seconds": limit_seconds,
        "target_share": gate.P95,
        "override": () if environment == "prod" else ({"environment": environment},),
    }
    return Slo.model_validate(asked)


def ask_share(question: Question) -> list[Reason]:
    """Whether the events of the window were visible in time, for each objective."""
    if not question.slos:
        return [gate.judge_unpromised("freshness", question.environment)]
    tallies = tally_window(
        question.lake, question.settings.slo, window=question.window, now=question.now
    )
    found: list[Reason] = []
    for slo in question.slos:
        tally = tallies[slo.scope.name]
        tally = tally._replace(late=tally.late + slo.waiting_late_lines)
        allowed = allow_late(tally.events, slo.scope.objective.target_share)
        found.append(gate.judge_share(_count(slo, question.window, tally, allowed)))
    return found


def ask_budget(question: Question) -> list[Reason]:
    """Whether error budget is left, for each objective, over its own window."""
    return [
        gate.judge_budget(
            _count(one, timedelta(days=one.scope.objective.window_days), one.tally,
                   one.allowed_late)
        )
        for one in question.slos
    ] or [gate.judge_unpromised("error_budget", question.environment)]  # fmt: skip


def ask_backlog(question: Question) -> list[Reason]:
    """Whether something waits for longer than its objective."""
    slos = question.slos
    return [
        gate.judge_backlog(
            Backlog(
                sum(one.waiting_lines for one in slos),
                sum(one.waiting_late_lines for one in slos),
                question.freshness.oldest_waiting_at,
                max(one.scope.objective.limit_seconds for one in slos),
            )
        )
    ] if slos else [gate.judge_unpromised("waiting", question.environment)]  # fmt: skip


def ask_watermark(question: Question) -> list[Reason]:
    """Whether all that landed until shortly before now is visible."""
    limit = timedelta(seconds=question.settings.stale_seconds)
    through = question.freshness.complete_through
    return [gate.judge_watermark(through, limit=limit, now=question.now)]


def ask_ledger(question: Question) -> list[Reason]:
    """Whether each line of the window's batches is accounted for."""
    since = question.now - question.window
    with question.lake.connect(read_only=True, all_cores=True) as con:
        return [gate.judge_ledger(read_ledger(con, since=since))]


def ask_incidents(question: Question) -> list[Reason]:
    """Whether a critical incident is open."""
    judged = read_judged(question.settings.judged)
    return [
        gate.judge_incidents(
            read_critical_incidents(question.lake),
            looked_at=judged.at if judged else None,
            unjudged=sorted(judged.unjudged) if judged else [],
            now=question.now,
        )
    ]


def ask_runs(question: Question) -> list[Reason]:
    """Whether a run that takes lines failed and was not made good."""
    with open_kept_instance(question.settings) as instance:
        failed = read_failed_runs(instance, now=question.now)
    return [gate.judge_runs([one.run_id for one in failed if one.job == INGEST_JOB_NAME])]


def ask_seen(question: Question) -> list[Reason]:
    """Whether an event or a probe was seen lately."""
    return [
        gate.judge_seen(
            read_last_event_at(question.lake, question.environment),
            last_probe_at=question.last_probe_at,
            silence=timedelta(seconds=question.settings.slo.silence_seconds),
            now=question.now,
        )
    ]


def ask_probe(question: Question) -> list[Reason]:
    """Whether a probe was read back lately."""
    return [gate.judge_probe(question.last_probe_at, now=question.now)]


def ask_clock(question: Question) -> list[Reason]:
    """Whether our clock is behind its own past."""
    return [gate.judge_clock(read_newest_time(question.lake), now=question.now)]


def ask_prompts(question: Question) -> list[Reason]:
    """Whether a prompt version regressed: judged now, whenever the job `drift` ran."""
    drift = look_for_drift(question.lake, now=question.now)
    rows = drift.rows.filter(
        pl.col("environment") == question.environment, pl.col("baseline_version").is_not_null()
    )
    new = rows.filter(verdict=NOT_ENOUGH, compared_with=REPLACED)
    return [
        gate.judge_prompts(
            [describe_row(row) for row in rows.filter(verdict=REGRESSED).to_dicts()],
            [f"{row['endpoint_tag']} {row['prompt_version']}" for row in new.to_dicts()],
            compared=rows.height,
        )
    ]


READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "freshness": ask_share,
        "error_budget": ask_budget,
        "waiting": ask_backlog,
        "watermark": ask_watermark,
        "seen": ask_seen,
        "probe": ask_probe,
        "ledger": ask_ledger,
        "runs": ask_runs,
        "incidents": ask_incidents,
        "clock": ask_clock,
    }
)
"""What is asked, by the reason's name or first word."""


PROMPT_READERS: Mapping[str, Reader] = MappingProxyType({"prompt": ask_prompts})
"""What is asked only if prompts are in question."""


def ask_gate(question: Question, readers: Mapping[str, Reader] = READERS) -> list[Reason]:
    """Return all reasons; one that cannot be read is unknown and hides no other."""
    reasons: list[Reason] = []
    asked = {**readers, **PROMPT_READERS} if question.about_prompts else readers
    for name, read in asked.items():
        try:
            reasons += read(question)
        except Exception as exc:  # noqa: BLE001 - whatever fails, the answer is that nobody knows
            why = " ".join(str(exc).split())[:_LONGEST_ERROR] or type(exc).__name__
            reasons.append(gate.judge_unread(name, why))
    return reasons


def _count(slo: JudgedSlo, window: timedelta, tally: Tally, allowed: int) -> Counted:
    objective = slo.scope.objective
    return Counted(
        slo.scope.name,
        window,
        objective.limit_seconds,
        objective.target_share,
        objective.minimum_events,
        *tally,
        allowed,
        tuple(one.severity for one in slo.burns if one.is_burning),
    )
