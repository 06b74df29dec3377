"""`opsmeter maintain`: upkeep of a home, once."""

from pathlib import Path

from opsmeter_pipeline.cli.app import err, out, print_json
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.maintain import maintain
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.lake import Lake

_MEGABYTE = 1_000_000


def maintain_command(*, home: Path | None, as_json: bool) -> None:
    """Keep up the home, and print what was done.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
        WarehouseBusyError: the catalogue stayed locked; what was done before stays done.
    """
    settings = load_settings(home=home)
    lake = Lake(settings.warehouse)
    if not lake.exists:
        raise WarehouseMissingError(settings.home)
    with open_instance(settings) as instance, err.status("merging and cleaning up ..."):
        done = maintain(lake, instance, settings)
    if as_json:
        print_json(done)
        return
    out.print(
        f"Merged {done['merged_files']} files, wrote {done['flushed_rows']} rows of small writes "
        f"to files, expired {done['expired_snapshots']} snapshots."
    )
    out.print(
        f"Deleted {done['deleted_files']} files that nothing needs any more and "
        f"{done['deleted_runs']} old runs; the warehouse is "
        f"{abs(done['freed_bytes']) / _MEGABYTE:.1f} MB "
        f"{'smaller' if done['freed_bytes'] >= 0 else 'larger until merged files may go'}."
    )
    out.print(f"It now has {done['files']} data files and {done['snapshots']} snapshots.")
