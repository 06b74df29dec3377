"""`opsmeter probe`: send one probe and wait until the page shows it; for cron, CI and people."""

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.markup import escape

from opsmeter_pipeline.alerts.orchestrator import judge_beats
from opsmeter_pipeline.cli.app import err, out, print_json
from opsmeter_pipeline.cli.gate import read_length
from opsmeter_pipeline.model.clock import FIRST_INSTANT, utc_now
from opsmeter_pipeline.model.errors import (
    InstanceMissingError,
    LengthError,
    WarehouseMissingError,
)
from opsmeter_pipeline.orchestration import records
from opsmeter_pipeline.orchestration.instance import open_kept_instance
from opsmeter_pipeline.orchestration.probing import PAUSE_SECONDS, look_back, send_probe
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.probe import LOST, NEXT_STEPS, PAGE, SENT, VISIBLE, Probe
from opsmeter_pipeline.settings import Settings, load_settings, read_claim
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.page import ask_page
from opsmeter_pipeline.storage.probes import LOOKED_FOR, read_probe, trace_probe

_TIMES_TRIES = 10
"""How often it is asked when a batch was visible whose event the page shows already."""
_STAGES = {
    "landed": "ingested_at",
    "taken": "taken_at",
    "published": "published_at",
    "visible": "visible_at",
}


def probe_command(timeout: str, *, home: Path | None, landing: str | None, as_json: bool) -> None:
    """Send a probe, print each stage that it reaches, and exit 1 if the page does not show it.

    Raises:
        LengthError: the timeout is none.
        WarehouseMissingError: there is no home yet.
    """
    limit = read_length("--timeout", timeout)
    if not timedelta(0) < limit <= LOOKED_FOR:
        raise LengthError("--timeout", timeout, "it is not between a second and a day")
    settings = read_claim(load_settings(home=home, landing=landing))
    if not Lake(settings.warehouse).exists:
        raise WarehouseMissingError(settings.home)
    lake = HomeResource(home=str(settings.home), landing=settings.landing_root).lake
    probe, landed_at = send_probe(lake, settings, limit=limit), utc_now()
    missing = [*_find_missing(settings)]
    _say_sent(probe, missing)
    error = _wait(lake, settings, probe, landed_at) if probe.state == SENT else None
    row = read_probe(lake, probe.probe_id)
    told = _tell(row, missing=missing, page_error=error)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if row["state"] != VISIBLE:
        sys.exit(1)


def _find_missing(settings: Settings) -> Iterator[str]:
    """Yield what a probe needs and what is not there; somebody else may still start it."""
    port = settings.dashboard_port
    why = ask_page(port)
    if why:
        yield f"The page at http://127.0.0.1:{port}: {why}. Start it: opsmeter dashboard"
    try:
        instance = open_kept_instance(settings)
    except InstanceMissingError:
        beats = []
    else:
        with instance:
            beats = records.read_daemon_beats(instance)
    if not beats or judge_beats(beats, watching_since=FIRST_INSTANT, now=utc_now()):
        yield "No daemon takes what lands. Start it: opsmeter up; or take it once: opsmeter run"


def _wait(lake: Lake, settings: Settings, probe: Probe, landed_at: datetime) -> str | None:
    """Look until the probe is seen or lost, and say what it reaches; return the page's last error.

    The sensor of a daemon may see it first; either notes the same row.
    """
    landing = Landing(settings.landing_root)
    said: set[str] = set()
    _say("landed", landed_at, probe, said)
    left = _TIMES_TRIES
    while True:
        look = look_back(lake, settings)
        row, trace = read_probe(lake, probe.probe_id), trace_probe(lake, landing, probe)
        for stage, column in _STAGES.items():
            if isinstance(at := row[column] or getattr(trace, column, None), datetime):
                _say(stage, at, probe, said)
        left -= row["state"] == VISIBLE
        if row["published_at"] or row["state"] == LOST or not left:
            return look.error
        time.sleep(PAUSE_SECONDS)


def _say_sent(probe: Probe, missing: list[str]) -> None:
    err.print(escape(f"sent       {probe.probe_id} as {probe.file}"), soft_wrap=True)
    for one in missing:
        err.print(f"[yellow]missing:[/yellow] {escape(one)}", soft_wrap=True)


def _say(stage: str, at: datetime, probe: Probe, said: set[str]) -> None:
    if stage not in said:
        said.add(stage)
        err.print(f"{stage:10} after {_since(probe.sent_at, at):.1f} s")


def _tell(
    row: Mapping[str, Any], *, missing: list[str], page_error: str | None
) -> dict[str, object]:
    seconds = {
        stage: None if row[column] is None else _since(row["sent_at"], row[column])
        for stage, column in _STAGES.items()
    }
    step = NEXT_STEPS[row["stuck_at"] or PAGE]
    return {
        **row,
        "seconds": seconds,
        "missing": missing,
        "page_error": page_error,
        "next_step": None if row["state"] == VISIBLE else step,
    }


def _print(told: Mapping[str, Any]) -> None:
    if told["state"] == VISIBLE:
        out.print(f"[green]visible[/green] on the page {told['seconds']['visible']:.1f} s after "
                  "it was sent")  # fmt: skip
        return
    why = escape(f"stuck at {told['stuck_at']}: {told['detail']}")
    out.print(f"[red]lost[/red]: {why}", soft_wrap=True)
    out.print(escape(f"next: {told['next_step']}"), soft_wrap=True)


def _since(sent_at: datetime, at: datetime) -> float:
    return round((at - sent_at).total_seconds(), 3)
