"""`opsmeter days`: exact production totals by the days of any time zone."""

from datetime import date
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json, print_table
from opsmeter_pipeline.model.errors import BadDayError
from opsmeter_pipeline.model.zones import open_zone
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.days import read_days, sum_days
from opsmeter_pipeline.storage.lake import Lake


def days_command(
    zone: str, *, first: str | None, last: str | None, home: Path | None, as_json: bool
) -> None:
    """Print a row for each day and their sum.

    Raises:
        UsageError: there is no such zone, day or warehouse, or the range cannot be read.
    """
    opened = open_zone(zone)
    asked = [None if text is None else read_day(text) for text in (first, last)]
    lake = Lake(load_settings(home=home).warehouse)
    days = read_days(lake, opened, first=asked[0], last=asked[1])
    total = sum_days(days)
    if as_json:
        print_json({"zone": zone, "days": days, "total": total})
        return
    rows = [day | {"day": str(day["day"])} for day in days]
    print_table(rows and [*rows, {"day": "total"} | total])
    out.print(escape(f"Days of {zone}; production traffic only."))


def read_day(text: str) -> date:
    """Return a day as a person writes it, such as 2026-11-23.

    Raises:
        BadDayError: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadDayError(text) from None
