"""The newest looks at the landing, in a small file of the home: how a backlog moves.

Looks are many and soon worthless, so they are no table: a row each 30 seconds would make every
publish that meets it start again. A file that cannot be read counts as no looks.
"""

import contextlib
import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from opsmeter_pipeline.alerts.landing import LandingLook

KEPT = timedelta(minutes=20)


def read_looks(path: Path) -> list[LandingLook]:
    """Return the looks that were kept, the oldest first."""
    with contextlib.suppress(OSError, ValueError):
        return _adapter().validate_json(path.read_bytes())
    return []


def keep_look(path: Path, look: LandingLook, *, before: Sequence[LandingLook]) -> None:
    """Keep a look with those before that are not too old; a reader sees all or nothing of it."""
    since = look.watermark.looked_at - KEPT
    kept = [one for one in before if since <= one.watermark.looked_at < look.watermark.looked_at]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = path.with_name(f".{path.name}.{os.getpid()}")
    written.write_bytes(_adapter().dump_json([*kept, look]))
    written.replace(path)


@cache
def _adapter() -> TypeAdapter[list[LandingLook]]:
    return TypeAdapter(list[LandingLook])
