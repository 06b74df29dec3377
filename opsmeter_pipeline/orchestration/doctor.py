"""What the doctor looks at, in the order in which a person would: each part read for itself.

To look at something more, add a function from a `Visit` to signs to `PARTS`, where the order is
that of docs/runbook.md. What cannot be read is a sign too; nothing here changes the home.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import dagster as dg

from opsmeter_pipeline import doctor
from opsmeter_pipeline.alerts.orchestrator import (
    judge_beats,
    judge_failed_runs,
    judge_failing_ticks,
)
from opsmeter_pipeline.doctor import Colour, Sign
from opsmeter_pipeline.freshness.slo import SloState
from opsmeter_pipeline.model.clock import FIRST_INSTANT
from opsmeter_pipeline.model.errors import InstanceMissingError
from opsmeter_pipeline.orchestration import records
from opsmeter_pipeline.orchestration.instance import open_kept_instance
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME
from opsmeter_pipeline.probe import judge_lost
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.doctor import (
    count_ahead,
    is_writable,
    read_catalogue,
    read_free_bytes,
    read_last_batches,
    read_open_incidents,
)
from opsmeter_pipeline.storage.gate import read_newest_time
from opsmeter_pipeline.storage.lake import Lake, try_to_read
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.page import ask_page
from opsmeter_pipeline.storage.pause import read_pause
from opsmeter_pipeline.storage.price_log import read_log
from opsmeter_pipeline.storage.probes import read_last_probe_at, read_newest
from opsmeter_pipeline.storage.slo import judge_freshness
from opsmeter_pipeline.storage.survey import Survey, survey_landing

_LONGEST_ERROR = 300


@dataclass(frozen=True)
class Visit:
    """One look at a home.

    Attributes:
        settings: of the home, with its landing (`settings.read_claim`).
        now: the present (UTC).
    """

    settings: Settings
    now: datetime

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


Look = Callable[[Visit], Sequence[Sign]]


def look_at_home(visit: Visit) -> list[Sign]:
    """Whether there is a home."""
    home = visit.settings.home
    return [doctor.judge_home(exists=home.is_dir(), is_writable=is_writable(home), path=str(home))]


def look_at_warehouse(visit: Visit) -> list[Sign]:
    """Whether the warehouse can be read."""
    snapshot = visit.lake.newest_snapshot()
    return [Sign("warehouse", Colour.GREEN, f"readable, at snapshot {snapshot:,}")]


def look_at_landing(visit: Visit) -> list[Sign]:
    """Whether the landing can be listed."""
    files = len(Landing(visit.settings.landing_root).list_files())
    return [Sign("landing", Colour.GREEN, f"{files:,} files in {visit.settings.landing_root}")]


def look_at_page(visit: Visit) -> list[Sign]:
    """Whether the page answers on this machine."""
    port = visit.settings.dashboard_port
    return [doctor.judge_page(ask_page(port), address=f"http://127.0.0.1:{port}")]


def look_at_probe(visit: Visit) -> list[Sign]:
    """Whether what lands reaches the page."""
    newest = next(iter(judge_lost(read_newest(visit.lake))), None)
    last_at = read_last_probe_at(visit.lake)
    return [doctor.judge_probe(last_at, newest, is_on=visit.settings.probe, now=visit.now)]


def look_at_pause(visit: Visit) -> list[Sign]:
    """Whether views are paused."""
    pause = read_pause(visit.settings.pause_file)
    told = f"since {pause.since_at:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}" if pause else None
    return [doctor.judge_pause(told)]


def look_at_freshness(visit: Visit) -> list[Sign]:
    """Whether the promise of freshness is kept."""
    found = judge_freshness(visit.lake, visit.survey, settings=visit.settings)
    why = [f"{one.scope.name}: {one.reason}" for one in found.slos if one.state != SloState.MET]
    return [doctor.judge_freshness(found.state.value, why)]


def look_at_incidents(visit: Visit) -> list[Sign]:
    """Whether something is known to be wrong."""
    return [doctor.judge_incidents(read_open_incidents(visit.lake))]


def look_at_workers(visit: Visit) -> list[Sign]:
    """Daemons, sensors, ticks and runs, by what Dagster has written down."""
    try:
        instance = open_kept_instance(visit.settings)
    except InstanceMissingError as exc:
        return [doctor.judge_unread("daemons", str(exc), "opsmeter up", colour=Colour.AMBER)]
    with instance:
        daemons = records.read_daemon_beats(instance)
        sensors = records.read_sensor_beats(instance)
        failing = judge_failing_ticks(records.read_failing_ticks(instance))
        signs = _look_at_beats(daemons, sensors, now=visit.now)
        signs.append(doctor.judge_conditions("ticks", failing, well="none fails again and again"))
        signs.append(doctor.judge_schedules(records.read_failing_schedules(instance)))
        return [*signs, _look_at_runs(instance, now=visit.now)]


def look_at_backlog(visit: Visit) -> list[Sign]:
    """What landed and is not visible."""
    watermark = visit.survey.watermark(visit.lake, visit.settings)
    return [
        doctor.judge_backlog(
            files=watermark.waiting_files,
            stored_bytes=visit.survey.waiting_bytes(visit.settings),
            complete_through=watermark.complete_through,
            refused=watermark.refused_files,
            stale=timedelta(seconds=visit.settings.stale_seconds),
            now=visit.now,
        )
    ]


def look_at_catalogue(visit: Visit) -> list[Sign]:
    """Whether the catalogue lets readers and a writer work."""
    return [doctor.judge_catalogue(read_catalogue(visit.settings.warehouse))]


def look_at_disks(visit: Visit) -> list[Sign]:
    """Whether there is room."""
    places = {"disk of the home": visit.settings.home}
    if "://" not in visit.settings.landing_root:
        places["disk of the landing"] = Path(visit.settings.landing_root)
    return [doctor.judge_disk(name, read_free_bytes(path)) for name, path in places.items()]


def look_at_clock(visit: Visit) -> list[Sign]:
    """Whether clocks agree."""
    newest, ahead = read_newest_time(visit.lake), count_ahead(visit.lake, now=visit.now)
    return [doctor.judge_clock(newest, ahead_events=ahead, now=visit.now)]


def look_at_prices(visit: Visit) -> list[Sign]:
    """Whether prices wait or lack."""
    waiting = [one.source_version for one in read_log(visit.lake).waiting()]
    return [doctor.judge_prices(waiting, read_last_batches(visit.lake))]


def look_at_quarantine(visit: Visit) -> list[Sign]:
    """Whether lines break rules."""
    return [doctor.judge_quarantine(read_last_batches(visit.lake))]


PARTS: Mapping[str, tuple[Look, str]] = MappingProxyType(
    {
        "home": (look_at_home, "ls -ld the home, and look at its owner"),
        "warehouse": (look_at_warehouse, "opsmeter run; if a process holds it: fuser -v on it"),
        "landing": (look_at_landing, "create it, or name it with --landing"),
        "page": (look_at_page, "opsmeter dashboard"),
        "probe": (look_at_probe, "mend what is red above"),
        "views": (look_at_pause, "opsmeter resume"),
        "freshness": (look_at_freshness, "mend what is red above"),
        "incidents": (look_at_incidents, "mend what is red above"),
        "workers": (look_at_workers, "move dagster/ of the home aside, then opsmeter up"),
        "backlog": (look_at_backlog, "mend what is red above"),
        "catalogue": (look_at_catalogue, "end who holds it: fuser -v warehouse/catalogue.sqlite"),
        "disk": (look_at_disks, "df -h"),
        "clock": (look_at_clock, "mend what is red above"),
        "prices": (look_at_prices, "mend what is red above"),
        "quarantine": (look_at_quarantine, "mend what is red above"),
    }
)
"""What is looked at, in order, and what to do if it cannot be."""


def examine(visit: Visit, parts: Mapping[str, tuple[Look, str]] = PARTS) -> list[Sign]:
    """Return all signs; a part that cannot be read is red and hides no other."""
    signs: list[Sign] = []
    for name, (look, next_step) in parts.items():
        try:
            signs += look(visit)
        except Exception as exc:  # noqa: BLE001 - the doctor is asked when things are broken
            why = " ".join(str(exc).split())[:_LONGEST_ERROR] or type(exc).__name__
            signs.append(doctor.judge_unread(name, why, next_step))
    return signs


def _look_at_beats(
    daemons: Sequence[records.Beat], sensors: Sequence[records.Beat], *, now: datetime
) -> list[Sign]:
    dead = judge_beats(daemons, watching_since=FIRST_INSTANT, now=now)
    silent = judge_beats(sensors, watching_since=FIRST_INSTANT, now=now)
    well = f"{len(sensors)} tick" if sensors else "none ever ticked"
    return [
        doctor.judge_living([one.name for one in daemons], dead),
        doctor.judge_conditions("sensors", silent, well=well),
    ]


def _look_at_runs(instance: dg.DagsterInstance, *, now: datetime) -> Sign:
    failed = records.read_failed_runs(instance, now=now)
    newest = max(failed, key=lambda one: one.ended_at, default=None)
    error = records.read_run_error(instance, newest.run_id) if newest else None
    conditions = judge_failed_runs(failed, critical_job=INGEST_JOB_NAME)
    return doctor.judge_runs(conditions, last_error=error)
