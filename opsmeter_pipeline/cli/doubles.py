"""`opsmeter doubles`: which calls two layers reported under two ids, and what is in doubt."""

from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json, print_table
from opsmeter_pipeline.doubles import judge_doubles
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.doubles import look_for_doubles
from opsmeter_pipeline.storage.lake import Lake

_SHOWN = ("day", "first_source", "first_endpoint_tag", "second_source", "second_endpoint_tag",
          "pairs", "chance_pairs", "first_events", "second_events", "cost_usd")  # fmt: skip


def doubles_command(*, days: int, home: Path | None, as_json: bool) -> None:
    """Look at the newest days of events, write down and print what was found.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    lake = Lake(load_settings(home=home).warehouse)
    found = look_for_doubles(lake, now=utc_now(), days=days)
    summary = judge_doubles(found).summary
    if as_json:
        print_json({"summary": summary, "doubles": found.to_dicts()})
        return
    if not found.is_empty():
        print_table(found.select(_SHOWN).to_dicts(), title="calls reported twice")
    out.print(escape(summary), soft_wrap=True)
