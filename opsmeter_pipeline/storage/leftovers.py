"""What dead runs left on disk: staging folders, and finished files that no commit registered.

A run that was killed cleans nothing up. The next one does: it knows which runs are over, and the
catalogue knows which files the lake owns. A file is deleted only if the catalogue does not have it.
"""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opsmeter_pipeline.storage.lake import DATA, Lake

_UNKNOWN_KEPT = timedelta(days=1)
_REGISTERED = """
    SELECT path FROM __ducklake_metadata_lake.ducklake_data_file WHERE starts_with(path, ?)
"""


def sweep_dead_runs(
    lake: Lake, staging: Path, *, is_over: Callable[[str], bool | None], now: datetime
) -> list[str]:
    """Delete what runs that are over left behind, and return their ids.

    Args:
        lake: the warehouse.
        staging: the home's staging folder, with a folder named after each run in it.
        is_over: whether the run with that id will write no more; None if nobody knows it, then
            it is given a day.
        now: the present (UTC).
    """
    folders = [*staging.iterdir()] if staging.is_dir() else []
    dead: list[str] = []
    for folder in folders:
        touched_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        verdict = is_over(folder.name)
        if verdict or (verdict is None and now - touched_at > _UNKNOWN_KEPT):
            dead.append(folder.name)
    for run_id in dead:
        delete_unregistered(lake, run_id)
        shutil.rmtree(staging / run_id, ignore_errors=True)
    return sorted(dead)


def delete_unregistered(lake: Lake, run_id: str) -> None:
    """Delete files that a run put into the lake's folder and did not get registered."""
    prefix = name_prefix(run_id)
    files = [*(lake.folder / DATA).glob(f"*/*/{prefix}*.parquet")]
    if not files:
        return
    registered = set(lake.read(_REGISTERED, [prefix])["path"].to_list())
    for file in files:
        if file.name not in registered:
            file.unlink(missing_ok=True)


def name_prefix(run_id: str) -> str:
    """Return how the names of a run's files in the lake's folder begin."""
    return f"{run_id}-"
