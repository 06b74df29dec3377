"""`opsmeter query`: read-only SQL on the warehouse."""

import csv
import sys
from pathlib import Path

from opsmeter_pipeline.cli.app import print_json, print_table
from opsmeter_pipeline.model.documents import to_json_value
from opsmeter_pipeline.model.errors import UsageError
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.lake import Lake

_ONE_FORM = "Ask for --json or --csv, not for both."


def query_command(sql: str, *, home: Path | None, as_json: bool, as_csv: bool) -> None:
    """Print the rows of a query as a table, JSON (a list of objects) or CSV."""
    if as_json and as_csv:
        raise UsageError(_ONE_FORM)
    found = Lake(load_settings(home=home).warehouse).query(sql)
    if as_json:
        print_json(found.to_dicts())
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(found.columns)
        writer.writerows(
            ["" if value is None else to_json_value(value) for value in row] for row in found.rows
        )
    else:
        print_table(found.to_dicts())
