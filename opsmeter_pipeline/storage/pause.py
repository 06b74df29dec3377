"""Whether the views that can wait are paused: one small file of the home, read for each request.

A file and not a table, because a pause must work when the warehouse does not. A file that is there
and cannot be read is a pause too: who contained something is not overruled by half a file.
"""

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

_UNREADABLE = "the file of the pause cannot be read; `opsmeter resume` removes it"


@dataclass(frozen=True)
class Pause:
    """Why the views that can wait are stopped.

    Attributes:
        reason: as the person said it.
        since_at: since when (UTC); a second pause changes the reason, not this.
        paused_by: who.
    """

    reason: str
    since_at: datetime
    paused_by: str


def read_pause(path: Path) -> Pause | None:
    """Return the pause that holds, or None."""
    try:
        return TypeAdapter(Pause).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Pause(_UNREADABLE, _changed_at(path), "unknown")


def write_pause(path: Path, reason: str, *, by: str, now: datetime) -> Pause:
    """Pause from now on, or change the reason of the pause that holds; return it.

    Raises:
        OSError: the home is not there, or cannot be written.
    """
    known = read_pause(path)
    pause = Pause(reason, known.since_at if known else now, by)
    written = path.with_name(f".{path.name}.{os.getpid()}")
    written.write_bytes(TypeAdapter(Pause).dump_json(pause))
    written.replace(path)
    return pause


def end_pause(path: Path) -> Pause | None:
    """End the pause that holds; return it, or None if none does.

    Raises:
        OSError: its file cannot be removed.
    """
    known = read_pause(path)
    path.unlink(missing_ok=True)
    return known


def tell_pause(pause: Pause | None) -> dict[str, object] | None:
    """Return a pause as an object of JSON."""
    return asdict(pause) if pause else None


def _changed_at(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)
