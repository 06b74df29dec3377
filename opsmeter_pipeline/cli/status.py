"""`opsmeter status`: how far all that landed is visible, how fresh, and until when the rest waits.

The warehouse knows what the last look knew; this looks again, writes nothing and needs no run.
"""

from datetime import datetime
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import err, print_json, print_table
from opsmeter_pipeline.cli.freshness import print_freshness, tell_freshness
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.settings import load_settings, read_claim
from opsmeter_pipeline.storage.backlog import read_backlog
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.slo import judge_freshness
from opsmeter_pipeline.storage.survey import describe_refused, survey_landing


def status_command(*, home: Path | None, landing: str | None, as_json: bool) -> None:
    """Print the watermark of this moment, how freshness stands, what waits, and refused files.

    Raises:
        UsageError: there is no warehouse or no landing.
    """
    settings = read_claim(load_settings(home=home, landing=landing))
    lake, files = Lake(settings.warehouse), Landing(settings.landing_root)
    survey = survey_landing(files, lake, settings=settings, now=utc_now())
    told = tell(survey.watermark(lake, settings))
    refused = describe_refused(survey, lake)
    freshness = judge_freshness(lake, survey, settings=settings)
    backlog = read_backlog(survey, lake, settings)
    if as_json:
        parts = {"freshness": tell_freshness(freshness), "backlog": vars(backlog)}
        print_json(told | {"refused": refused} | parts)
        return
    shown = {
        name: f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value
        for name, value in told.items()
    }
    print_table([shown], title="how far all that landed is visible (UTC)")
    print_freshness(freshness)
    err.print(f"backlog: {backlog.describe()}", soft_wrap=True)
    for one in refused:
        text = escape(f"{one['file']}: {one['detail']}")
        err.print(f"[yellow]{one['finding']}:[/yellow] {text}", soft_wrap=True)


def tell(watermark: Watermark) -> dict[str, object]:
    """Return what a command prints of a watermark."""
    return {**vars(watermark), "final_before": watermark.final_before}
