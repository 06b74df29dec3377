"""The command's root: options every command has, how it prints, how it fails.

Exit codes: 0 success, 1 a check, gate or run that failed, 2 wrong usage or bad configuration.
With `--json` a command prints one JSON document on standard output and nothing else there;
everything for a person to watch goes to standard error.
"""

import atexit
import gc
import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from opsmeter_pipeline.model.errors import OpsmeterError, UsageError

Home = Annotated[
    Path | None, typer.Option("--home", help="Home folder; else OPSMETER_HOME, else .opsmeter.")
]
Landing = Annotated[
    str | None, typer.Option("--landing", help="Landing folder or address; else in the home.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

_COLLECT_AFTER = 100_000
"""How many new objects start a search for garbage. With Python's 700 it goes through all that was
imported again and again, and at the exit once more: a fifth of the time of a small run."""
_GAP = 3
"""Columns a table spends between two of its cells."""

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def main() -> None:
    """Run the command line, turning our own errors into a message and an exit code."""
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)  # the process ends; nothing has to be found and freed
    from opsmeter_pipeline.cli.commands import app

    try:
        app()
    except UsageError as exc:
        err.print(f"[red]error:[/red] {escape(str(exc))}", soft_wrap=True)
        sys.exit(2)
    except OpsmeterError as exc:
        err.print(f"[red]failed:[/red] {escape(str(exc))}", soft_wrap=True)
        sys.exit(1)


def print_json(document: object) -> None:
    """Print a document as JSON: decimals as strings, times as ISO 8601, no number as null."""
    text = json.dumps(_finite(document), default=to_json_value, ensure_ascii=False, indent=2)
    sys.stdout.write(text + "\n")


def to_json_value(value: object) -> object:
    """Return what JSON shows for a value it has no type for."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _finite(document: object) -> object:
    """Return the document with infinities and NaN, which JSON does not have, as null."""
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, Mapping):
        members = cast("Mapping[object, object]", document)
        return {str(name): _finite(value) for name, value in members.items()}
    if isinstance(document, list | tuple):
        return [_finite(value) for value in cast("Sequence[object]", document)]
    return document


def print_table(rows: Sequence[Mapping[str, object]], *, title: str = "") -> None:
    """Print rows for a person: as a table, or one value a line where it is too wide for that."""
    if not rows:
        out.print(f"{title}: no rows" if title else "no rows")
        return
    texts = [{name: _to_text(value) for name, value in row.items()} for row in rows]
    widths = [max(len(name), *(len(text[name]) for text in texts)) for name in texts[0]]
    needed = sum(widths) + _GAP * len(widths)
    if out.is_terminal and needed > out.width:
        _print_records(texts, title=title)
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for name, value in rows[0].items():
        is_number = isinstance(value, int | float | Decimal)
        table.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for text in texts:
        table.add_row(*map(escape, text.values()))
    Console(width=max(needed, len(title)) + _GAP, highlight=False).print(table)


def _print_records(texts: Sequence[Mapping[str, str]], *, title: str) -> None:
    indent = max(map(len, texts[0]))
    for number, text in enumerate(texts, start=1):
        out.rule(f"{title} {number}".strip(), align="left")
        for name, value in text.items():
            out.print(f"{name:>{indent}}  {escape(value)}", soft_wrap=True)


def _to_text(value: object) -> str:
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
