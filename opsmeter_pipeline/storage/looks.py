"""What the alerts looked at last, in small files of the home: the landing, and which rules.

Looks are many and soon worthless, so they are no table: a row each 30 seconds would make every
publish that meets it start again. A file that cannot be read counts as no looks.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from opsmeter_pipeline.alerts.landing import LandingLook
from opsmeter_pipeline.model.watermark import Watermark

KEPT = timedelta(minutes=20)


@dataclass(frozen=True)
class Judged:
    """The newest tick of the alerts that wrote down what it found.

    Attributes:
        at: when it looked (UTC).
        unjudged: the rules that it could not judge.
    """

    at: datetime
    unjudged: frozenset[str]


def read_looks(path: Path) -> list[LandingLook]:
    """Return the looks that were kept, the oldest first."""
    with contextlib.suppress(OSError, ValueError):
        return _adapter().validate_json(path.read_bytes())
    return []


def find_newest(looks: Sequence[LandingLook]) -> Watermark | None:
    """Return what the newest of some looks knew of the landing, or None of none."""
    return max((one.watermark for one in looks), key=lambda one: one.looked_at, default=None)


def keep_look(path: Path, look: LandingLook, *, before: Sequence[LandingLook]) -> None:
    """Keep a look with those before that are not too old; a reader sees all or nothing of it."""
    since = look.watermark.looked_at - KEPT
    kept = [one for one in before if since <= one.watermark.looked_at < look.watermark.looked_at]
    _write(path, _adapter().dump_json([*kept, look]))


def read_judged(path: Path) -> Judged | None:
    """Return what was judged last; None if nothing ever was."""
    with contextlib.suppress(OSError, ValueError):
        return TypeAdapter(Judged).validate_json(path.read_bytes())
    return None


def keep_judged(path: Path, judged: Judged) -> None:
    """Keep that all rules were asked, once what they said is written down."""
    _write(path, TypeAdapter(Judged).dump_json(judged))


def _write(path: Path, content: bytes) -> None:
    """Replace a file, so that a reader sees all or nothing of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = path.with_name(f".{path.name}.{os.getpid()}")
    written.write_bytes(content)
    written.replace(path)


@cache
def _adapter() -> TypeAdapter[list[LandingLook]]:
    return TypeAdapter(list[LandingLook])
