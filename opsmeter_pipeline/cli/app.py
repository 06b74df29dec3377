"""The command's root: options every command has, how it prints, how it fails.

Exit codes: 0 success, 1 a check, gate or run that failed, 2 wrong usage or bad configuration.
With `--json` a command prints one JSON document on standard output and nothing else there;
everything for a person to watch goes to standard error.
"""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from opsmeter_pipeline.model.documents import to_json
from opsmeter_pipeline.model.errors import OpsmeterError, UsageError
from opsmeter_pipeline.settings import keep_files_private

Home = Annotated[
    Path | None, typer.Option("--home", help="Home folder; else OPSMETER_HOME, else .opsmeter.")
]
Landing = Annotated[
    str | None,
    typer.Option(
        "--landing",
        help="Landing folder or address; else OPSMETER_LANDING, else landing/ in the home.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

_GAP = 2
"""Blanks between two cells of a table."""
_PLAIN_WIDTH = 120
"""How wide a table is where there is no terminal to ask."""
_NARROWEST_NAME = 8
_NARROWEST_TEXT = 24

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


_BROKEN_FILES = ("database is locked", "file is not a database", "disk image is malformed")
"""What SQLite says, through whatever library, of a file that is held too long or is none of its."""


def call() -> None:
    """Run the command line, turning our own errors into a message and an exit code."""
    keep_files_private()
    own = (os.dup(1), os.dup(2))
    from opsmeter_pipeline.cli.commands import app

    try:
        app()
    except UsageError as exc:
        err.print(f"[red]error:[/red] {escape(str(exc))}", soft_wrap=True)
        sys.exit(2)
    except OpsmeterError as exc:
        _take_back_output(own)
        err.print(f"[red]failed:[/red] {escape(str(exc))}", soft_wrap=True)
        sys.exit(1)
    except Exception as exc:
        broken = next((one for one in _BROKEN_FILES if one in str(exc)), None)
        if broken is None:
            raise
        _take_back_output(own)
        text = f"a file of the home cannot be used: {broken}. Ask `opsmeter doctor` which, and why."
        err.print(f"[red]failed:[/red] {text}", soft_wrap=True)
        sys.exit(1)
    finally:
        for number in own:
            os.close(number)


def _take_back_output(own: tuple[int, int]) -> None:
    """Point standard output and error where they pointed at the start.

    Dagster sends a step's output to a file; when the disk is full it may leave it so, and neither
    our message nor the last flush would get through.
    """
    for number, stream in zip(own, (1, 2), strict=True):
        os.dup2(number, stream)


def print_json(document: object) -> None:
    """Print a document as JSON: decimals as strings, times as ISO 8601, no number as null."""
    sys.stdout.write(to_json(document) + "\n")


def spell_command(home: Path | None) -> str:
    """Return how this command was called, so that the next one finds the same home."""
    called = sys.argv[0] if shutil.which("opsmeter") is None else "opsmeter"
    path = os.path.relpath(called) if os.sep in called else called
    return f"{path} --home {shlex.quote(str(home))}" if home else path


def print_table(rows: Sequence[Mapping[str, object]], *, title: str = "") -> None:
    """Print rows for a person: as a table, or one value a line where it is too wide for that."""
    if not rows:
        out.print(f"{title}: no rows" if title else "no rows")
        return
    texts = [{name: _to_text(value) for name, value in row.items()} for row in rows]
    kinds = (int, float, Decimal)
    numbers = {name for row in rows for name, value in row.items() if isinstance(value, kinds)}
    widths = _fit(texts, numbers)
    if not widths:
        _print_records(texts, title=title)
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)  # fmt: skip
    for name, width in widths.items():
        justify = "right" if name in numbers else "left"
        table.add_column(escape(_fold(name, width)), width=width, justify=justify, overflow="fold")
    for text in texts:
        table.add_row(*map(escape, text.values()))
    width = sum(widths.values()) + _GAP * len(widths)
    Console(width=max(width, len(title)), highlight=False).print(table)
    out.print()


def _fit(texts: Sequence[Mapping[str, str]], numbers: set[str]) -> dict[str, int]:
    """Return the columns' widths, or none if they do not fit.

    A name that is too long is folded first, then the widest text wraps; a number never does.
    """
    values = {name: max(cell_len(text[name]) for text in texts) for name in texts[0]}
    room = _width() - _GAP * (len(values) - 1)
    plain = {name: max(width, len(name)) for name, width in values.items()}
    if sum(plain.values()) <= room:
        return plain
    folded = {n: max(w, *map(len, _fold(n, w).split("\n"))) for n, w in values.items()}
    excess = sum(folded.values()) - room
    if excess <= 0:
        return folded
    widest = max(folded, key=lambda name: (name not in numbers, folded[name]))
    left = folded[widest] - excess
    return folded | {widest: left} if widest not in numbers and left >= _NARROWEST_TEXT else {}


def _width() -> int:
    """Return how wide a table may be: as the terminal, or a fixed width in a file or pipe."""
    return out.width if out.is_terminal or os.environ.get("COLUMNS") else _PLAIN_WIDTH


def _fold(name: str, width: int) -> str:
    r"""Return a column's name over as many lines as make it about as narrow as its values.

    >>> _fold("cost_usd_per_1k_requests", 8)
    'cost_\nusd_per_\n1k_\nrequests'
    """
    lines = [""]
    for part in re.split("(?<=_)", name):
        if lines[-1] and len(lines[-1] + part) > max(width, _NARROWEST_NAME):
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _print_records(texts: Sequence[Mapping[str, str]], *, title: str) -> None:
    indent = max(map(len, texts[0]))
    for number, text in enumerate(texts, start=1):
        out.rule(f"{title} {number}".strip(), align="left")
        for name, value in text.items():
            out.print(f"{name:>{indent}}  {escape(value)}", soft_wrap=True)


def _to_text(value: object) -> str:
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
