"""`opsmeter pause` and `resume`: contain, then recover; ingest, freshness and alerts go on."""

import getpass
from pathlib import Path

import duckdb
from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import OpsmeterError, PauseError
from opsmeter_pipeline.settings import Settings, load_settings
from opsmeter_pipeline.storage.incidents import record_action
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.pause import end_pause, tell_pause, write_pause


def pause_command(reason: str, *, by: str | None, home: Path | None, as_json: bool) -> None:
    """Stop the views that can wait, and say so in the timeline of each open incident.

    Raises:
        PauseError: the home cannot be written, or no reason was given.
    """
    settings, now, who = load_settings(home=home), utc_now(), by or getpass.getuser()
    if not reason.strip():
        raise PauseError(settings.pause_file, "--reason is empty: say why, for who reads the page")
    try:
        pause = write_pause(settings.pause_file, reason.strip(), by=who, now=now)
    except OSError as exc:
        raise PauseError(settings.pause_file, exc.strerror or str(exc)) from exc
    noted = _note(settings, f"{who} paused the views that can wait: {pause.reason}")
    if as_json:
        print_json({"paused": tell_pause(pause), "incidents": noted})
        return
    out.print(f"Paused since {pause.since_at:%Y-%m-%d %H:%M:%S} UTC: top endpoints, top users "
              "and prompt versions. Overview, freshness, ingest and alerts go on.",
              soft_wrap=True)  # fmt: skip
    _print_noted(noted)
    out.print("End it with: opsmeter resume")


def resume_command(*, by: str | None, home: Path | None, as_json: bool) -> None:
    """Let all views be read again, and say so in the timeline of each open incident.

    Raises:
        PauseError: the file of the pause cannot be removed.
    """
    settings, who = load_settings(home=home), by or getpass.getuser()
    try:
        ended = end_pause(settings.pause_file)
    except OSError as exc:
        raise PauseError(settings.pause_file, exc.strerror or str(exc)) from exc
    noted = _note(settings, f"{who} resumed all views") if ended else []
    if as_json:
        print_json({"ended": tell_pause(ended), "incidents": noted})
        return
    out.print("All views can be read again." if ended else "Nothing was paused.")
    _print_noted(noted)


def _note(settings: Settings, detail: str) -> list[str]:
    """Return the incidents that say so now; none if the warehouse cannot be written."""
    lake = Lake(settings.warehouse)
    if not lake.exists:
        return []
    try:
        return record_action(lake, detail, now=utc_now())
    except (OpsmeterError, duckdb.Error) as exc:
        said = escape(str(exc).splitlines()[0])
        err.print(f"[yellow]not in the timelines:[/yellow] {said}", soft_wrap=True)
        return []


def _print_noted(noted: list[str]) -> None:
    if noted:
        out.print(f"In the timeline of {', '.join(noted)}.", soft_wrap=True)
